"""Kinds of arguments that Python does not check at a call. Imports without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.errors import UserError


def whole_number(name: str, value: Any, low: int, high: int = 2**32 - 1) -> int:
    """`value`, if it is a whole number from `low` to `high`.

    Raises:
        UserError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{name}={value!r} must be a whole number from {low} to {high}.")
    return value


def mapping(name: str, value: Any) -> dict[str, Any]:
    """`value` as a dictionary by name; None is an empty one.

    Raises:
        UserError: It is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{name} is {value!r}, expected values by name, such as {{'lr': 1e-4}}.")
    return dict(value)


def folder_of(name: str, value: Any) -> Path | None:
    """A folder that a person named; None where none was.

    Raises:
        UserError: It is no path.
    """
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise UserError(f"{name} is {value!r}, expected a folder.")
    return Path(value).expanduser()
