"""Metrics of regression: functions of predictions, labels and how often each row was drawn.

Formulas take predictions (n,), labels (n,) and row counts (S, n), and give (S,). Where one is undefined because the
answers or the labels never vary, it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from distill.tasks.scoring.rows import RowMetric


@dataclass(frozen=True)
class RealMetric(RowMetric):
    """A metric of real numbers.

    Attributes:
        score: predictions (n,), labels (n,) and row counts (S, n) to scores (S,).
    """

    kind: ClassVar[str] = "regression"

    def checked(self, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels).astype(np.float64)
        if logits.ndim == 2 and logits.shape[1] == 1:
            logits = logits[:, 0]
        if logits.ndim != 1 or labels.shape != logits.shape or len(labels) == 0:
            raise ValueError(f"{self.name}: logits {logits.shape} don't fit labels {labels.shape}")
        return logits, labels

    def chance(self, labels: np.ndarray) -> float:
        return 0.0

    def readings(self, logits: np.ndarray, labels: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
        """The flipped sign, written ``(-1,)``."""
        flipped = (-1,)
        return [(flipped, self.value(-logits, labels))]

    def read_as(self, logits: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        return -np.asarray(logits, dtype=np.float64)


def pearson(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Linear correlation."""
    return _weighted_correlation(_unit(predictions)[None], _unit(labels)[None], counts)


def spearman(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Correlation of the ranks within each resample."""
    n = len(labels)
    return _weighted_correlation(_ranks(predictions, counts) / n, _ranks(labels, counts) / n, counts)


def pearson_spearman(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean of both correlations."""
    return (pearson(predictions, labels, counts) + spearman(predictions, labels, counts)) / 2


def _unit(values: np.ndarray) -> np.ndarray:
    """The values shifted and scaled into [0, 1], so that one threshold tells a constant from rounding."""
    low, high = values.min(), values.max()
    return np.zeros_like(values) if low == high else (values - low) / (high - low)


def _ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Ranks (S, n) that each row has in each resample; equal values share their mean rank."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    weights = np.add.reduceat(counts[:, np.argsort(group, kind="stable")], starts, axis=1)
    ends = np.cumsum(weights, axis=1)
    return (ends - (weights - 1) / 2)[:, group]


def _weighted_correlation(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    total = counts.sum(1, keepdims=True)
    dx = x - (counts * x).sum(1, keepdims=True) / total
    dy = y - (counts * y).sum(1, keepdims=True) / total
    var_x, var_y = ((counts * d * d).sum(1) / total[:, 0] for d in (dx, dy))
    covariance = (counts * dx * dy).sum(1) / total[:, 0]
    # Values lie in [0, 1]: what rounding leaves of a constant's variance is far below 1e-24.
    varies = (var_x > 1e-24) & (var_y > 1e-24)
    value = covariance / np.where(varies, np.sqrt(var_x) * np.sqrt(var_y), 1.0)
    return np.where(varies, np.clip(value, -1.0, 1.0), 0.0)


METRICS = (
    RealMetric("pearson", "Pearson correlation", pearson),
    RealMetric("spearman", "Spearman correlation", spearman),
    RealMetric("pearson_spearman", "mean of Pearson and Spearman correlation", pearson_spearman),
)
