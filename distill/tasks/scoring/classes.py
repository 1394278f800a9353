"""Metrics of classification: functions of the confusion matrix.

So a bootstrap never gathers rows: it draws how often each cell occurs and scores all resamples at once. Formulas take
confusion counts (..., C, C), rows true and columns predicted, and give (...). Where one is undefined because the
answers or the labels never vary, it is 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from distill.tasks.scoring.metric import CHUNK, Metric

_ENUMERATED = 4  # up to so many classes all permutations are tried


@dataclass(frozen=True)
class ClassMetric(Metric):
    """A metric of classes.

    Attributes:
        score: confusion counts (..., C, C) to scores (...).
        classes: how many classes the formula is for; None for any number.
    """

    classes: int | None = None
    kind: ClassVar[str] = "classification"

    def judges(self, kind: str, labels: int, unanswerable: bool = False) -> bool:
        return kind == self.kind and self.classes in (None, labels)

    def checked(self, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels).astype(np.int64)
        if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
            raise ValueError(f"{self.name}: logits {logits.shape} don't fit labels {labels.shape}")
        if labels.min() < 0 or labels.max() >= logits.shape[1]:
            raise ValueError(f"{self.name}: labels must lie in 0 to {logits.shape[1] - 1}, the logits' classes")
        return logits, labels

    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        return float(self.score(_confusion(logits, labels)))

    def chance(self, labels: np.ndarray) -> float:
        counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=2)
        answers = np.arange(len(counts))
        if self.classes is None:
            # No class is special in such a formula: answers to equally many rows score the same.
            answers = np.unique(counts, return_index=True)[1]
        return max(self._constant(counts, int(answer)) for answer in answers)

    def _constant(self, counts: np.ndarray, answer: int) -> float:
        """The score of one answer to all rows, of which `counts` (C,) have each label."""
        confusion = np.zeros((len(counts), len(counts)))
        confusion[:, answer] = counts
        return float(self.score(confusion))

    def resampled(
        self, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        # Rows with equal label and equal answers are interchangeable: drawing n rows with replacement is drawing
        # the sizes of these groups from a multinomial distribution.
        classes = answers[0].shape[1]
        predicted = [logits.argmax(1) for logits in answers]
        groups, sizes = np.unique(np.column_stack([labels, *predicted]), axis=0, return_counts=True)
        values = np.empty((len(answers), samples))
        step = max(1, CHUNK // max(classes * classes, len(sizes)))
        for start in range(0, samples, step):
            size = min(step, samples - start)
            drawn = rng.multinomial(len(labels), sizes / sizes.sum(), size=size).astype(np.float64)
            for index in range(len(answers)):
                cells, group = np.unique(groups[:, 0] * classes + groups[:, 1 + index], return_inverse=True)
                confusion = np.zeros((size, classes * classes))
                starts = np.searchsorted(np.sort(group), np.arange(len(cells)))
                confusion[:, cells] = np.add.reduceat(drawn[:, np.argsort(group, kind="stable")], starts, axis=1)
                values[index, start : start + size] = self.score(confusion.reshape(size, classes, classes))
        return values

    def readings(self, logits: np.ndarray, labels: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
        """Permutations of the classes: all of them up to four, else the one that maximises accuracy."""
        confusion = _confusion(logits, labels)
        # Column j of the renamed matrix is the answer that is read as j, hence the inverse permutation.
        return [(order, float(self.score(confusion[:, np.argsort(order)]))) for order in _permutations(confusion)]

    def read_as(self, logits: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        read: np.ndarray = np.eye(len(order))[np.asarray(order)[np.asarray(logits).argmax(1)]]
        return read


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
    return _f1_of_each(confusion)[..., 1]


def accuracy_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean of accuracy and F1."""
    return (accuracy(confusion) + f1(confusion)) / 2


def macro_recall(confusion: np.ndarray) -> np.ndarray:
    """Mean over the classes of the share of a class's rows that are found (SemEval-2017 task 4, AvgRec).

    As in scikit-learn, the mean is over the classes that some row has as label or as answer: one that has neither in
    a resample is left out of it there, and one that is only answered counts 0.
    """
    return _mean_of_classes(_ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1)), confusion)


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean over the classes of each one's F1, over the same classes as `macro_recall`."""
    return _mean_of_classes(_f1_of_each(confusion), confusion)


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """Mean over the classes of each one's F1, weighted by how many rows have it as label."""
    true = confusion.sum(-1)
    return _ratio((true * _f1_of_each(confusion)).sum(-1), true.sum(-1))


def _f1_of_each(confusion: np.ndarray) -> np.ndarray:
    """F1 (..., C) of each class against all others: 2 · right / (labels + answers)."""
    return _ratio(2 * np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1) + confusion.sum(-2))


def _mean_of_classes(values: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """Mean of (..., C) over the classes that occur."""
    occurs = confusion.sum(-1) + confusion.sum(-2) > 0
    return _ratio((values * occurs).sum(-1), occurs.sum(-1))


METRICS = (
    ClassMetric("mcc", "Matthews correlation", mcc),
    ClassMetric("accuracy", "accuracy", accuracy),
    ClassMetric("f1", "F1", f1, classes=2),
    ClassMetric("accuracy_f1", "mean of accuracy and F1", accuracy_f1, classes=2),
    ClassMetric("macro_recall", "macro-averaged recall", macro_recall),
    ClassMetric("macro_f1", "macro-averaged F1", macro_f1),
    ClassMetric("weighted_f1", "F1 weighted by class", weighted_f1),
)
