"""Schedules of the learning rate for both optimizers: literal curves, both ends, and a state that survives a file."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from distill.methods.objective import Objective
from distill.training.bert_adam import BertAdam
from distill.training.optim import build, multiplier
from distill.training.settings import OPTIMIZERS, SCHEDULES, Training


def _rates(total: int, lr: float = 0.5, steps: int | None = None, **training: Any) -> list[float]:
    """The rate that each step is really made with, read from the optimizer."""
    layer = nn.Linear(2, 2)
    optimizer, schedule = build(layer, Objective(), lr, Training(**training), total)
    found = []
    for _ in range(steps or total):
        layer(torch.ones(2)).sum().backward()
        found.append(optimizer.param_groups[0]["lr"])
        assert found[-1] == optimizer.param_groups[1]["lr"]
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_constant_without_warmup_is_the_rate_from_the_first_step(optimizer: str) -> None:
    assert _rates(7, 3e-5, steps=12, optimizer=optimizer, schedule="constant", warmup=0.0) == [3e-5] * 12


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_curves(optimizer: str) -> None:
    rising = [0.0, 0.25, 0.5, 0.75]
    curves = {
        "linear": [1 - i / 16 for i in range(16)],
        "cosine": [(1 + math.cos(math.pi * i / 16)) / 2 for i in range(16)],
        "constant": [1.0] * 16,
    }
    assert set(curves) == set(SCHEDULES)
    for schedule, falling in curves.items():
        found = _rates(20, 2.0, optimizer=optimizer, schedule=schedule, warmup=0.2)
        assert found == pytest.approx([2.0 * x for x in rising + falling], abs=1e-12), schedule


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_beyond_the_total_nothing_is_learned(optimizer: str, schedule: str) -> None:
    found = _rates(4, steps=7, optimizer=optimizer, schedule=schedule, warmup=0.25)
    assert found[3] > 0
    assert found[4:] == [0.0] * 3


def _original(warmup: float, total: int) -> Callable[[float], float]:
    def rate(step: float) -> float:
        x = step / total
        return x / warmup if x < warmup else max(0.0, (x - 1) / (warmup - 1))

    return rate


def test_where_the_warmup_ends_between_steps() -> None:
    """A tenth of 25 steps: AdamW warms up over 2 whole ones, BertAdam over 2.5 as its original."""
    found = {o: _rates(25, 1.0, optimizer=o, warmup=0.1) for o in OPTIMIZERS}
    rate = _original(0.1, 25)
    assert found["bertadam"] == pytest.approx([rate(step) for step in range(25)], abs=1e-12)
    assert found["bertadam"][:4] == pytest.approx([0, 0.4, 0.8, 22 / 22.5])
    assert found["adamw"][:4] == pytest.approx([0, 0.5, 1, 22 / 23])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_warmup_by_its_steps(optimizer: str) -> None:
    """Whatever the share, and also where there are fewer steps than that."""
    found = _rates(10, 1.0, optimizer=optimizer, warmup=0.5, warmup_steps=4)
    assert found[:6] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 5 / 6])
    assert _rates(3, 1.0, optimizer=optimizer, warmup_steps=100) == pytest.approx([0, 0.01, 0.02])


@pytest.mark.parametrize("warmup", [0.0, 1.0])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_extremes_of_the_warmup_are_finite(optimizer: str, schedule: str, warmup: float) -> None:
    rate = multiplier(Training(optimizer=optimizer, schedule=schedule, warmup=warmup), 5)
    found = [rate(step) for step in range(8)]
    assert all(0 <= value <= 1 for value in found)
    after = {"linear": 0.8, "cosine": (1 + math.cos(math.pi / 5)) / 2, "constant": 1.0}
    assert found[1] == pytest.approx(0.2 if warmup else after[schedule])


def test_the_optimizer_asked_for() -> None:
    layer = nn.Linear(2, 2)
    modern, _ = build(layer, Objective(), 0.1, Training(weight_decay=0.3, clip=0.7), 5)
    assert type(modern) is AdamW
    published, _ = build(layer, Objective(), 0.1, Training(optimizer="bertadam", weight_decay=0.3, clip=0.7), 5)
    assert type(published) is BertAdam
    assert [group["max_grad_norm"] for group in published.param_groups] == [0.7, 0.7]
    for optimizer in (modern, published):
        assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
        assert [[p.ndim for p in group["params"]] for group in optimizer.param_groups] == [[2], [1]]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_state_survives_a_file(optimizer: str, schedule: str) -> None:
    training = Training(optimizer=optimizer, schedule=schedule, warmup=0.3)

    def made() -> tuple[nn.Linear, Any, Any]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        return layer, *build(layer, Objective(), 0.1, training, 10)

    def train(layer: nn.Linear, optimizer: Any, schedule: Any, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            layer(torch.full((3,), math.sin(step + 1.0))).square().sum().backward()
            optimizer.step()
            schedule.step()

    whole, cut = made(), made()
    train(*whole, range(10))
    train(*cut, range(4))
    file = io.BytesIO()
    torch.save([part.state_dict() for part in cut], file)
    file.seek(0)
    fresh = made()
    for part, state in zip(fresh, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    train(*fresh, range(4, 10))
    assert torch.equal(whole[0].weight, fresh[0].weight)
    assert torch.equal(whole[0].bias, fresh[0].bias)
    assert whole[2].get_last_lr() == fresh[2].get_last_lr()
