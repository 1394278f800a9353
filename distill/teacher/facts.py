"""What is known of a teacher once it has answered the dev rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distill.artifacts import hash_encoder
from distill.models.capture import shape_of
from distill.models.student import parameter_count
from distill.tasks.base import Task
from distill.tasks.metrics import other_scale, teacher_verdict
from distill.tasks.tokens import REPORT
from distill.training.batching import Tokens
from distill.training.predictions import predict, scored

KIND = "teacher"
MODEL, PREDICTIONS, REPORTED = "model", "predictions.npz", "predictions-report.npz"


def judged(task: Task, logits: np.ndarray, labels: np.ndarray, made_here: bool) -> dict[str, Any]:
    """Score, all metrics and verdict of answers to labelled rows; the verdict as plain numbers: ok, reason, interval,
    chance.

    Args:
        logits: float32 [n, C].
        labels: [n].
        made_here: Whether the teacher was fine-tuned on this task's labels here, so that their order is its own.
    """
    found = teacher_verdict(task.metric, logits, labels, own_labels=made_here)
    if found.ok and task.kind == "regression" and not made_here and (other := other_scale(logits, labels)):
        found = replace(found, ok=False, reason=other)
    return {
        "score": found.score.value,
        "metric": task.metric,
        "metrics": scored(task, logits, labels),
        "verdict": {
            "ok": found.ok,
            "reason": found.reason,
            "interval": [found.score.low, found.score.high],
            "chance": found.chance,
        },
    }


def reported(
    task: Task, model: Callable[[], Any], tokens: Path, folder: Path, batch: int, device: str, made_here: bool
) -> dict[str, Any]:
    """As "report", score and verdict on the rows that only the report sees; nothing where the tokens have none.

    Args:
        model: Gives the teacher as it will teach, on `device`; not called without such rows.
        tokens: Artifact of the tokenised data.
        folder: Takes the predictions.
        batch: Rows per forward pass.
        made_here: As for `judged`.
    """
    file = tokens / f"{REPORT}.npz"
    if not file.exists():
        return {}
    rows = Tokens.load(file)
    logits = predict(model(), rows, batch, device)
    np.savez(folder / REPORTED, logits=task.units(logits), labels=task.units(rows.gold))
    return {REPORT: judged(task, logits, rows.gold, made_here)}


def sized(model: Any, folder: Path) -> dict[str, Any]:
    """Shape of a teacher and the hash of what it was saved as in `folder`."""
    shape = shape_of(model)
    return {
        "parameters": parameter_count(model),
        "layers": shape.layers,
        "hidden_size": shape.hidden_size,
        "heads": shape.heads,
        "content": hash_encoder(folder),
    }
