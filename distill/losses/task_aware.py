"""Losses of TED (Liang et al., ICML 2023; `cliang1453/task-aware-distillation`, commit 1cd33d0) that are its own.

The others: `adaptors.hidden_distances` between filtered states, `logits.distillation_kl` between class logits and
`logits.squared_error` between scores.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from distill.losses.logits import distillation_kl
from distill.losses.precision import at_least_float32, no_autocast


def filtered_task_loss(logits: Tensor, labels: Tensor, *, regression: bool) -> Tensor:
    """Mean over the filters of each one's own task loss.

    Args:
        logits: [K, B, C] of K filters; C is 1 in regression.
        labels: class indices or gold scores [B].
        regression: Squared error, mean over the batch; else cross-entropy, mean over the batch.

    Returns:
        Scalar in float32 or better.

    Raises:
        ValueError: Regression with more than one output.
    """
    with no_autocast(logits):
        logits = at_least_float32(logits)
        if not regression:
            return F.cross_entropy(logits.flatten(0, 1), labels.reshape(-1).long().repeat(len(logits)))
        if logits.shape[-1] != 1:
            raise ValueError(f"regression needs one output a row, not {tuple(logits.shape)}")
        scores = logits.squeeze(-1)
        return F.mse_loss(scores, labels.reshape(1, -1).to(scores.dtype).expand_as(scores))


def listwise_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² / B · KL(softmax over the batch of the teacher's scores ‖ of the student's), as TED's program has it.

    The program flattens the logits of a regression to [B] and takes the softmax over what is then the last axis.

    Args:
        student: scores [B] or [B, 1].
        teacher: the same shape; no gradient reaches it.
        temperature: T > 0.

    Returns:
        Scalar in float32 or better, 0 where both agree.

    Raises:
        ValueError: The shapes differ, a row has more than one score, or T is not positive.
    """
    if student.dim() == 2 and student.shape[1] != 1:
        raise ValueError(f"scores need one output a row, not {tuple(student.shape)}")
    return distillation_kl(student.reshape(1, -1), teacher.reshape(1, -1), temperature) / student.shape[0]


def span_cross_entropy(
    start: Tensor, end: Tensor, start_positions: Tensor, end_positions: Tensor, mask: Tensor | None
) -> Tensor:
    """(cross-entropy of the start + cross-entropy of the end) / 2, each over the positions of a row.

    Positions beyond the row, where the answer was cut off, are left out of the mean.

    Args:
        start, end: logits [..., B, S]; with axes in front, the mean runs over these too.
        start_positions, end_positions: gold positions [B].
        mask: [B, S], non-zero at real tokens, over which alone the softmax runs; None is over all S.

    Returns:
        Scalar in float32 or better; a half is 0 where every gold position is beyond its row.
    """
    with no_autocast(start):
        halves = [_position_loss(x, gold, mask) for x, gold in ((start, start_positions), (end, end_positions))]
        return (halves[0] + halves[1]) / 2


def span_divergence(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], temperature: float, mask: Tensor | None
) -> Tensor:
    """Mean of the divergences of start and end, each T² / B · Σ KL(teacher ‖ student) over the positions of a row.

    Args:
        student: start and end logits [B, S].
        teacher: the same; no gradient reaches them.
        temperature: T > 0.
        mask: [B, S], non-zero at real tokens, over which alone the softmax runs; None is over all S.

    Returns:
        Scalar in float32 or better, 0 where both agree.

    Raises:
        ValueError: The shapes differ, or T is not positive.
    """
    with no_autocast(student[0]):
        halves = [
            distillation_kl(_positions(mine, mask), _positions(theirs, mask), temperature)
            for mine, theirs in zip(student, teacher, strict=True)
        ]
        return (halves[0] + halves[1]) / 2


def _position_loss(logits: Tensor, gold: Tensor, mask: Tensor | None) -> Tensor:
    length = logits.shape[-1]
    gold = gold.clamp(0, length).long().expand(logits.shape[:-1]).reshape(-1)
    losses = F.cross_entropy(_positions(logits, mask).reshape(-1, length), gold, ignore_index=length, reduction="sum")
    return losses / (gold < length).sum().clamp(min=1)


def _positions(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Logits whose padded places are so low that they take no part in a softmax."""
    logits = at_least_float32(logits)
    if mask is None:
        return logits
    # Far below every logit, and still a number at any temperature.
    return logits.masked_fill(mask == 0, -1e30)
