"""The parameter space for a person's own Tuner: plain data, which Ray expands to the points of the grid."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import search_spaces
from search_spaces import point_id

EMD = search_spaces.load("emd")


def expanded(space: dict[str, Any]) -> list[dict[str, Any]]:
    generate = pytest.importorskip("ray.tune.search.variant_generator").generate_variants
    return [config for _, config in generate(space)]


def test_it_is_plain_data() -> None:
    assert EMD.ray("cola", 4) == {
        "alpha": {"grid_search": [1.0, 0.8]},
        "beta": {"grid_search": [0.001, 0.005, 0.01]},
        "T": {"grid_search": [1.0, 3.0, 7.0]},
        "lr": {"grid_search": [2e-5, 3e-5, 5e-5, 1e-4]},
        "theta": 1.0,
    }
    assert EMD.ray("cola", 4, "published")["T_emd"] == {"grid_search": [1.0, 5.0, 10.0]}
    with pytest.raises(search_spaces.UnknownName, match="did you mean 'modern'"):
        EMD.ray("cola", 4, "moderne")


def test_it_is_what_grid_search_returns() -> None:
    tune = pytest.importorskip("ray.tune")
    assert EMD.ray("cola", 4)["alpha"] == tune.grid_search([1.0, 0.8])


@pytest.mark.parametrize("recipe", search_spaces.RECIPES)
@pytest.mark.parametrize("method", search_spaces.methods())
def test_ray_expands_it_to_the_points_of_the_sweep(method: str, recipe: str) -> None:
    space = search_spaces.load(method)
    for task, layers in [("RTE", 4), ("cola", 3)]:
        found = [point_id(config) for config in expanded(space.ray(task, layers, recipe))]
        assert sorted(found) == sorted(point.id for point in space.points(task, layers, recipe))


def test_a_published_value_that_its_axis_lacks_comes_first() -> None:
    axes = tuple(
        dataclasses.replace(a, values=tuple(v for v in a.values if v.value != 2e-5)) if a.name == "lr" else a
        for a in EMD.axes
    )
    narrowed = dataclasses.replace(EMD, axes=axes)
    assert narrowed.ray("cola", 4)["lr"] == {"grid_search": [2e-5, 3e-5, 5e-5, 1e-4]}
    assert narrowed.ray("mnli", 4)["lr"] == {"grid_search": [3e-5, 5e-5, 1e-4]}
    assert narrowed.ray("cola", 3)["lr"] == {"grid_search": [3e-5, 5e-5, 1e-4]}
    ids = {point_id(config) for config in expanded(narrowed.ray("cola", 4))}
    assert {point.id for point in narrowed.points("cola", 4)} < ids
    # A constant axis becomes a grid when the row has another value.
    fixed = dataclasses.replace(axes[0], values=axes[0].values[1:], default=0.8)
    assert dataclasses.replace(EMD, axes=(fixed,)).ray("cola", 4) == {"alpha": {"grid_search": [1.0, 0.8]}}
