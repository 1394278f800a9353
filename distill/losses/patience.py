"""Distances between the [CLS] vectors of paired layers: patient knowledge distillation and its adaptor."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from distill.losses.precision import at_least_float32, no_autocast

# Norms below it count as it.
_LEAST_NORM = 1e-12


def patience(student: Tensor, teacher: Tensor, *, normalize: bool) -> Tensor:
    """Mean over layers, rows and features of (P_t − P_s)² (Sun et al., EMNLP 2019, as in its code).

    As a mean over features it asks for weights in the hundreds.

    Args:
        student: [CLS] vectors [M, B, d] of the compared layers.
        teacher: [CLS] vectors of the same shape, layer by layer what the student's are compared with; no gradient
            reaches them.
        normalize: Whether each vector is first divided by its length.

    Returns:
        Scalar in float32 (float64 for float64 inputs).

    Raises:
        ValueError: Counts of layers, rows or widths differ. They are never broadcast.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"patience compares one teacher layer with each student layer, not {tuple(teacher.shape)} (teacher) "
            f"with {tuple(student.shape)} (student), each layers × rows × width"
        )
    with no_autocast(student):
        x = at_least_float32(student)
        y = at_least_float32(teacher.detach()).to(x.dtype)
        if normalize:
            x, y = (F.normalize(t, dim=-1, eps=_LEAST_NORM) for t in (x, y))
        return F.mse_loss(x, y)


def direction_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """HidnPKD: mean over layers and rows of ‖u_s − u_t‖² = 2 − 2 cos, where u is a [CLS] vector divided by its length.

    It is the normalised `patience` times the width d.

    Args:
        student: [K, B, d], already projected to the teacher's width.
        teacher: [K, B, d]; no gradient reaches it.

    Returns:
        Scalar in [0, 4], in float32 or better.

    Raises:
        ValueError: As `patience`.
    """
    return patience(student, teacher, normalize=True) * student.shape[-1]
