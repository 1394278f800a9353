"""The adaptors on hidden states and logits against loops, and what their two forms differ by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from distill.losses.adaptors import hidden_distance, hidden_distances, logit_cross_entropy, logit_distance
from tests.distill.losses import literal
from tests.distill.losses.transfer import MASK, close, normal, stack


@pytest.mark.parametrize("reduction", ["masked", "padded"])
def test_hidden_distances(reduction: Any) -> None:
    student, teacher = stack("states", 1).requires_grad_(), stack("states", 2)
    slow = [literal.hidden_distance(s, t, MASK, reduction == "padded") for s, t in zip(student, teacher, strict=True)]
    close(hidden_distances(student, teacher, MASK, reduction), torch.stack(slow), student)


def test_the_published_hidden_distance_is_divided_by_the_students_width() -> None:
    student, teacher = stack("states", 1).requires_grad_(), stack("states", 2)
    mean = torch.stack([literal.hidden_distance(s, t, MASK, False) for s, t in zip(student, teacher, strict=True)])
    close(hidden_distance(student, teacher, MASK, "modern", 4), mean.mean(), student)
    close(hidden_distance(student, teacher, MASK, "published", 4), mean.mean() * 6 / 4, student)


def logits() -> tuple[Tensor, Tensor]:
    return (3 * normal(4, 3, seed=1)).requires_grad_(), 3 * normal(4, 3, seed=2)


def slow_square(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    pairs = zip(student.flatten(), teacher.flatten(), strict=True)
    squares = [((s - t) / tau) ** 2 for s, t in pairs]
    return sum(squares[1:], squares[0]) / len(squares)


def slow_cross_entropy(student: Tensor, teacher: Tensor, tau: float) -> Tensor:
    return literal.soft_cross_entropy(student, teacher, tau) / len(student) / tau**2


Loss = Callable[..., Tensor]


@pytest.mark.parametrize(("loss", "slow"), [(logit_distance, slow_square), (logit_cross_entropy, slow_cross_entropy)])
@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_logits(loss: Loss, slow: Loss, tau: float) -> None:
    student, teacher = logits()
    close(loss(student, teacher, tau, "published"), slow(student, teacher, tau), student)
    close(loss(student, teacher, tau, "modern"), slow(student, teacher, tau) * tau**2, student)


@pytest.mark.parametrize("loss", [logit_distance, logit_cross_entropy])
@pytest.mark.parametrize("form", ["modern", "published"])
def test_logits_have_nothing_to_learn_from_an_equal_teacher(loss: Loss, form: str) -> None:
    student, teacher = logits()
    (gradient,) = torch.autograd.grad(loss(student, student.detach().clone(), 4.0, form), student)
    assert gradient.abs().max() < 1e-15
    loss(student, teacher.requires_grad_(), 4.0, form).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("loss", [logit_distance, logit_cross_entropy])
def test_wrong_logits_are_refused(loss: Loss) -> None:
    student, teacher = logits()
    with pytest.raises(ValueError, match=r"disagree|must both be"):
        loss(student, teacher[:, :2], 4.0, "modern")
    with pytest.raises(ValueError, match="temperature must be positive"):
        loss(student, teacher, 0.0, "modern")


@pytest.mark.parametrize("loss", [logit_distance, logit_cross_entropy])
def test_half_precision_is_computed_in_float32(loss: Loss) -> None:
    student, teacher = (x.detach().bfloat16() for x in logits())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(student, teacher, 4.0, "published")
    assert half.dtype == torch.float32
    assert half == loss(student.float(), teacher.float(), 4.0, "published")
