"""The loss of TinyBERT's second stage: the teacher's predictions alone, or the labels alone in regression."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from distill.losses.logits import distillation_kl, tinybert_prediction
from tests.distill.losses import literal
from tests.distill.losses.transfer import normal


def logits() -> tuple[Tensor, Tensor]:
    return (2 * normal(4, 3, seed=1)).requires_grad_(), 2 * normal(4, 3, seed=2)


def loss(student: Tensor, teacher: Tensor | None, labels: Tensor | None, **options: Any) -> Tensor:
    chosen: dict[str, Any] = {"temperature": 2.0, "form": "modern", "regression": False} | options
    return tinybert_prediction(student, teacher, labels, **chosen)


def test_the_published_form_is_a_mean_over_rows_and_classes_without_the_square() -> None:
    student, teacher = logits()
    ours = loss(student, teacher, None, form="published")
    slow = literal.soft_cross_entropy(student, teacher, 2.0) / 2.0**2 / student.numel()
    torch.testing.assert_close(ours, slow, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(value, student)[0] for value in (ours, slow)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-14)


def test_the_modern_form_is_the_divergence() -> None:
    student, teacher = logits()
    assert loss(student, teacher, None) == distillation_kl(student, teacher, 2.0)
    assert loss(student, student.detach(), None).abs() < 1e-15


@pytest.mark.parametrize("form", ["modern", "published"])
def test_regression_learns_from_the_labels(form: str) -> None:
    student = torch.tensor([[1.0], [2.0], [4.0]], requires_grad=True)
    labels = torch.tensor([1.0, 4.0, 3.0])
    for teacher in (None, torch.full((3, 1), 9.0)):
        value = loss(student, teacher, labels, form=form, regression=True)
        assert value.item() == pytest.approx(5 / 3)
    value.backward()
    assert student.grad is not None
    assert student.grad.flatten().tolist() == pytest.approx([0.0, -4 / 3, 2 / 3])


def test_labels_are_not_read_in_classification() -> None:
    student, teacher = logits()
    assert loss(student, teacher, torch.tensor([0, 1, 2, 0])) == loss(student, teacher, torch.tensor([1, 1, 1, 1]))


def test_what_is_missing_is_said() -> None:
    student, _ = logits()
    with pytest.raises(ValueError, match="no teacher"):
        loss(student, None, None)
    with pytest.raises(ValueError, match="there are none"):
        loss(student[:, :1], None, None, regression=True)
