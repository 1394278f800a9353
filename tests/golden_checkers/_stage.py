"""The objective of one stage of a method, as a run builds it, for two networks of a file."""

from __future__ import annotations

from typing import Any, Literal

import torch

from distill import methods
from distill.methods.objective import Objective, Setting
from distill.models.capture import shape_of


def objective(
    name: str,
    stage: int,
    student: Any,
    teacher: Any,
    params: dict[str, Any],
    recipe: Literal["modern", "published"],
    dtype: torch.dtype,
) -> Objective:
    """In a precision.

    Args:
        params: Overlaid on the method's defaults.
    """
    method = methods.get(name)
    setting = Setting(
        params=method.resolve(params, recipe),
        recipe=recipe,
        student=shape_of(student),
        teacher=shape_of(teacher),
        num_labels=student.config.num_labels,
        regression=False,
    )
    return method.stages[stage].objective(setting).to(dtype)
