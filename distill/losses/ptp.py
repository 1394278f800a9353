"""Labels made of a teacher's predictions: was it right, and was it sure of it (Pea-KD: Cho and Kang, 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.losses.precision import at_least_float32, no_autocast

# In the order of the labels.
CLASSES = ("confidently right", "unconfidently right", "confidently wrong", "unconfidently wrong")


def ptp_labels(logits: Tensor, labels: Tensor, t: float, t2: float) -> Tensor:
    """The class of each row by the teacher's prediction of it.

    The teacher's confidence is the largest entry of the softmax of its logits (at temperature 1), its prediction the
    first class that has it.

    Args:
        logits: The teacher's [B, C].
        labels: Gold classes [B].
        t, t2: As `judged`.

    Returns:
        int64 [B], as `judged`.

    Raises:
        ValueError: The shapes disagree, or there is one logit a row, as in regression.
    """
    if logits.dim() != 2 or logits.shape[1] < 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"PTP judges logits [B, C] of two classes or more by labels [B], not {tuple(logits.shape)} by "
            f"{tuple(labels.shape)}"
        )
    with torch.no_grad(), no_autocast(logits):
        scores = at_least_float32(logits)
        confidence = F.softmax(scores, dim=-1).amax(dim=-1)
        return judged(confidence, scores.argmax(dim=-1) == labels, t, t2)


def judged(confidence: Tensor, right: Tensor, t: float, t2: float) -> Tensor:
    """0 confidently right, 1 unconfidently right, 2 confidently wrong, 3 unconfidently wrong.

    A teacher is confident *above* its threshold: t where it is right, t2 where it is wrong. Where it meets the
    threshold exactly it is not. Thresholds are rounded to the type of the confidence.

    Args:
        confidence: [B], the largest probability of each row.
        right: bool [B].

    Returns:
        int64 [B].
    """
    # Filled on the device, which nothing has to wait for.
    above = [confidence > torch.full((), at, dtype=confidence.dtype, device=confidence.device) for at in (t, t2)]
    return torch.where(right, 1 - above[0].long(), 3 - above[1].long())


def counted(classes: Tensor) -> Tensor:
    """How many rows have each of the four labels: int64 [4]. Waits for no device."""
    return (classes[:, None] == torch.arange(len(CLASSES), device=classes.device)).sum(dim=0)


def ptp_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of the four classes, none weighted more, mean over the rows.

    Args:
        logits: The student's [B, 4].
        classes: [B], as `ptp_labels` gives them.

    Returns:
        Scalar in float32 or better.
    """
    with no_autocast(logits):
        return F.cross_entropy(at_least_float32(logits), classes)
