"""Self-attention relations of MiniLM: how the tokens of a sentence see one another in queries, keys or values.

R_xy = softmax over keys of x yᵀ / √(d / A) for each of A relation heads, into which the whole projection is split anew.
So widths and heads of the two networks may differ; only A must divide both widths (Wang et al., 2020 and 2021).
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from distill.losses.distances import clean_hidden
from distill.losses.divergence import (
    RowReduction,
    probabilities,
    probability_divergence,
    score_divergence,
    smoothed,
)
from distill.losses.precision import at_least_float32, no_autocast

Projections = tuple[Tensor, Tensor]


def relation_scores(x: Tensor, y: Tensor, heads: int) -> Tensor:
    """x yᵀ / √(d / A) of each relation head.

    Args:
        x, y: projections [..., B, S, d], heads side by side.
        heads: A, the number of relation heads.

    Returns:
        [..., B, A, S, S] (query, key) in float32 or better.

    Raises:
        ValueError: A does not divide d.
    """
    width = x.shape[-1]
    if heads < 1 or width % heads:
        raise ValueError(f"{heads} relation heads do not divide a width of {width}")
    with no_autocast(x):
        x, y = (at_least_float32(t).unflatten(-1, (heads, -1)).transpose(-2, -3) for t in (x, y))
        return x @ y.transpose(-1, -2) / math.sqrt(width // heads)


def relation_divergence(
    student: Projections, teacher: Projections, mask: Tensor, heads: int, reduction: RowReduction = "sentence"
) -> Tensor:
    """KL of the teacher's relations and the student's, for one pair of projections.

    MiniLM adds up the pairs of query and key (with A the networks' own heads) and value and value; its second version
    takes query and query, key and key, value and value.

    Args:
        student: the two projections whose products are the relations, [..., B, S, d_s], such as (query, key).
        teacher: the same two of the teacher, [..., B, S, d_t]; no gradient reaches them.
        mask: [B, S], non-zero at real tokens.
        heads: A, the number of relation heads.
        reduction: See `divergence.score_divergence`; "sentence" is the papers' mean over the tokens of a sentence.

    Returns:
        Scalar in float32 or better, 0 where both agree.

    Raises:
        ValueError: A does not divide one of the widths, or the shapes differ beside them.
    """
    ours, theirs = _scores(student, mask, heads), _scores(teacher, mask, heads)
    return score_divergence(ours, theirs, mask, reduction)


def value_divergence(
    student: Tensor, teacher: Tensor, mask: Tensor, heads: int, form: Literal["modern", "published"]
) -> Tensor:
    """ValMiniLM: KL of the value relations of all layers, mean over real queries, heads and layers.

    Each sentence has its own mask. (The program it comes from masks a row with the mask of another sentence of the
    batch unless all masks are alike.)

    Args:
        student: values [M, B, S, d_s].
        teacher: values [M, B, S, d_t]; no gradient reaches them.
        mask: [B, S], non-zero at real tokens.
        heads: of both networks.
        form: "modern" takes log-softmax on both sides, "published" adds 1e-6 to the relations first.

    Raises:
        ValueError: The heads do not divide one of the widths, or the shapes differ beside them.
    """
    if form == "modern":
        return relation_divergence((student, student), (teacher, teacher), mask, heads, "token")
    ours, theirs = _scores((student, student), mask, heads), _scores((teacher, teacher), mask, heads)
    with no_autocast(student):
        x, y = (smoothed(probabilities(scores, mask), mask, "queries") for scores in (ours, theirs))
        return probability_divergence(x, y, mask)


def _scores(projections: Projections, mask: Tensor, heads: int) -> Tensor:
    x, y = projections
    # What stands at padded tokens would come back through the products' gradient, were it not finite.
    clean = clean_hidden(x, mask, "masked")
    return relation_scores(clean, clean if y is x else clean_hidden(y, mask, "masked"), heads)
