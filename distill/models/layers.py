"""Which layers of a deep encoder a shallow one takes. Imports without torch."""

from __future__ import annotations

import math
from typing import Literal

from distill.errors import UserError

Rule = Literal["evenly", "first"]


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


def chosen(rule: Rule, student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """1-based layers that a student of `student_layers` keeps of an encoder: spread evenly, or the first ones.

    Raises:
        UserError: As `evenly`.
    """
    even = evenly(student_layers, teacher_layers)
    return even if rule == "evenly" else tuple(range(1, student_layers + 1))
