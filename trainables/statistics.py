"""Intervals and paired differences from the predictions a sweep saved. Imports neither Ray nor torch.

The report and the proof of the record read predictions only through this module, so that a score in the
report is the number the trial was judged by, computed by the same function.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np

from distill.tasks import metrics
from distill.tasks.metrics import Difference, Interval
from trainables.record import Record, Trial

__all__ = [
    "Difference",
    "Interval",
    "load_predictions",
    "paired",
    "recomputed",
    "teacher_interval",
    "trial_interval",
]


def load_predictions(file: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Logits [n, C] (or [n]) and labels [n] of `file`; None where it is missing, torn or something else."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            logits, labels = stored["logits"], stored["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return (logits, labels) if len(labels) and labels.shape == logits.shape[:1] else None


def recomputed(record: Record, file: Path) -> float | None:
    """The task's metric computed anew from the predictions in `file`; None where these can't be read."""
    found = load_predictions(file)
    return None if found is None else metrics.get(record.plan["metric"]).compute(*found)


def trial_interval(
    record: Record,
    trial: Trial,
    which: str = "best",
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """Bootstrap interval over the dev rows of a trial's best or last evaluation (`which`).

    None where the predictions are missing, or belong to an evaluation that the rows do not have (a sweep
    killed between the two writes), so that no interval stands beside another evaluation's score.
    """
    found = load_predictions(trial.predictions(which))
    row = trial.best if which == "best" else trial.last
    if found is None or row is None or not _same(metrics.get(record.plan["metric"]).compute(*found), row["value"]):
        return None
    return metrics.bootstrap_interval(record.plan["metric"], *found, level=level, samples=samples, seed=seed)


def teacher_interval(record: Record) -> Interval | None:
    """The teacher's dev score with the interval recorded when it was judged; None before that."""
    teacher = (record.prepared or {}).get("teacher") or {}
    if teacher.get("score") is None:
        return None
    low, high = teacher.get("interval") or (math.nan, math.nan)
    rows = (record.prepared or {}).get("data", {}).get("dev_rows", 0)
    return Interval(float(teacher["score"]), float(low), float(high), int(rows))


def paired(
    record: Record, a: Trial, b: Trial, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> Difference | None:
    """Score of `a` minus score of `b`, best evaluations, with a paired bootstrap interval over the dev rows.

    None where either's predictions are missing, don't give the recorded score, or answer other rows.
    """
    metric = metrics.get(record.plan["metric"])
    both = []
    for trial in (a, b):
        found = load_predictions(trial.predictions())
        if found is None or not _same(metric.compute(*found), trial.score):
            return None
        both.append(found)
    (first, labels), (second, labels_b) = both
    if not np.array_equal(labels, labels_b):
        return None
    return metrics.paired_bootstrap(metric, first, second, labels, level=level, samples=samples, seed=seed)


def _same(value: float, recorded: float | None) -> bool:
    return recorded is not None and math.isclose(value, recorded, rel_tol=0.0, abs_tol=1e-9)
