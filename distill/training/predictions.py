"""What a classifier says of rows, and how good that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from distill.models.masks import inputs_for
from distill.models.positions import logits_of
from distill.tasks.base import Task
from distill.tasks.decoding import null_odds
from distill.tasks.metrics import get as get_metric
from distill.training.batching import Tokens, evaluation_order


@torch.no_grad()
def look(model: Any, tokens: Tokens, rows: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Logits float32 [B, C], or [2B, S] where classes are positions, in full precision; the model is in eval mode."""
    batch = tokens.batch(rows, device)
    batch.pop("labels")
    found, _ = logits_of(model(**inputs_for(model, batch)), batch["attention_mask"])
    logits: np.ndarray = found.float().cpu().numpy()
    return logits


class Collected:
    """What a network says of all rows of a split, batch by batch.

    Attributes:
        logits: float32 [n, C] by row, or where classes are positions [total, 2] by token; None before the first batch,
            and 0 where there was none.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.logits: np.ndarray | None = None

    def add(self, rows: np.ndarray, logits: np.ndarray) -> None:
        """Take logits [B, C], or [2B, S], of some rows."""
        if self.logits is None:
            shape = (len(self._tokens.ids), 2) if self._tokens.by_position else (len(self._tokens), logits.shape[1])
            self.logits = np.zeros(shape, dtype=np.float32)
        if not self._tokens.by_position:
            self.logits[rows] = logits
            return
        pairs = logits.reshape(len(rows), 2, -1).swapaxes(1, 2)
        for row, pair in zip(rows, pairs, strict=True):
            first, last = self._tokens.offsets[row : row + 2]
            self.logits[first:last] = pair[: last - first]

    def predictions(self) -> np.ndarray:
        """What is recorded, in the order of the rows: logits float32 [n, C]; of spans what `Spans.judged` gives [n, 3].

        Raises:
            ValueError: There was no batch, or the windows do not lead back to text.
        """
        if self.logits is None:
            raise ValueError("there are no rows to predict")
        if not self._tokens.by_position:
            return self.logits
        if self._tokens.spans is None:
            raise ValueError("windows of training rows do not lead back to text")
        return self._tokens.spans.judged(self.logits, self._tokens.offsets)


def scored(task: Task, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The task's metric and those shown beside it, by name, of what `predict` gives, with `Tokens.gold`."""
    return {name: get_metric(name).compute(logits, labels) for name in dict.fromkeys((task.metric, *task.also))}


def predict(model: Any, tokens: Tokens, batch_size: int, device: str = "cpu") -> np.ndarray:
    """Logits float32 [n, C] in the order of `tokens`, or of spans [n, 3] by row of text (see `Collected.predictions`).

    In eval mode and full precision. Rows are padded to the longest of their batch in every recipe: what stands behind a
    row does not reach its logits.
    """
    return _collected(model, tokens, batch_size, device).predictions()


def predicted_answers(
    model: Any, tokens: Tokens, batch_size: int, device: str = "cpu"
) -> tuple[dict[str, str], dict[str, float]]:
    """The text that answers each row of a span task, by the row's id, and by how much "none" is ahead of it there.

    In the form of the two files that SQuAD's own program reads; a text is empty where the row has no answer.

    Args:
        tokens: Windows that lead back to text: any split of a tokens artifact but the training rows.

    Raises:
        ValueError: They do not.
    """
    found = _collected(model, tokens, batch_size, device).logits
    if tokens.spans is None or found is None:
        raise ValueError("there are no windows that lead back to text")
    texts, ahead = tokens.spans.answers(found, tokens.offsets)
    return dict(zip(tokens.spans.ids, texts, strict=True)), null_odds(tokens.spans.ids, ahead)


def _collected(model: Any, tokens: Tokens, batch_size: int, device: str) -> Collected:
    was_training = model.training
    model.eval()
    collected = Collected(tokens)
    for rows in evaluation_order(tokens.lengths, batch_size):
        collected.add(rows, look(model, tokens, rows, device))
    model.train(was_training)
    return collected
