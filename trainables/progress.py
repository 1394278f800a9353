"""Telling people how a sweep goes: a live view on a terminal, one plain line per event elsewhere."""

from __future__ import annotations

import contextlib
import heapq
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TextIO

from distill.output import say, surviving
from trainables import stage_rows
from trainables.record import BY_HAND, COMPLETE, FAIL, FINISHED, PRUNED, RUNNING, Record, Trial
from trainables.rungs import place_of

if TYPE_CHECKING:
    from rich.console import Console

    from trainables.progress_family import PlainFamily

_ROWS = 12


def once(tell: Callable[[str], None]) -> Callable[[str], None]:
    """`tell` without lines that it told before: sweeps on one teacher would repeat each other."""
    told: set[str] = set()

    def new(line: str) -> None:
        if line not in told:
            told.add(line)
            tell(line)

    return new


def plural(count: int, word: str) -> str:
    """ "1 trial", "2 trials"."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def event_line(kind: str, trial: Trial, row: dict[str, Any], record: Record) -> str | None:
    """One sentence for one row of the record; None for what nobody needs to read."""
    plan = record.plan
    metric = record.metric
    name = f"{trial.id} ({trial.point['label']})"
    if kind == "evaluation":
        if row.get("replay"):
            return f"{name}: determinism fault, evaluation {row['evaluation']} gave another value in a replay."
        value = "not finite" if row["value"] is None else f"{row['value']:.3f}"
        return f"{name}: epoch {row['epoch']:g} of {plan['epochs']}, {metric} {value}, {row['seconds'] or 0:.0f} s."
    if kind == "stage":
        return f"{name}: {stage_rows.words(row)}, {row['seconds']:.0f} s."
    if kind == "retry":
        return f"{name}: out of memory, goes on {_again(row)}."
    if row["state"] == RUNNING:
        again = f", attempt {row['attempt']}" if row["attempt"] > 1 else ""
        return f"{name}: started{again}."
    if row["state"] == PRUNED:
        if trial.stop is None:
            return f"{name}: {trial.cause} after {plural(len(trial.evaluations), 'evaluation')}."
        reason = f"{metric} {(trial.last or {})['value']:.3f} below {trial.stop['cutoff']:.3f}"
        return f"{name}: stopped at {place_of(plan['scheduler'], trial.stop)}, {reason}."
    if row["state"] == COMPLETE:
        return (
            f"{name}: complete, best {metric} {trial.score or 0:.3f} at epoch {(trial.best or {}).get('epoch', 0):g}."
        )
    if row["state"] == FAIL:
        return f"{name}: failed, {trial.cause}."
    return None


def _again(row: dict[str, Any]) -> str:
    where = f"with {row['resources']['GPU']:g} GPU" if row["resources"]["GPU"] else "without a GPU"
    return where if row["micro"] == 1 else f"{where}, each batch in {row['micro']} parts"


def summary(record: Record) -> dict[str, str]:
    """Counts, best so far, rungs and time left, for the head of the live view."""
    trials = record.everything()
    count = {state: sum(t.state == state for t in trials) for state in (RUNNING, COMPLETE, PRUNED, FAIL)}
    best, plan = record.best_trial(), record.plan
    finished = sum(t.state in FINISHED for t in trials)
    by_hand = sum(trial.by_hand for trial in trials)
    parts = [
        f"{finished} of {len(trials) + record.to_suggest} finished",
        f"{count[RUNNING]} running",
        f"{count[PRUNED] - by_hand} stopped early",
        *([f"{by_hand} {BY_HAND}"] if by_hand else []),
        f"{count[FAIL]} failed",
    ]
    facts = {"trials": " · ".join(parts)}
    if best is not None and best.score is not None:
        facts["best"] = f"{record.metric} {best.score:.3f} by {best.id} ({best.point['label']})"
    if record.confirming:
        ended = sum(trial.state in FINISHED for trial in record.confirming.values())
        facts["confirming"] = f"{ended} of {len(record.confirming)} runs, whole seeds: {len(record.settled_seeds())}"
    if plan["scheduler"]["rungs"]:
        facts["rungs"] = " · ".join(
            f"epoch {rung:g}: {sum(_judged(t, rung) for t in trials)} judged" for rung in plan["scheduler"]["rungs"]
        )
    left = seconds_left(record)
    if left is not None:
        facts["time left"] = f"at most {max(1, round(left / 60))} min"
    return facts


def _judged(trial: Trial, rung: float) -> bool:
    return any((row.get("decision") or {}).get("rung") == rung for row in trial.evaluations.values())


def seconds_left(record: Record) -> float | None:
    """Time left, as if nothing more were stopped early; None before the first evaluation.

    The unfinished trials are laid onto the slots in their order, each evaluation (and the stages before the first) as
    long as the measured ones on average: the last trials leave slots idle, which a mere division would miss.
    """
    measured = [row["seconds"] for t in record.everything() for row in t.evaluations.values() if row.get("seconds")]
    if not measured:
        return None
    each = sum(measured) / len(measured)
    slots = [0.0] * record.resources["max_concurrent"]
    for _, seconds in sorted(work_left(record, each), key=lambda one: one[0]):
        heapq.heapreplace(slots, slots[0] + seconds)
    return max(slots)


def work_left(
    record: Record, each: float, trials: Sequence[Trial] | None = None, suggested: int | None = None
) -> list[tuple[bool, float]]:
    """Of each trial that is open or yet to be suggested: whether it waits, and its seconds.

    Args:
        each: Seconds of an evaluation.
        trials, suggested: Those that are meant, where it is not all.
    """
    suggested = record.to_suggest if suggested is None else suggested
    possible = record.plan["evaluations"]
    begun = [t for t in record.everything() if not t.is_baseline and 1 in t.evaluations]
    before = sum(t.evaluations[1].get("stage_seconds") or 0.0 for t in begun) / max(1, len(begun))
    found = []
    for trial in record.unfinished() if trials is None else trials:
        begins = not (trial.evaluations or trial.is_baseline)
        found.append((trial.state != RUNNING, (possible - len(trial.evaluations)) * each + begins * before))
    return found + [(True, possible * each + before)] * suggested


class PlainProgress(AbstractContextManager["PlainProgress"]):
    """One line per event."""

    def __init__(self, record: Record, stream: TextIO | None = None) -> None:
        self._record = record
        self._stream = stream or sys.stdout

    def __call__(self, kind: str, trial: Trial, row: dict[str, Any]) -> None:
        line = event_line(kind, trial, row, self._record)
        if line is None:
            return
        left = seconds_left(self._record)
        tail = f" [at most {max(1, round(left / 60))} min left]" if left and row.get("state") in FINISHED else ""
        say(f"{time.strftime('%H:%M:%S')} {line}{tail}", self._stream)

    def say(self, text: str) -> None:
        say(text, self._stream)

    def __exit__(self, *exception: object) -> None:
        return None


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """A table that stays in place: counts, best so far, rungs, time left, and the trials at work."""

    def __init__(self, record: Record, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._record = record
        self._console = console or Console()
        self._frame: Any = ""
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=2, transient=False)
        self._live.start()

    def __call__(self, kind: str, trial: Trial, row: dict[str, Any]) -> None:
        told = kind == "retry" or row.get("state") in (PRUNED, FAIL)
        if told and (line := event_line(kind, trial, row, self._record)):
            self.say(line)

    def say(self, text: str) -> None:
        with surviving():
            self._console.print(text, highlight=False, markup=False)

    def __exit__(self, *exception: object) -> None:
        with surviving():
            self._live.stop()

    def _render(self) -> Any:
        # The view draws itself in a thread of its own while the driver adds rows; a frame may be missed, not the view.
        with contextlib.suppress(RuntimeError):
            self._frame = self._draw()
        return self._frame

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        record = self._record
        plan = record.plan
        lines = [Text(f"{name:>10}  {text}") for name, text in summary(record).items()]
        table = Table(box=None, pad_edge=False)
        for column in ("trial", "configuration", "epoch", record.metric, "best", "state"):
            right = column in ("epoch", record.metric, "best")
            table.add_column(column, justify="right" if right else "left")
        shown = sorted(
            (t for t in record.everything() if t.evaluations or t.state == RUNNING),
            key=lambda t: (t.state != RUNNING, -(t.score if t.score is not None else -9)),
        )[:_ROWS]
        for trial in shown:
            last = trial.last or {}
            value = last.get("value")
            stage = None if last else stage_rows.newest(trial.folder)
            table.add_row(
                trial.id,
                trial.point["label"],
                f"{last.get('epoch', 0):g}/{plan['epochs']}",
                "" if value is None else f"{value:.3f}",
                "" if trial.score is None else f"{trial.score:.3f}",
                trial.state.lower() if stage is None else stage_rows.words(stage),
            )
        return Group(Text(f"{plan['method_title']} on {plan['task']}, {plan['layers']} layers"), *lines, table)


def make(records: Sequence[Record]) -> PlainProgress | PlainFamily | LiveProgress:
    """The live view where standard output is a terminal, else plain lines; of several sweeps all in one."""
    from trainables.progress_family import LiveFamily, PlainFamily

    # Nothing at all where the command was started with its standard output closed.
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if len(records) > 1:
        return LiveFamily(records) if terminal else PlainFamily(records)
    return LiveProgress(records[0]) if terminal else PlainProgress(records[0])
