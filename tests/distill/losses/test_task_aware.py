"""TED's own losses against slow literal versions in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from distill.losses.adaptors import hidden_distances
from distill.losses.task_aware import filtered_task_loss, listwise_divergence, span_cross_entropy, span_divergence

ROWS, LENGTH = 3, 5
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def log_softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in values)
    return [value - math.log(total) for value in values]


def divergence(student: list[float], teacher: list[float], temperature: float) -> float:
    ours, theirs = (log_softmax([value / temperature for value in values]) for values in (student, teacher))
    return temperature**2 * sum(math.exp(t) * (t - s) for s, t in zip(ours, theirs, strict=True))


def kept(row: int, masked: bool) -> list[int]:
    return [place for place in range(LENGTH) if MASK[row, place] or not masked]


def test_each_filter_has_the_task_loss_of_its_own() -> None:
    logits, labels = drawn(2, ROWS, 4), torch.tensor([3, 0, 1])
    expected = [-log_softmax(logits[k, b].tolist())[labels[b]] for k in range(2) for b in range(ROWS)]
    found = filtered_task_loss(logits, labels, regression=False)
    assert found.item() == pytest.approx(sum(expected) / len(expected), rel=1e-12)
    scores, gold = drawn(2, ROWS, 1, seed=1), torch.tensor([0.5, 4.0, 2.5])
    expected = [(scores[k, b, 0].item() - gold[b].item()) ** 2 for k in range(2) for b in range(ROWS)]
    found = filtered_task_loss(scores, gold, regression=True)
    assert found.item() == pytest.approx(sum(expected) / len(expected), rel=1e-12)
    with pytest.raises(ValueError, match="one output"):
        filtered_task_loss(logits, gold, regression=True)


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)])
def test_the_list_is_the_batch(shape: tuple[int, ...]) -> None:
    student, teacher = drawn(ROWS).requires_grad_(), drawn(ROWS, seed=1)
    found = listwise_divergence(student.reshape(shape), teacher.reshape(shape), 2.0)
    assert found.item() == pytest.approx(divergence(student.tolist(), teacher.tolist(), 2.0) / ROWS, rel=1e-12)
    assert torch.autograd.grad(found, student)[0].abs().max() > 0
    assert listwise_divergence(teacher, teacher, 2.0).item() == pytest.approx(0, abs=1e-15)
    with pytest.raises(ValueError, match="one output"):
        listwise_divergence(drawn(2, 2), drawn(2, 2), 2.0)


@pytest.mark.parametrize("masked", [True, False])
def test_spans(masked: bool) -> None:
    """Gold positions beyond the row, and before it, do not count and count as the first."""
    start, end = drawn(ROWS, LENGTH, seed=2), drawn(ROWS, LENGTH, seed=3)
    gold = torch.tensor([1, 9, 0]), torch.tensor([4, 2, -3])
    expected = 0.0
    for logits, positions in ((start, gold[0]), (end, gold[1])):
        losses = []
        for row, position in enumerate(positions.clamp(min=0).tolist()):
            if position < LENGTH:
                places = kept(row, masked)
                losses.append(-log_softmax(logits[row, places].tolist())[places.index(position)])
        expected += sum(losses) / len(losses) / 2
    mask = MASK if masked else None
    assert span_cross_entropy(start, end, *gold, mask).item() == pytest.approx(expected, rel=1e-12)
    twice = span_cross_entropy(start.repeat(2, 1, 1), end.repeat(2, 1, 1), *gold, mask)
    assert twice.item() == pytest.approx(expected, rel=1e-12)
    beyond = torch.full((ROWS,), LENGTH)
    assert span_cross_entropy(start, end, beyond, beyond, mask).item() == 0


@pytest.mark.parametrize("masked", [True, False])
def test_span_divergence(masked: bool) -> None:
    student = drawn(ROWS, LENGTH, seed=4).requires_grad_(), drawn(ROWS, LENGTH, seed=5).requires_grad_()
    teacher = drawn(ROWS, LENGTH, seed=6), drawn(ROWS, LENGTH, seed=7)
    rows: list[Any] = [
        (s[b, kept(b, masked)], t[b, kept(b, masked)])
        for s, t in zip(student, teacher, strict=True)
        for b in range(ROWS)
    ]
    expected = sum(divergence(s.tolist(), t.tolist(), 2.0) for s, t in rows) / ROWS / 2
    found = span_divergence(student, teacher, 2.0, MASK if masked else None)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    for gradient in torch.autograd.grad(found, student):
        assert torch.isfinite(gradient).all()
        assert (gradient[MASK == 0] == 0).all() == masked


def test_distances_count_real_tokens_alone_or_all() -> None:
    student, teacher = drawn(2, ROWS, LENGTH, 3, seed=8), drawn(2, ROWS, LENGTH, 3, seed=9)
    squares = (student - teacher).square()
    masked = [squares[k][MASK.bool()].mean().item() for k in range(2)]
    assert hidden_distances(student, teacher, MASK, "masked").tolist() == pytest.approx(masked, rel=1e-12)
    padded = [squares[k].mean().item() for k in range(2)]
    assert hidden_distances(student, teacher, MASK, "padded").tolist() == pytest.approx(padded, rel=1e-12)
