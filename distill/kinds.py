"""Which methods go with which kind of task. Imports without torch."""

from __future__ import annotations

from collections.abc import Callable

import search_spaces
from distill import methods
from distill.methods.base import Method
from distill.tasks import registry
from distill.tasks.base import Task


def undefined(method: Method, task: Task, recipe: str = "modern") -> str | None:
    """Why a method has no loss for a task in a recipe, as the rest of a sentence that begins with it; else None.

    What a reference program does of a classification says nothing of positions, so the published recipe is there for
    spans only where a row for such a task was published.
    """
    if task.kind == "regression" and not method.regression:
        return f"is not defined for regression, and {task.name} has real labels; {_others(lambda one: one.regression)}"
    if task.kind == "span" and not method.spans:
        return (
            f"is not defined for {task.name}, because its own labels are made of right and wrong classes and an answer "
            f"is a place in a text; {_others(lambda one: one.spans)}"
        )
    if task.kind == "span" and recipe == "published" and not _published(method, task):
        return f"was not published for {task.name}; choose --recipe modern"
    return None


def _others(fit: Callable[[Method], bool]) -> str:
    """The remedy: methods that fit."""
    return f"choose {', '.join(name for name in methods.names() if fit(methods.get(name)))}"


def _published(method: Method, task: Task) -> bool:
    """Whether there is a row for a task of answers in texts; made-up ones and a person's own are as SQuAD 2.0 is."""
    called = task.published_as or registry.get("squad2").published_as
    if method.name not in search_spaces.methods():
        return False
    return any(row.task == called for row in search_spaces.load(method.name).rows)
