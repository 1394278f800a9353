"""One look at rows that decide nothing: dev, where held-out rows choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from distill.tasks.base import Task
from distill.tasks.tokens import REPORT
from distill.training.batching import Tokens
from distill.training.predictions import predict, scored


def load(path: Path | str) -> Tokens:
    """Rows that only the report sees.

    Args:
        path: Artifact of tokenised data with held-out rows.
    """
    return Tokens.load(Path(path) / f"{REPORT}.npz")


def look(student: Any, rows: Tokens, task: Task, batch: int, device: str) -> tuple[dict[str, float], np.ndarray]:
    """Metrics by name, the task's own first, and what `predict` gives; no weight and no generator is touched.

    Args:
        student: A classifier on `device`.
        batch: Rows per forward pass.
    """
    logits = predict(student, rows, batch, device)
    return scored(task, logits, rows.gold), logits
