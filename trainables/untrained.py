"""What a plan says of the student's parameters that no stage trains. Imports without torch and Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from distill.methods.base import Method
from distill.models.parameters import left_alone, told
from distill.training.settings import Training, split
from trainables.shapes import shape_of


def notices(
    method: Method, points: Sequence[dict[str, Any]], student: dict[str, Any], training: Training, span: bool = False
) -> list[str]:
    """One sentence for each set of parameters that stay as they come in some of the method's points.

    Args:
        points: Of a plan; those of another method are passed over.
        student: The plan's.
        span: Whether it points to tokens.
    """
    own = [point for point in points if point["method"] == method.name]
    counts: Counter[str] = Counter()
    for point in own:
        params, _ = split(point["params"], training)
        shape = shape_of(student).shared(method.sharing(params))
        counts[left_alone(method.stages, params, point["recipe"], shape, student["model_type"], span)] += 1
    found = []
    for words, count in counts.items():
        where = "" if count == len(own) else f" in {count} of {len(own)} points"
        if words:
            found.append(told(words, where))
    return found
