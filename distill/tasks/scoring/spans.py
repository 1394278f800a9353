"""Metrics of spans: means over rows of what is known of each.

Formulas take exact match, F1 and by how much "none" is ahead of each row (n, 3), whether it has an answer (n,) and row
counts (S, n), and give (S,). Where no row counts, it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from distill.tasks.scoring.rows import RowMetric


@dataclass(frozen=True)
class SpanMetric(RowMetric):
    """A metric of texts that answer questions.

    Attributes:
        score: rows (n, 3) as `distill.tasks.decoding.Spans.judged` gives them, whether each has an answer (n,) and row
            counts (S, n) to scores (S,).
        of: Which rows it is a mean over: all, those that have an answer, or those that have none.
    """

    of: Literal["all", "answered", "unanswered"] = "all"
    kind: ClassVar[str] = "span"

    def judges(self, kind: str, labels: int, unanswerable: bool = False) -> bool:
        # Where every row has an answer the mean over these is that over all. Over those without one a model that
        # never answers is perfect, so that mean stands beside the others and chooses nothing.
        return kind == self.kind and (self.of == "all" or (self.of == "answered" and unanswerable))

    def checked(self, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels).astype(np.int64)
        if logits.ndim != 2 or logits.shape[1] != 3 or labels.shape != logits.shape[:1] or len(labels) == 0:
            raise ValueError(f"{self.name}: logits {logits.shape} don't fit labels {labels.shape}")
        return logits, labels

    def chance(self, labels: np.ndarray) -> float:
        """That of never giving an answer."""
        silent = np.repeat(np.asarray(labels)[:, None] == 0, 3, axis=1)
        return self.compute(silent, labels)

    def readings(self, logits: np.ndarray, labels: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
        """None: a text says what it says."""
        return []

    def read_as(self, logits: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        raise ValueError("texts are read in one order")


def em(rows: np.ndarray, answerable: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Share of rows whose text is one of the accepted ones, or rightly empty."""
    return _mean(rows[:, 0], counts)


def f1(rows: np.ndarray, answerable: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean over rows of the F1 of the words; of rows without an answer whether the text is empty."""
    return _mean(rows[:, 1], counts)


def has_answer_f1(rows: np.ndarray, answerable: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`f1` over the rows that have an answer alone."""
    return f1(rows, answerable, counts * (answerable > 0))


def no_answer_f1(rows: np.ndarray, answerable: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`f1` over the rows that have none alone."""
    return f1(rows, answerable, counts * (answerable == 0))


def _mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    total = counts.sum(1)
    return np.where(total > 0, counts @ values / np.where(total > 0, total, 1.0), 0.0)


METRICS = (
    SpanMetric("squad_f1", "F1 of the answers' words", f1),
    SpanMetric("em", "exact match", em),
    SpanMetric("has_answer_f1", "F1 where there is an answer", has_answer_f1, "answered"),
    SpanMetric("no_answer_f1", "F1 where there is none", no_answer_f1, "unanswered"),
)
