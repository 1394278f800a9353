"""Optimizers and the schedule of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from distill.methods.objective import Objective
from distill.training.bert_adam import BertAdam
from distill.training.settings import Training


def build(
    student: nn.Module, objective: Objective, lr: float, training: Training, total_steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """The optimizer that `training` asks for, over all trainable parameters of both, and its schedule.

    Weight decay spares biases and normalisation weights. `BertAdam` clips each gradient itself; with AdamW the global
    clip is left to the caller.

    Args:
        objective: May have a rate and a weight decay of its own, under the same schedule.
        lr: Peak learning rate.
        total_steps: Optimizer steps of the whole run.
    """
    decay = training.weight_decay
    if objective.lr is None and objective.weight_decay is None:
        groups = parameter_groups([student, objective], decay)
    else:
        own_decay = decay if objective.weight_decay is None else objective.weight_decay
        own_lr = lr if objective.lr is None else objective.lr
        own = [{**group, "lr": own_lr} for group in parameter_groups([objective], own_decay)]
        groups = [*parameter_groups([student], decay), *own]
    optimizer: torch.optim.Optimizer
    if training.optimizer == "bertadam":
        optimizer = BertAdam(groups, lr=lr, max_grad_norm=training.clip)
    else:
        optimizer = AdamW(groups, lr=lr, fused=True)
    return optimizer, LambdaLR(optimizer, multiplier(training, total_steps))


def clip(optimizer: torch.optim.Optimizer, objective: Objective, norm: float) -> None:
    """Scale gradients down to a norm: those of each part that the objective names, and all the others together."""
    parts = objective.clipped()
    named = {id(parameter) for part in parts for parameter in part}
    everything = (parameter for group in optimizer.param_groups for parameter in group["params"])
    for part in ([p for p in everything if id(p) not in named], *parts):
        nn.utils.clip_grad_norm_(part, norm)


def parameter_groups(modules: Iterable[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters with and without decay; biases and normalisation weights are spared it.

    Biases have fewer than two dimensions; a layer norm over positions and features has as many. A parameter shared
    between modules is taken once.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    seen: set[int] = set()
    for module in modules:
        norms = {id(p) for part in module.modules() if isinstance(part, nn.LayerNorm) for p in part.parameters()}
        for parameter in module.parameters():
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                (decayed if parameter.ndim >= 2 and id(parameter) not in norms else spared).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


def multiplier(training: Training, total_steps: float) -> Callable[[float], float]:
    """What the peak rate is multiplied with, as a function of the optimizer steps done before, from 0.

    It rises linearly from 0 over the warm-up, of so many steps or a share of all. Then "linear" falls to 0 at
    `total_steps`, "cosine" does so along half a cosine, and "constant" stays at 1, without an end.

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
