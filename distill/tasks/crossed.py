"""Bootstrap over seeds and rows at once, for networks that were trained several times and judged on one set of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from distill.tasks import metrics
from distill.tasks.metrics import Difference, Metric

_CHUNK = 2_000_000  # numbers held at once (16 MB in float64)


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
    scored = _scores_of_cells if metric.kind == "classification" else _scores_of_rows
    scores = scored(metric, answers, np.asarray(labels), samples, rng)
    drawn = ((scores[0::2] - scores[1::2]).T * weights).sum(1)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    better = float(np.mean((drawn > 0) + 0.5 * (drawn == 0)))
    return Difference(value, float(low), float(high), better, len(labels), level)


def _scores_of_cells(
    metric: Metric, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Scores (len(answers), samples), all on the same resamples of the rows."""
    labels, classes = labels.astype(np.int64), np.shape(answers[0])[1]
    predicted = np.stack([np.asarray(logits).argmax(1) for logits in answers], axis=1)
    # Rows with equal label and equal answers are interchangeable: only the sizes of their groups are drawn.
    kinds, sizes = np.unique(np.column_stack([labels, predicted]), axis=0, return_counts=True)
    one_hot = np.eye(classes * classes)
    values = np.empty((len(answers), samples))
    step = max(1, _CHUNK // max(len(sizes), classes * classes))
    for start in range(0, samples, step):
        size = min(step, samples - start)
        counts = rng.multinomial(len(labels), sizes / sizes.sum(), size=size).astype(np.float64)
        for index in range(len(answers)):
            # One network at a time: with 20 labels all of them at once would take gigabytes.
            cells = one_hot[kinds[:, 0] * classes + kinds[:, 1 + index]]
            confusion = (counts @ cells).reshape(size, classes, classes)
            values[index, start : start + size] = metric.score(confusion)
    return values


def _scores_of_rows(
    metric: Metric, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, rng: np.random.Generator
) -> np.ndarray:
    labels, n = labels.astype(np.float64), len(labels)
    shape = (n, -1) if metric.kind == "span" else n
    flat = [np.asarray(answer, dtype=np.float64).reshape(shape) for answer in answers]
    values = np.empty((len(answers), samples))
    step = max(1, _CHUNK // n)
    for start in range(0, samples, step):
        size = min(step, samples - start)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)
        for index, answer in enumerate(flat):
            values[index, start : start + size] = metric.score(answer, labels, counts)
    return values
