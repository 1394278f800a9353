"""`python -m trainables.stop DIR p03`: end one trial, whether it runs or waits. Imports neither Ray nor torch.

A person's wish is a file in the sweep's folder, which the driver looks for once a second; where no driver works,
the command writes the row itself.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from distill.command_line import Parser
from distill.errors import UserError
from distill.output import say
from trainables.families import refuse_family
from trainables.lock import holder
from trainables.progress import plural
from trainables.record import FINISHED, STOP, Record, Trial, read
from trainables.sweep import guarded

# Seconds that the command waits for the driver's answer, and anyone for a worker to let go of its trial.
PATIENCE = 20.0


def ask(folder: Path, point: str) -> None:
    """Leave the request to stop `point`.

    Raises:
        UserError: The folder cannot be written.
    """
    try:
        (folder / STOP).mkdir(exist_ok=True)
        (folder / STOP / point).touch()
    except OSError as error:
        raise UserError(f"{folder / STOP} cannot be written: {error.strerror}; stop the trial where it can.") from error


def asked(folder: Path) -> list[str]:
    """Points that a person wants stopped and nobody has answered yet."""
    try:
        return sorted(os.listdir(folder / STOP))
    except FileNotFoundError:
        return []


def answer(folder: Path, point: str) -> None:
    """Take the request away: the row is written."""
    (folder / STOP / point).unlink(missing_ok=True)


def whole(record: Record, trial: Trial) -> bool:
    """Whether a trial whose worker is gone has just the files of its recorded evaluations.

    A worker writes student, predictions and state before it reports. One that was ended in between leaves files of an
    evaluation that no row tells of; going on for that one evaluation mends it, closing the trial would not.
    """
    from trainables.statistics import recomputed

    for which, row in (("best", trial.best), ("last", trial.last)):
        file = trial.predictions(which)
        if not file.exists():
            continue
        value = None if row is None else recomputed(record, file)
        if row is None or value is None:
            return False
        if not (math.isnan(value) if row["value"] is None else math.isclose(value, row["value"], abs_tol=1e-12)):
            return False
    student, best = trial.folder / "student", trial.predictions("best")
    if not best.exists():
        return not student.exists()
    # A student is written just before its predictions.
    times = [file.stat().st_mtime_ns for file in student.iterdir()] if student.is_dir() else []
    return bool(times) and max(times) <= best.stat().st_mtime_ns


def released(trial: Trial, patience: float) -> bool:
    """Wait until no worker writes the trial's folder; False where one still does after `patience` seconds."""
    end = time.monotonic() + patience
    while holder(trial.folder) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Stop trials of a sweep; 2 where one is unknown or finished."""
    parser = Parser(
        prog="python -m trainables.stop",
        description="End trials, at work or waiting; the student of their best evaluation stays eligible.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep")
    parser.add_argument("points", metavar="POINT", nargs="+", help="a trial, such as p03")
    given = parser.parse_args(arguments)
    return guarded(lambda: _run(given.folder.expanduser().absolute(), list(dict.fromkeys(given.points))))


def _run(folder: Path, points: list[str]) -> int:
    refuse_family(folder, "stop")
    record = read(folder)
    everyone = {trial.id: trial for trial in record.everything()}
    for point in points:
        trial = everyone.get(point)
        if trial is None:
            raise UserError(f"{point} is no trial of {folder}; did you mean {record.like(point)}?")
        if trial.state in FINISHED:
            raise UserError(f"{point} {_ended(trial)} already; only trials that run or wait can be stopped.")
    if (driver := holder(folder)) is None:
        return _alone(folder, points)
    for point in points:
        ask(folder, point)
    say(f"Asked the driver ({driver['pid']} on {driver['host']}) to stop {', '.join(points)}.")
    return _await(folder, points)


def _await(folder: Path, points: list[str]) -> int:
    """Tell the driver's answers, for a while."""
    end, waiting = time.monotonic() + PATIENCE, points
    while waiting and time.monotonic() < end:
        time.sleep(0.5)
        record = read(folder)
        for point in [point for point in waiting if record.trial(point).state in FINISHED]:
            say(_outcome(record, record.trial(point)))
        waiting = [point for point in waiting if record.trial(point).state not in FINISHED]
    if waiting:
        say(
            f"No answer yet for {', '.join(waiting)}: the request stays. A driver that prepares the teacher answers "
            "when the trials begin; a trial that was just writing an evaluation ends with that evaluation."
        )
    return 0


def _alone(folder: Path, points: list[str]) -> int:
    """No driver is at work: write the rows."""
    from trainables.recorder import Recorder

    recorder = Recorder(folder)
    try:
        for point in points:
            trial = recorder.record.trial(point)
            if released(trial, PATIENCE) and whole(recorder.record, trial):
                recorder.stopped(point)
                answer(folder, point)
                say(_outcome(recorder.record, trial))
            else:
                ask(folder, point)
                say(
                    f"{point} was cut while it wrote an evaluation; the request stays, and the trial ends with that "
                    "evaluation when the sweep goes on."
                )
        left = recorder.record.left
    finally:
        recorder.close()
    what = f"runs the {plural(left, 'trial')} left" if left else "writes student and report anew"
    say(f"python -m trainables.sweep --resume {folder} {what}.")
    return 0


def _ended(trial: Trial) -> str:
    word = {"COMPLETE": "is complete", "FAIL": "has failed"}.get(trial.state, "was stopped early")
    return "was stopped by hand" if trial.by_hand else word


def _outcome(record: Record, trial: Trial) -> str:
    count = plural(len(trial.evaluations), "evaluation")
    if not trial.by_hand:
        return f"{trial.id} {_ended(trial)} after {count}, before the request was seen."
    best = "" if trial.best is None else f", best {record.metric} {trial.score:.3f} at epoch {trial.best['epoch']:g}"
    return f"{trial.id} was stopped by hand after {count}{best}."


if __name__ == "__main__":
    sys.exit(main())
