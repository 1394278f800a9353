"""Which layers of a deep encoder a shallow one takes. Imports without torch."""

from __future__ import annotations

import math

from distill.errors import UserError


def evenly(student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """1-based teacher layers for a student of `student_layers`: layer i takes ceil(i · N / M).

    Raises:
        UserError: The student would have no layer, or more than the teacher.
    """
    if not 1 <= student_layers <= teacher_layers:
        raise UserError(
            f"--layers {student_layers} does not fit an encoder of {teacher_layers} layers; "
            f"choose 1 to {teacher_layers}."
        )
    return tuple(math.ceil(i * teacher_layers / student_layers) for i in range(1, student_layers + 1))
