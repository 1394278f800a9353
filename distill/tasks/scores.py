"""The formulas of the metrics, each for many resamples at once.

Classification scores take confusion counts (..., C, C), rows true and columns predicted, and give (...).
Regression scores take predictions (n,), labels (n,) and how often each row was drawn (S, n), and give (S,).
Span scores take exact match, F1 and by how much "none" is ahead of each row (n, 3), whether it has an answer (n,) and
how often it was drawn (S, n), and give (S,).
Where a formula is undefined because the answers or the labels never vary, the score is 0.
"""

from __future__ import annotations

import numpy as np


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, and 0 where the denominator is 0."""
    return np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1.0), 0.0)


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of right answers."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def mcc(confusion: np.ndarray) -> np.ndarray:
    """Matthews correlation for any number of classes (Gorodkin 2004, R_K)."""
    true, predicted = confusion.sum(-1), confusion.sum(-2)
    total = confusion.sum((-2, -1))
    covariance = np.trace(confusion, axis1=-2, axis2=-1) * total - (true * predicted).sum(-1)
    spread_true = total**2 - (true**2).sum(-1)
    spread_predicted = total**2 - (predicted**2).sum(-1)
    return _ratio(covariance, np.sqrt(spread_true) * np.sqrt(spread_predicted))


def f1(confusion: np.ndarray) -> np.ndarray:
    """F1 of class 1 of two."""
    if confusion.shape[-1] != 2:
        raise ValueError(f"F1 is defined for two classes, not {confusion.shape[-1]}")
    hits = confusion[..., 1, 1]
    return _ratio(2 * hits, 2 * hits + confusion[..., 0, 1] + confusion[..., 1, 0])


def accuracy_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean of accuracy and F1."""
    return (accuracy(confusion) + f1(confusion)) / 2


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


def span_em(rows: np.ndarray, answerable: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Share of rows whose text is one of the accepted ones, or rightly empty."""
    return _ratio(counts @ rows[:, 0], counts.sum(1))


def span_f1(rows: np.ndarray, answerable: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean over rows of the F1 of the words; of rows without an answer whether the text is empty."""
    return _ratio(counts @ rows[:, 1], counts.sum(1))


def has_answer_f1(rows: np.ndarray, answerable: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`span_f1` over the rows that have an answer alone."""
    return span_f1(rows, answerable, counts * (answerable > 0))


def no_answer_f1(rows: np.ndarray, answerable: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`span_f1` over the rows that have none alone."""
    return span_f1(rows, answerable, counts * (answerable == 0))


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
