"""How answers are judged: the metrics of the tasks, their bootstrap intervals, and the verdict on a teacher.

Every classification metric is a function of the confusion matrix, every regression metric one of counted
rows. So a bootstrap never gathers rows: it draws how often each cell (or row) occurs and scores all
resamples at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from distill.tasks import scores
from distill.tasks.base import Kind

_CHUNK = 2_000_000  # numbers held at once while scoring resamples (16 MB in float64)
_ENUMERATED = 4  # up to so many classes all permutations are tried


@dataclass(frozen=True)
class Metric:
    """One metric; higher is better.

    Attributes:
        name: name in tasks and records.
        title: name for people.
        kind: the kind of task it judges.
        score: classification: confusion counts (..., C, C), rows true and columns predicted, to scores (...).
            Regression: predictions (n,), labels (n,) and row counts (S, n) to scores (S,); spans: the same with (n, 3).
    """

    name: str
    title: str
    kind: Kind
    score: Callable[..., np.ndarray]

    def compute(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """The metric of one set of answers.

        Args:
            logits: (n, C) for classification, where the largest (the first of equals) is the answer; (n,) or
                (n, 1) for regression; (n, 3) for spans, as `distill.tasks.decoding.Spans.judged` gives them.
            labels: (n,) class ids or scores; for spans whether the row has an answer.

        Returns:
            The value; nan when a logit is not finite. Answers that never vary have a Matthews correlation and
            a Pearson or Spearman correlation of 0.

        Raises:
            ValueError: shapes that don't fit, no rows, or a label that is no class of the logits.
        """
        logits, labels = _checked(self, logits, labels)
        if not np.isfinite(logits).all():
            return math.nan
        if self.kind != "classification":
            return float(self.score(logits, labels, np.ones((1, len(labels))))[0])
        return float(self.score(_confusion(logits, labels)))

    def chance(self, labels: np.ndarray) -> float:
        """The best value that one and the same answer to every row gets.

        That is the share of the most frequent class for accuracy, 0 for correlations, for F1 the value of always
        answering class 1, and for spans that of never giving an answer.
        """
        if self.kind == "regression":
            return 0.0
        if self.kind == "span":
            silent = np.repeat(np.asarray(labels)[:, None] == 0, 3, axis=1)
            return self.compute(silent, labels)
        counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=2)
        constant = np.zeros((len(counts), len(counts), len(counts)))
        for answer in range(len(counts)):
            constant[answer, :, answer] = counts
        return float(self.score(constant).max())


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


@dataclass(frozen=True)
class Verdict:
    """Whether a teacher knows its task.

    Attributes:
        ok: whether it may teach.
        reason: one sentence with the numbers where it may not; None where it may.
        score: its metric with the interval.
        chance: what a constant answer scores.
        permutation: the better permutation of its answers and that one's score, or None.
    """

    ok: bool
    reason: str | None
    score: Interval
    chance: float
    permutation: tuple[tuple[int, ...], float] | None


def get(name: str | Metric) -> Metric:
    """The metric called `name` (a `Metric` is handed through).

    Raises:
        ValueError: no such metric.
    """
    if isinstance(name, Metric):
        return name
    if name not in _METRICS:
        raise ValueError(f"unknown metric {name!r} (known: {', '.join(_METRICS)})")
    return _METRICS[name]


def names() -> tuple[str, ...]:
    """Names of all metrics."""
    return tuple(_METRICS)


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
    drawn = _resampled(metric, [logits], labels, samples, seed)[0]
    return Interval(value, *_percentiles(drawn, level), len(labels), level)


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
    a, b = _resampled(metric, [logits_a, logits_b], labels, samples, seed)
    better = float(np.mean((a > b) + 0.5 * (a == b)))
    return Difference(value, *_percentiles(a - b, level), better, len(labels), level)


def better_label_permutation(
    metric: Metric | str, logits: np.ndarray, labels: np.ndarray
) -> tuple[tuple[int, ...], float] | None:
    """A renaming of the predicted classes that scores higher than the classes as they are.

    With up to four classes every permutation is tried; with more, the one that maximises accuracy (an
    assignment problem over the confusion matrix). For regression the only candidate is the flipped sign,
    written ``(-1,)``; spans have none.

    Returns:
        ``(permutation, score)``, where answer c is read as ``permutation[c]``; None where nothing scores
        higher, or a logit is not finite.
    """
    metric = get(metric)
    own = metric.compute(logits, labels)
    if math.isnan(own) or metric.kind == "span":
        return None
    if metric.kind == "regression":
        flipped: tuple[int, ...] = (-1,)
        candidates = [(flipped, metric.compute(-np.asarray(logits), labels))]
    else:
        confusion = _confusion(*_checked(metric, logits, labels))
        # Column j of the renamed matrix is the answer that is read as j, hence the inverse permutation.
        candidates = [
            (permutation, float(metric.score(confusion[:, np.argsort(permutation)])))
            for permutation in _permutations(confusion)
        ]
    best = max(candidates, key=lambda candidate: candidate[1])
    return best if best[1] > own + 1e-12 else None


def teacher_verdict(
    metric: Metric | str,
    logits: np.ndarray,
    labels: np.ndarray,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
    own_labels: bool = False,
) -> Verdict:
    """Judges a teacher by its answers on the development split.

    It may not teach when its interval includes or lies below what a constant answer scores, or when a
    permutation of its classes scores higher (its label order differs from the data's). That the order differs is
    only said where neither chance nor the choice of rows explains it.

    Args:
        metric: metric or its name.
        logits: answers, as in `Metric.compute`.
        labels: (n,) labels of the rows.
        level: level of the intervals.
        samples: number of resamples.
        seed: seed of the resamples.
        own_labels: whether it was trained on labels of this very data, so that their order can't differ.
    """
    metric = get(metric)
    score = bootstrap_interval(metric, logits, labels, level, samples, seed)
    chance = metric.chance(labels)
    permutation = None if own_labels else better_label_permutation(metric, logits, labels)
    own = f"the teacher's {metric.title} on {score.n} rows is {score.value:.3f}"
    reason = None
    if math.isnan(score.value):
        reason = f"the teacher's {metric.title} is not a number: some of its outputs are not finite"
    elif permutation is not None and _misread(metric, logits, labels, permutation[0], (level, samples, seed)):
        reason = f"{own}, but {_reading(permutation)}: its labels are likely in another order than the data's"
    elif score.low <= chance:
        position = "includes" if score.high >= chance else "lies below"
        reason = (
            f"{own}, and its {100 * level:g} % interval [{score.low:.3f}, {score.high:.3f}] {position} "
            f"the {chance:.3f} that one and the same answer to every row gets"
        )
    elif permutation is not None:
        reason = f"{own}, but {_reading(permutation)}: check the order of its labels"
    return Verdict(reason is None, reason, score, chance, permutation)


def _misread(
    metric: Metric, logits: np.ndarray, labels: np.ndarray, order: tuple[int, ...], draws: tuple[float, int, int]
) -> bool:
    """Whether answers read in another order are better than chance, and than as they are, on other rows too."""
    logits = np.asarray(logits, dtype=np.float64)
    read = -logits if metric.kind == "regression" else np.eye(len(order))[np.asarray(order)[logits.argmax(1)]]
    if bootstrap_interval(metric, read, labels, *draws).low <= metric.chance(labels):
        return False
    return paired_bootstrap(metric, read, logits, labels, None, *draws).low > 0


def _reading(permutation: tuple[tuple[int, ...], float]) -> str:
    order, score = permutation
    if order == (-1,):
        return f"{score:.3f} with the sign of its score flipped"
    classes, read_as = (", ".join(str(c) for c in some) for some in (range(len(order)), order))
    return f"{score:.3f} with its classes {classes} read as {read_as}"


def _checked(metric: Metric, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if metric.kind == "regression":
        if logits.ndim == 2 and logits.shape[1] == 1:
            logits = logits[:, 0]
        labels = labels.astype(np.float64)
    else:
        labels = labels.astype(np.int64)
    wanted = 1 if metric.kind == "regression" else 2
    fits = logits.ndim == wanted and (metric.kind != "span" or logits.shape[1] == 3)
    if not fits or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise ValueError(f"{metric.name}: logits {logits.shape} don't fit labels {labels.shape}")
    if metric.kind == "classification" and (labels.min() < 0 or labels.max() >= logits.shape[1]):
        raise ValueError(f"{metric.name}: labels must lie in 0 to {logits.shape[1] - 1}, the logits' classes")
    return logits, labels


def _confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts (C, C) in float64: rows true, columns predicted."""
    classes = logits.shape[1]
    cells = labels * classes + logits.argmax(1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.float64)


def _permutations(confusion: np.ndarray) -> Iterator[tuple[int, ...]]:
    classes = len(confusion)
    if classes <= _ENUMERATED:
        yield from itertools.permutations(range(classes))
        return
    from scipy.optimize import linear_sum_assignment

    yield tuple(int(c) for c in linear_sum_assignment(confusion.T, maximize=True)[1])


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled(
    metric: Metric, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, seed: int
) -> np.ndarray:
    """Scores (len(answers), samples) of all sets of answers on the same resamples of the rows."""
    rng = np.random.default_rng(seed)
    checked = [_checked(metric, logits, labels) for logits in answers]
    scored = _resampled_cells if metric.kind == "classification" else _resampled_rows
    return scored(metric, [logits for logits, _ in checked], checked[0][1], samples, rng)


def _resampled_cells(
    metric: Metric, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, rng: np.random.Generator
) -> np.ndarray:
    # Rows with equal label and equal answers are interchangeable: drawing n rows with replacement is drawing
    # the sizes of these groups from a multinomial distribution.
    classes = answers[0].shape[1]
    predicted = [logits.argmax(1) for logits in answers]
    _, rows, sizes = np.unique(
        np.ravel_multi_index((labels, *predicted), (classes,) * (1 + len(predicted))),
        return_index=True,
        return_counts=True,
    )
    values = np.empty((len(answers), samples))
    step = max(1, _CHUNK // max(classes * classes, len(sizes)))
    for start in range(0, samples, step):
        size = min(step, samples - start)
        drawn = rng.multinomial(len(labels), sizes / sizes.sum(), size=size).astype(np.float64)
        for index, answer in enumerate(predicted):
            confusion = np.zeros((size, classes, classes))
            for group, row in enumerate(rows):
                confusion[:, labels[row], answer[row]] += drawn[:, group]
            values[index, start : start + size] = metric.score(confusion)
    return values


def _resampled_rows(
    metric: Metric, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, rng: np.random.Generator
) -> np.ndarray:
    n = len(labels)
    values = np.empty((len(answers), samples))
    step = max(1, _CHUNK // n)
    for start in range(0, samples, step):
        size = min(step, samples - start)
        drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        for index, predictions in enumerate(answers):
            values[index, start : start + size] = metric.score(predictions, labels, counts)
    return values


_METRICS = {
    metric.name: metric
    for metric in (
        Metric("mcc", "Matthews correlation", "classification", scores.mcc),
        Metric("accuracy", "accuracy", "classification", scores.accuracy),
        Metric("f1", "F1", "classification", scores.f1),
        Metric("accuracy_f1", "mean of accuracy and F1", "classification", scores.accuracy_f1),
        Metric("pearson", "Pearson correlation", "regression", scores.pearson),
        Metric("spearman", "Spearman correlation", "regression", scores.spearman),
        Metric("pearson_spearman", "mean of Pearson and Spearman correlation", "regression", scores.pearson_spearman),
        Metric("squad_f1", "F1 of the answers' words", "span", scores.span_f1),
        Metric("em", "exact match", "span", scores.span_em),
        Metric("has_answer_f1", "F1 where there is an answer", "span", scores.has_answer_f1),
        Metric("no_answer_f1", "F1 where there is none", "span", scores.no_answer_f1),
    )
}
