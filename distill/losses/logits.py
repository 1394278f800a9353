"""Losses on the outputs of the last layer: what the teacher predicts and what the labels say."""

from __future__ import annotations

import contextlib
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.losses.precision import at_least_float32, no_autocast


def soft_cross_entropy(
    student: Tensor,
    teacher: Tensor,
    temperature: float,
    reduction: Literal["batchmean", "mean"],
    *,
    scaled: bool = True,
) -> Tensor:
    """Cross-entropy of the student's softened distribution under the teacher's, times T².

    Args:
        student: logits [B, C].
        teacher: logits [B, C]; no gradient reaches them.
        temperature: T > 0, divides both sets of logits.
        reduction: "batchmean" divides the sum by B; "mean" by B·C, which is what the BERT-EMD and TinyBERT
            code does and makes the value 1/C of the usual one.
        scaled: whether the factor T² is there, with which gradients keep their size at any temperature.

    Returns:
        Scalar in float32 (float64 for float64 inputs).
    """
    _check(student, teacher, temperature)
    with no_autocast(student):
        log_student = F.log_softmax(at_least_float32(student) / temperature, dim=-1)
        soft_targets = F.softmax(at_least_float32(teacher.detach()) / temperature, dim=-1)
        divisor = student.numel() if reduction == "mean" else student.shape[0]
        factor = temperature**2 if scaled else 1.0
        return -(soft_targets.to(log_student.dtype) * log_student).sum() * (factor / divisor)


def distillation_kl(
    student: Tensor,
    teacher: Tensor,
    temperature: float,
    reduction: Literal["batchmean", "mean"] = "batchmean",
    *,
    real: Tensor | None = None,
) -> Tensor:
    """T² · KL(teacher ‖ student) of the softened distributions (Hinton et al., 2015).

    Args:
        student: logits [B, C].
        teacher: logits [B, C]; no gradient reaches them.
        temperature: T > 0, divides both sets of logits.
        reduction: "batchmean" divides the sum by B; "mean" by B·C, which is what the PKD code does.
        real: bool [B, C], which classes of each row count in its mean; all when None. The others' logits are so low
            that they add nothing (`distill.models.positions`).

    Returns:
        Scalar in float32 (float64 for float64 inputs), 0 where both agree.
    """
    _check(student, teacher, temperature)
    with no_autocast(student):
        log_student = F.log_softmax(at_least_float32(student) / temperature, dim=-1)
        log_teacher = F.log_softmax(at_least_float32(teacher.detach()) / temperature, dim=-1)
        if reduction == "mean" and real is not None:
            each = F.kl_div(log_student, log_teacher.to(log_student.dtype), reduction="none", log_target=True)
            return mean_of_rows(each, real) * temperature**2
        total = F.kl_div(log_student, log_teacher.to(log_student.dtype), reduction="sum", log_target=True)
        # Divided here: torch announces that its own "mean" will come to mean the other.
        divisor = student.numel() if reduction == "mean" else student.shape[0]
        return total * (temperature**2 / divisor)


