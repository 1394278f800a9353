"""What a classifier says of rows, and how good that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from distill.tasks.base import Task
from distill.tasks.metrics import get as get_metric
from distill.training.batching import Tokens, evaluation_order


@torch.no_grad()
def look(model: Any, tokens: Tokens, rows: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Logits float32 [B, C] of some rows, in full precision; the model is in eval mode."""
    batch = tokens.batch(rows, device)
    batch.pop("labels")
    logits: np.ndarray = model(**batch).logits.float().cpu().numpy()
    return logits


def scored(task: Task, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The task's metric and those shown beside it, by name, of logits [n, C]."""
    return {name: get_metric(name).compute(logits, labels) for name in dict.fromkeys((task.metric, *task.also))}


def predict(model: Any, tokens: Tokens, batch_size: int, device: str = "cpu") -> np.ndarray:
    """Logits float32 [n, C] in the order of `tokens`, in eval mode and full precision.

    Rows are padded to the longest of their batch in every recipe: what stands behind a row does not reach its logits.
    """
    was_training = model.training
    model.eval()
    logits: np.ndarray | None = None
    for rows in evaluation_order(tokens.lengths, batch_size):
        output = look(model, tokens, rows, device)
        if logits is None:
            logits = np.zeros((len(tokens), output.shape[1]), dtype=np.float32)
        logits[rows] = output
    model.train(was_training)
    if logits is None:
        raise ValueError("there are no rows to predict")
    return logits
