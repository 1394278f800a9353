"""Attention scores of architectures that have more in them than products of queries and keys.

Each function is asked where the attention of one layer has just run, in float32 or better with autocast off, and gives
what the library itself softmaxes, before the mask: [B, h, S, S]. The relative parts are the model's own functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

# Queries and keys [B, S, h·d] of a layer, how many heads, its attention module, what that was called with, and what the
# module's dropout made of the embeddings of distances, where it has any.
Scores = Callable[[Tensor, Tensor, int, Any, tuple[Any, ...], dict[str, Any], Tensor | None], Tensor]


def by_heads(states: Tensor, heads: int) -> Tensor:
    """[…, S, h·d] -> […, h, S, d]."""
    return states.unflatten(-1, (heads, -1)).transpose(-3, -2)


def plain(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """q · kᵀ / √d, [L, B, h, S, S] of [L, B, S, h·d] or the same of one layer."""
    q, k = by_heads(query, heads), by_heads(key, heads)
    return q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])


def biased(
    query: Tensor,
    key: Tensor,
    heads: int,
    module: Any,
    given: tuple[Any, ...],
    named: dict[str, Any],
    distances: Tensor | None,
) -> Tensor:
    """q · kᵀ / √d + a bias of the distance, one for all layers (Song et al., MPNet, NeurIPS 2020, as T5 has it)."""
    bias = named["position_bias"] if "position_bias" in named else given[2]
    return plain(query, key, heads) + bias.to(query.dtype)


def rotary(
    query: Tensor,
    key: Tensor,
    heads: int,
    module: Any,
    given: tuple[Any, ...],
    named: dict[str, Any],
    distances: Tensor | None,
) -> Tensor:
    """Products of queries and keys that are turned by their positions (Su et al., RoFormer, 2021), by √d."""
    turn = import_module(type(module).__module__).apply_rotary_pos_emb
    cos, sin = named["position_embeddings"] if "position_embeddings" in named else given[1]
    q, k = turn(by_heads(query, heads), by_heads(key, heads), cos.to(query.dtype), sin.to(query.dtype))
    return q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])


def disentangled(
    query: Tensor,
    key: Tensor,
    heads: int,
    module: Any,
    given: tuple[Any, ...],
    named: dict[str, Any],
    distances: Tensor | None,
) -> Tensor:
    """Content to content, content to position, position to content, by √(d · how many of these) (He et al., 2021)."""
    kinds = 1 + sum(part in module.pos_att_type for part in ("c2p", "p2c"))
    q, k = (module.transpose_for_scores(states, heads) for states in (query, key))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1] * kinds)
    if module.relative_attention:
        assert distances is not None
        with _raised(module, q.dtype):
            scores = scores + module.disentangled_attention_bias(q, k, named["relative_pos"], distances, kinds)
    return scores.unflatten(0, (-1, heads))


@contextmanager
def _raised(module: Any, dtype: torch.dtype) -> Iterator[None]:
    """Within it projections of positions compute in the precision of their weights, and give `dtype`."""
    names = ("query_proj", "key_proj", "pos_query_proj", "pos_key_proj")
    found = [part for name in names if (part := getattr(module, name, None)) is not None]
    handles = [part.register_forward_pre_hook(lambda it, given: (given[0].to(it.weight.dtype),)) for part in found]
    handles += [part.register_forward_hook(lambda it, given, output: output.to(dtype)) for part in found]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# By `Architecture.scores`; the others are `plain`.
BEYOND: dict[str, Scores] = {"biased": biased, "rotary": rotary, "disentangled": disentangled}
