"""Transformer Distiller in two steps: the adaptors inside the encoder first, then labels and logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from distill.errors import UserError
from distill.methods import adaptors
from distill.methods.base import Hyperparameter, Method, Shape, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def intermediate(setting: Setting) -> Objective:
    """`adaptors.objective` of the intermediate adaptors alone.

    Raises:
        UserError: As that, or none of them is on.
    """
    if not adaptors.weights(setting.params, adaptors.INTERMEDIATE):
        raise UserError(_NOTHING_FIRST)
    return adaptors.objective(setting, adaptors.INTERMEDIATE, labels=False)


def prediction(setting: Setting) -> Objective:
    """`adaptors.objective` of the labels and the adaptors on logits.

    Raises:
        UserError: Every term is off.
    """
    if not setting.params[adaptors.HARD] and not adaptors.weights(setting.params, adaptors.LOGITS):
        raise UserError(_NOTHING_SECOND)
    return adaptors.objective(setting, adaptors.LOGITS, labels=True)


_NOTHING_FIRST = (
    "Step 1 of twostep has nothing to learn, as every adaptor inside the encoder is off: give one a weight, or use "
    "--method mixstep."
)
_NOTHING_SECOND = "Step 2 of twostep has nothing to learn: --set hard=1, or give LogitMSE or LogitCE a weight."


def _misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    if not adaptors.weights(params, adaptors.INTERMEDIATE):
        return _NOTHING_FIRST
    if not params[adaptors.HARD] and not adaptors.weights(params, adaptors.LOGITS):
        return _NOTHING_SECOND
    return adaptors.misfit(params, student, teacher)


def _first_needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    return adaptors.needs(params, adaptors.INTERMEDIATE)


def _first_training(params: dict[str, Any], recipe: str) -> dict[str, Any]:
    return {"epochs": params["intermediate_epochs"], "lr": params["intermediate_lr"]}


def _first_trainable(params: dict[str, Any], recipe: str, student: Shape) -> tuple[str, ...]:
    return adaptors.reached(params, student)


def _keep(recipe: str) -> Literal["last", "best"]:
    return "last" if recipe == "published" else "best"


def _second_trainable(params: dict[str, Any], recipe: str, student: Shape) -> tuple[str, ...]:
    """What `prediction_trains` says; "auto" is the head and every layer that step 1 did not reach as a whole."""
    parts, layers = params["prediction_trains"], student.physical
    if parts == "all":
        return ("all",)
    if parts == "classifier":
        return ("classifier.",)
    first = {"head": layers, "last-layer": layers - 1, "auto": adaptors.whole_layers(params, student)}[parts]
    return (*(f"encoder.layer.{number}." for number in range(first, layers)), "head")


_STEP1 = (*adaptors.INTERMEDIATE, "layers", "pkd_layers", "intermediate_epochs", "intermediate_lr")

METHOD = Method(
    name="twostep",
    title="Transformer Distiller, two-step",
    reference=adaptors.REFERENCE,
    hyperparameters=(
        *adaptors.WEIGHTS,
        adaptors.TAU,
        adaptors.LAYERS,
        adaptors.PKD_LAYERS,
        Hyperparameter("intermediate_epochs", "int", 10, "epochs of step 1", low=1, high=10_000),
        Hyperparameter("intermediate_lr", "float", 3e-5, "peak learning rate of step 1", low=1e-8, high=1.0),
        Hyperparameter(
            "prediction_trains",
            "choice",
            "auto",
            "what step 2 trains: the classifier, the head (pooler and classifier), with the last layer, all; auto is "
            "the head and the layers that step 1 leaves untrained",
            choices=("auto", "classifier", "head", "last-layer", "all"),
            published="classifier",
        ),
        Hyperparameter("lr", "float", 3e-5, "peak learning rate of step 2", low=1e-8, high=1.0),
    ),
    stages=(
        Stage(
            "intermediate",
            intermediate,
            depends_on=_STEP1,
            trainable=_first_trainable,
            reporting=False,
            needs=_first_needs,
            teacher_layers=adaptors.teacher_layers,
            training=_first_training,
            keep=_keep,
        ),
        Stage(
            "prediction",
            prediction,
            # What step 1 reaches decides what is left to train.
            depends_on=(
                *adaptors.INTERMEDIATE,
                "pkd_layers",
                *adaptors.LOGITS,
                "hard",
                "tau",
                "prediction_trains",
                "lr",
            ),
            trainable=_second_trainable,
            needs=lambda params, recipe: adaptors.needs(params, adaptors.LOGITS),
            additive=True,
        ),
    ),
    misfit=_misfit,
    projects=adaptors.PROJECTS,
    published=adaptors.PUBLISHED,
)
