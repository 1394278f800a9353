"""What every metric can do, whatever the kind of task it judges."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

CHUNK = 2_000_000  # numbers held at once while scoring resamples (16 MB in float64)


@dataclass(frozen=True)
class Metric(ABC):
    """One metric; higher is better.

    Attributes:
        name: name in tasks and records.
        title: name for people.
        score: the formula, for many resamples at once; what it takes is a matter of the kind.
        kind: the kind of task it judges.
    """

    name: str
    title: str
    score: Callable[..., np.ndarray]
    kind: ClassVar[str]

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
        logits, labels = self.checked(logits, labels)
        return self.value(logits, labels) if np.isfinite(logits).all() else math.nan

    def judges(self, kind: str, labels: int, unanswerable: bool = False) -> bool:
        """Whether it may judge tasks of this kind with so many labels.

        Args:
            unanswerable: Of spans, whether rows may have no answer.
        """
        return kind == self.kind

    @abstractmethod
    def checked(self, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Answers in float64 and labels in the form that `score` reads; raises as `compute` does."""

    @abstractmethod
    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """The metric of answers that are checked and finite."""

    @abstractmethod
    def chance(self, labels: np.ndarray) -> float:
        """The best value that one and the same answer to every row gets.

        That is the share of the most frequent class for accuracy, 0 for correlations, for F1 the value of always
        answering class 1, and for spans that of never giving an answer.
        """

    @abstractmethod
    def resampled(
        self, answers: Sequence[np.ndarray], labels: np.ndarray, samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Scores (len(answers), samples) of all sets of answers, all on the same resamples of the rows.

        Args:
            answers: checked, as are `labels`.
        """

    @abstractmethod
    def readings(self, logits: np.ndarray, labels: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
        """Other orders in which checked answers might be read, each with its score."""

    @abstractmethod
    def read_as(self, logits: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
        """Answers as one of `readings` reads them."""
