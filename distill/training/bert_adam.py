"""The optimizer of the original BERT code: Adam without bias correction, clipped tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class BertAdam(torch.optim.Optimizer):
    """Adam with decoupled weight decay, no bias correction and a gradient clip for each tensor on its own.

    For each parameter w with gradient g:

        g ← g · min(1, max_grad_norm / (‖g‖ + 1e-6))
        m ← b1 · m + (1 − b1) · g
        v ← b2 · v + (1 − b2) · g²
        w ← w − lr · (m / (√v + eps) + weight_decay · w)

    It differs from `torch.optim.AdamW` in three ways that set the size of a step: the early moments are not
    corrected (steps 6.5 times as long around the tenth update, 1.3 times at the thousandth), eps is that of
    the published code, and the clip works on each tensor instead of on the global norm. BERT-EMD, TinyBERT
    and PKD were published with it.

    Args:
        params: parameters or parameter groups; a group may set its own `lr`, `b1`, `b2`, `eps`,
            `weight_decay` and `max_grad_norm`. Published recipes give biases and LayerNorm weights a group
            without decay.
        lr: learning rate.
        b1: decay of the mean of gradients.
        b2: decay of the mean of squared gradients.
        eps: added to the root of the mean of squares.
        weight_decay: decoupled decay, multiplied by the scheduled learning rate.
        max_grad_norm: largest norm of one tensor's gradient; 0 or less switches the clip off. The gradients
            themselves are left unclipped in `.grad`.

    Raises:
        ValueError: if a number lies outside its range.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        b1: float = 0.9,
        b2: float = 0.999,
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        max_grad_norm: float = 1.0,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0:
            raise ValueError(f"lr, eps and weight_decay must not be negative: {lr}, {eps}, {weight_decay}")
        if not (0 <= b1 < 1 and 0 <= b2 < 1):
            raise ValueError(f"b1 and b2 must lie in [0, 1): {b1}, {b2}")
        defaults = {
            "lr": lr,
            "b1": b1,
            "b2": b2,
            "eps": eps,
            "weight_decay": weight_decay,
            "max_grad_norm": max_grad_norm,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure` returns.

        Args:
            closure: recomputes the loss and its gradients, if given.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(group, params)
        return loss

    def _update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        for p in params:
            if not self.state[p]:
                self.state[p].update(mean=torch.zeros_like(p), mean_square=torch.zeros_like(p))
        means = [self.state[p]["mean"] for p in params]
        squares = [self.state[p]["mean_square"] for p in params]
        grads: Any = [p.grad for p in params]
        if group["max_grad_norm"] > 0:
            norms = torch._foreach_norm(grads)
            # Same form as torch.nn.utils.clip_grad_norm_, but without a norm shared between tensors.
            grads = torch._foreach_mul(grads, [(group["max_grad_norm"] / (n + 1e-6)).clamp(max=1.0) for n in norms])
        torch._foreach_lerp_(means, grads, 1 - group["b1"])
        torch._foreach_mul_(squares, group["b2"])
        torch._foreach_addcmul_(squares, grads, grads, 1 - group["b2"])
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        updates = torch._foreach_div(means, roots)
        if group["weight_decay"]:
            torch._foreach_add_(updates, params, alpha=group["weight_decay"])
        torch._foreach_add_(params, updates, alpha=-group["lr"])
