"""Knowledge distillation: terms, total and gradient for each temperature, alpha, class count and precision."""

from __future__ import annotations

import re
from typing import Any, Literal

import torch
from torch import Tensor

from distill import methods
from distill.methods.base import Shape
from distill.methods.objective import Outputs, Setting, Term, total
from tests.golden_checkers._arrays import Arrays


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    found = re.fullmatch(r"kd_\w+_(batchmean|mean)", stem)
    assert found, f"unknown kind of knowledge-distillation golden: {stem}"
    temperatures, alphas = (arrays[name].tolist() for name in ("T", "alpha"))
    cases = [case for key in arrays.named() if (case := re.fullmatch(r"(C\d+)_total(__f\d\d)", key))]
    assert cases, "no case in the file"
    for case in cases:
        _case(arrays, case[1], case[2], found[1], temperatures, alphas)


def _case(
    arrays: Arrays, classes: str, suffix: str, reduction: Any, temperatures: list[float], alphas: list[float]
) -> None:
    student, teacher = (arrays.tensor(f"{classes}_{who}_logits{suffix}") for who in ("student", "teacher"))
    labels = arrays.tensor(f"{classes}_labels")
    rtol = 1e-12 if student.dtype == torch.float64 else 2e-6
    soft, hard, totals, gradients = [], [], [], []
    for temperature in temperatures:
        row = [_terms(reduction, alpha, temperature, student, teacher, labels) for alpha in alphas]
        soft.append([terms["soft"].value.item() for terms, _ in row if "soft" in terms])
        hard += [terms["hard"].value.item() for terms, _ in row]
        totals.append([total(terms).item() for terms, _ in row])
        gradients.append(torch.stack([gradient for _, gradient in row]))
        # Nothing is trained by the labels at alpha 1, and the teacher is not asked at alpha 0.
        assert len(soft[-1]) == sum(alpha > 0 for alpha in alphas)
    for values in zip(*soft, strict=True):
        arrays.compare(f"{classes}_kd{suffix}", values, rtol=rtol)
    for value in hard:
        arrays.compare(f"{classes}_ce{suffix}", value, rtol=rtol)
    arrays.compare(f"{classes}_total{suffix}", totals, rtol=rtol)
    arrays.compare(f"{classes}_grad_student_logits{suffix}", torch.stack(gradients), rtol=rtol)
    arrays.compare(f"{classes}_noteacher_total{suffix}", totals[0][alphas.index(0)], rtol=rtol)


def _terms(
    reduction: Literal["batchmean", "mean"], alpha: float, temperature: float, student: Tensor, teacher: Tensor,
    labels: Tensor,
) -> tuple[dict[str, Term], Tensor]:  # fmt: skip
    """Terms of the method's objective as a run builds it, and the total's gradient to the student's logits."""
    method = methods.get("kd")
    params = method.resolve({"alpha": alpha, "T": temperature, "reduction": reduction}, "modern")
    objective = method.stages[0].objective(
        Setting(params, "modern", Shape(1, 1, 1), Shape(1, 1, 1), num_labels=student.shape[1], regression=False)
    )
    logits = student.clone().requires_grad_()
    answer = Outputs(teacher) if objective.uses_teacher else None
    terms: dict[str, Term] = objective(Outputs(logits), answer, {"labels": labels})
    (gradient,) = torch.autograd.grad(total(terms), logits)
    return terms, gradient
