"""Telling people how several sweeps go at once; every line names the sweep by its folder."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from distill.output import say
from trainables import stage_rows
from trainables.families import title
from trainables.progress import LiveProgress, event_line, work_left
from trainables.record import FAIL, FINISHED, PRUNED, RUNNING, Record, Trial
from trainables.spending import charged, distilled, rule, share, used

if TYPE_CHECKING:
    from rich.console import Console

_ROWS = 12


def seconds_left(records: Sequence[Record]) -> float | None:
    """Time left as if nothing more were stopped early; None before each open sweep had an evaluation.

    All unfinished trials are laid onto the slots that the sweeps share, each evaluation as long as those of its own
    sweep on average.
    """
    open_ones: list[tuple[bool, float]] = []
    for record in records:
        sure = _sure(record)
        rows = [row for trial in record.everything() for row in trial.evaluations.values()]
        measured = [row["seconds"] for row in rows if row.get("seconds")]
        if record.left and not measured:
            return None
        if (limit := rule(record)) is not None and "seconds" in limit and record.left > len(sure):
            open_ones.append((True, max(0.0, limit["seconds"] - used(record)) / share(record)))
        if record.left:
            suggested = record.to_suggest if limit is None else 0
            open_ones += work_left(record, sum(measured) / len(measured), sure, suggested)
    slots = [0.0] * max(record.resources["max_concurrent"] for record in records)
    for _, seconds in sorted(open_ones, key=lambda one: one[0]):
        heapq.heapreplace(slots, slots[0] + seconds)
    return max(slots)


def _sure(record: Record) -> list[Trial]:
    """Unfinished trials that are run in any case; what a share of the devices may yet buy is nobody's to know."""
    limit = rule(record)
    if limit is None:
        return record.unfinished()
    least = [trial.id for trial in distilled(record)[: limit.get("trials", 0)]]
    held = {trial.id for trial in charged(record)} - set(least)
    return [trial for trial in record.unfinished() if trial.id not in held]


class PlainFamily(AbstractContextManager["PlainFamily"]):
    """One line per event, with the name of its sweep's folder."""

    def __init__(self, records: Sequence[Record], stream: TextIO | None = None) -> None:
        self._records = {record.path: record for record in records}
        self._stream = stream or sys.stdout

    def __call__(self, kind: str, trial: Trial, row: dict[str, Any]) -> None:
        record = self._records[sweep_of(trial)]
        line = event_line(kind, trial, row, record)
        if line is None:
            return
        left = seconds_left(list(self._records.values()))
        tail = f" [at most {max(1, round(left / 60))} min left]" if left and row.get("state") in FINISHED else ""
        say(f"{time.strftime('%H:%M:%S')} {record.path.name} {line}{tail}", self._stream)

    def say(self, text: str) -> None:
        say(text, self._stream)

    def __exit__(self, *exception: object) -> None:
        return None


class LiveFamily(LiveProgress):
    """A table with one row a sweep, and one with the trials at work."""

    def __init__(self, records: Sequence[Record], console: Console | None = None) -> None:
        self._records = {record.path: record for record in records}
        super().__init__(next(iter(self._records.values())), console)

    def __call__(self, kind: str, trial: Trial, row: dict[str, Any]) -> None:
        record = self._records[sweep_of(trial)]
        if row.get("state") in (PRUNED, FAIL) and (line := event_line(kind, trial, row, record)):
            self.say(f"{record.path.name} {line}")

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        records = list(self._records.values())
        plan = records[0].plan
        sweeps, running = (Table(box=None, pad_edge=False) for _ in range(2))
        shared = any(rule(record) for record in records)
        names = ["sweep", "finished", "running", "stopped", "failed", *(["device-s"] if shared else [])]
        for name in (*names, plan["metric"], "best"):
            sweeps.add_column(name, justify="left" if name in ("sweep", "best") else "right")
        for record in records:
            head, tail = _line(record)
            sweeps.add_row(*head, *([f"{used(record):.0f}"] if shared else []), *tail)
        for name in ("sweep", "trial", "configuration", "epoch", plan["metric"], "best"):
            running.add_column(name, justify="right" if name in ("epoch", plan["metric"], "best") else "left")
        at_work = [(r, t) for r in records for t in r.everything() if t.state == RUNNING]
        for record, trial in at_work[:_ROWS]:
            last = trial.last or {}
            stage = None if last else stage_rows.newest(trial.folder)
            running.add_row(
                record.path.name,
                trial.id,
                trial.point["label"],
                f"{last.get('epoch', 0):g}/{record.plan['epochs']}",
                number(last.get("value")),
                number(trial.score) if stage is None else stage_rows.words(stage),
            )
        parts: list[Any] = [Text(title([record.plan for record in records])), sweeps]
        if (left := seconds_left(records)) is not None:
            parts.append(Text(f"time left: at most {max(1, round(left / 60))} min"))
        return Group(*parts, running)


def sweep_of(trial: Trial) -> Path:
    """Folder of the sweep that a trial is of."""
    return trial.folder.parents[1]


def number(value: float | None) -> str:
    """Three decimals; nothing for nothing."""
    return "" if value is None else f"{value:.3f}"


def _line(record: Record) -> tuple[list[str], list[str]]:
    """Counts of a sweep, and its best."""
    trials = record.everything()
    count = {state: sum(t.state == state for t in trials) for state in (RUNNING, PRUNED, FAIL)}
    best = record.best_trial()
    head = [
        record.path.name,
        f"{sum(t.state in FINISHED for t in trials)} of {len(trials) + record.to_suggest}",
        *(str(count[state]) for state in (RUNNING, PRUNED, FAIL)),
    ]
    return head, [number(best.score if best else None), f"{best.id} ({best.point['label']})" if best else ""]
