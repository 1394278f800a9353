"""Limits of a session: how long it may take, and how many points may fail. Imports neither Ray nor torch."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distill.errors import UserError
from trainables import interrupt
from trainables.families import few
from trainables.record import DIVERGED, FAIL, FINISHED, Record, Trial

if TYPE_CHECKING:
    from trainables.recorder import Recorder

# How often in a row points may fail where nobody says otherwise.
CONSECUTIVE = 5
TIME, FAILURES, ROW = "time_budget", "max_failures", "max_consecutive_failures"
# How the command ends when the time is over, as it was asked to: neither a failure (1) nor a Ctrl-C (130).
OUT_OF_TIME, TOO_MANY_FAILURES = 3, 1
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_TIME = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit})?" for unit in _UNITS))
# What differs between failures of one cause.
_PARTICULAR = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")


def seconds(text: str) -> float:
    """ "90m", "8h", "1h30m", "45s" or "2d" in seconds.

    Raises:
        UserError: It is no such time, or none at all.
    """
    found = _TIME.fullmatch(text.strip())
    total = sum(float(number) * _UNITS[unit] for unit, number in (found.groupdict() if found else {}).items() if number)
    if not total:
        raise UserError(f"--time-budget {text} is not a time; write it like 45s, 90m, 8h, 1h30m or 2d.")
    return total


@dataclass(frozen=True)
class Limits:
    """What one session may use up.

    Attributes:
        budget: Of time as typed, such as "90m", counted from the start of the command; None is unlimited.
        failures: The session ends when so many points have failed, those of earlier sessions among them.
        consecutive: It ends when so many points fail one after the other within the session.
        begun: When the command started, on the monotonic clock: it neither jumps nor goes back.
    """

    budget: str | None = None
    failures: int | None = None
    consecutive: int = CONSECUTIVE
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.budget is not None:
            seconds(self.budget)
        for flag, number in (("--max-failures", self.failures), ("--max-consecutive-failures", self.consecutive)):
            if number is not None and number < 1:
                raise UserError(f"{flag} {number} is too small; the least is 1.")

    @classmethod
    def again(cls, records: Sequence[Record], typed: Mapping[str, Any]) -> Limits:
        """Those of a further session: a time only if it is typed, numbers of failures as in the session before.

        Args:
            records: Of the sweeps that go on together; they have their limits in common.
            typed: Options of the command by name; others than the limits are passed over.

        Raises:
            UserError: As many points as may fail have failed already.
        """
        before = records[0].header["config"]
        for row in records[0].rows:
            before = row.get("limits") or before
        found = cls(
            typed.get(TIME), typed.get(FAILURES, before.get(FAILURES)), typed.get(ROW, before.get(ROW, CONSECUTIVE))
        )
        failed = _failed(records)
        if found.failures is not None and len(failed) >= found.failures and any(r.left for r in records):
            raise UserError(
                f"--max-failures {found.failures} is reached already: {_points(len(failed))} failed "
                f"({_named(failed)}); mend the cause and resume with a higher limit, such as --max-failures "
                f"{len(failed) + found.failures}."
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """For the session's row."""
        return {TIME: self.budget, FAILURES: self.failures, ROW: self.consecutive}

    def options(self, records: Sequence[Record], idle: bool = False) -> str:
        """The same limits for the next session, as one types them; a number of failures that is reached grows.

        Args:
            idle: The time was too short for a single evaluation, and would be again.
        """
        words = [] if self.budget is None or idle else [f"--time-budget {self.budget}"]
        if self.failures is not None:
            failed = len(_failed(records))
            words.append(f"--max-failures {self.failures + (failed if failed >= self.failures else 0)}")
        if self.consecutive != CONSECUTIVE:
            words.append(f"--max-consecutive-failures {self.consecutive}")
        return "".join(f" {word}" for word in words)


