"""Options whose values are more than one word: sizes, methods, TOPxSEEDS, device-seconds. Imports no torch, no Ray."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from distill import methods
from distill.errors import UserError
from trainables import budget

if TYPE_CHECKING:
    from trainables.config import SweepConfig

# Without a number of device-seconds, what the dearest of the methods takes for its points; and no limit at all.
DEAREST, UNLIMITED = "dearest", "none"


def sizes(flag: str, text: str) -> dict[str, Any]:
    """`layers` of one student, or `sizes` of several.

    Raises:
        UserError: It is no list of numbers.
    """
    try:
        found = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UserError(f"{flag} {text} is neither a number of layers nor a list such as 2,3,4,6.") from None
    return {"layers": found[0], "sizes": ()} if len(found) == 1 else {"layers": None, "sizes": found}


def several(flag: str, text: str) -> dict[str, Any]:
    """`method` of one sweep, or `methods` of several, the first of which is the `method` too.

    Raises:
        UserError: One of several is unknown, or a comma has no name beside it.
    """
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(found):
        raise UserError(f"{flag} {text} has an empty name between its commas; take a comma out.")
    if len(found) > 1:
        for name in found:
            methods.get(name)
    return {"method": found[0], "methods": found if len(found) > 1 else ()}


def device_seconds(text: str) -> float | None:
    """`--device-seconds` as a number; None where it is "dearest" or "none".

    Raises:
        UserError: It is none of them.
    """
    if text in (DEAREST, UNLIMITED):
        return None
    try:
        return budget.seconds(text)
    except UserError:
        raise UserError(
            f"--device-seconds {text} is no time; write it like 45s, 90m, 8h, 1h30m or 2d, or {DEAREST} or {UNLIMITED}."
        ) from None


def check_device_seconds(config: SweepConfig) -> None:
    """Raise UserError where `--device-seconds` says nothing, or compares with what is not there."""
    asked = device_rule(config)
    device_seconds(asked)
    if asked == DEAREST and not (config.methods or config.beside):
        raise UserError(
            f"--device-seconds {DEAREST} compares several methods, and one is asked for: give a time, or more of them "
            "(--method ft,kd,emd)."
        )


def planned(config: SweepConfig) -> dict[str, Any] | None:
    """What a sweep may use of the devices, as the plan has it, but for the number of its trials; None without limit."""
    asked = device_rule(config)
    if asked == UNLIMITED:
        return None
    seconds = device_seconds(asked)
    return {"rule": DEAREST} if seconds is None else {"rule": "seconds", "seconds": seconds}


def device_rule(config: SweepConfig) -> str:
    """`--device-seconds`, or what it is where nobody says it."""
    return config.device_seconds or (DEAREST if config.beside or config.methods else UNLIMITED)


def parse_confirm(text: str) -> tuple[int, int]:
    """How many of the best points `--confirm 3x5` names, and how many seeds.

    Raises:
        UserError: It is of another form, or a number is too small.
    """
    found = re.fullmatch(r"(\d+)x(\d+)", text.strip())
    if found is None:
        raise UserError(f"--confirm {text} is not of the form TOPxSEEDS, such as 3x5.")
    top, seeds = int(found[1]), int(found[2])
    check_confirm(f"--confirm {text}: TOP", f"--confirm {text}: SEEDS", top, seeds)
    return top, seeds


def check_confirm(top_name: str, seeds_name: str, top: int, seeds: int) -> None:
    """Raise UserError where nothing would be confirmed, or by too few seeds for an interval.

    Args:
        top_name, seeds_name: How the person gave the two numbers.
    """
    if top < 1:
        raise UserError(f"{top_name} {top} is too small; the least is 1.")
    if seeds < 2:
        raise UserError(f"{seeds_name} {seeds} is too small; the least is 2, because an interval needs two runs.")
