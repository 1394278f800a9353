"""The dev rows of a trial where held-out rows decide: predicted for the report whenever its student is the best yet."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from distill.tasks.base import Task
from distill.training import last_look
from distill.training.batching import Tokens
from trainables.record import held_out


@lru_cache(maxsize=1)
def rows(path: str) -> Tokens:
    """Rows that only the report sees, loaded once per process."""
    return last_look.load(path)


@dataclass(frozen=True)
class LastLook:
    """Looks at the dev rows without leaving a trace in the training: no weight, no generator, no decision.

    Attributes:
        rows: Dev, tokenised.
        batch: Rows per forward pass.
    """

    rows: Tokens
    task: Task
    batch: int
    device: str

    def look(self, student: Any) -> tuple[dict[str, float], np.ndarray, float]:
        """Metrics by name, logits float32 [n, C], and the seconds it took."""
        started = time.monotonic()
        metrics, logits = last_look.look(student, self.rows, self.task, self.batch, self.device)
        return metrics, logits, time.monotonic() - started


def of(plan: dict[str, Any], path: str, task: Task, batch: int, device: str) -> LastLook | None:
    """The look that a plan asks for; None where dev is what decides.

    Args:
        path: Artifact of the tokenised data.
    """
    return LastLook(rows(path), task, batch, device) if held_out(plan) else None
