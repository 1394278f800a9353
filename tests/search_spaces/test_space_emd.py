"""The published table of EMD, typed a second time, and the axes that it spans."""

from __future__ import annotations

import dataclasses

import pytest

import search_spaces

# layers, task, alpha, beta, T_emd, T, lr
PUBLISHED = [
    (4, "cola", 1, 1e-3, 5, 1, 2e-5),
    (6, "cola", 1, 1e-3, 1, 7, 2e-5),
    (4, "mnli", 1, 5e-3, 1, 3, 5e-5),
    (6, "mnli", 1, 5e-3, 1, 1, 5e-5),
    (4, "mrpc", 1, 1e-3, 10, 1, 2e-5),
    (6, "mrpc", 1, 5e-3, 1, 1, 2e-5),
    (4, "qqp", 1, 5e-3, 1, 3, 2e-5),
    (6, "qqp", 1, 5e-3, 1, 1, 2e-5),
    (4, "qnli", 1, 5e-3, 1, 3, 2e-5),
    (6, "qnli", 1, 1e-3, 1, 1, 5e-5),
    (4, "rte", 1, 5e-3, 1, 1, 2e-5),
    (6, "rte", 1, 5e-3, 1, 1, 2e-5),
    (4, "sst2", 1, 1e-3, 1, 1, 2e-5),
    (6, "sst2", 1, 1e-3, 1, 1, 2e-5),
    (4, "stsb", 1, 5e-3, 1, 1, 3e-5),
    (6, "stsb", 1, 5e-3, 1, 1, 3e-5),
]
AXES = ("alpha", "beta", "T_emd", "T", "lr")


@pytest.fixture(scope="module")
def emd() -> search_spaces.SearchSpace:
    return search_spaces.load("emd")


def test_the_table_has_these_rows_and_no_other(emd: search_spaces.SearchSpace) -> None:
    ours = {(r.layers, r.task, *(r.values[a] for a in AXES)) for r in emd.rows}
    assert ours == set(PUBLISHED)
    assert len(emd.rows) == len(PUBLISHED)
    assert all(set(row.values) == set(AXES) for row in emd.rows)
    assert emd.layers == (4, 6)
    assert set(emd.tasks) == {row[1] for row in PUBLISHED}


def test_each_rows_source_names_its_own_cell(emd: search_spaces.SearchSpace) -> None:
    for row in emd.rows:
        assert f"{row.layers} layers" in row.source
        assert search_spaces.canonical(row.source.split()[-1]) == row.task


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row[1]}-{row[0]}")
@pytest.mark.parametrize("recipe", search_spaces.RECIPES)
def test_published_points(emd: search_spaces.SearchSpace, row: tuple, recipe: str) -> None:
    layers, task, *values = row
    expected = dict(zip(AXES, values, strict=True)) | {"theta": 1}
    if recipe == "modern":
        del expected["T_emd"]
    point = emd.published(task, layers, recipe)
    assert point is not None
    assert point.params == expected
    assert all(isinstance(value, float) for value in point.params.values())
    assert point.origin == "published"
    assert point.grades == dict.fromkeys(expected, "published") | {"theta": "code default"}
    assert emd.points(task, layers, recipe)[0] == point


def test_every_axis_lists_exactly_these_values(emd: search_spaces.SearchSpace) -> None:
    published, default, ours = search_spaces.GRADES
    assert {a.name: {v.value: v.grade for v in a.values} for a in emd.axes} == {
        "alpha": {1: published, 0.8: default},
        "beta": {1e-3: published, 5e-3: published, 1e-2: default},
        "T_emd": {1: published, 5: published, 10: published},
        "T": {1: published, 3: published, 7: published},
        "lr": {2e-5: published, 3e-5: published, 5e-5: published, 1e-4: ours},
        "theta": {1: default},
    }
    assert {a.name: a.default for a in emd.axes} == {
        "alpha": 1, "beta": 1e-2, "T_emd": 1, "T": 1, "lr": 3e-5, "theta": 1,
    }  # fmt: skip
    assert (emd.epochs.value, emd.epochs.grade) == (10, default)


def test_published_grades_are_earned_by_a_row(emd: search_spaces.SearchSpace) -> None:
    for axis in emd.axes:
        graded = {v.value for v in axis.values if v.grade == "published"}
        assert graded == {row.values[axis.name] for row in emd.rows if axis.name in row.values}


def test_counts_in_the_sources_agree_with_the_rows(emd: search_spaces.SearchSpace) -> None:
    checked = 0
    for axis in emd.axes:
        for value in axis.values:
            if " of 16 rows" in value.source:
                said = int(value.source.split(" of 16 rows")[0].split()[-1])
                assert said == sum(row.values[axis.name] == value.value for row in emd.rows), (
                    axis.name,
                    value,
                )
                checked += 1
    assert checked >= 4


def test_sizes_of_the_grid(emd: search_spaces.SearchSpace) -> None:
    modern, published = emd.points("cola", 4), emd.points("cola", 4, "published")
    assert len(modern) == 2 * 3 * 3 * 4
    assert len(published) == 2 * 3 * 3 * 3 * 4
    assert len({p.id for p in modern}) == len(modern)
    assert len({p.id for p in published}) == len(published)
    assert [a.name for a in emd.swept()] == ["alpha", "beta", "T", "lr"]
    assert [a.name for a in emd.inert()] == ["T_emd"]
    assert emd.inert("published") == ()


def test_the_inert_temperature_makes_no_second_point(emd: search_spaces.SearchSpace) -> None:
    assert all("T_emd" not in p.params for p in emd.points("cola", 4))
    assert emd.point({"T_emd": 5}) == emd.point({"T_emd": 10})
    assert emd.point({"T_emd": 5}, "published").id != emd.point({"T_emd": 10}, "published").id
    # 4 layers: CoLA and MRPC differ in T_emd, and RTE from SST-2 in beta.
    cola, mrpc = emd.published("cola", 4), emd.published("mrpc", 4)
    assert cola == mrpc
    assert emd.published("cola", 4, "published") != emd.published("mrpc", 4, "published")


def test_a_row_off_the_axes_still_comes_first(emd: search_spaces.SearchSpace) -> None:
    axes = tuple(
        dataclasses.replace(a, values=tuple(v for v in a.values if v.value != 2e-5)) if a.name == "lr" else a
        for a in emd.axes
    )
    narrowed = dataclasses.replace(emd, axes=axes)
    points = narrowed.points("cola", 4)
    assert points[0].params["lr"] == 2e-5
    assert points[0].grades["lr"] == "published"
    assert len(points) == 2 * 3 * 3 * 3 + 1
    assert all(p.params["lr"] != 2e-5 for p in points[1:])


def test_baseline_has_its_default_point_and_no_rows() -> None:
    ft = search_spaces.load("ft")
    assert ft.point().params == {"lr": 5e-5}
    assert {v.value: v.grade for v in ft.axis("lr").values} == {5e-5: "ours", 1e-4: "ours"}
    assert (ft.rows, ft.tasks, ft.layers) == ((), (), ())
    assert ft.published("cola", 4) is None
    assert {p.params["lr"] for p in ft.points("cola", 4)} == {5e-5, 1e-4}
    assert "no published rows" in ft.missing_row("cola", 4)
