"""Stacks of paired layers, and every loss that compares them under a mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from distill.losses import adaptors, attention, relations

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]])
HEADS = 2
Kind = Literal["scores", "states"]


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def stack(kind: Kind, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Two layers: scores [2, 3, 2, 4, 4], or states (hidden or projected) [2, 3, 4, 6]."""
    shape = (2, 3, HEADS, 4, 4) if kind == "scores" else (2, 3, 4, 6)
    return 2 * normal(*shape, seed=seed, dtype=dtype)


def close(ours: Tensor, slow: Tensor, leaf: Tensor) -> None:
    """Value and gradient agree."""
    torch.testing.assert_close(ours, slow, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0] for value in (ours, slow)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-14)


class Loss(NamedTuple):
    """A loss of student stack, teacher stack and mask.

    `length_matters` says that a millionth of the value depends on how long sentences are padded.
    """

    kind: Kind
    of: Callable[[Tensor, Tensor, Tensor], Tensor]
    length_matters: bool = False


LOSSES = {
    "score distance": Loss("scores", lambda s, t, m: attention.score_distances(s, t, m, "masked").sum()),
    "AttnTinyBERT": Loss("scores", attention.attention_distance),
    "AttnMiniLM": Loss("scores", lambda s, t, m: attention.attention_divergence(s, t, m, "modern")),
    "AttnMiniLM, published": Loss("scores", lambda s, t, m: attention.attention_divergence(s, t, m, "published")),
    "relations": Loss("states", lambda s, t, m: relations.relation_divergence((s, s), (t, t), m, 3)),
    "relations, crossed": Loss(
        "states", lambda s, t, m: relations.relation_divergence((s, 2 * s), (t, 2 * t), m, 1, "token")
    ),
    "ValMiniLM": Loss("states", lambda s, t, m: relations.value_divergence(s, t, m, HEADS, "modern")),
    "ValMiniLM, published": Loss(
        "states", lambda s, t, m: relations.value_divergence(s, t, m, HEADS, "published"), length_matters=True
    ),
    "hidden distance": Loss("states", lambda s, t, m: adaptors.hidden_distances(s, t, m, "masked").sum()),
    "HidnTinyBERT": Loss("states", lambda s, t, m: adaptors.hidden_distance(s, t, m, "modern", 4)),
    "HidnTinyBERT, published": Loss("states", lambda s, t, m: adaptors.hidden_distance(s, t, m, "published", 4)),
}
