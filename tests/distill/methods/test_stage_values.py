"""A stage that does not report reads no value but those it depends on: trials that differ in others share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from distill import methods
from distill.methods.base import Method, Shape
from distill.methods.objective import Setting
from distill.training.stages import before_report
from tests.distill.methods import two_stage
from tests.distill.methods.bench import ALL, RECIPES, Recipe

STUDENT, TEACHER = Shape(4, 16, 2), Shape(12, 16, 2)


class Noted(dict[str, Any]):
    """Values that note which of them are read."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        self.read.update(super().keys())
        return super().__iter__()

    def items(self) -> Any:
        self.read.update(super().keys())
        return super().items()

    def values(self) -> Any:
        self.read.update(super().keys())
        return super().values()


def unnamed(method: Method, recipe: Recipe, values: dict[str, Any]) -> set[str]:
    """What stages before the one that reports read of `values` and no stage up to them depends on."""
    found: set[str] = set()
    depends: set[str] = set()
    for stage in before_report(method):
        depends |= set(stage.depends_on)
        params = Noted(method.resolve(values, recipe))
        stage.needs(params, recipe)
        stage.training(params, recipe)
        stage.trained(params, recipe, STUDENT)
        stage.layers_read(params, recipe, STUDENT, TEACHER)
        stage.objective(
            Setting(params=params, recipe=recipe, student=STUDENT, teacher=TEACHER, num_labels=2, regression=False)
        )
        found |= params.read - depends
    return found


STAGED = [name for name in ALL if before_report(methods.get(name))]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", STAGED)
def test_stages_read_what_they_depend_on(name: str, recipe: Recipe) -> None:
    assert unnamed(methods.get(name), recipe, {}) == set()


def test_what_is_not_named_is_found() -> None:
    method = two_stage.method()
    assert unnamed(method, "modern", {}) == set()
    first = replace(method.stages[0], depends_on=("gain", "weight", "first_epochs", "first_lr"))
    assert unnamed(replace(method, stages=(first, method.stages[1])), "modern", {}) == {"layers"}
    whole = replace(method.stages[0], needs=lambda params, recipe: frozenset(dict(params.items())) & {"hidden"})
    assert unnamed(replace(method, stages=(whole, method.stages[1])), "modern", {}) == {"lr"}
