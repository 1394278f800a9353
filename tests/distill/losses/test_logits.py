from __future__ import annotations

from typing import Any

import pytest
import torch

from distill.losses.logits import distillation_kl, prediction_loss, soft_cross_entropy
from tests.distill.losses import literal


def logits(rows: int = 5, classes: int = 3, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    student, teacher = (2 * torch.randn(rows, classes, generator=generator, dtype=dtype) for _ in range(2))
    labels = torch.randint(classes, (rows,), generator=generator)
    return student.requires_grad_(), teacher, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(("reduction", "divisor"), [("batchmean", 5), ("mean", 15)])
def test_soft_cross_entropy_is_the_literal_sum(temperature: float, reduction: Any, divisor: int) -> None:
    student, teacher, _ = logits()
    ours = soft_cross_entropy(student, teacher, temperature, reduction)
    slow = literal.soft_cross_entropy(student, teacher, temperature) / divisor
    torch.testing.assert_close(ours, slow, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(loss, student)[0] for loss in (ours, slow)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kl_is_cross_entropy_less_the_teachers_entropy(temperature: float) -> None:
    student, teacher, _ = logits()
    ours = distillation_kl(student, teacher, temperature)
    cross = literal.soft_cross_entropy(student, teacher, temperature)
    entropy = literal.soft_cross_entropy(teacher, teacher, temperature)
    torch.testing.assert_close(ours, (cross - entropy) / 5, rtol=1e-12, atol=1e-14)
    assert distillation_kl(teacher, teacher, temperature).abs() < 1e-14


def test_terms_of_both_forms() -> None:
    student, teacher, labels = logits()
    options: dict[str, Any] = {"alpha": 0.8, "temperature": 3.0, "regression": False}
    modern = prediction_loss(student, teacher, labels, form="modern", **options)
    published = prediction_loss(student, teacher, labels, form="published", **options)
    torch.testing.assert_close(modern["soft"], distillation_kl(student, teacher, 3.0))
    torch.testing.assert_close(published["soft"], soft_cross_entropy(student, teacher, 3.0, "mean"))
    slow = sum(-torch.log(torch.stack(literal.softmax(list(s)))[y]) for s, y in zip(student, labels, strict=True))
    for terms in (modern, published):
        torch.testing.assert_close(terms["hard"], slow / 5, rtol=1e-12, atol=0)


@pytest.mark.parametrize("form", ["modern", "published"])
@pytest.mark.parametrize("shape", [(4, 1), (4,)])
def test_regression_is_two_squared_errors(form: Any, shape: tuple[int, ...]) -> None:
    student = torch.tensor([1.0, 2.0, 3.0, 5.0]).reshape(shape).requires_grad_()
    teacher = torch.tensor([1.0, 2.0, 4.0, 5.0]).reshape(shape)
    labels = torch.tensor([3.0, 2.0, 3.0, 5.0])
    terms = prediction_loss(student, teacher, labels, alpha=0.5, temperature=7.0, form=form, regression=True)
    assert {name: value.item() for name, value in terms.items()} == {"soft": 0.25, "hard": 1.0}
    (0.5 * terms["soft"] + 0.5 * terms["hard"]).backward()
    assert student.grad is not None
    assert student.grad.flatten().tolist() == [-0.5, 0.0, -0.25, 0.0]


@pytest.mark.parametrize("form", ["modern", "published"])
@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize(("alpha", "trained"), [(0.0, {"hard"}), (0.3, {"soft", "hard"}), (1.0, {"soft"})])
def test_a_term_without_weight_has_no_graph(form: Any, regression: bool, alpha: float, trained: set[str]) -> None:
    student, teacher, labels = logits(classes=1 if regression else 3)
    terms = prediction_loss(student, teacher, labels, alpha=alpha, temperature=2.0, form=form, regression=regression)
    assert set(terms) == {"soft", "hard"}
    assert {name for name, value in terms.items() if value.requires_grad} == trained
    for name in trained:
        (gradient,) = torch.autograd.grad(terms[name], student, retain_graph=True)
        assert gradient.abs().max() > 0


def test_labels_may_be_missing_only_without_weight() -> None:
    student, teacher, _ = logits()
    options: dict[str, Any] = {"temperature": 1.0, "form": "modern", "regression": False}
    assert set(prediction_loss(student, teacher, None, alpha=1.0, **options)) == {"soft"}
    with pytest.raises(ValueError, match="no labels"):
        prediction_loss(student, teacher, None, alpha=0.9, **options)


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher, labels = logits()
    teacher.requires_grad_()
    for form in ("modern", "published"):
        terms = prediction_loss(student, teacher, labels, alpha=0.5, temperature=1.0, form=form, regression=False)
        sum(terms.values()).backward()
    assert teacher.grad is None


def test_half_precision_is_computed_in_float32() -> None:
    student, teacher, labels = logits(dtype=torch.float32)
    half = [t.detach().bfloat16() for t in (student, teacher)]
    for form in ("modern", "published"):
        options: dict[str, Any] = {"alpha": 0.5, "temperature": 3.0, "form": form, "regression": False}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = prediction_loss(*half, labels, **options)
        wide = prediction_loss(half[0].float(), half[1].float(), labels, **options)
        assert {name: float(v) for name, v in ours.items()} == {name: float(v) for name, v in wide.items()}
        assert all(value.dtype == torch.float32 for value in ours.values())


def test_extreme_logits_stay_finite() -> None:
    student = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    teacher = torch.tensor([[1e4, -1e4], [1e4, -1e4]])
    loss = distillation_kl(student, teacher, 1.0) + soft_cross_entropy(student, teacher, 1.0, "mean")
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 1.5}, "alpha"),
        ({"temperature": 0.0}, "temperature"),
        ({"form": "older"}, "form"),
        ({"teacher": torch.zeros(5, 2)}, "logits must both be"),
        ({"regression": True}, "one output a row"),
    ],
)
def test_wrong_input_is_refused(change: dict[str, Any], message: str) -> None:
    student, teacher, labels = logits()
    arguments: dict[str, Any] = {
        "student": student,
        "teacher": teacher,
        "labels": labels,
        "alpha": 0.5,
        "temperature": 1.0,
    }
    arguments |= {"form": "modern", "regression": False}
    with pytest.raises(ValueError, match=message):
        prediction_loss(**(arguments | change))
