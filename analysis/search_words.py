"""How a sweep's points were found and stopped early, in words."""

from __future__ import annotations

from typing import Any

from search_spaces.ranges import Range


def search_words(plan: dict[str, Any]) -> str:
    """How points were found, with the ranges that they were drawn from."""
    # Sweeps of earlier versions had the grid alone.
    search = plan.get("search") or {"name": "grid"}
    if search["name"] == "grid":
        return "the grid, shuffled by the seed"
    if search["name"] == "published":
        return "the published settings, once each"
    free = [str(found) for found in map(Range.from_dict, search["ranges"]) if not found.fixed]
    how = "drawn at random"
    if search["name"] == "tpe":
        how = f"suggested by Optuna's TPE, at random until {search['startup']} trials had ended"
    return f"{how}, between {'; '.join(free)}"


def scheduler_words(plan: dict[str, Any]) -> str:
    """The rule that stopped trials early."""
    scheduler = plan["scheduler"]
    if scheduler["name"] == "asha":
        rungs = [f"{rung:g}" for rung in scheduler.get("rungs") or []]
        where = f"rungs at epochs {', '.join(rungs)}" if rungs else "no rung"
        if len(rungs) == 1:
            where = f"one rung, at epoch {rungs[0]}"
        return f"ASHA, reduction factor {scheduler.get('reduction_factor')}, {where}"
    if scheduler["name"] == "median":
        return f"median rule from epoch {scheduler['grace']:g} on, against at least {scheduler['min_samples']} others"
    return "none: every trial runs all its epochs"
