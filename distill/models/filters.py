"""Filters of TED: side branches of an encoder's layers, and the heads that teach them a task.

Nothing of them feeds the logits: the unfiltered states go on to the next layer (Liang et al., ICML 2023;
`cliang1453/task-aware-distillation`, commit 1cd33d0).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from distill.models.architectures import architecture

# How new linear layers begin in the reference, whatever the encoder says.
_DEVIATION = 0.02
_ACTIVATIONS = {"tanh": nn.Tanh, "gelu": nn.GELU, "relu": nn.ReLU}


def head_dropout(model: Any) -> float:
    """Dropout before the last layer of a classifier, as its configuration has it."""
    known = architecture(model.config.model_type)
    own = getattr(model.config, known.head_dropouts[0], None)
    return float(getattr(model.config, known.hidden_dropout) if own is None else own)


def head_pools(model: Any) -> bool:
    """Whether a classifier reads the mean over the real tokens, and not the first one, as its configuration has it."""
    field = architecture(model.config.model_type).pooling
    return bool(field) and getattr(model.config, field) == "mean"


def pooled(states: Tensor, mask: Tensor) -> Tensor:
    """Means [K, B, D] over the real tokens of states [K, B, S, D].

    Args:
        mask: [B, S], non-zero at real tokens.
    """
    real = (mask != 0).to(states.dtype).unsqueeze(-1)
    return (states * real).sum(2) / real.sum(1)


class Filters(nn.Module):
    """One filter for each of K layers: a linear layer, or two with a GELU between them.

    Args:
        count: K.
        width: d, of the states.
        output_width: D.
        nonlinear: Two layers, the first of which keeps the width.
    """

    def __init__(self, count: int, width: int, output_width: int, nonlinear: bool = False) -> None:
        super().__init__()
        self.filters = nn.ModuleList(_filter(width, output_width, nonlinear) for _ in range(count))

    def forward(self, states: Tensor) -> Tensor:
        """Filtered states [K, …, D] of states [K, …, d], each layer through its own filter.

        Raises:
            ValueError: There are more or fewer layers than filters.
        """
        if len(states) != len(self.filters):
            raise ValueError(f"{len(states)} layers for {len(self.filters)} filters")
        return torch.stack([one(x) for one, x in zip(self.filters, states, strict=True)])

    def frozen(self) -> Filters:
        """Itself, with buffers in place of parameters: no optimizer, checkpoint or gradient takes notice of them."""
        for module in self.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.detach(), persistent=False)
        return self


class FilterHeads(nn.Module):
    """A pooler and a classifier for each of K filters, which read what the encoder's own head does.

    Linear layer, tanh (or what the encoder's own head has there), dropout, linear layer.

    Args:
        count: K.
        width: D, of filtered states.
        labels: C.
        kind: The encoder's `model_type`, which decides what stands between the layers.
        dropout: Before the last layer.
    """

    def __init__(self, count: int, width: int, labels: int, kind: str = "bert", dropout: float = 0.0) -> None:
        super().__init__()
        self.poolers = nn.ModuleList(_linear(width, width) for _ in range(count))
        self.heads = nn.ModuleList(_linear(width, labels) for _ in range(count))
        self.activation = _ACTIVATIONS[architecture(kind).activation]()
        self.dropout = nn.Dropout(dropout)

    def forward(self, read: Tensor) -> Tensor:
        """Logits [K, B, C] of the filtered states of the first token, or of their means (`pooled`): [K, B, D]."""
        inner = [pooler(x) for pooler, x in zip(self.poolers, read, strict=True)]
        return torch.stack([head(self.dropout(self.activation(x))) for head, x in zip(self.heads, inner, strict=True)])


class SpanHeads(nn.Module):
    """A linear layer for each of K filters that gives every token its logits as start and as end of an answer.

    Args:
        count: K.
        width: D, of filtered states.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_linear(width, 2) for _ in range(count))

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Start and end logits, each [K, B, S], of filtered states [K, B, S, D]."""
        start, end = torch.stack([head(x) for head, x in zip(self.heads, states, strict=True)]).unbind(-1)
        return start, end


def _filter(width: int, output_width: int, nonlinear: bool) -> nn.Sequential:
    if not nonlinear:
        return nn.Sequential(_linear(width, output_width))
    return nn.Sequential(_linear(width, width), nn.GELU(), _linear(width, output_width))


def _linear(width: int, output_width: int) -> nn.Linear:
    layer = nn.Linear(width, output_width)
    nn.init.normal_(layer.weight, std=_DEVIATION)
    nn.init.zeros_(layer.bias)
    return layer
