"""The dev rows of a trial where held-out rows decide: predicted for the report whenever its student is the best yet."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from distill.tasks.base import Task
from distill.tasks.holdout import HOLDOUT
from distill.tasks.metrics import get
from distill.tasks.tokens import REPORT
from distill.training.batching import Tokens
from distill.training.loop import predict


@lru_cache(maxsize=1)
def rows(path: str) -> Tokens:
    """Rows that only the report sees, loaded once per process.

    Args:
        path: Artifact of the tokenised data.
    """
    return Tokens.load(Path(path) / f"{REPORT}.npz")


class LastLook:
    """Looks at the dev rows without leaving a trace in the training: no weight, no generator, no decision.

    Args:
        path: Artifact of the tokenised data.
        batch: Rows per forward pass.
    """

    def __init__(self, path: str, task: Task, batch: int, device: str) -> None:
        self.rows, self.task, self.batch, self.device = rows(path), task, batch, device

    def look(self, student: Any) -> tuple[dict[str, float], np.ndarray, float]:
        """Metrics by name, the task's own first; logits float32 [n, C]; and the seconds it took."""
        started = time.monotonic()
        logits = predict(student, self.rows, self.batch, self.device)
        names = dict.fromkeys((self.task.metric, *self.task.also))
        metrics = {name: get(name).compute(logits, self.rows.labels) for name in names}
        return metrics, logits, time.monotonic() - started


def of(plan: dict[str, Any], path: str, task: Task, batch: int, device: str) -> LastLook | None:
    """The look that a plan asks for; None where dev is what decides."""
    held_out = (plan.get("select_on") or {}).get("kind") == HOLDOUT
    return LastLook(path, task, batch, device) if held_out else None
