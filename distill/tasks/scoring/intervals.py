"""Bootstrap intervals of a metric, and of the difference of two sets of answers to the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distill.tasks.scoring.known import get
from distill.tasks.scoring.metric import Metric


@dataclass(frozen=True)
class Interval:
    """A value over `n` rows with its percentile bootstrap interval at `level`."""

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95


@dataclass(frozen=True)
class Difference:
    """Metric of a minus metric of b on the same `n` rows, with its paired bootstrap interval at `level`.

    `probability_better` is the share of resamples in which a is ahead; ties count half.
    """

    value: float
    low: float
    high: float
    probability_better: float
    n: int
    level: float = 0.95


def bootstrap_interval(
    metric: Metric | str,
    logits: np.ndarray,
    labels: np.ndarray,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap over rows; arguments as in `Metric.compute`, all nan if a logit is not finite."""
    metric = get(metric)
    value = metric.compute(logits, labels)
    if math.isnan(value):
        return Interval(value, value, value, len(labels), level)
    drawn = resampled(metric, [logits], labels, samples, np.random.default_rng(seed))[0]
    return Interval(value, *percentiles(drawn, level), len(labels), level)


def paired_bootstrap(
    metric: Metric | str,
    logits_a: np.ndarray,
    logits_b: np.ndarray,
    labels: np.ndarray,
    labels_b: np.ndarray | None = None,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Compares two sets of answers to the same rows: both are scored on the same resamples.

    Args:
        metric: metric or its name.
        logits_a: answers of a, as in `Metric.compute`.
        logits_b: answers of b.
        labels: (n,) labels of the rows.
        labels_b: the labels recorded with b, if they were recorded apart; must equal `labels`.
        level: level of the interval.
        samples: number of resamples.
        seed: seed of the resamples.

    Raises:
        ValueError: the labels differ, so that the rows are not the same, or the logits differ in shape.
    """
    metric = get(metric)
    if labels_b is not None and not np.array_equal(labels, labels_b):
        raise ValueError("the two sets of answers have different labels; pairing needs the same rows")
    if np.shape(logits_a) != np.shape(logits_b):
        raise ValueError(f"the logits differ in shape: {np.shape(logits_a)} and {np.shape(logits_b)}")
    value = metric.compute(logits_a, labels) - metric.compute(logits_b, labels)
    if math.isnan(value):
        return Difference(value, value, value, value, len(labels), level)
    a, b = resampled(metric, [logits_a, logits_b], labels, samples, np.random.default_rng(seed))
    better = float(np.mean((a > b) + 0.5 * (a == b)))
    return Difference(value, *percentiles(a - b, level), better, len(labels), level)


def resampled(
    metric: Metric, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Scores (len(answers), samples) of all sets of answers on the same resamples of the rows."""
    checked = [metric.checked(logits, labels) for logits in answers]
    return metric.resampled([logits for logits, _ in checked], checked[0][1], samples, rng)


def percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    """Ends of the middle of `values` that holds a share of `level` of them."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
