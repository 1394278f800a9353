"""LWD: distances between layers without filters that know the task; with mse_alpha 0 knowledge distillation alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from distill.methods import task_aware as shared
from distill.methods.base import Method, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def distill(setting: Setting) -> Objective:
    """Total: hard · task loss + kl_alpha · soft + mse_alpha · layers (Liang et al., 2023, the baseline LWD).

    As the distilling stage of TED, but the teacher's states are taken as they are, and the student's pass a linear
    layer each to the teacher's width, drawn anew, also where the widths are the same.

    Raises:
        UserError: The intervals do not fit, or nothing is compared.
    """
    return shared.task_aware(setting, teacher_filters=False)


# The reference starts its baselines from the raw pre-trained student, TED from the fine-tuned one.
_FINETUNE = shared.finetuning(published_epochs=0)
# Without distances no layer is looked at.
_INTERVALS = tuple(replace(h, active=lambda values: values["mse_alpha"] > 0) for h in shared.INTERVALS)
_DISTILLING = (*_INTERVALS, *shared.DISTILLING)

METHOD = Method(
    name="lwd",
    title="LWD (TED without filters)",
    reference=shared.REFERENCE,
    hyperparameters=(*_FINETUNE, *_DISTILLING),
    stages=(
        shared.finetune_stage(_FINETUNE),
        Stage(
            "distill",
            distill,
            depends_on=tuple(h.name for h in _DISTILLING),
            needs=shared.needs,
            teacher_layers=shared.teacher_layers,
            reads_padding=lambda recipe: recipe == "published",
        ),
    ),
    misfit=shared.misfit,
    meets=shared.meets("Layers compared: {}, the student's through a linear layer each to width {}"),
    projects="a linear layer on each of its layers that is compared leads to the teacher's, and is dropped at the end",
    published=shared.PUBLISHED,
)
