"""Schedulers that Ray has and a sweep does not take, each with the reason. Imports nothing heavy."""

from __future__ import annotations

import difflib

from distill.errors import UserError

_CHANGES = "changes a configuration in mid-trial, so that no trial would belong to one point that can be run again"
_PAUSES = (
    "pauses trials until others have come as far, so that workers would hold or reload their state, and a trial's "
    "course would depend on when it was woken"
)
_RESOURCES = "changes the resources of a trial while it runs, and with them the last bits of its values"
REASONS = {
    "pbt": _CHANGES,
    "pb2": _CHANGES,
    "pbt_replay": _CHANGES,
    "population_based_training": _CHANGES,
    "hyperband": _PAUSES,
    "bohb": _PAUSES,
    "hb_bohb": _PAUSES,
    "resource_changing": _RESOURCES,
}


def check_scheduler(word: str, known: tuple[str, ...]) -> None:
    """Raise UserError for a scheduler that a sweep does not take.

    Args:
        known: Those that it takes.
    """
    if word in known:
        return
    plain = word.lower().replace("-", "_")
    if plain in REASONS:
        raise UserError(
            f"--scheduler {word} is refused: it {REASONS[plain]}; choose {', '.join(known[:-1])} or {known[-1]}."
        )
    close = difflib.get_close_matches(plain, known, n=1, cutoff=0.0)[0]
    raise UserError(f"--scheduler {word} is unknown; did you mean {close}?")
