"""The end of a sweep: the best student, best.yaml, the report."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from trainables.record import FINISHED, Record, Trial
from trainables.recorder import Recorder

STUDENT = "student"


def finish(recorder: Recorder) -> list[str]:
    """Export the best student and write the report; lines to print.

    Runs again after every session, so it replaces what an earlier one left.
    """
    record = recorder.record
    lines = []
    best = record.student_trial()
    # The weights of a trial that is still open may be half-written by a worker that was ended.
    if best is not None and best.state in FINISHED and (best.folder / "student").is_dir():
        lines.append(f"Student: {export(record, best)}")
    from analysis import report
    from analysis.confirmed_words import outcome

    page = report.write(record.path)
    lines.append(f"Report: {page}")
    found = outcome(record, finished=not record.unfinished())
    lines.append(f"Result: {' '.join(filter(None, (found.best, found.against)))}")
    return lines


def export(record: Record, trial: Trial) -> Path:
    """The trial's best student with its tokenizer in Hugging Face form, as `<sweep>/student`."""
    from distill.tasks.tokens import load_tokenizer

    target = record.path / STUDENT
    staging = record.path / f".{STUDENT}.{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(trial.folder / "student", staging)
    assert record.prepared is not None
    load_tokenizer(Path(record.prepared["student"]["path"])).save_pretrained(staging)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    return target
