"""How far a sweep is, as its folder tells."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.style import STATE_WORDS, plural, state_words
from trainables.families import few, without
from trainables.record import BY_HAND, COMPLETE, FAIL, FINISHED, LOCK, PRUNED, RUNNING, Record

try:
    import fcntl
except ImportError:  # only POSIX has it; elsewhere an unfinished sweep counts as interrupted
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Progress:
    """State of a sweep.

    Attributes:
        word: "complete", "running", "interrupted" or "not started".
        sentence: The state with its counts.
        resume: The command that goes on; None where there is nothing left or the sweep runs.
        left: Of a sweep that ended before its end, sentences that name the points which are left.
    """

    word: str
    sentence: str
    resume: str | None
    left: tuple[str, ...] = ()


def progress(record: Record, running: bool | None = None) -> Progress:
    """Say how far a sweep is.

    Args:
        record: The sweep.
        running: Whether its driver is at work; asked of the folder's lock when None.
    """
    trials = record.everything()
    done = [trial for trial in trials if trial.state in FINISHED]
    words = [state_words(trial) for trial in done]
    order = (*(STATE_WORDS[state] for state in (COMPLETE, PRUNED)), BY_HAND, STATE_WORDS[FAIL])
    counts = [f"{words.count(word)} {word}" for word in order if word in words]
    if record.confirming:
        counts.append(f"{sum(trial.confirms for trial in done)} of them confirming")
    split = f" ({', '.join(counts)})" if counts else ""
    total = len(trials) + record.to_suggest
    if len(done) == total:
        told = f"Complete: all {plural(len(trials), 'trial')} are finished{split}{left_out(record)}."
        return Progress("complete", told, None)
    # Where device-seconds are shared out, nobody knows beforehand how many points they will buy.
    most = "at most " if record.plan.get("device_seconds") else ""
    finished = f"{len(done)} of {most}{plural(total, 'trial')} finished{split}"
    command = f"python -m trainables.sweep --resume {shlex.quote(str(record.path.resolve()))}"
    if locked(record.path) if running is None else running:
        now = sum(trial.state == RUNNING for trial in trials)
        doing = f"{now} at work" if now else "preparing" if record.prepared is None else "none at work yet"
        return Progress("running", f"Running: {finished}, {doing}.", None)
    if not record.rows:
        return Progress("not started", f"Not started: {finished}.", command)
    last = moment(record.rows[-1]["time"])
    reason = f" The session ended because {record.halt['reason']}." if record.halt else ""
    sentence = f"Interrupted: {finished}; the last event is of {last}.{reason}"
    return Progress("interrupted", sentence, command, _left(record))


def left_out(record: Record) -> str:
    """What is said of points that were not run because the device-seconds were used up; empty where all were."""
    if not record.left_out:
        return ""
    ids = [point["id"] for point in record.left_out]
    which = f"{ids[0]} to {ids[-1]}" if len(ids) > 3 else ", ".join(ids)
    return f"; {plural(len(ids), 'further point')} ({which}) not run, as the device-seconds were used"


def _left(record: Record) -> tuple[str, ...]:
    """Which points were not run, and which were not finished."""
    waiting = [trial.id for trial in record.unfinished() if not trial.attempts and not trial.evaluations]
    begun = [
        f"{trial.id} ({len(trial.evaluations)} of {record.plan['evaluations']} evaluations)"
        for trial in record.unfinished()
        if trial.id not in waiting
    ]
    named = {"Not run": few(waiting), "Not finished": ", ".join(begun)}
    if record.to_suggest:
        named["Not suggested yet"] = plural(record.to_suggest, "point")
    return tuple(f"{what}: {which}." for what, which in named.items() if which)


def again(typed: Sequence[object]) -> str:
    """The command that asks for a sweep once more, into a new folder: the one it names is taken.

    Nor does it say where the sweep ran: on a cluster that is gone by then, with folders for its nodes.
    """
    words = [str(word) for word in typed]
    for flag in ("--out", "--address", "--dashboard", "--storage"):
        words = without(words, flag)
    return shlex.join(["python", "-m", "trainables.sweep", *words])


def moment(text: str) -> str:
    """ "2026-03-02T09:10:18Z" → "2026-03-02 09:10:18 UTC"."""
    # Python 3.10 does not read the Z.
    time = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time.strftime("%Y-%m-%d %H:%M:%S %Z").strip()


def locked(folder: Path) -> bool:
    """Whether another process holds the sweep's file lock, that is, whether a driver is at work.

    The driver itself asks when it writes its last report; that its own lock is held then says nothing.
    """
    if fcntl is None:
        return False
    try:
        with (folder / LOCK).open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _owner(handle.read()) != os.getpid()
            return False
    except OSError:
        return False


def _owner(text: str) -> int | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found.get("pid") if isinstance(found, dict) else None
