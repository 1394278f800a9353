"""The published recipe of a method for one task. Imports without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import search_spaces
from distill.errors import UserError
from distill.methods.base import Method, Published, nearest
from distill.tasks import registry
from distill.tasks.base import Task, TaskData
from distill.tasks.judged import judged_by
from distill.training.settings import TRAINING_FIELDS, parse, usual
from search_spaces import SearchSpace
from search_spaces.every_size import of_task


def name_in_rows(task: Task) -> str:
    """What search spaces are asked by for a task; a person's own is nobody's, whatever it is called."""
    return task.published_as or ("" if task.own else task.name)


def for_task(
    published: Published, space: SearchSpace, task: str | None, usual: Mapping[str, Any] = MappingProxyType({})
) -> Published:
    """The recipe with the numbers of training and of the teacher's that a task's first row has of its own.

    Args:
        space: With the rows.
        task: As published settings are found; None where none are.
        usual: Numbers of tasks of its kind, which go before those that a recipe has for all tasks, but not before a
            row's.

    Raises:
        UserError: A row has a number that training does not know, or an illegal one.
    """
    row = next((row for row in space.rows if row.task == task), None)
    # A teacher of which the recipe does not say it has the students' own.
    taught = {name: value for name, value in usual.items() if name in published.teacher}
    published = replace(published, training={**published.training, **usual}, teacher={**published.teacher, **taught})
    if row is None:
        return published
    training = {**published.training, **_numbers(row.training, space)}
    teacher = dict(row.teacher)
    rate = {"lr": float(teacher.pop("lr"))} if "lr" in teacher else {}
    return replace(published, training=training, teacher={**published.teacher, **_numbers(teacher, space), **rate})


def published_of(method: Method, recipe: str, task: Task | None) -> Published | None:
    """The rest of the published recipe, for a task, by the rows that ship; None in the modern one."""
    if recipe != "published" or method.published is None:
        return None
    if method.name not in search_spaces.methods():
        return method.published
    name = task.published_as if task else None
    return for_task(method.published, search_spaces.load(method.name), name, usual(task))


def task_values(method: Method, recipe: str, task: Task | None) -> dict[str, Any]:
    """Hyper-parameters that were published for a task whatever the student's size, by the rows that ship."""
    if task is None or task.published_as is None or method.name not in search_spaces.methods():
        return {}
    return dict(of_task(search_spaces.load(method.name), task.published_as, recipe))


def row_values(method: Method, recipe: str, task: Task, layers: int) -> dict[str, Any]:
    """Values of the published row of a task and size, by the rows that ship, with the axes' defaults beside them.

    Empty in the modern recipe, where a method has no rows, and for made-up tasks, for which nothing can be published.

    Raises:
        UserError: The method was not published for this task, or not with so many layers.
    """
    if recipe != "published" or task.made_up or method.name not in search_spaces.methods():
        return {}
    space = search_spaces.load(method.name)
    if not space.rows:
        return {}
    if (point := space.published(name_in_rows(task), layers, recipe)) is None:
        missing = space.missing_row(task.published_as or task.name, layers).partition(";")[0]
        raise UserError(
            f"recipe published: {missing}; choose a published task and size (python -m search_spaces lists them), or "
            "the modern recipe."
        )
    return dict(point.params)


def metric_of(space: SearchSpace, recipe: str, task: Task) -> str | None:
    """What the published recipe chooses epochs by, by a task's first row; None where that is the task's own metric."""
    if recipe != "published":
        return None
    return next((row.metric for row in space.rows if row.task == task.published_as and row.metric), None)


def judged(data: TaskData, method: Method, recipe: str, metric: str | None, where: str = "metric") -> TaskData:
    """Rows whose task is judged by `metric`, else by that of the published row, else by its own.

    Raises:
        UserError: `metric` does not judge the task.
    """
    if metric is None and method.name in search_spaces.methods():
        metric = metric_of(search_spaces.load(method.name), recipe, data.task)
    return replace(data, task=judged_by(data.task, metric, where))


def task_of(data: str | TaskData) -> Task | None:
    """The task, before its rows are read; None where it is unknown, which is said when they are."""
    try:
        return data.task if isinstance(data, TaskData) else registry.get(data)
    except (UserError, AttributeError):
        return None


def _numbers(found: dict[str, Any], space: SearchSpace) -> dict[str, Any]:
    for name in found:
        if name not in TRAINING_FIELDS:
            raise UserError(f"A row of {space.title} has an unknown number {name}{nearest(name, TRAINING_FIELDS)}")
    return {name: parse(name, value) for name, value in found.items()}
