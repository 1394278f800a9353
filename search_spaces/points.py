"""A point of a search space, its identity and its words."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from search_spaces.axes import Scalar
from search_spaces.names import SpaceError

Origin = Literal["published", "published elsewhere", "grid", "drawn", "suggested", "given"]


@dataclass(frozen=True)
class Point:
    """One setting of all the hyper-parameters that act in a recipe.

    Attributes:
        params: Axis name to value, in the order of the axes; inert axes are left out.
        origin: "published" (the row of the task and size), "published elsewhere" (a row of another task or size),
            "grid" (a combination of the axes' values), "drawn" (at random between them), "suggested" (by a sampler
            that had seen results) or "given" (a person's own value is among them).
        grades: Axis name to the grade of its value; "given" for a value that is not on the axis, "searched" for one
            that was drawn or suggested.
    """

    params: dict[str, Scalar]
    origin: Origin
    grades: dict[str, str]

    @property
    def id(self) -> str:
        """`point_id` of the parameters."""
        return point_id(self.params)

    def __str__(self) -> str:
        return format_params(self.params)


def point_id(params: Mapping[str, Any]) -> str:
    """Ten hexadecimal digits that name a set of parameters, the same in every process and on every machine.

    The order of the keys does not count, and numbers that are equal give equal ids whatever their type
    (1 and 1.0); True is not 1. Nothing but the parameters goes in: neither method nor recipe nor seed.

    Args:
        params: Name to number, bool, string, None, or a list of these.

    Raises:
        SpaceError: A number is not finite, or a value is of another type.
    """
    text = json.dumps({str(k): _plain(k, v) for k, v in params.items()}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:10]


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(name, v) for v in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SpaceError(f"{name} is {value!r}, which cannot be part of a point")
        # Whole numbers are written as integers, so that 1.0 meets 1 and -0.0 meets 0.
        return int(value) if value.is_integer() else float(value)
    if isinstance(value, int):
        return int(value)
    raise SpaceError(f"{name} is {value!r}, but a point holds only numbers, texts and lists of them")


def format_params(params: Mapping[str, Any], only: Collection[str] | None = None) -> str:
    """Parameters for people, such as "alpha 1 · beta 0.001 · T 1 · lr 2e-05" (six digits at most).

    Args:
        params: Name to value.
        only: Names to show; all when left out.
    """
    shown = [(k, v) for k, v in params.items() if only is None or k in only]
    return " · ".join(f"{k} {_words(v)}" for k, v in shown)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ",".join(_words(v) for v in value)
    return str(value)
