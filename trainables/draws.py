"""Points that are drawn from ranges instead of listed by a grid: at random up front, or one at a time by TPE."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from typing import Any, Protocol

import search_spaces
from distill.errors import UserError
from search_spaces import SearchSpace
from search_spaces.axes import GIVEN
from search_spaces.ranges import Range, around

# Searches that draw from ranges.
ADAPTIVE = ("random", "tpe")
# So many known points in a row mean that there are hardly new ones.
PATIENCE = 50
# Trials that TPE must know before it is of more use than chance, at most and as a share of all.
_STARTUP, _STARTUP_SHARE = 10, 1 / 3


class Makes(Protocol):
    """What turns chosen values into a point: `trainables.points.Maker`."""

    def point(self, chosen: dict[str, Any], grades: dict[str, str], origin: str) -> dict[str, Any]: ...


def suggestion_seed(seed: int, k: int) -> int:
    """The seed of the k-th suggestion of a sweep, the same in every session and on every machine.

    Args:
        seed: Of the sweep.
        k: From 1.
    """
    return int.from_bytes(hashlib.sha256(f"suggestion {k} of seed {seed}".encode()).digest()[:4], "big")


def candidate_ranges(
    space: SearchSpace, task: str, layers: int, recipe: str, values: dict[str, list[Any]]
) -> list[Range]:
    """What may be drawn for each hyper-parameter.

    Args:
        task, layers: Whose published row, if there is one, must be within reach.
        values: What `--set` gave: drawn from are these alone.
    """
    found, row = [], space.row(task, layers)
    for axis in space.active(recipe, task, layers):
        if axis.name not in values:
            found.append(around(axis, [row.values[axis.name]] if row and axis.name in row.values else []))
    for name, given in values.items():
        found.append(Range(name, values=tuple(given), grades=(GIVEN,) * len(given)))
    return found


def plan_search(search: str, ranges: Sequence[Range], trials: int) -> dict[str, Any]:
    """What the plan's part "search" holds of a search that draws.

    Raises:
        UserError: Every range is one value.
    """
    if all(found.fixed for found in ranges):
        raise UserError(
            f"--search {search}: there is nothing to draw, because every hyper-parameter has one value; "
            "leave one open, or use --search grid."
        )
    plan: dict[str, Any] = {"trials": trials, "ranges": [found.as_dict() for found in ranges]}
    if search == "tpe":
        plan["startup"] = min(_STARTUP, max(2, round(_STARTUP_SHARE * trials)))
    return plan


def describe_search(search: dict[str, Any]) -> list[str]:
    """Lines for people, of the plan's part "search"."""
    if search["name"] not in ADAPTIVE:
        words = {"grid": "the published point where there is one, then the grid, shuffled by the seed"}
        words["published"] = "what was published, the setting of this task and size first, once each"
        return [f"Search: {words[search['name']]}."]
    ranges = [Range.from_dict(found) for found in search["ranges"]]
    how = f"random, draw k with the seed hash({search['seed']}, k)"
    if search["name"] == "tpe":
        how = f"Optuna's TPE, at random until {search['startup']} trials have ended, then by their results"
    free = "; ".join(str(found) for found in ranges if not found.fixed)
    fixed = ", ".join(str(found) for found in ranges if found.fixed)
    return [f"Search: {how}.", f"Ranges: {free}{f'; fixed: {fixed}' if fixed else ''}."]


def graded(chosen: dict[str, Any], ranges: Sequence[Range]) -> dict[str, str]:
    """The grade of each drawn value."""
    return {found.name: found.grade(chosen[found.name]) for found in ranges}


def draw_points(
    maker: Makes, ranges: Sequence[Range], seed: int, total: int, begun: Sequence[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """`begun` and further points drawn at random, all different, up to `total`; by the id of their parameters.

    Draw k depends on the seed and k alone, so that a longer sweep begins as a shorter one does.
    """
    found = {search_spaces.point_id(point["params"]): point for point in begun}
    k = misses = 0
    while len(found) < total and misses < PATIENCE:
        k += 1
        generator = random.Random(suggestion_seed(seed, k))
        chosen = {one.name: one.draw(generator) for one in ranges}
        point = maker.point(chosen, graded(chosen, ranges), "drawn")
        known = search_spaces.point_id(point["params"]) in found
        misses = misses + 1 if known else 0
        found.setdefault(search_spaces.point_id(point["params"]), point)
    return found


def next_number(points: Sequence[dict[str, Any]]) -> int:
    """The least number such that no point's id has it or a larger one."""
    taken = [int(found[1]) for point in points if (found := re.fullmatch(r"p(\d+)", point["id"]))]
    return max(taken, default=-1) + 1
