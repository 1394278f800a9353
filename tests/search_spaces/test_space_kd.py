"""The published table of knowledge distillation, typed a second time, and the axes that it spans."""

from __future__ import annotations

from collections import Counter

import pytest

import search_spaces

# layers, task, alpha, T, lr
PUBLISHED = [
    (6, "mrpc", 0.7, 20, 2e-5),
    (6, "sst2", 0.2, 20, 2e-5),
    (6, "rte", 0.7, 20, 2e-5),
    (6, "mnli", 0.5, 10, 5e-5),
    (6, "qnli", 0.7, 5, 5e-5),
    (6, "qqp", 0.7, 20, 5e-5),
    (6, "cola", 0.7, 5, 2e-5),
    (3, "mrpc", 0.7, 5, 2e-5),
    (3, "sst2", 0.2, 20, 5e-5),
    (3, "rte", 0.2, 20, 2e-5),
    (3, "mnli", 0.7, 5, 5e-5),
    (3, "qnli", 0.5, 10, 2e-5),
    (3, "qqp", 0.7, 20, 5e-5),
]
AXES = ("alpha", "T", "lr")


@pytest.fixture(scope="module")
def kd() -> search_spaces.SearchSpace:
    return search_spaces.load("kd")


def test_the_table_has_these_rows_and_no_other(kd: search_spaces.SearchSpace) -> None:
    assert {(r.layers, r.task, *(r.values[a] for a in AXES)) for r in kd.rows} == set(PUBLISHED)
    assert len(kd.rows) == len(PUBLISHED)
    assert all(set(row.values) == set(AXES) for row in kd.rows)


def test_each_rows_source_names_its_own_cell(kd: search_spaces.SearchSpace) -> None:
    for row in kd.rows:
        assert f"{row.layers} layers" in row.source
        assert search_spaces.canonical(row.source.split()[-1]) == row.task


def test_the_grid(kd: search_spaces.SearchSpace) -> None:
    published, _, ours = search_spaces.GRADES
    assert {a.name: {v.value: v.grade for v in a.values} for a in kd.axes} == {
        "alpha": dict.fromkeys((0.2, 0.5, 0.7), published),
        "T": dict.fromkeys((5, 10, 20), published),
        "lr": {1e-5: published, 2e-5: published, 5e-5: published, 1e-4: ours},
    }
    assert {a.name: a.default for a in kd.axes} == {"alpha": 0.7, "T": 20, "lr": 2e-5}
    assert kd.epochs.value == 4
    for recipe in search_spaces.RECIPES:
        assert len(kd.grid(recipe)) == 36


def test_sources_count_the_rows_rightly(kd: search_spaces.SearchSpace) -> None:
    for name in AXES:
        best = Counter(row.values[name] for row in kd.rows)
        for value in kd.axis(name).values:
            said = f"best of {best[value.value]} of the 13 rows below"
            assert (said in value.source) == (best[value.value] > 0), f"{name} {value.value}"
