"""Metrics that are functions of counted rows: a bootstrap draws how often each row occurs, and gathers none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distill.tasks.scoring.metric import CHUNK, Metric


@dataclass(frozen=True)
class RowMetric(Metric):
    """A metric of counted rows.

    Attributes:
        score: what is known of the rows (n, …), labels (n,) and row counts (S, n) to scores (S,).
    """

    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        return float(self.score(logits, labels, np.ones((1, len(labels))))[0])

    def resampled(
        self, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        n = len(labels)
        values = np.empty((len(answers), samples))
        step = max(1, CHUNK // n)
        for start in range(0, samples, step):
            size = min(step, samples - start)
            drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
            for index, answer in enumerate(answers):
                values[index, start : start + size] = self.score(answer, labels, counts)
        return values
