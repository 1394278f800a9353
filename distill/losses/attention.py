"""What the attention of two networks differs by, head by head: scores before the softmax, or probabilities.

Everything takes scores [M, B, h, S, S] (layer, query, key) of layers that were paired before, scaled by the root of the
head's width and without dropout. Networks that differ in heads cannot be compared here.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from distill.losses.distances import Reduction, clean_scores, paired_mean_square, score_count
from distill.losses.divergence import probabilities, probability_divergence, score_divergence, smoothed
from distill.losses.precision import no_autocast


def score_distances(student: Tensor, teacher: Tensor, mask: Tensor, reduction: Reduction) -> Tensor:
    """Mean squared difference of the scores in each layer (Jiao et al., 2020, eq. 7); TinyBERT adds up the layers.

    Args:
        student: scores [M, B, h, S, S], with or without an additive mask.
        teacher: scores of the same shape; no gradient reaches them.
        mask: [B, S], non-zero at real tokens.
        reduction: "masked" is the mean over real pairs and heads. "padded" is TinyBERT's program: scores at or below
            −100 and those of padded keys count as 0, and the mean runs over everything.

    Returns:
        [M] in float32 or better.

    Raises:
        ValueError: The shapes differ.
    """
    with no_autocast(student):
        x, y = clean_scores(student, mask, reduction), clean_scores(teacher, mask, reduction)
        each = range(len(_same(x, y)))
        return paired_mean_square(x, y, each, each, None, score_count(x, mask, reduction))


def attention_distance(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """AttnTinyBERT: Σ_k (A_s − A_t)² of the probabilities, mean over real queries, heads and layers.

    Args:
        student, teacher: scores [M, B, h, S, S]; no gradient reaches the teacher's.
        mask: [B, S], non-zero at real tokens.

    Raises:
        ValueError: The shapes differ.
    """
    _same(student, teacher)
    return probability_distance(probabilities(student, mask), probabilities(teacher.detach(), mask), mask)


def probability_distance(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """`attention_distance` of probabilities [M, B, h, S, S] instead of scores."""
    with no_autocast(student):
        x, y = clean_scores(student, mask, "masked"), clean_scores(_same(student, teacher).detach(), mask, "masked")
        real_queries = (mask != 0).sum().clamp(min=1)
        return F.mse_loss(x, y.to(x.dtype), reduction="sum") / (real_queries * x.shape[0] * x.shape[2])


def attention_divergence(
    student: Tensor, teacher: Tensor, mask: Tensor, form: Literal["modern", "published"]
) -> Tensor:
    """AttnMiniLM: KL(A_t ‖ A_s) of each row of probabilities, mean over real queries, heads and layers.

    Args:
        student, teacher: scores [M, B, h, S, S]; no gradient reaches the teacher's.
        mask: [B, S], non-zero at real tokens.
        form: "modern" takes log-softmax on both sides, "published" adds 1e-6 to the probabilities first.

    Raises:
        ValueError: The shapes differ.
    """
    if form == "modern":
        return score_divergence(student, teacher, mask, "token")
    with no_autocast(student):
        x, y = (smoothed(probabilities(scores, mask), mask, "keys") for scores in (student, teacher.detach()))
        return probability_divergence(x, y, mask)


def _same(student: Tensor, teacher: Tensor) -> Tensor:
    """The teacher's, once it is sure that both are of one shape."""
    if student.shape != teacher.shape:
        raise ValueError(f"attention {tuple(student.shape)} (student) and {tuple(teacher.shape)} (teacher) disagree")
    return teacher
