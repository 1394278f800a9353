"""Optimizers and the schedule of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from distill.training.bert_adam import BertAdam
from distill.training.settings import Training


def build(
    modules: Iterable[nn.Module], lr: float, training: Training, total_steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """The optimizer that `training` asks for, over all trainable parameters of `modules`, and its schedule.

    Weight decay spares biases and normalisation weights. `BertAdam` clips each gradient itself; with AdamW the global
    clip is left to the caller.

    Args:
        lr: Peak learning rate.
        total_steps: Optimizer steps of the whole run.
    """
    groups = parameter_groups(modules, training.weight_decay)
    optimizer: torch.optim.Optimizer
    if training.optimizer == "bertadam":
        optimizer = BertAdam(groups, lr=lr, max_grad_norm=training.clip)
    else:
        optimizer = AdamW(groups, lr=lr, fused=True)
    return optimizer, LambdaLR(optimizer, multiplier(training, total_steps))


def parameter_groups(modules: Iterable[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters with and without decay; those of fewer than two dimensions are spared it.

    These are biases and normalisation weights. A parameter shared between modules is taken once.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    seen: set[int] = set()
    for module in modules:
        for parameter in module.parameters():
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                (decayed if parameter.ndim >= 2 else spared).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


def multiplier(training: Training, total_steps: float) -> Callable[[float], float]:
    """What the peak rate is multiplied with, as a function of the optimizer steps done before, from 0.

    It rises linearly from 0 over the warm-up, of so many steps or a share of all. Then "linear" falls to 0 at `total_steps`, "cosine" does so along half a
    cosine, and "constant" stays at 1, without an end.

    With AdamW the warm-up takes a whole number of steps. With BertAdam it ends between two steps where its share of the
    total does, as in the original `warmup_linear(x) = x / warmup below warmup, then (1 - x) / (1 - warmup)`, which
    knows progress x = step / total only.
    """
    warmup = training.warmup_steps or training.warmup * total_steps
    if training.optimizer == "adamw":
        warmup = round(warmup)

    def factor(step: float) -> float:
        if step < warmup:
            return step / warmup
        if training.schedule == "constant":
            return 1.0
        if step >= total_steps:
            return 0.0
        if training.schedule == "linear":
            return (total_steps - step) / (total_steps - warmup)
        return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / (total_steps - warmup)))

    return factor
