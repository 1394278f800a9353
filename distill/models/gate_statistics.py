"""What gates did over some steps, added up on the device: nothing is read back before somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distill.losses.precision import no_autocast

# So many numbers of each gate's weights are remembered from the start, spread evenly.
_REMEMBERED = 4096


class GateStatistics(nn.Module):
    """Sums over steps, a row a gate; they are in the state, so that a run that was cut tells what a whole one does.

    Args:
        weights: Of the gates' linear layers at their start.
        trained: Whether they may move.
    """

    totals: Tensor
    steps: Tensor
    start: Tensor

    def __init__(self, weights: Sequence[Tensor], *, trained: bool) -> None:
        super().__init__()
        # Means over places and features of: gate, its square, squares of what is let in, of what is kept, of the sum.
        self.register_buffer("totals", torch.zeros(len(weights), 5))
        self.register_buffer("steps", torch.zeros(()))
        self.trained = trained and len(weights) > 0
        if self.trained:
            self.register_buffer("start", _sample(weights))

    @torch.no_grad()
    def note(self, number: int, gate: Tensor, layer: Tensor, before: Tensor, after: Tensor, counted: Tensor) -> None:
        """Add one batch of gate `number`, from 0.

        Args:
            gate, layer, before, after: [B, S, D].
            counted: bool [B, S], the places that count.
        """
        with no_autocast(gate):
            let_in = gate * layer
            kept = before - gate * before
            squares = [torch.linalg.vecdot(x, x) for x in (gate, let_in, kept, after)]
            sums = torch.stack([gate.sum(-1), *squares])
            sums = torch.where(counted, sums, 0.0).sum((1, 2)) / (counted.sum() * gate.shape[-1])
            self.totals[number] += sums
            if number == 0:
                self.steps += 1

    def told(
        self, order: Sequence[int], weights: Sequence[Tensor], targets: Sequence[int], layers: int
    ) -> dict[str, Any]:
        """Means over the steps since the last call, and what each target is made of; nothing without a step.

        Returns:
            `gates`: for each gate, in the order of the recursion, the `layers` that it lets in, and `open` (mean of
            z), `spread` (its standard deviation), `size` (root mean square of the aggregate behind it) and `moved`
            (change of the linear weights since the start against their size then; only of gates that are trained).
            `target_shares`: [M, N], which share each of the teacher's layers has in what each of the student's learns
            from. At each gate layer and aggregate share as the root mean squares of z · h and (1 − z) · p do, and the
            aggregate's part is its layers' as they shared before.
        """
        steps = float(self.steps)
        if not steps:
            return {}
        means = (self.totals.double() / steps).tolist()
        self.totals.zero_()
        self.steps.zero_()
        parts = [(let_in**0.5, kept**0.5) for _, _, let_in, kept, _ in means]
        taken = [let_in / (let_in + kept) if let_in + kept else 0.0 for let_in, kept in parts]
        gates: dict[str, Any] = {
            "layers": list(order[1:]),
            "open": [mean for mean, *_ in means],
            "spread": [max(square - mean**2, 0.0) ** 0.5 for mean, square, *_ in means],
            "size": [square**0.5 for *_, square in means],
        }
        if self.trained:
            moved = (_sample(weights) - self.start).square().mean(1) / self.start.square().mean(1)
            gates["moved"] = moved.sqrt().tolist()
        shares = unrolled(order, taken)
        rows = [[shares[target].get(layer, 0.0) for layer in range(1, layers + 1)] for target in targets]
        return {"gates": gates, "target_shares": rows}


def unrolled(order: Sequence[int], taken: Sequence[float]) -> dict[int, dict[int, float]]:
    """Which share each layer has in each aggregate, by the layer behind which it stands.

    Args:
        order: Layers as they are merged.
        taken: For each but the first, the share of the layer itself in its aggregate.
    """
    found = {order[0]: {order[0]: 1.0}}
    for before, layer, share in zip(order, order[1:], taken, strict=False):
        found[layer] = {**{old: part * (1 - share) for old, part in found[before].items()}, layer: share}
    return found


@torch.no_grad()
def _sample(weights: Sequence[Tensor]) -> Tensor:
    """[gates, at most 4096 numbers], evenly spread over each matrix."""
    flat = torch.stack([weight.detach().flatten() for weight in weights])
    return flat[:, :: max(1, flat.shape[1] // _REMEMBERED)].clone()
