"""What a search space is made of: graded values, axes, published rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from search_spaces.names import SpaceError

Scalar = float | int | bool | str

GRADES = ("published", "code default", "ours")
# Of a person's own value, which stands in no file of ours.
GIVEN = "given"
RECIPES = ("modern", "published")
NUMERIC = ("float", "int")
TYPES = (*NUMERIC, "bool", "choice")
SCALES = ("log", "linear")


@dataclass(frozen=True)
class Value:
    """One value of a hyper-parameter and how far it can be trusted.

    Attributes:
        value: The value, of its axis's type.
        grade: "published", "code default" (of the reference program), "ours", or "given" by a person.
        source: Where it can be looked up; for "ours", the reason; may be empty in a person's own file.
        grid: The recipes in whose grid the value stands. In none where it belongs to a row's training and is no value
            to try: then the whole grid of that row's task and size has it.
    """

    value: Scalar
    grade: str
    source: str
    grid: tuple[str, ...] = RECIPES


@dataclass(frozen=True)
class Axis:
    """One hyper-parameter that may be swept.

    Attributes:
        name: As the method's declaration and the command line spell it.
        type: "float", "int", "bool" or "choice".
        scale: "log" or "linear" on numeric axes, None on the others.
        low: Least value ever allowed on a numeric axis; None where a person's own file sets no bounds. Bounds are
            wide on purpose: a study's distribution is fixed when it is created and must still admit what is
            added later.
        high: Greatest value ever allowed on a numeric axis; None as `low` is.
        values: The values of the grid.
        recipes: The recipes in which the axis acts. In any other recipe it is inert: no grid has it.
        settable: Whether it is a setting in the other recipes too, which a person may name there.
        help: What the hyper-parameter does, for people.
        default: The value taken where neither a row nor a person names one; one of `values`.
        range: Ends of what a random search may draw, where the file gives them; else `search_spaces.ranges` finds them
            around `values`.
        every_size: Whether what a row says of it holds for the row's task with any number of layers.
    """

    name: str
    type: str
    scale: str | None
    low: float | int | None
    high: float | int | None
    values: tuple[Value, ...]
    recipes: tuple[str, ...]
    help: str
    default: Scalar
    range: tuple[float, float] | None = None
    every_size: bool = False
    settable: bool = False

    def cast(self, value: Any) -> Scalar:
        """Brings a value to the axis's type: 1 becomes 1.0 on a float axis.

        Raises:
            SpaceError: The value has another type or lies outside the bounds; the sentence does not
                name the axis, so that callers can put the file and the key before it.
        """
        if self.type == "bool":
            if not isinstance(value, bool):
                raise SpaceError(f"is {value!r}, but takes true or false")
            return value
        if self.type == "choice":
            if value not in self.choices or isinstance(value, bool):
                raise SpaceError(f"is {value!r}, but takes one of {', '.join(map(str, self.choices))}")
            return str(value)
        return self._cast_number(value)

    def _cast_number(self, value: Any) -> float | int:
        whole = self.type == "int"
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise TypeError
            if whole and value != int(value):
                raise TypeError
            number = int(value) if whole else float(value)
        except (TypeError, OverflowError):
            kind = "a whole number" if whole else "a finite number"
            raise SpaceError(f"is {value!r}, but takes {kind}") from None
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise SpaceError(f"is {number:g}, outside the bounds [{self.low:g}, {self.high:g}]")
        return number

    @property
    def choices(self) -> tuple[Scalar, ...]:
        """The bare values of the grid, in the file's order."""
        return tuple(v.value for v in self.values)

    def grade(self, value: Scalar) -> str | None:
        """The grade of a value of the grid, or None for a value that is not on it."""
        return next((v.grade for v in self.values if v.value == value), None)

    def within(self, recipe: str, row: Row | None = None, elsewhere: str | None = None) -> Axis:
        """The axis with the values that the grid of a recipe has.

        Args:
            recipe: "modern" or "published".
            row: The published one of the task and size.
            elsewhere: The grade of values that were published for other tasks or sizes alone; None where they keep
                theirs.
        """
        values, default = tuple(v for v in self.values if recipe in v.grid), self.default
        own = None if row is None else row.values.get(self.name)
        if held := [v for v in self.values if not v.grid and v.value == own]:
            values, default = tuple(held), held[0].value
        if elsewhere is not None:
            values = tuple(replace(v, grade=elsewhere) if v.grade == GRADES[0] else v for v in values)
        return replace(self, values=values, default=default)


@dataclass(frozen=True)
class Row:
    """One published setting.

    Attributes:
        task: The task, in its canonical spelling.
        layers: Layers of the student.
        values: Axis name to value. An axis that the row leaves out takes its default.
        source: The table or script that gives the row.
        training: Training numbers that the published recipe has for it beside the axes, such as its epochs.
        teacher: The same of the teacher's own training, with its `lr`.
        metric: What the published recipe chooses epochs by; empty where that is the task's own metric.
    """

    task: str
    layers: int
    values: dict[str, Scalar]
    source: str
    training: dict[str, Scalar] = field(default_factory=dict)
    teacher: dict[str, Scalar] = field(default_factory=dict)
    metric: str = ""
