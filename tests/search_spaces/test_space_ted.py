"""TED's published settings: what its tables say of the weights, the rates, and the batch of the filters."""

from __future__ import annotations

from typing import Any

import pytest

import search_spaces
from search_spaces.every_size import told
from search_spaces.ranges import around

# kl_alpha, mse_alpha and the student's rate of TED; then kl_alpha and mse_alpha of LWD, and kl_alpha of KD.
PUBLISHED = {
    "mnli": (5, 7500, 7e-5, 5, 100, 5),
    "qqp": (20, 1000, 6e-5, 20, 20, 20),
    "qnli": (20, 100, 5e-5, 20, 10, 20),
    "sst2": (20, 20, 4e-5, 20, 20, 20),
    "rte": (20, 50, 6e-5, 20, 20, 20),
    "cola": (0, 10, 6e-5, 0, 5, 20),
    "mrpc": (20, 100, 7e-5, 20, 5, 20),
    "stsb": (20, 50, 1e-4, 20, 5, 20),
    "squad2": (10, 5000, 5e-5, 10, 100, 10),
}
FILTERS = {"filter_interval": 0, "filter_output_dim": 0, "filter_nonlinear": False}


@pytest.fixture(scope="module")
def ted() -> search_spaces.SearchSpace:
    return search_spaces.load("ted")


def test_the_settings(ted: search_spaces.SearchSpace) -> None:
    assert [(row.task, row.layers) for row in ted.rows] == [(task, 12) for task in PUBLISHED]
    for row in ted.rows:
        kl_alpha, mse_alpha, lr, *_ = PUBLISHED[row.task]
        batch = {"filter_batch": 32} if row.task == "rte" else {}
        assert row.values == {"kl_alpha": kl_alpha, "mse_alpha": mse_alpha, "T": 2, "lr": lr, **batch}


def test_the_baselines_of_each_task() -> None:
    rows = search_spaces.load("lwd").rows
    assert len(rows) == 2 * len(PUBLISHED)
    for task, (_, _, lr, kl_alpha, mse_alpha, alone) in PUBLISHED.items():
        assert [dict(row.values) for row in rows if row.task == task] == [
            {"kl_alpha": kl_alpha, "mse_alpha": mse_alpha, "T": 2, "lr": lr},
            {"kl_alpha": alone, "mse_alpha": 0, "T": 2, "lr": lr},
        ]


def test_the_batch_of_the_filters_is_no_axis_of_the_grid(ted: search_spaces.SearchSpace) -> None:
    """For RTE's student the scripts have one of their own: a number of its training, and nothing that was tried."""
    swept = {"kl_alpha", "mse_alpha", "lr"}
    for recipe in search_spaces.RECIPES:
        assert {axis.name for axis in ted.swept(recipe)} == swept
        assert len(ted.grid(recipe)) == 4 * 7 * 5
    for task in PUBLISHED:
        wanted = 32 if task == "rte" else 0
        assert {p.params["filter_batch"] for p in ted.points(task, 12, "published")} == {wanted}
        assert len(ted.points(task, 12, "published")) == 4 * 7 * 5
        assert "filter_batch" not in ted.points(task, 12)[0].params


def test_the_batch_stands_in_every_way_to_search(ted: search_spaces.SearchSpace) -> None:
    def of(task: str) -> tuple[Any, ...]:
        axis = {axis.name: axis for axis in ted.active("published", task, 12)}["filter_batch"]
        return ted.ray(task, 12, "published")["filter_batch"], around(axis, [axis.default]).values, axis.default

    assert of("rte") == (32, (32,), 32)
    assert of("cola") == (0, (0,), 0)
    assert ted.point({"filter_batch": 32}, "published").grades["filter_batch"] == "published"
    assert ted.settings("cola", 12, "published")[0].params["filter_batch"] == 0


def test_the_rest_is_fixed(ted: search_spaces.SearchSpace) -> None:
    for point in ted.grid():
        assert FILTERS.items() <= point.params.items()


@pytest.mark.parametrize("name", ["ted", "lwd"])
@pytest.mark.parametrize("recipe", search_spaces.RECIPES)
def test_the_weights_of_the_task_lead_whatever_the_size(name: str, recipe: str) -> None:
    space = search_spaces.load(name)
    for task, (kl_alpha, mse_alpha, rate, lwd_kl_alpha, lwd_mse_alpha, _) in PUBLISHED.items():
        weights = (kl_alpha, mse_alpha) if name == "ted" else (lwd_kl_alpha, lwd_mse_alpha)
        for layers in (3, 12):
            points = space.points(task, layers, recipe)
            assert (points[0].params["kl_alpha"], points[0].params["mse_alpha"]) == weights
            assert {points[0].grades[weight] for weight in ("kl_alpha", "mse_alpha")} == {"published"}
            # The rate is that of another encoder.
            assert points[0].params["lr"] == (rate if layers == 12 else 5e-5)
            assert len({point.id for point in points}) == len(points)
    assert space.points("wnli", 12, recipe)[0] == space.point(None, recipe)


def test_the_words_name_the_size_of_the_row(ted: search_spaces.SearchSpace) -> None:
    assert told(ted, "rte", 3, "modern") == (
        " The first point has kl_alpha 20 · mse_alpha 50, published for rte with 12 layers (scripts of the repository, "
        "TED, QQP, QNLI, SST-2, RTE, MRPC, STS-B; scripts of the repository, TED, RTE, STS-B)."
    )
    assert told(ted, "rte", 12, "modern") == told(ted, "wnli", 3, "modern") == ""
