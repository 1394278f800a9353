"""What a student said of the rows of a split. Imports without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill.tasks.answers import scored
from distill.tasks.base import Examples


@dataclass(frozen=True, eq=False)
class Answers:
    """What the student says of the rows of a split.

    Attributes:
        logits: float32 [n, C], in the task's order of labels.
    """

    logits: np.ndarray
    seconds: float

    @property
    def chosen(self) -> np.ndarray:
        """Ids of the labels [n]."""
        found: np.ndarray = self.logits.argmax(1)
        return found

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float64 [n, C]."""
        raised = np.exp(self.logits.astype(np.float64) - self.logits.max(1, keepdims=True))
        found: np.ndarray = raised / raised.sum(1, keepdims=True)
        return found


@dataclass(frozen=True, eq=False)
class Texts:
    """What answers the questions of a split.

    Attributes:
        texts: By the question's id; empty where there is no answer.
        ahead: By how much "none" is ahead of the best answer, by the same ids.
    """

    texts: dict[str, str]
    ahead: dict[str, float]
    seconds: float

    def judged(self, examples: Examples) -> np.ndarray:
        """Exact match, F1, and by how much "none" is ahead, of each row: float32 [n, 3]."""
        accepted = [[answer.text for answer in answers] for answers in examples.answers or ()]
        ahead = np.array(list(self.ahead.values()), dtype=np.float32)
        return np.column_stack([scored(list(self.texts.values()), accepted), ahead])
