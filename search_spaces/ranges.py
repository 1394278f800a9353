"""Ranges around the values of a grid, for searches that draw between them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from search_spaces.axes import NUMERIC, Axis, Scalar

# How far beyond the outermost values of a grid a range reaches: by this factor on a log axis, by this share of the
# distance between them on a linear one.
FACTOR, SHARE = 3.0, 0.5
# Digits of a drawn number: more would say nothing about a hyper-parameter and be hard to type.
DIGITS = 3
# The grade of a number that a search drew.
SEARCHED = "searched"


@dataclass(frozen=True)
class Range:
    """What may be drawn for one hyper-parameter: numbers between two ends, or one of several values.

    Attributes:
        name: Of the hyper-parameter.
        low, high: Ends, both included; None where `values` are drawn from.
        log: Whether numbers are drawn evenly on a log scale.
        whole: Whether they are whole numbers.
        values: What is drawn from; empty where there are ends.
        grades: Of the values, in their order.
    """

    name: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    values: tuple[Scalar, ...] = ()
    grades: tuple[str, ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to draw."""
        return len(self.values) == 1

    def draw(self, generator: random.Random) -> Scalar:
        """One value, evenly spread over the values, the numbers, or their logarithms."""
        share = generator.random()
        if self.values:
            return self.values[int(share * len(self.values))]
        low, high = self._ends()
        if self.whole:
            # Half a step beyond each end, so that the end values are as likely as those between.
            low, high = low - 0.5, high + 0.5
        if self.log:
            low, high = math.log(low), math.log(high)
        drawn = low + share * (high - low)
        return self.settle(math.exp(drawn) if self.log else drawn)

    def settle(self, number: Scalar) -> Scalar:
        """A drawn number as a point has it: whole, or with few digits, and between the ends."""
        if self.values:
            return number
        low, high = self._ends()
        near = float(round(float(number))) if self.whole else float(f"{float(number):.{DIGITS}g}")
        inside = min(max(near, low), high)
        return int(inside) if self.whole else inside

    def holds(self, value: Any) -> bool:
        """Whether the value can be drawn."""
        if self.values:
            return value in self.values
        low, high = self._ends()
        return bool(low <= value <= high)

    def grade(self, value: Scalar) -> str:
        """How far a drawn value can be trusted: as its own grade says, or "searched" for a number between two ends."""
        return self.grades[self.values.index(value)] if self.values else SEARCHED

    def widened(self, number: Scalar) -> Range:
        """The same, with a published `number` within reach."""
        if self.values:
            values, grades = (*self.values, number), (*self.grades, "published")
            return self if number in self.values else Range(self.name, values=values, grades=grades)
        low, high = self._ends()
        return Range(self.name, min(low, float(number)), max(high, float(number)), self.log, self.whole)

    def within(self, least: float | None, greatest: float | None) -> Range:
        """The same, with ends no further out than these; None bounds nothing."""
        if self.values:
            return self
        low, high = self._ends()
        low, high = low if least is None else max(low, least), high if greatest is None else min(high, greatest)
        return replace(self, low=low, high=high)

    def mapped(self, change: Callable[[Scalar], Scalar]) -> Range:
        """The same with each of its values changed, those that become one listed once; ends stay."""
        grades: dict[Scalar, str] = {}
        for value, grade in zip(self.values, self.grades, strict=True):
            grades.setdefault(change(value), grade)
        return replace(self, values=tuple(grades), grades=tuple(grades.values()))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a plan."""
        if self.values:
            return {"name": self.name, "values": list(self.values), "grades": list(self.grades)}
        return {"name": self.name, "low": self.low, "high": self.high, "log": self.log, "whole": self.whole}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Range:
        """The inverse of `as_dict`."""
        return cls(**{**data, "values": tuple(data.get("values", ())), "grades": tuple(data.get("grades", ()))})

    def _ends(self) -> tuple[float, float]:
        assert self.low is not None
        assert self.high is not None
        return float(self.low), float(self.high)

    def __str__(self) -> str:
        if self.values:
            return f"{self.name} {' or '.join(_word(value) for value in self.values)}"
        scale = ", log scale" if self.log else ""
        return f"{self.name} {self.low:g} to {self.high:g}{scale}"


def around(axis: Axis, published: Collection[Scalar] = ()) -> Range:
    """The range of an axis: its own where its file gives one, else a little beyond its values on both sides.

    A log axis reaches three times below its least and three times above its greatest value, a linear one half of
    their distance further, neither beyond the axis's bounds. An axis with one value stays at it, and bool and choice
    axes stay among their values.

    Args:
        axis: The axis.
        published: Values of a published row, which the range must not leave out.
    """
    found = _around(axis)
    for value in published:
        found = found.widened(value)
    return found


def _around(axis: Axis) -> Range:
    whole = axis.type == "int"
    if axis.range is not None:
        return Range(axis.name, *axis.range, log=axis.scale == "log", whole=whole)
    if axis.type not in NUMERIC or len(axis.values) == 1:
        return Range(axis.name, values=axis.choices, grades=tuple(value.grade for value in axis.values))
    numbers = [float(value) for value in axis.choices]
    low, high = min(numbers), max(numbers)
    log = axis.scale == "log" and low > 0
    below, above = (low / FACTOR, high * FACTOR) if log else (low - SHARE * (high - low), high + SHARE * (high - low))
    low, high = (float(f"{end:.{DIGITS}g}") for end in (below, above))
    if whole:
        low, high = float(math.ceil(low)), float(math.floor(high))
    low = low if axis.low is None else max(low, float(axis.low))
    high = high if axis.high is None else min(high, float(axis.high))
    return Range(axis.name, low, high, log, whole)


def _word(value: Scalar) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
