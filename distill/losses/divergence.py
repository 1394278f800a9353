"""Kullback–Leibler divergence between distributions over the keys of each query, teacher to student.

Every row [.., S, S] (query, key) is a distribution over the real keys of its sentence; rows of padded queries do not
count, whatever stands there. Two ways to it: from scores, by log-softmax on both sides, and from probabilities to which
a millionth is added, as the adaptors were published.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.losses.precision import at_least_float32, no_autocast

RowReduction = Literal["sentence", "token"]

SMOOTHING = 1e-6


def probabilities(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the real keys.

    Args:
        scores: [..., B, h, S, S] (query, key) before the softmax, with or without an additive mask.
        mask: [B, S], non-zero at real tokens.

    Returns:
        The same shape in float32 or better: 0 at padded keys, a uniform distribution in rows of padded queries.
    """
    with no_autocast(scores):
        return F.softmax(_real_pairs(scores, mask), dim=-1)


def score_divergence(student: Tensor, teacher: Tensor, mask: Tensor, reduction: RowReduction) -> Tensor:
    """Mean over rows of Σ_k P_t (log P_t − log P_s), where P is the softmax of scores over the real keys.

    Args:
        student: scores [..., B, h, S, S] (query, key) before the softmax, with or without an additive mask.
        teacher: scores of the same shape; no gradient reaches them.
        mask: [B, S], non-zero at real tokens.
        reduction: "token" is the mean over all real queries of the batch, heads and layers. "sentence" is the mean over
            the real queries of each sentence, and then over the sentences, so that each weighs the same.

    Returns:
        Scalar in float32 (float64 for float64 inputs), 0 where both agree.

    Raises:
        ValueError: The shapes differ.
    """
    _check(student, teacher)
    with no_autocast(student):
        # Rows of padded queries are filled alike on both sides and give 0, and so does each padded key.
        log_student = F.log_softmax(_real_pairs(student, mask), dim=-1)
        log_teacher = F.log_softmax(_real_pairs(teacher.detach(), mask), dim=-1).to(log_student.dtype)
        rows = F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(-1)
        return _mean_of_rows(rows, mask, reduction)


def probability_divergence(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean over real queries, heads and layers of Σ_k P_t (log P_t − log P_s) over the real keys, for positive P.

    Args:
        student: positive numbers [..., B, h, S, S] (query, key); rows need not sum to 1.
        teacher: the same shape; no gradient reaches it.
        mask: [B, S], non-zero at real tokens.

    Raises:
        ValueError: The shapes differ.
    """
    _check(student, teacher)
    with no_autocast(student):
        x, y = at_least_float32(student), at_least_float32(teacher.detach())
        pairs = _pairs(mask)
        x, y = (torch.where(pairs, p, 1.0) for p in (x, y.to(x.dtype)))
        return _mean_of_rows((y * (y.log() - x.log())).sum(-1), mask, "token")


def smoothed(probabilities: Tensor, mask: Tensor, along: Literal["keys", "queries"]) -> Tensor:
    """Probabilities without zeros: (P + ε m) / Σ_k (P + ε m) + ε (1 − m) with ε = 1e-6.

    That is how the adaptors were published (`hnliu-git/kd-clf`, commit 15f1724): attention takes the mask m of the
    keys, value relations that of the queries.

    Args:
        probabilities: [..., B, h, S, S] (query, key).
        mask: [B, S], non-zero at real tokens.
        along: Whose mask m is.
    """
    real = (mask != 0).to(probabilities.dtype)
    m = real[:, None, None, :] if along == "keys" else real[:, None, :, None]
    raised = probabilities + SMOOTHING * m
    return raised / raised.sum(-1, keepdim=True) + SMOOTHING * (1 - m)


def _pairs(mask: Tensor) -> Tensor:
    """Whether query and key are both real, [B, 1, S, S]."""
    real = mask != 0
    return real[:, None, :, None] & real[:, None, None, :]


def _real_pairs(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores whose other pairs are so low that they take no part, unless a row has no other."""
    scores = at_least_float32(scores)
    # Half of the least number: its distance to a score is still a number.
    return torch.where(_pairs(mask), scores, torch.finfo(scores.dtype).min / 2)


def _mean_of_rows(rows: Tensor, mask: Tensor, reduction: RowReduction) -> Tensor:
    """[..., B, h, S], 0 at padded queries -> scalar."""
    lengths = (mask != 0).sum(1)
    layers_and_heads = rows.shape[:-3].numel() * rows.shape[-2]
    if reduction == "token":
        return rows.sum() / (lengths.sum().clamp(min=1) * layers_and_heads)
    sentences = rows.sum((-1, -2)) / lengths.clamp(min=1)
    return sentences.sum() / (len(lengths) * layers_and_heads)


def _check(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"rows of {tuple(student.shape)} (student) and {tuple(teacher.shape)} (teacher) disagree")
