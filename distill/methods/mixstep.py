"""Transformer Distiller in one step: the labels and all adaptors that are on, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distill.methods import adaptors
from distill.methods.base import Hyperparameter, Method, Shape, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def objective(setting: Setting) -> Objective:
    """`adaptors.objective` of all adaptors and the labels.

    Raises:
        UserError: As that, or every term is off.
    """
    if problem := _misfit(setting.params, setting.student, setting.teacher or setting.student):
        from distill.errors import UserError

        raise UserError(problem)
    return adaptors.objective(setting, adaptors.ADAPTORS, labels=True)


def _misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    if not adaptors.weights(params) and not params[adaptors.HARD]:
        return "Every loss of mixstep is switched off: --set hard=1, or give an adaptor a weight."
    return adaptors.misfit(params, student, teacher)


def _needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    return adaptors.needs(params, adaptors.ADAPTORS)


def _trainable(params: dict[str, Any], recipe: str, student: Shape) -> tuple[str, ...]:
    if params[adaptors.HARD] or adaptors.weights(params, adaptors.LOGITS):
        return ("all",)
    return adaptors.reached(params, student)


_HYPERPARAMETERS = (
    *adaptors.WEIGHTS,
    adaptors.TAU,
    adaptors.LAYERS,
    adaptors.PKD_LAYERS,
    Hyperparameter("lr", "float", 3e-5, "peak learning rate", low=1e-8, high=1.0),
)

METHOD = Method(
    name="mixstep",
    title="Transformer Distiller, mix-step",
    reference=adaptors.REFERENCE,
    hyperparameters=_HYPERPARAMETERS,
    # Not additive: what is compared at tokens is a mean over the tokens of a batch.
    stages=(
        Stage(
            "distill",
            objective,
            depends_on=tuple(h.name for h in _HYPERPARAMETERS),
            trainable=_trainable,
            needs=_needs,
            teacher_layers=adaptors.teacher_layers,
        ),
    ),
    misfit=_misfit,
    projects=adaptors.PROJECTS,
    published=adaptors.PUBLISHED,
)
