"""How a stage that does not report is judged: by its own loss on the dev rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.losses.precision import at_least_float32
from distill.methods.base import PARTS
from distill.methods.objective import Objective, Outputs, total
from distill.models.capture import Capture
from distill.teacher.source import TeacherSource
from distill.training.batching import Tokens, evaluation_order
from distill.training.precision import autocast
from distill.training.predictions import Collected
from distill.training.settings import Numerics, Training

LOSS = "loss"


@torch.no_grad()
def judge(
    student: Any,
    capture: Capture,
    objective: Objective,
    source: TeacherSource | None,
    dev: Tokens,
    training: Training,
    numerics: Numerics,
    layers: tuple[int, ...] | None = None,
    batches: list[np.ndarray] | None = None,
) -> tuple[dict[str, float], np.ndarray]:
    """Mean total loss ("loss") and mean of each term over the dev rows, and what `predict` gives of them.

    Student and objective are in eval mode and in full precision; only the teacher answers as it does in training.
    Batches count by their rows. Rows are padded as in training, because some recipes' losses read the padding.

    Args:
        capture: Of the student, with what the objective needs.
        source: Answers for the teacher; None where it is not asked.
        layers: Those that are read of the teacher.
        batches: Row numbers to look at instead of all dev rows; logits of others are 0 then.
    """
    modes = student.training, objective.training
    student.eval()
    objective.eval()
    length = training.max_length if training.padding == "max_length" else None
    collected = Collected(dev)
    sums: dict[str, Tensor] = {}
    count = 0
    try:
        for rows in batches or evaluation_order(dev.lengths, training.evaluation_batch):
            batch = dev.batch(rows, numerics.device, length)
            inputs = {name: value for name, value in batch.items() if name != "labels"}
            answer: Outputs | None = None
            if objective.uses_teacher:
                assert source is not None
                with autocast(numerics):
                    answer = source.answer(rows, inputs, objective.needs, split="dev", layers=layers)
            output = capture.run(**inputs)
            terms = objective(output, None if answer is None else _exact(answer), batch)
            for name, value in [*((n, t.value) for n, t in terms.items()), (LOSS, total(terms))]:
                value = value.double() * len(rows)
                sums[name] = sums[name] + value if name in sums else value
            collected.add(rows, output.logits.float().cpu().numpy())
            count += len(rows)
    finally:
        student.train(modes[0])
        objective.train(modes[1])
    if not count:
        raise ValueError("there are no rows to judge by")
    return {name: float(value) / count for name, value in sums.items()}, collected.predictions()


def _exact(answer: Outputs) -> Outputs:
    """What autocast rounded goes on in float32, as the student's side is: without autocast types do not mix."""
    found = {part: getattr(answer, part) for part in PARTS}
    exact: dict[str, Any] = {part: at_least_float32(x) for part, x in found.items() if x is not None}
    return replace(answer, **exact)
