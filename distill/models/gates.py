"""LAD's gates: a teacher's layers flow into one another, each let in by a gate that reads what came before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distill.losses.precision import at_least_float32, no_autocast
from distill.models.gate_statistics import GateStatistics


class GateBlock(nn.Module):
    """One layer merged into the aggregate of those before it (Lin, Chen, Kao: LAD, Sensors 23(3), 2023).

    z = sigmoid(W p + b) of the aggregate p alone; out = LayerNorm(z · h + (1 − z) · p), element by element.

    Args:
        width: D, of all layers.
        length: S, where mean, variance and affine parameters run over all places of a row of so many tokens; None
            normalises each token over D.
    """

    def __init__(self, width: int, length: int | None) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.linear.weight)
        self.layernorm = nn.LayerNorm(width if length is None else (length, width))

    def forward(self, before: Tensor, layer: Tensor) -> tuple[Tensor, Tensor]:
        """The new aggregate, and the gate's values.

        The matrix product follows autocast, as any layer's does; the rest is in the precision of the arguments.

        Args:
            before: p, [B, S, D], in float32 or better.
            layer: h, of the same shape and precision.

        Returns:
            Aggregate and z, both [B, S, D].
        """
        gate = torch.sigmoid(self.linear(before).to(before.dtype))
        with no_autocast(before):
            return self.layernorm(torch.lerp(before, layer, gate)), gate


class GatedAggregation(nn.Module):
    """Aggregates of a teacher's layers, one behind each layer that is merged.

    The first layer of the order is its own aggregate, so every other one has a gate, and there is none that is never
    trained.

    Args:
        order: The layers (from 1) as they are merged: upwards, or downwards.
        width, length: As in `GateBlock`.
        trained: Whether the gates learn; else they stay as they are drawn, and are buffers.
    """

    def __init__(self, order: Sequence[int], width: int, length: int | None, *, trained: bool = True) -> None:
        super().__init__()
        self.order = tuple(order)
        self.length = length
        self.gates = nn.ModuleList(GateBlock(width, length) for _ in self.order[1:])
        self.statistics = GateStatistics([block.linear.weight for block in self.blocks], trained=trained)
        if not trained:
            _as_buffers(self.gates)

    @property
    def blocks(self) -> list[GateBlock]:
        """The gates in the order in which they act."""
        return [block for block in self.gates if isinstance(block, GateBlock)]

    def forward(self, layers: Sequence[Tensor], mask: Tensor) -> dict[int, Tensor]:
        """The aggregate behind each layer: [B, S, D] by the layer's number.

        Args:
            layers: The layers' outputs [B, S, D] in the order in which they are merged; no gradient reaches them.
            mask: [B, S], non-zero at real tokens. Gates over whole rows read padded places like others.

        Raises:
            ValueError: There are more or fewer layers, or rows of another length than the gates have.
        """
        if len(layers) != len(self.order):
            raise ValueError(f"{len(layers)} layers for gates that merge {len(self.order)}")
        if self.length not in (None, mask.shape[1]):
            raise ValueError(f"rows of {mask.shape[1]} tokens for gates over {self.length}")
        aggregate = at_least_float32(layers[0].detach())
        found = {self.order[0]: aggregate}
        # Where each token is normalised alone, those that are padded count nowhere.
        counted = mask != 0 if self.length is None else torch.ones_like(mask, dtype=torch.bool)
        for number, (block, layer, output) in enumerate(zip(self.blocks, self.order[1:], layers[1:], strict=True)):
            output = at_least_float32(output.detach())
            before = aggregate
            aggregate, gate = block(before, output)
            found[layer] = aggregate
            if self.training:
                self.statistics.note(number, gate, output, before, aggregate, counted)
        return found

    def parts(self, *, each: bool) -> list[list[nn.Parameter]]:
        """The gates' parameters: `each` gate's in a list of its own, or all in one; none where nothing is trained."""
        found = [list(block.parameters()) for block in self.blocks]
        if not any(found):
            return []
        return found if each else [[parameter for part in found for parameter in part]]

    def observation(self, targets: Sequence[int], layers: int) -> dict[str, Any]:
        """What the gates did since the last call; nothing where there are none or they did nothing.

        Args:
            targets: For each of the student's layers, the layer behind whose aggregate it learns from.
            layers: How many layers the teacher has.
        """
        return self.statistics.told(self.order, [block.linear.weight for block in self.blocks], targets, layers)


def _as_buffers(module: nn.Module) -> None:
    """Keep parameters as buffers of the same names, which no optimizer asks for."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())
