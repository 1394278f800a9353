"""Mean squared distances between the layers of two networks, over real tokens or over everything.

Two forms. The *Gram* form |x|² + |y|² − 2 x·y gives every pair from one pass over the stacks, without a
gradient; it decides which layers meet. The *direct* form gives the value and the gradient of chosen pairs,
and stays exact where student and teacher are close and the Gram form cancels.

Reductions: "masked" is the mean over real tokens (hidden states) or real query × real key pairs of every head
(attention scores) and does not depend on padding. "padded" is the mean over everything, as BERT-EMD's code
takes it: its scale depends on the length a batch is padded to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.losses.precision import at_least_float32, no_autocast

Reduction = Literal["masked", "padded"]

# Elements a layer and chunk in the Gram form: small enough for a processor's cache, large enough to fill a
# GPU.
_CHUNK = {"cpu": 1 << 14}
_CHUNK_ON_DEVICE = 1 << 20
# Scores at or below it stand for masked keys (additive masks are −10000, −inf or the smallest float).
_MASKED_SCORE = -100.0


def clean_hidden(states: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """Zero the hidden states of padded tokens if the reduction is "masked".

    Args:
        states: [..., B, S, d].
        mask: [B, S], non-zero at real tokens.
        reduction: "padded" leaves the states as they are.

    Returns:
        The states in float32 or better; whatever stood at a zeroed place, NaN included, is gone from value
        and gradient.
    """
    states = at_least_float32(states)
    if reduction == "padded":
        return states
    return torch.where((mask == 0).unsqueeze(-1), 0.0, states)


def clean_scores(scores: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """Zero the attention scores that the reduction leaves out.

    Args:
        scores: pre-softmax scores [..., B, h, S, S] (query, key), with or without an additive mask.
        mask: [B, S], non-zero at real tokens.
        reduction: "masked" zeroes padded queries and padded keys. "padded" zeroes padded keys and, as the
            BERT-EMD code does, every score at or below −100; padded queries stay.

    Returns:
        The scores in float32 or better. −inf and the smallest float in masked places leave neither inf nor
        NaN in value or gradient.
    """
    scores = at_least_float32(scores)
    padded = mask == 0
    drop = padded[:, None, None, :]
    if reduction == "padded":
        drop = drop | (scores.detach() <= _MASKED_SCORE)
    else:
        drop = drop | padded[:, None, :, None]
    return torch.where(drop, 0.0, scores)


def hidden_count(states: Tensor, mask: Tensor, reduction: Reduction) -> Tensor | int:
    """Number of elements that the mean over one layer's hidden states [..., B, S, d] runs over."""
    if reduction == "padded":
        return states.shape[-3:].numel()
    return (mask != 0).sum().clamp(min=1) * states.shape[-1]


def score_count(scores: Tensor, mask: Tensor, reduction: Reduction) -> Tensor | int:
    """Number of elements that the mean over one layer's scores [..., B, h, S, S] runs over."""
    if reduction == "padded":
        return scores.shape[-4:].numel()
    return (mask != 0).sum(dim=1).square().sum().clamp(min=1) * scores.shape[-3]


def hidden_mean_square(student: Tensor, teacher: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """Mean squared distance of two layers' hidden states, with a gradient to the student.

    Args:
        student: [B, S, d], already projected to the teacher's width.
        teacher: [B, S, d]; no gradient reaches it.
        mask: [B, S], non-zero at real tokens.
        reduction: mean over real tokens and features ("masked") or over everything ("padded").

    Returns:
        Scalar in float32 or better.
    """
    return learned_mean_square(student, teacher.detach(), mask, reduction)


def learned_mean_square(student: Tensor, target: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """`hidden_mean_square` whose target is learned as well, so that the gradient reaches both.

    Args:
        student, target: [B, S, d].
        mask, reduction: As there.

    Raises:
        ValueError: The shapes differ.
    """
    if student.shape != target.shape:
        raise ValueError(f"hidden states {tuple(student.shape)} and {tuple(target.shape)} disagree")
    with no_autocast(student):
        x, y = clean_hidden(student, mask, reduction), clean_hidden(target, mask, reduction)
        return F.mse_loss(x, y.to(x.dtype), reduction="sum") / hidden_count(x, mask, reduction)


@torch.no_grad()
def pairwise_mean_square(x: Tensor, y: Tensor, weight: Tensor | None, count: Tensor | float) -> Tensor:
    """Σ weight · (x_i − y_j)² / count for every pair of layers, in Gram form and without a gradient.

    The sums run in float64, chunk by chunk: cancellation then costs about 1e-16 of the norms instead of 1e-7,
    TF32 has no part in it, and no tensor of all pairs is ever built.

    Args:
        x: student layers [M, ...].
        y: teacher layers [N, ...], the same shape behind the first axis.
        weight: non-negative, broadcastable to one layer; None weighs everything 1. Places of weight 0 are
            left out whatever stands there.
        count: what the sum is divided by.

    Returns:
        [M, N] in float64 (float32 on devices without it), clamped at 0.
    """
    _check_layers(x, y)
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    with no_autocast(x):
        if weight is not None:
            root = weight.to(wide).sqrt()
            x, y = (t.masked_fill(weight == 0, 0.0) * root for t in (x, y))
        chunk = _CHUNK.get(x.device.type, _CHUNK_ON_DEVICE)
        cross = torch.zeros(x.shape[0], y.shape[0], dtype=wide, device=x.device)
        norm_x, norm_y = cross.new_zeros(x.shape[0]), cross.new_zeros(y.shape[0])
        for a, b in zip(x.flatten(1).split(chunk, dim=1), y.flatten(1).split(chunk, dim=1), strict=True):
            a, b = a.to(wide), b.to(wide)
            cross += a @ b.T
            norm_x += torch.linalg.vecdot(a, a)
            norm_y += torch.linalg.vecdot(b, b)
        return ((norm_x[:, None] + norm_y - 2 * cross) / count).clamp(min=0.0)


def paired_mean_square(
    x: Tensor,
    y: Tensor,
    rows: Sequence[int],
    columns: Sequence[int],
    weight: Tensor | None,
    count: Tensor | float,
) -> Tensor:
    """Σ weight · (x_i − y_j)² / count for chosen pairs (i, j), differentiable in x.

    One fused kernel a pair: stacking the chosen layers first would copy each layer as often as it is chosen.

    Args:
        x: student layers [M, ...].
        y: teacher layers [N, ...], the same shape behind the first axis; no gradient reaches them.
        rows: the i of each of the P pairs.
        columns: the j of each pair.
        weight: as in `pairwise_mean_square`.
        count: what the sums are divided by.

    Returns:
        [P] in the type of `x`, float32 at least.
    """
    _check_layers(x, y)
    with no_autocast(x):
        x, y = at_least_float32(x), at_least_float32(y.detach())
        y = y.to(x.dtype)
        if weight is not None:
            root = weight.to(x.dtype).sqrt()
            x, y = (t.masked_fill(weight == 0, 0.0) * root for t in (x, y))
        students, teachers = x.unbind(0), y.unbind(0)
        sums = [F.mse_loss(students[i], teachers[j], reduction="sum") for i, j in zip(rows, columns, strict=True)]
        return torch.stack(sums) / count


def _check_layers(x: Tensor, y: Tensor) -> None:
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"layers of shape {tuple(x.shape[1:])} (student) and {tuple(y.shape[1:])} (teacher) cannot be compared"
        )
