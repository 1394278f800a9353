"""Failed trials by what they failed of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainables.record import FAIL, Record, Trial

NAME = "failure.txt"
# Sizes, addresses and row numbers differ from trial to trial where the cause is the same.
_PARTICULAR = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")
_SHOWN = 30


@dataclass(frozen=True)
class Failure:
    """One cause and the trials that failed of it.

    Attributes:
        cause: In the words of the first of them; the others may differ in numbers.
        trials: Ids in the order of the plan.
        files: Where their tracebacks lie, relative to the sweep's folder; those that exist.
        text: End of the first traceback, or empty.
    """

    cause: str
    trials: list[str]
    files: list[str]
    text: str


def failures(record: Record) -> list[Failure]:
    """Causes with their trials, the most frequent first."""
    found: dict[str, list[Trial]] = {}
    for trial in record.everything():
        if trial.state == FAIL:
            found.setdefault(_PARTICULAR.sub("#", trial.cause or ""), []).append(trial)
    return [_failure(record, mine) for mine in sorted(found.values(), key=len, reverse=True)]


def _failure(record: Record, trials: list[Trial]) -> Failure:
    files = [trial.folder / NAME for trial in trials if (trial.folder / NAME).exists()]
    text = files[0].read_text(errors="replace").strip() if files else ""
    return Failure(
        cause=trials[0].cause or "no cause was recorded",
        trials=[trial.id for trial in trials],
        files=[file.relative_to(record.path).as_posix() for file in files],
        text="\n".join(text.splitlines()[-_SHOWN:]),
    )