def prediction_loss(
    student: Tensor,
    teacher: Tensor | None,
    labels: Tensor | None,
    *,
    alpha: float,
    temperature: float,
    form: Literal["modern", "published", "elementwise"],
    regression: bool,
    real: Tensor | None = None,
) -> dict[str, Tensor]:
    """Soft (teacher) and hard (label) terms of the prediction loss, unweighted.

    The caller adds them up as `alpha * soft + (1 - alpha) * hard`. A term whose weight is 0 is still
    returned, for the record, but without a graph: it costs no backward pass.

    Args:
        student: logits [B, C], or [B, 1] or [B] for regression.
        teacher: logits of the same shape; no gradient reaches them. None is allowed when `alpha` is 0 and leaves
            the soft term out.
        labels: class indices [B] or gold scores [B]; None is allowed when `alpha` is 1 and leaves the hard
            term out.
        alpha: weight of the soft term in [0, 1].
        temperature: T > 0; regression has none and does not use it.
        form: "modern" takes T²·KL with the mean over the batch as the soft term; "published" takes T² times
            the soft cross-entropy with the mean over batch and classes (Li et al., 2020, as in its code);
            "elementwise" takes T²·KL with that mean (Sun et al., 2019, as in its code).
        regression: both terms are mean squared errors, in every form.
        real: as in `distillation_kl`; for spans nothing was published.

    Returns:
        {"soft": scalar, "hard": scalar}, in float32 or better.

    Raises:
        ValueError: on shapes that disagree, or labels or teacher missing although they have a weight.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], not {alpha}")
    if form not in ("modern", "published", "elementwise"):
        raise ValueError(f"unknown form of the prediction loss: {form!r}")
    if labels is None and alpha < 1:
        raise ValueError("alpha < 1 gives the labels a weight, but there are no labels")
    if teacher is None and alpha > 0:
        raise ValueError("alpha > 0 gives the teacher a weight, but there is no teacher")
    if regression:
        student, teacher = _flat_scores(student), None if teacher is None else _flat_scores(teacher)
    terms: dict[str, Tensor] = {}
    with no_autocast(student):
        if teacher is not None:
            with contextlib.nullcontext() if alpha > 0 else torch.no_grad():
                if regression:
                    terms["soft"] = squared_error(student, teacher)
                elif form == "published":
                    terms["soft"] = soft_cross_entropy(student, teacher, temperature, "mean")
                else:
                    reduction: Literal["batchmean", "mean"] = "batchmean" if form == "modern" else "mean"
                    terms["soft"] = distillation_kl(student, teacher, temperature, reduction, real=real)
        if labels is not None:
            with contextlib.nullcontext() if alpha < 1 else torch.no_grad():
                if regression:
                    terms["hard"] = squared_error(student, labels.reshape(-1))
                else:
                    terms["hard"] = F.cross_entropy(at_least_float32(student), labels.reshape(-1).long())
    return terms


def tinybert_prediction(
    student: Tensor,
    teacher: Tensor | None,
    labels: Tensor | None,
    *,
    temperature: float,
    form: Literal["modern", "published"],
    regression: bool,
) -> Tensor:
    """Loss of TinyBERT's second stage (Jiao et al., 2020, eq. 10, and its code): the teacher's predictions alone.

    In regression it is the labels alone, whatever the form: the squared error of the student's output.

    Args:
        student: logits [B, C], or [B, 1] or [B] for regression.
        teacher: logits [B, C]; no gradient reaches them. Not read in regression.
        labels: gold scores [B] for regression; otherwise not read.
        temperature: T > 0; regression has none and does not use it.
        form: "modern" takes T²·KL with the mean over the batch, "published" the soft cross-entropy with the mean over
            batch and classes and without T².

    Returns:
        Scalar in float32 or better.

    Raises:
        ValueError: on shapes that disagree, or if what the loss compares with is missing.
    """
    if regression:
        if labels is None:
            raise ValueError("regression learns from the labels, but there are none")
        return squared_error(_flat_scores(student), labels.reshape(-1))
    if teacher is None:
        raise ValueError("the predictions are the teacher's, but there is no teacher")
    if form == "published":
        return soft_cross_entropy(student, teacher, temperature, "mean", scaled=False)
    return distillation_kl(student, teacher, temperature)


def squared_error(student: Tensor, target: Tensor) -> Tensor:
    """Mean of (x − y)² over everything, in float32 or better; no gradient reaches the target.

    Raises:
        ValueError: The shapes differ.
    """
    if student.shape != target.shape:
        raise ValueError(f"predictions {tuple(student.shape)} and targets {tuple(target.shape)} disagree")
    scores = at_least_float32(student)
    return F.mse_loss(scores, target.detach().to(scores.dtype))


def mean_of_rows(values: Tensor, real: Tensor) -> Tensor:
    """Mean over rows of each row's mean over the classes that count, so that neither padding nor other rows matter.

    Args:
        values: [B, C], 0 where a class does not count.
        real: bool [B, C].
    """
    return (values.sum(-1) / real.sum(-1)).mean()


def _flat_scores(logits: Tensor) -> Tensor:
    if logits.dim() == 2 and logits.shape[1] != 1:
        raise ValueError(f"regression needs one output a row, not {tuple(logits.shape)}")
    return logits.reshape(-1)


def _check(student: Tensor, teacher: Tensor, temperature: float) -> None:
    if student.shape != teacher.shape or student.dim() != 2:
        raise ValueError(
            f"logits must both be [B, C], not {tuple(student.shape)} (student) and {tuple(teacher.shape)} (teacher)"
        )
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
