"""Intervals and paired differences from the predictions a sweep saved. Imports neither Ray nor torch.

The report and the proof of the record read predictions only through this module, so that a score in the
report is the number the trial was judged by, computed by the same function.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill.tasks import metrics
from distill.tasks.crossed import crossed_bootstrap
from distill.tasks.metrics import Difference, Interval
from trainables.record import Record, Trial

__all__ = [
    "Difference",
    "Interval",
    "load_predictions",
    "over_seeds",
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
    which: str = "report",
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """Bootstrap interval over the rows of a trial's predictions.

    None where the predictions are missing, or belong to an evaluation that the rows do not have (a sweep
    killed between the two writes), so that no interval stands beside another evaluation's score.

    Args:
        which: "report" is its best evaluation on dev; "best" and "last" are evaluations on the rows that choose, which
            are dev too unless rows were held out.
    """
    found = load_predictions(trial.predictions(which))
    row = trial.last if which == "last" else trial.best
    recorded = trial.reported if which == "report" or row is None else row["value"]
    if found is None or not _same(metrics.get(record.plan["metric"]).compute(*found), recorded):
        return None
    return metrics.bootstrap_interval(record.plan["metric"], *found, level=level, samples=samples, seed=seed)


def teacher_interval(record: Record, which: str = "report") -> Interval | None:
    """The teacher's score with the interval recorded when it was judged; None before that.

    Args:
        which: "report" on dev, "best" on the rows that choose.
    """
    teacher = (record.prepared or {}).get("teacher") or {}
    rows = (record.prepared or {}).get("data", {}).get("dev_rows", 0)
    if record.held_out:
        teacher, rows = (teacher.get("report") or {}, rows) if which == "report" else (teacher, record.held_out)
    if teacher.get("score") is None:
        return None
    low, high = teacher.get("interval") or (math.nan, math.nan)
    return Interval(float(teacher["score"]), float(low), float(high), int(rows))


def paired(
    record: Record, a: Trial, b: Trial, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> Difference | None:
    """What `a` scores on dev minus what `b` does, with a paired bootstrap interval over the dev rows.

    None where either's predictions are missing, don't give the recorded score, or answer other rows.
    """
    metric = metrics.get(record.plan["metric"])
    both = []
    for trial in (a, b):
        found = load_predictions(trial.predictions("report"))
        if found is None or not _same(metric.compute(*found), trial.reported):
            return None
        both.append(found)
    (first, labels), (second, labels_b) = both
    if not np.array_equal(labels, labels_b):
        return None
    return metrics.paired_bootstrap(metric, first, second, labels, level=level, samples=samples, seed=seed)


def over_seeds(
    record: Record, pairs: Sequence[tuple[Trial, Trial]], level: float = 0.95, samples: int = 2000, seed: int = 0
) -> Difference | None:
    """Mean over pairs of what the first scores on dev minus what the second does, resampled over pairs and dev rows.

    Args:
        pairs: Of equal seeds.

    Returns:
        None where predictions are missing, don't give the recorded score, or answer different rows.
    """
    metric, answers, shared = metrics.get(record.plan["metric"]), [], None
    for trial in (trial for pair in pairs for trial in pair):
        found = load_predictions(trial.predictions("report"))
        if found is None or not _same(metric.compute(*found), trial.reported):
            return None
        if shared is not None and not np.array_equal(shared, found[1]):
            return None
        shared = found[1]
        answers.append(found[0])
    if shared is None:
        return None
    both = list(zip(answers[0::2], answers[1::2], strict=True))
    return crossed_bootstrap(metric, both, shared, level=level, samples=samples, seed=seed)


def _same(value: float, recorded: float | None) -> bool:
    return recorded is not None and math.isclose(value, recorded, rel_tol=0.0, abs_tol=1e-9)
