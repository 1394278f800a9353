"""What a person asks of `distill.run` in numbers: checked, then laid over what was published. Imports without torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distill.errors import UserError
from distill.methods.base import Method, nearest
from distill.published import published_of, row_values, task_values
from distill.tasks.base import Task
from distill.training.settings import TRAINING_FIELDS, Training, evaluated, parse, usual

RECIPES = ("modern", "published")


@dataclass(frozen=True)
class Asked:
    """Numbers that a person gave.

    Attributes:
        values: Hyper-parameters of the method by name.
        training: All training numbers: those given, laid over the recipe's.
        given: Names of the training numbers that are the person's.
    """

    method: Method
    values: dict[str, Any]
    training: Training
    given: Collection[str]

    def with_row(self, recipe: str, task: Task, layers: int) -> tuple[dict[str, Any], Training]:
        """Resolved hyper-parameters, and training: where nothing was given, those of the published row.

        Outside of rows, what was published for the task whatever the size goes before the method's defaults.

        Args:
            layers: Of the student.

        Raises:
            UserError: A value is illegal, or the recipe has no row for the task and size.
        """
        row = row_values(self.method, recipe, task, layers)
        own = {name: value for name, value in row.items() if name not in TRAINING_FIELDS}
        left = {name: parse(name, row[name]) for name in TRAINING_FIELDS if name in row and name not in self.given}
        given = {**task_values(self.method, recipe, task), **own, **self.values}
        values = self.method.resolve(given, recipe, regression=task.kind == "regression", layers=layers)
        return values, replace(self.training, **left)


def settle(
    method: Method,
    recipe: str,
    task: Task | None,
    params: Mapping[str, Any],
    training: Training | None,
    numbers: Mapping[str, Any],
    arguments: Sequence[str],
) -> Asked:
    """Hyper-parameters of the method as given, and all training numbers, each name and each number checked.

    Args:
        task: None where it is unknown.
        params: Hyper-parameters and training numbers by name.
        training: All training numbers at once, instead of the recipe's.
        numbers: Training numbers by name.
        arguments: Names beside which those of `numbers` stood, for messages.

    Raises:
        UserError: A name is unknown or given twice, a value illegal, or the recipe not there.
    """
    if recipe not in RECIPES:
        raise UserError(f"recipe {recipe!r} is unknown{nearest(str(recipe), RECIPES)}")
    if recipe == "published" and method.published is None:
        raise UserError(f"{method.name} has only the modern recipe here.")
    for name in numbers:
        if name not in TRAINING_FIELDS:
            raise UserError(f"distill.run has no argument {name}{nearest(name, [*arguments, *TRAINING_FIELDS])}")
        if name in params:
            raise UserError(f"{name} is given twice, in params and by itself; leave one out.")
    own = [hyper.name for hyper in method.hyperparameters]
    for name in params:
        if name not in own and name not in TRAINING_FIELDS:
            raise UserError(f"{method.name} has no hyper-parameter {name}{nearest(name, [*own, *TRAINING_FIELDS])}")
    if training is not None and not isinstance(training, Training):
        raise UserError(
            f"training is a {type(training).__name__}; give a distill.Training, or its numbers by name (epochs=3)."
        )
    published = published_of(method, recipe, task)
    base = training or Training(**{**usual(task), **(published.training if published else {})})
    base = Training(**{name: parse(name, value) for name, value in base.as_dict().items()})
    given = {**params, **numbers}
    asked = {name: parse(name, value) for name, value in given.items() if name in TRAINING_FIELDS}
    values = {name: value for name, value in given.items() if name not in asked}
    return Asked(method, values, replace(base, **evaluated(asked)), TRAINING_FIELDS if training else tuple(asked))
