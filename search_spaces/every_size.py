"""What was published for a task and holds for every size of students, such as a bound on its teacher's confidence."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from search_spaces.axes import Scalar
from search_spaces.names import canonical
from search_spaces.points import Point, format_params

if TYPE_CHECKING:
    from search_spaces.space import SearchSpace


def of_task(space: SearchSpace, task: str, recipe: str = "modern") -> dict[str, Scalar]:
    """Axis name to value, of the axes that act: what the task's rows say of those that do not go by the size.

    Raises:
        UnknownName: There is no such recipe.
    """
    row = next((row for row in space.rows if row.task == canonical(task)), None)
    names = [axis.name for axis in space.active(recipe) if axis.every_size]
    return {name: row.values[name] for name in names if row is not None and name in row.values}


def opening(space: SearchSpace, task: str, layers: int, recipe: str = "modern") -> list[Point]:
    """The point that leads where no row is one of task and size: the task's own values, else the axes' defaults.

    Empty where there is such a row, or no axis whose values hold for every size.

    Raises:
        UnknownName: There is no such recipe.
    """
    if space.row(task, layers) is not None or not any(axis.every_size for axis in space.active(recipe)):
        return []
    return [space.point(of_task(space, task, recipe), recipe, task, layers)]


def told(space: SearchSpace, task: str, layers: int, recipe: str, changed: Collection[str] = ()) -> str:
    """A sentence on that point with the sources of its values, after a space; empty where there is none.

    Args:
        changed: Names whose values a person replaces.
    """
    values = {name: value for name, value in of_task(space, task, recipe).items() if name not in changed}
    if not values or not opening(space, task, layers, recipe):
        return ""
    sources = {v.source for name in values for v in space.axis(name).values if v.value == values[name]}
    where = f" ({'; '.join(sorted(sources))})" if sources else ""
    counts = sorted({row.layers for row in space.rows if row.task == canonical(task)})
    size = f"{' and '.join(map(str, counts))} layers"
    return f" The first point has {format_params(values)}, published for {canonical(task)} with {size}{where}."
