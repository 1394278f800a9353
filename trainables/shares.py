"""Which sweep of several gets the next free slot, and which has had its share. Imports neither Ray nor torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from trainables.families import is_family, read_family
from trainables.interrupt import writing
from trainables.progress import plural
from trainables.record import FINISHED, Record
from trainables.recorder import Recorder
from trainables.spending import begun, charged, distilled, of_trial, rule, share, used


class Shares:
    """What the sweeps have used so far, those at work included, and which may start a further point.

    Args:
        recorders: Of the sweeps that are run together. Others of their parent are read once and stand as they are.
    """

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._records = [recorder.record for recorder in recorders]
        self._others = _others(self._records)
        # When a trial was handed out, and what it had used by then.
        self._since: dict[tuple[str, str], tuple[float, float]] = {}
        # Ray asks many times a second while a slot is free, and between two rows the answers are the same.
        self._recorded: dict[tuple[str, int | None], tuple[int, float]] = {}
        self._barred: dict[str, tuple[int, set[str]]] = {}

    def starts(self, record: Record, point: str) -> None:
        """A trial is handed out."""
        self._since[str(record.path), point] = time.monotonic(), of_trial(record, record.trial(point))

    def ends(self, record: Record, point: str) -> None:
        """What it used stands in the record."""
        self._since.pop((str(record.path), point), None)

    def used(self, record: Record, first: int | None = None) -> float:
        """Device-seconds by the record, and what trials at work used since their last evaluation."""
        rows, key = len(record.rows), (str(record.path), first)
        if (known := self._recorded.get(key)) is None or known[0] != rows:
            known = self._recorded[key] = rows, used(record, first)
        at_work = [point for path, point in self._since if path == key[0] and point in record.trials]
        if first is not None and at_work:
            counted = {trial.id for trial in distilled(record)[:first]}
            at_work = [point for point in at_work if point in counted]
        return known[1] + sum(self._pending(record, p) for p in at_work if not record.trials[p].is_baseline)

    def barred(self, record: Record) -> set[str]:
        """Points that a sweep which has had its share may not start."""
        rows = len(record.rows)
        if (known := self._barred.get(str(record.path))) is None or known[0] != rows:
            known = self._barred[str(record.path)] = rows, {trial.id for trial in charged(record)}
        return known[1]

    def _pending(self, record: Record, point: str) -> float:
        if (since := self._since.get((str(record.path), point))) is None:
            return 0.0
        began, before = since
        recorded = of_trial(record, record.trial(point)) - before
        return max(0.0, (time.monotonic() - began) * share(record) - recorded)

    def order(self) -> list[int]:
        """Numbers of the recorders, that first which has used least; of equals the one with fewer trials at work."""
        work = [sum(path == str(record.path) for path, _ in self._since) for record in self._records]
        return sorted(range(len(self._records)), key=lambda i: (self.used(self._records[i]), work[i], i))

    def may_start(self, record: Record) -> bool:
        """Whether a sweep may start a point that it has not begun."""
        found = rule(record)
        if found is None:
            return True
        if found["rule"] == "seconds":
            return self.used(record) < float(found["seconds"])
        out = sum(begun(t) or (str(record.path), t.id) in self._since for t in distilled(record))
        if out < int(found["trials"]):
            return True
        # Its own first points are no measure for it: a clock that is read twice would always let it have one more.
        mine = self.used(record)
        return any(mine < self.used(one, _least(one)) for one in self._rivals(record) if one is not record)

    def limit(self, record: Record) -> float:
        """What a sweep may use: its number, or what the dearest of its size has taken so far for its first points."""
        found = rule(record)
        assert found is not None
        if found["rule"] == "seconds":
            return float(found["seconds"])
        return max(self.used(one, _least(one)) for one in self._rivals(record))

    def _rivals(self, record: Record) -> list[Record]:
        """Sweeps of the same parent and size, itself among them."""
        layers = record.header["plan"]["layers"]
        return [one for one in (*self._records, *self._others) if one.header["plan"]["layers"] == layers]

    def settled(self, record: Record) -> bool:
        """Whether a sweep has had its share, now and for good: nothing is at work, and no limit can grow any more."""
        found = rule(record)
        if found is None or self.may_start(record) or _at_work(record):
            return False
        return found["rule"] == "seconds" or not any(_open(one) for one in self._rivals(record))


def settle(recorders: Sequence[Recorder], say: Callable[[str], None]) -> None:
    """Write down, of every sweep that has had its share, what it used and which points are not run."""
    shares = Shares(recorders)
    for recorder in recorders:
        record = recorder.record
        waiting = [trial.id for trial in charged(record)]
        if not (waiting or record.to_suggest) or not shares.settled(record):
            continue
        limit, spent = shares.limit(record), shares.used(record)
        left = plural(len(waiting) + record.to_suggest, "point")
        with writing():
            recorder.spent(limit, spent, waiting)
            say(f"{record.path.name}: {spent:.0f} of {limit:.0f} device-seconds are used, {left} not run.")


def _others(records: Sequence[Record]) -> list[Record]:
    """Sweeps of the same parents that are not run now."""
    here = {record.path.absolute() for record in records}
    parents = {path.parent for path in here if is_family(path.parent)}
    found = [record for parent in sorted(parents) for record in read_family(parent).records().values()]
    return [record for record in found if record.path.absolute() not in here]


def _least(record: Record) -> int:
    """How many points a sweep runs in any case."""
    return int((rule(record) or {}).get("trials", 0))


def _at_work(record: Record) -> bool:
    """Whether a trial that is charged was begun and has not ended."""
    return any(begun(trial) and trial.state not in FINISHED for trial in distilled(record))


def _open(record: Record) -> bool:
    """Whether what a sweep takes for its first points may still grow."""
    first = distilled(record)[: _least(record)]
    planned = len(first) + record.to_suggest
    return any(trial.state not in FINISHED for trial in first) or len(first) < min(_least(record), planned)
