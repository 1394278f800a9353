"""The settings of Pea-KD's programs, typed a second time, for its parts and the whole."""

from __future__ import annotations

from typing import Any

import pytest

import search_spaces
from search_spaces import SearchSpace
from search_spaces.every_size import of_task, told

PUBLISHED, DEFAULT, OURS = search_spaces.GRADES
# t and t2 of the programs.
THRESHOLDS = {"rte": (0.8, 0.6), "mrpc": (0.95, 0.75), "sst2": (0.98, 0.8), "qnli": (0.98, 0.7), "cola": (0.95, 0.7)}
ALL = {"alpha": 0.7, "T": 10, "beta": 100, "normalize": True, "lr": 2e-5}
NAMES = ("sps", "ptp", "pea")


def graded(name: str) -> dict[str, dict[Any, str]]:
    return {axis.name: {v.value: v.grade for v in axis.values} for axis in search_spaces.load(name).axes}


def test_sharing_has_one_setting_for_every_task() -> None:
    rows = search_spaces.load("sps").rows
    assert {(row.task, row.layers) for row in rows} == {(task, 3) for task in ("rte", "mrpc", "sst2", "qnli")}
    assert all(row.values == {"sps": "swap", "then": "pkd", **ALL} for row in rows)


@pytest.mark.parametrize(("name", "layers", "own"), [("ptp", (3, 6), {"then": "pkd"}), ("pea", (3,), {})])
def test_thresholds_of_each_task(name: str, layers: tuple[int, ...], own: dict[str, Any]) -> None:
    rows = search_spaces.load(name).rows
    assert {(row.task, row.layers) for row in rows} == {(task, count) for task in THRESHOLDS for count in layers}
    assert len(rows) == len(THRESHOLDS) * len(layers)
    for row in rows:
        t, t2 = THRESHOLDS[row.task]
        assert row.values == {"t": t, "t2": t2, "ptp_epochs": 4, "ptp_lr": 2e-5, **own, **ALL}


@pytest.mark.parametrize("name", NAMES)
def test_sources_name_their_cell(name: str) -> None:
    for row in search_spaces.load(name).rows:
        assert f"{row.layers} layers" in row.source
        assert search_spaces.canonical(row.source.split()[-1]) == row.task


def test_the_grids() -> None:
    pretraining = {
        "t": {0.6: OURS, 0.7: OURS, 0.8: PUBLISHED, 0.9: OURS, 0.95: PUBLISHED, 0.98: PUBLISHED},
        "t2": {0: PUBLISHED, **dict.fromkeys((0.6, 0.7, 0.75, 0.8), DEFAULT)},
        "ptp_epochs": {4: DEFAULT},
        "ptp_lr": {2e-5: DEFAULT, 1e-4: OURS},
    }
    fixed = {name: {value: DEFAULT} for name, value in ALL.items() if name != "lr"}
    rates = {2e-5: DEFAULT, 1e-4: OURS}
    assert graded("pea") == {**pretraining, **fixed, "lr": rates}
    assert graded("ptp") == {**pretraining, "then": {"pkd": PUBLISHED, "kd": OURS}, **fixed, "lr": rates}
    assert graded("sps") == {
        "sps": {"swap": PUBLISHED, "share": OURS},
        "then": {"pkd": PUBLISHED, "kd": OURS, "ft": OURS},
        **fixed,
        "lr": {**rates, 5e-5: OURS},
    }
    for name in NAMES:
        space = search_spaces.load(name)
        assert (space.epochs.value, space.epochs.grade) == (5, DEFAULT)


@pytest.mark.parametrize("name", ["ptp", "pea"])
def test_one_threshold_in_the_modern_recipe(name: str) -> None:
    space = search_spaces.load(name)
    assert [axis.name for axis in space.inert("modern")] == ["t2"]
    for task, (t, t2) in THRESHOLDS.items():
        modern, published = (space.published(task, 3, recipe) for recipe in search_spaces.RECIPES)
        assert modern is not None
        assert published is not None
        assert modern.params["t"] == published.params["t"] == t
        assert "t2" not in modern.params
        assert published.params["t2"] == t2
    assert {point.params["t"] for point in space.grid("modern")} == {0.6, 0.7, 0.8, 0.9, 0.95, 0.98}


@pytest.mark.parametrize("recipe", search_spaces.RECIPES)
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("name", ["ptp", "pea"])
def test_thresholds_hold_for_every_size(name: str, layers: int, recipe: str) -> None:
    space = search_spaces.load(name)
    for task, (t, t2) in THRESHOLDS.items():
        points = space.points(task, layers, recipe)
        first = points[0]
        assert (first.params["t"], first.grades["t"]) == (t, PUBLISHED)
        assert ("t2" in first.params) == (recipe == "published")
        assert first.params.get("t2", t2) == t2
        assert (first.origin == "published") == (space.row(task, layers) is not None)
        # Nothing else goes over from the rows, and no point is there twice.
        if first.origin != "published":
            assert all(first.params[a.name] == a.default for a in space.active(recipe) if not a.every_size)
        assert len({point.id for point in points}) == len(points)
    # Of a task that has none the defaults lead.
    assert of_task(space, "mnli", recipe) == {}
    assert space.points("mnli", layers, recipe) == space.points("wnli", layers, recipe)
    assert space.points("mnli", layers, recipe)[0] == space.point(None, recipe)
    assert space.points("mnli", layers, recipe)[0].params["t"] == 0.95


def test_the_words_name_the_source() -> None:
    pea = search_spaces.load("pea")
    assert told(pea, "RTE", 6, "modern") == (
        " The first point has t 0.8, published for rte with 3 layers (README and programs, RTE)."
    )
    assert told(pea, "rte", 3, "modern") == told(pea, "mnli", 6, "modern") == ""
    assert told(pea, "rte", 6, "modern", ["t"]) == ""
    assert told(search_spaces.load("kd"), "rte", 4, "modern") == ""


def test_an_axis_says_so_with_true_or_false() -> None:
    data = search_spaces.load("pea").to_dict()
    assert SearchSpace.from_dict(data, strict=True).to_dict() == data
    data["axes"]["t"]["every_size"] = "yes"
    with pytest.raises(search_spaces.SpaceError, match=r"axes\.t\.every_size is 'yes', but takes true or false"):
        SearchSpace.from_dict(data, strict=True)


def test_nine_layers_have_no_row() -> None:
    """Six layers of which three run twice: the programs have no map for them."""
    pea = search_spaces.load("pea")
    assert pea.row("rte", 6) is None
    assert "no published row for task rte with 6 layers" in pea.missing_row("rte", 6)
