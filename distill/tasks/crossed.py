"""Bootstrap over seeds and rows at once, for networks that were trained several times and judged on one set of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from distill.tasks import metrics
from distill.tasks.metrics import Difference, Metric
from distill.tasks.scoring.intervals import percentiles, resampled


def crossed_bootstrap(
    metric: Metric | str,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    labels: np.ndarray,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Mean over seeds of metric of a minus metric of b, with an interval over other seeds and other rows.

    Every resample draws the pairs with replacement and, once for all of them, the rows: all networks answer the same
    rows, so rows are crossed with seeds and not nested in them (Owen, The pigeonhole bootstrap, Ann. Appl. Stat. 1,
    2007). With few seeds the share of the seeds in the spread comes out too small, by (S - 1) / S; an interval from
    Student's t over the seeds belongs beside it.

    Args:
        metric: Metric or its name.
        pairs: Of S seeds, the answers (n, C) or (n,) of a and of b.
        labels: (n,) labels of the rows.

    Raises:
        ValueError: Shapes do not fit.
    """
    metric = metrics.get(metric)
    values = [metric.compute(a, labels) - metric.compute(b, labels) for a, b in pairs]
    value = float(np.mean(values))
    if math.isnan(value):
        return Difference(value, value, value, value, len(labels), level)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=samples) / len(pairs)
    answers = [answer for pair in pairs for answer in pair]
    scores = resampled(metric, answers, labels, samples, rng)
    drawn = ((scores[0::2] - scores[1::2]).T * weights).sum(1)
    low, high = percentiles(drawn, level)
    better = float(np.mean((drawn > 0) + 0.5 * (drawn == 0)))
    return Difference(value, low, high, better, len(labels), level)
