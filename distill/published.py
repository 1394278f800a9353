"""The published recipe of a method for one task. Imports without torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from distill.errors import UserError
from distill.methods.base import Published, nearest
from distill.training.settings import TRAINING_FIELDS, parse
from search_spaces import SearchSpace


def for_task(published: Published, space: SearchSpace, task: str | None) -> Published:
    """The recipe with the numbers of training and of the teacher's that a task's first row has of its own.

    Args:
        space: With the rows.
        task: As published settings are found; None where none are.

    Raises:
        UserError: A row has a number that training does not know, or an illegal one.
    """
    row = next((row for row in space.rows if row.task == task), None)
    if row is None:
        return published
    training = {**published.training, **_numbers(row.training, space)}
    teacher = dict(row.teacher)
    rate = {"lr": float(teacher.pop("lr"))} if "lr" in teacher else {}
    return replace(published, training=training, teacher={**published.teacher, **_numbers(teacher, space), **rate})


def _numbers(found: dict[str, Any], space: SearchSpace) -> dict[str, Any]:
    for name in found:
        if name not in TRAINING_FIELDS:
            raise UserError(f"A row of {space.title} has an unknown number {name}{nearest(name, TRAINING_FIELDS)}")
    return {name: parse(name, value) for name, value in found.items()}