class Watch:
    """Ends the session when one of its limits is reached; hears of every row of the recorders it is given.

    Attributes:
        evaluated: How often the session looked at dev.
        ready: When its first trial could begin, on the monotonic clock; None until then.

    Points count in the order in which they finish, the undistilled baseline and confirming runs among them. A trial
    whose loss is no longer finite failed by its own numbers: it counts as a failure, but in a row of failures, which
    tells of a broken machine or set-up, it neither counts nor ends the row. Nor does one that a person stopped.
    """

    def __init__(self, recorders: Sequence[Recorder], limits: Limits) -> None:
        self._recorders, self._limits = list(recorders), limits
        self._row: list[Trial] = []
        self.evaluated = 0
        self.ready: float | None = None
        if limits.budget is not None:
            interrupt.expire(
                limits.begun + seconds(limits.budget), f"the time budget of {limits.budget} is used up", limit=TIME
            )
        for recorder in self._recorders:
            recorder.listeners.append(self)

    def __call__(self, kind: str, trial: Trial, row: dict[str, Any]) -> None:
        self.evaluated += kind in ("evaluation", "stage")
        if kind != "state" or row["state"] not in FINISHED or trial.by_hand:
            return
        if row["state"] != FAIL:
            self._row.clear()
            return
        failed = _failed([recorder.record for recorder in self._recorders])
        if not diverged(trial):
            self._row.append(trial)
        if self._limits.failures is not None and len(failed) >= self._limits.failures:
            reason = f"{_points(len(failed))} failed, as many as --max-failures {self._limits.failures} allows"
            interrupt.halt(f"{reason}; {_cause(failed)}", limit=FAILURES)
        elif len(self._row) >= self._limits.consecutive:
            reason = f"{_points(len(self._row))} failed one after the other (--max-consecutive-failures)"
            interrupt.halt(f"{reason}; {_cause(self._row)}", limit=ROW)

    def begin(self) -> None:
        """All that comes before the first trial is done."""
        self.ready = time.monotonic()

    def idle(self) -> str | None:
        """What to say where the time was used up before any evaluation; None where that is not so."""
        if interrupt.limit_reached() != TIME or self.evaluated:
            return None
        if self.ready is None:
            took = f"starting was not done after {max(1, round(time.monotonic() - self._limits.begun))} s"
        else:
            took = f"starting took {max(1, round(self.ready - self._limits.begun))} s"
        return f"Nothing was trained in these {self._limits.budget}: {took}; give a larger --time-budget."

    def close(self) -> None:
        for recorder in self._recorders:
            if self in recorder.listeners:
                recorder.listeners.remove(self)


def tell_halt(recorders: Sequence[Recorder], say: Callable[[str], None]) -> None:
    """Say and record why the session ended before its end, if a limit or a fault of the machine ended it.

    Of several sweeps, one that has nothing left to run came to its end all the same.
    """
    if reason := interrupt.halted():
        say(f"Stopped: {reason}.")
        for recorder in recorders:
            if len(recorders) > 1 and not recorder.record.left:
                continue
            with interrupt.writing():
                recorder.halted(reason, interrupt.limit_reached())


def exit_code(otherwise: int) -> int:
    """How a command ends that leaves points unfinished: by the limit that ended its session, if one did."""
    limit = interrupt.limit_reached()
    return otherwise if limit is None else OUT_OF_TIME if limit == TIME else TOO_MANY_FAILURES


def diverged(trial: Trial) -> bool:
    """Whether a trial failed because its loss or metric was no longer finite."""
    return trial.state == FAIL and (trial.cause or "").startswith(DIVERGED)


def left(record: Record) -> list[str]:
    """Sentences that name the points that were not run, and those that were not finished."""
    open_ones = record.unfinished()
    waiting = [trial.id for trial in open_ones if not trial.attempts and not trial.evaluations]
    begun = [
        f"{trial.id} ({len(trial.evaluations)} of {record.plan['evaluations']} evaluations)"
        for trial in open_ones
        if trial.id not in waiting
    ]
    lines = [f"Not run: {few(waiting)}."] if waiting else []
    lines += [f"Not suggested yet: {_points(record.to_suggest)}."] if record.to_suggest else []
    return [*lines, f"Not finished: {', '.join(begun)}."] if begun else lines


def _failed(records: Sequence[Record]) -> list[Trial]:
    return [trial for record in records for trial in record.everything() if trial.state == FAIL]


def _points(count: int) -> str:
    return f"{count} point{'' if count == 1 else 's'}"


def _named(trials: Sequence[Trial]) -> str:
    return ", ".join(trial.id for trial in trials)


def _cause(failed: Sequence[Trial]) -> str:
    """The commonest cause, in the words of its newest trial, and which trials had it."""
    causes: dict[str, list[Trial]] = {}
    for trial in failed:
        causes.setdefault(_PARTICULAR.sub("#", trial.cause or ""), []).append(trial)
    mine = max(causes.values(), key=len)
    often = "all of one cause" if len(mine) == len(failed) > 1 else "most often" if len(failed) > 1 else "its cause"
    return f"{often}: {mine[-1].cause} ({_named(mine)})"
