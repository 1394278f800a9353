"""The published tables of patient distillation, typed a second time, and the axes that they span."""

from __future__ import annotations

from collections import Counter

import pytest

import search_spaces

# layers, task, the teacher's layers, alpha, T, beta, normalize, lr
PUBLISHED = [
    (6, "mrpc", "skip", 0.7, 20, 8, True, 2e-5),
    (6, "sst2", "skip", 0.5, 10, 100, True, 5e-5),
    (6, "rte", "skip", 0.7, 10, 500, True, 1e-5),
    (6, "mnli", "skip", 0.5, 10, 100, False, 5e-5),
    (6, "qnli", "skip", 0.5, 20, 100, False, 5e-5),
    (6, "qqp", "skip", 0.7, 20, 100, False, 5e-5),
    (6, "mrpc", "last", 0.5, 20, 10, True, 2e-5),
    (6, "sst2", "last", 0.2, 20, 100, True, 2e-5),
    (6, "rte", "last", 0.7, 20, 1000, True, 2e-5),
    (6, "mnli", "last", 0.5, 20, 100, False, 5e-5),
    (6, "qnli", "last", 0.7, 20, 10, True, 5e-5),
    (6, "qqp", "last", 0.7, 20, 100, False, 5e-5),
    (3, "mrpc", "last", 0.7, 5, 10, True, 2e-5),
    (3, "sst2", "last", 0.2, 20, 1, True, 5e-5),
    (3, "rte", "last", 0.2, 20, 100, False, 5e-5),
    (3, "mnli", "last", 0.7, 5, 1000, False, 5e-5),
    (3, "qnli", "last", 0.7, 20, 100, False, 5e-5),
    (3, "qqp", "last", 0.7, 20, 100, False, 5e-5),
]
AXES = ("layers", "alpha", "T", "beta", "normalize", "lr")


@pytest.fixture(scope="module")
def pkd() -> search_spaces.SearchSpace:
    return search_spaces.load("pkd")


def test_the_tables_have_these_rows_and_no_other(pkd: search_spaces.SearchSpace) -> None:
    assert [(r.layers, r.task, *(r.values[a] for a in AXES)) for r in pkd.rows] == PUBLISHED
    assert all(set(row.values) == set(AXES) for row in pkd.rows)


def test_each_rows_source_names_its_own_cell(pkd: search_spaces.SearchSpace) -> None:
    for row in pkd.rows:
        assert f"best PKD-{str(row.values['layers']).title()} run, {row.layers} layers" in row.source
        assert search_spaces.canonical(row.source.split()[-1]) == row.task


def test_the_grid(pkd: search_spaces.SearchSpace) -> None:
    published, _, ours = search_spaces.GRADES
    assert {a.name: {v.value: v.grade for v in a.values} for a in pkd.axes} == {
        "alpha": dict.fromkeys((0.2, 0.5, 0.7), published),
        "T": dict.fromkeys((5, 10, 20), published),
        "beta": dict.fromkeys((1, 8, 10, 100, 500, 1000), published),
        "normalize": dict.fromkeys((True, False), published),
        "layers": dict.fromkeys(("skip", "last"), published),
        "lr": {1e-5: published, 2e-5: published, 5e-5: published, 1e-4: ours},
    }
    # Two of the best runs lie outside of the program's grid.
    outside = {v.value for v in pkd.axis("beta").values if v.source.startswith("outside of the grid")}
    assert outside == {1, 8}
    assert pkd.epochs.value == 4


@pytest.mark.parametrize("recipe", search_spaces.RECIPES)
def test_both_variants_of_a_size_lead(pkd: search_spaces.SearchSpace, recipe: str) -> None:
    points = pkd.points("rte", 6, recipe)
    assert [(p.origin, p.params["layers"], p.params["beta"]) for p in points[:2]] == [
        ("published", "skip", 500),
        ("published", "last", 1000),
    ]
    assert {p.origin for p in points[2:]} == {"grid"}
    assert len({p.id for p in points}) == len(points) == len(pkd.grid(recipe))
    assert pkd.published("rte", 6, recipe) == points[0]


def test_sources_count_the_rows_rightly(pkd: search_spaces.SearchSpace) -> None:
    for name in AXES:
        best = Counter(row.values[name] for row in pkd.rows)
        for value in pkd.axis(name).values:
            said = f"best of {best[value.value]} of the 18 rows below"
            assert (said in value.source) == (best[value.value] > 0), f"{name} {value.value}"
