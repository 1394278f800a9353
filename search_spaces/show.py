"""Search spaces as text for a terminal, in lines that fit it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from search_spaces.axes import RECIPES, Axis, Row, Scalar, Value
from search_spaces.points import format_params
from search_spaces.space import SearchSpace

_MARKS = {"published": "", "code default": "°", "ours": "*"}
SETTINGS = "All settings that --set takes, also those that no grid has: python -m distill.methods --method NAME"
LEGEND = "Values without a mark are published; ° default of the reference program; * ours."


def overview(space: SearchSpace, width: int) -> list[str]:
    """What a method's space has: tasks, layers, and every axis with values, default and recipes.

    Args:
        space: The space.
        width: Columns of the terminal.
    """
    lines = [f"{space.method}: {space.title}"]
    for word, text in space.reference.items():
        lines += _wrap(f"{word}: {text}", width, "  ")
    if space.rows:
        lines += _wrap(f"tasks: {', '.join(space.tasks)}", width, "  ")
        lines.append(f"  layers: {', '.join(map(str, space.layers))} ({_count(len(space.rows), 'published row')})")
    else:
        lines.append("  no published rows: any task, any number of layers")
    lines.append(f"  epochs: {_marked(space.epochs)}")
    cells = [("axis", "default", "values", "acts in")]
    cells += [
        (axis.name, _number(axis.default), ", ".join(_marked(v) for v in axis.values if v.grid), _recipes(axis))
        for axis in space.axes
    ]
    lines += ["", *_table(cells, width)]
    return lines


def footer(width: int) -> list[str]:
    """What holds for all methods: the marks of values, and where settings are listed that no grid has."""
    return [line for text in (LEGEND, SETTINGS) for line in _wrap(text, width, "")]


def rows(space: SearchSpace, file: str, task: str | None, layers: int | None, recipe: str, width: int) -> list[str]:
    """The published rows with their sources, the acting axes with those of their values, and the number of points.

    Args:
        space: The space.
        file: Where it was read from.
        task: Only rows of this task, in its canonical spelling.
        layers: Only rows of this many layers.
        recipe: Only axes that act in this recipe.
        width: Columns of the terminal.
    """
    acting = [axis.name for axis in space.active(recipe)]
    chosen = [row for row in space.rows if task in (None, row.task) and layers in (None, row.layers)]
    lines = [*_wrap(f"{space.method}: {space.title}, recipe {recipe}, from {file}", width, ""), ""]
    for row in chosen:
        lines += _row(row, acting, recipe, width)
    if not chosen:
        asked = "" if layers is None else f" with {layers} layers"
        lines += _wrap(
            f"{space.missing_row(task, layers) if task and layers else f'No published row{asked}'}.", width, ""
        )
    for axis in space.active(recipe, task, layers):
        lines += ["", *_wrap(f"{axis.name} (default {_number(axis.default)}): {axis.help}", width, "")]
        for value in axis.values:
            lines += _wrap(f"{_number(value.value)}  {value.grade}: {value.source}", width, "  ")
    lines += ["", *_wrap(_points(space, chosen, recipe), width, "")]
    if inert := space.inert(recipe):
        for told, settable in (("Without effect in recipe", False), ("No axis, but open to --set, in recipe", True)):
            if found := [axis.name for axis in inert if axis.settable == settable]:
                lines += _wrap(f"{told} {recipe}: {', '.join(found)}.", width, "")
    return lines


def _row(row: Row, acting: Sequence[str], recipe: str, width: int) -> list[str]:
    values = format_params(row.values, acting)
    return [
        *_wrap(f"{row.task}, {row.layers} layers: {values}", width, ""),
        *(
            line
            for name, whose in (("training", "students"), ("teacher", "teacher"))
            if (numbers := getattr(row, name)) and recipe == "published"
            for line in _wrap(f"{whose}: {format_params(numbers)}", width, "    ")
        ),
        *([f"    epochs are chosen by {row.metric}"] if row.metric and recipe == "published" else []),
        *_wrap(row.source, width, "    "),
    ]


def _points(space: SearchSpace, found: Sequence[Row], recipe: str) -> str:
    swept = space.swept(recipe)
    sizes = " × ".join(f"{len(axis.values)} {axis.name}" for axis in swept)
    text = f"{_count(len(space.grid(recipe)), 'point')} in the grid{f' ({sizes})' if swept else ''}"
    off = [row for row in found if len(space.points(row.task, row.layers, recipe)) > len(space.grid(recipe))]
    if len(found) == 1:
        return f"{text}{', and the published one beside it' if off else ', the published one first'}."
    return f"{text}."


def _table(cells: Sequence[tuple[str, str, str, str]], width: int) -> list[str]:
    """Four columns; the third takes what the others leave, and goes on in further lines."""
    first, second, last = (max(len(row[i]) for row in cells) for i in (0, 1, 3))
    room = max(20, min(max(len(row[2]) for row in cells), width - first - second - last - 8))
    lines = []
    for name, default, values, recipes in cells:
        parts = textwrap.wrap(values, room) or [""]
        lines.append(f"  {name:<{first}}  {default:<{second}}  {parts[0]:<{room}}  {recipes}".rstrip())
        lines += [f"  {'':<{first}}  {'':<{second}}  {part}" for part in parts[1:]]
    return lines


def _recipes(axis: Axis) -> str:
    if set(axis.recipes) == set(RECIPES):
        return "both recipes"
    return f"{', '.join(axis.recipes)}{', else by --set' if axis.settable else ''}"


def _marked(value: Value) -> str:
    return _number(value.value) + _MARKS[value.grade]


def _number(value: Scalar) -> str:
    return format_params({"": value}).strip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _wrap(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
