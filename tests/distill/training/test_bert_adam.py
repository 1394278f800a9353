from __future__ import annotations

import io
import math

import pytest
import torch

from distill.training.bert_adam import BertAdam


def literal_step(
    w: list[float], m: list[float], v: list[float], g: list[float], lr: float, decay: float, clip: float
) -> None:
    norm = math.sqrt(sum(x * x for x in g))
    scale = min(1.0, clip / (norm + 1e-6)) if clip > 0 else 1.0
    for i in range(len(w)):
        clipped = g[i] * scale
        m[i] = 0.9 * m[i] + 0.1 * clipped
        v[i] = 0.999 * v[i] + 0.001 * clipped**2
        w[i] -= lr * (m[i] / (math.sqrt(v[i]) + 1e-6) + decay * w[i])


@pytest.mark.parametrize("clip", [1.0, 0.1, 0.0])
def test_steps_are_the_literal_ones(clip: float) -> None:
    generator = torch.Generator().manual_seed(0)
    start = {name: torch.randn(size, generator=generator, dtype=torch.float64) for name, size in (("a", 6), ("b", 3))}
    params = {name: torch.nn.Parameter(values.clone()) for name, values in start.items()}
    groups = [{"params": [params["a"]]}, {"params": [params["b"]], "weight_decay": 0.0}]
    optimizer = BertAdam(groups, lr=0.05, max_grad_norm=clip)
    lists = {name: (values.tolist(), [0.0] * len(values), [0.0] * len(values)) for name, values in start.items()}
    for step in range(6):
        for name, param in params.items():
            size = 10.0 if name == "a" else 0.01  # one tensor is clipped, the other is not
            param.grad = size * torch.randn(param.shape, generator=generator, dtype=torch.float64)
            before = param.grad.clone()
            decay = 0.01 if name == "a" else 0.0
            literal_step(*lists[name], param.grad.tolist(), 0.05 / (1 + step), decay, clip)
        for group in optimizer.param_groups:
            group["lr"] = 0.05 / (1 + step)
        optimizer.step()
        assert torch.equal(params["b"].grad, before), "the gradient itself was changed"
        for name, param in params.items():
            torch.testing.assert_close(param.tolist(), lists[name][0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("update", "factor"), [(1, 3.2), (10, 6.5), (1000, 1.26)])
def test_how_much_longer_steps_are_than_corrected_ones(update: int, factor: float) -> None:
    ours, theirs = (torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    optimizers = [
        BertAdam([ours], lr=1e-3, weight_decay=0.0, eps=1e-12),
        torch.optim.AdamW([theirs], lr=1e-3, weight_decay=0.0, eps=1e-12),
    ]
    for _ in range(update):
        moved = []
        for param, optimizer in zip((ours, theirs), optimizers, strict=True):
            before = param.item()
            param.grad = torch.ones_like(param) / 2
            optimizer.step()
            moved.append(param.item() - before)
    assert moved[0] / moved[1] == pytest.approx(factor, rel=0.02)


def test_state_survives_a_file() -> None:
    def train(optimizer: BertAdam, param: torch.nn.Parameter, steps: range) -> None:
        for step in steps:
            param.grad = torch.full_like(param, math.sin(step + 1.0))
            optimizer.step()

    whole = torch.nn.Parameter(torch.ones(4))
    reference = BertAdam([whole], lr=0.1)
    train(reference, whole, range(3))
    resumed = torch.nn.Parameter(whole.detach().clone())
    file = io.BytesIO()
    torch.save(reference.state_dict(), file)
    file.seek(0)
    optimizer = BertAdam([resumed], lr=0.1)
    optimizer.load_state_dict(torch.load(file, weights_only=True))
    train(reference, whole, range(3, 6))
    train(optimizer, resumed, range(3, 6))
    assert torch.equal(whole, resumed)


def test_parameters_without_a_gradient_stay() -> None:
    used, idle = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = BertAdam([used, idle], lr=0.1)
    used.grad = torch.ones(2)
    optimizer.step()
    assert torch.equal(idle, torch.ones(2))
    assert not torch.equal(used, torch.ones(2))


def test_the_closure_runs_with_gradients() -> None:
    param = torch.nn.Parameter(torch.ones(2))
    optimizer = BertAdam([param], lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = param.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2.0
    assert (param < 1).all()


@pytest.mark.parametrize("bad", [{"lr": -1.0}, {"lr": 0.1, "b1": 1.0}, {"lr": 0.1, "eps": -1e-6}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        BertAdam([torch.nn.Parameter(torch.ones(1))], **bad)
