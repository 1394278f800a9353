"""Optimizer and schedule against literal formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from distill.methods.objective import Objective
from distill.training.optim import build, multiplier, parameter_groups
from distill.training.settings import Training
from tests.distill import tiny


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 2, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(3, dtype=torch.float64))


def test_updates_follow_the_formula() -> None:
    lr, decay, b1, b2, eps = 0.1, 0.3, 0.9, 0.999, 1e-8
    module = _Small()
    optimizer, _ = build(module, Objective(), lr, Training(weight_decay=decay, warmup=0.0, schedule="constant"), 5)
    expected = {name: p.detach().clone() for name, p in module.named_parameters()}
    mean = {name: torch.zeros_like(p) for name, p in expected.items()}
    square = {name: torch.zeros_like(p) for name, p in expected.items()}
    for step in range(1, 6):
        optimizer.zero_grad()
        (module.weight.sum(1) * module.bias).square().sum().backward()
        gradients = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
        optimizer.step()
        for name, w in expected.items():
            mean[name] = b1 * mean[name] + (1 - b1) * gradients[name]
            square[name] = b2 * square[name] + (1 - b2) * gradients[name] ** 2
            update = (mean[name] / (1 - b1**step)) / ((square[name] / (1 - b2**step)).sqrt() + eps)
            own_decay = decay if name == "weight" else 0.0
            expected[name] = w - lr * own_decay * w - lr * update
        for name, p in module.named_parameters():
            torch.testing.assert_close(p.detach(), expected[name], atol=1e-12, rtol=1e-10)


def test_biases_and_normalisation_are_spared_from_decay() -> None:
    model = tiny.classifier()
    decayed, spared = parameter_groups([model], 0.01)
    names = {id(p): name for name, p in model.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert all(names[id(p)].endswith("bias") or "LayerNorm" in names[id(p)] for p in spared["params"])
    assert all(names[id(p)].endswith("weight") and "LayerNorm" not in names[id(p)] for p in decayed["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_shared_and_frozen_parameters() -> None:
    first, second = _Small(), _Small()
    second.weight = first.weight
    second.bias.requires_grad_(False)
    decayed, spared = parameter_groups([first, second], 0.01)
    assert [id(p) for p in decayed["params"]] == [id(first.weight)]
    assert [id(p) for p in spared["params"]] == [id(first.bias)]


@pytest.mark.parametrize(("warmup", "steps"), [(0, 10), (3, 10), (10, 10), (1, 1)])
def test_schedule_rises_and_falls_linearly(warmup: int, steps: int) -> None:
    peak = 0.5
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    schedule = LambdaLR(optimizer, multiplier(Training(warmup=warmup / steps), steps))
    for step in range(steps + 3):
        rising = step / warmup if step < warmup else math.inf
        falling = (steps - step) / (steps - warmup) if warmup < steps else (0.0 if step >= warmup else math.inf)
        expected = peak * max(0.0, min(1.0, rising, falling))
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, abs=1e-12)
        optimizer.step()
        schedule.step()
