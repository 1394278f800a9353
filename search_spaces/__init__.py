"""Published grids of distillation methods as data, every number with its source."""

from __future__ import annotations

from search_spaces.axes import GIVEN, GRADES, RECIPES, Axis, Row, Value
from search_spaces.names import SpaceError, UnknownName, canonical
from search_spaces.points import Point, format_params, point_id
from search_spaces.space import SearchSpace, from_file, load, methods

__all__ = [
    "GIVEN",
    "GRADES",
    "RECIPES",
    "Axis",
    "Point",
    "Row",
    "SearchSpace",
    "SpaceError",
    "UnknownName",
    "Value",
    "canonical",
    "format_params",
    "from_file",
    "load",
    "methods",
    "point_id",
]
