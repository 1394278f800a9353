"""Traces of the original optimizer: a matrix and a bias after each of some updates with given gradients.

The files hold neither rate nor plan of the run, which the programs that wrote them had fixed: see `Trace`. Everything
goes through the builder that a training uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from distill.methods.objective import Objective
from distill.training.optim import build, multiplier
from distill.training.settings import Training
from tests.golden_checkers._arrays import Arrays


@dataclass(frozen=True)
class Trace:
    """What a trace was made with; the updates in the file go on beyond `total_steps`."""

    lr: float
    schedule: str
    total_steps: int = 10
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0

    def training(self) -> Training:
        return Training(
            optimizer="bertadam",
            schedule=self.schedule,
            # What the reference calls no schedule knows no warm-up either.
            warmup=0.0 if self.schedule == "constant" else self.warmup,
            weight_decay=self.weight_decay,
            clip=self.clip,
        )


def check_trace(arrays: Arrays, trace: Trace, suffix: str, after: str, tolerance: float) -> None:
    """Compare parameters after each update.

    Args:
        suffix: Of the names of inputs and gradients, such as "__f32".
        after: Of the names of outputs, such as "_none".
        tolerance: Relative, of an array's largest entry.
    """
    layer = nn.Module()
    layer.weight = nn.Parameter(arrays.tensor(f"w0{suffix}"))
    layer.bias = nn.Parameter(arrays.tensor(f"b0{suffix}"))
    gradients = [arrays.tensor(f"grads_{name}{suffix}") for name in ("w", "b")]
    optimizer, schedule = build(layer, Objective(), trace.lr, trace.training(), trace.total_steps)
    steps = len(gradients[0])
    assert steps > trace.total_steps, "no update lies beyond the end of the schedule"
    clipped = 0
    for step in range(steps):
        for parameter, gradient in zip((layer.weight, layer.bias), gradients, strict=True):
            parameter.grad = gradient[step]
            clipped += bool(torch.linalg.vector_norm(gradient[step]) > trace.clip)
        optimizer.step()
        schedule.step()
        arrays.compare(f"w_after{after}", layer.weight, index=step, rtol=tolerance)
        arrays.compare(f"b_after{after}", layer.bias, index=step, rtol=tolerance)
    assert clipped, "no gradient was clipped"


def check_schedule(arrays: Arrays, trace: Trace, x: str, y: str) -> None:
    """Compare the multiplier as a function of progress, from 0 at the start to 1 at the total."""
    rate = multiplier(trace.training(), 1.0)
    arrays.compare(y, [rate(progress) for progress in arrays[x].tolist()], atol=1e-12)
