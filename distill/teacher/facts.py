"""What is known of a teacher once it has answered the dev rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from distill.artifacts import hash_encoder
from distill.models.capture import shape_of
from distill.models.student import parameter_count
from distill.tasks.base import Task
from distill.tasks.metrics import get, teacher_verdict

KIND = "teacher"
MODEL, PREDICTIONS = "model", "predictions.npz"


def judged(task: Task, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Score and verdict of answers to the dev rows; the verdict as plain numbers: ok, reason, interval, chance.

    Args:
        logits: float32 [n, C].
        labels: [n].
    """
    found = teacher_verdict(task.metric, logits, labels)
    return {
        "score": get(task.metric).compute(logits, labels),
        "metric": task.metric,
        "verdict": {
            "ok": found.ok,
            "reason": found.reason,
            "interval": [found.score.low, found.score.high],
            "chance": found.chance,
        },
    }


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
