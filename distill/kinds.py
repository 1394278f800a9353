"""Which methods go with which kind of task. Imports without torch."""

from __future__ import annotations

import search_spaces
from distill.methods.base import Method
from distill.tasks import registry
from distill.tasks.base import Task


def undefined(method: Method, task: Task, recipe: str = "modern") -> str | None:
    """Why a method has no loss for a task in a recipe, as the rest of a sentence that begins with it; else None.

    What a reference program does of a classification says nothing of positions, so the published recipe is there for
    spans only where a row for such a task was published.
    """
    if task.kind == "regression" and not method.regression:
        return f"is not defined for regression, and {task.name} has real labels"
    if task.kind == "span" and not method.spans:
        return (
            f"is not defined for {task.name}, because its own labels are made of right and wrong classes and an answer "
            "is a place in a text"
        )
    if task.kind == "span" and recipe == "published" and not _published(method):
        return f"was published for no task like {task.name}; choose --recipe modern"
    return None


def _published(method: Method) -> bool:
    """Whether there is a row for a task of answers in texts."""
    known = (registry.get(name) for name in registry.names())
    spans = {task.published_as for task in known if task.kind == "span"}
    if method.name not in search_spaces.methods():
        return False
    return any(row.task in spans for row in search_spaces.load(method.name).rows)
