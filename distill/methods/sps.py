"""Shuffled parameter sharing: the student's layers run twice, with queries and keys exchanged the second time."""

from __future__ import annotations

from typing import Any

from distill.methods import then
from distill.methods.base import Hyperparameter, Method, Stage
from distill.models.repeats import Sharing

# So many of the top layers can be asked for by a number.
_MOST = 12


def sharing_hyperparameters(default: str) -> tuple[Hyperparameter, Hyperparameter]:
    """Whether layers run twice, and which do.

    Args:
        default: Of `sps`.
    """
    return (
        Hyperparameter(
            "sps",
            "choice",
            default,
            "none; or the student's layers run twice: share (the same pass again), swap (queries and keys exchanged)",
            choices=("none", "share", "swap"),
        ),
        Hyperparameter(
            "sps_repeat",
            "choice",
            "auto",
            "which layers run twice: all, so many of the top ones, or auto (all, but of six the upper three)",
            choices=("auto", "all", *map(str, range(1, _MOST + 1))),
            active=lambda values: values["sps"] != "none",
            settled=_settled,
        ),
    )


def _settled(repeat: str, layers: int) -> str:
    """How many layers the words `auto` and `all` mean, as far as numbers go."""
    count = int(repeat) if repeat.isdigit() else Sharing(repeat="auto" if repeat == "auto" else "all").repeated(layers)
    return str(count) if count <= _MOST else "all"


def sharing(values: dict[str, Any]) -> Sharing | None:
    """How the student's layers run twice, given a point's resolved values."""
    if values["sps"] == "none":
        return None
    repeat = values["sps_repeat"]
    return Sharing(values["sps"], int(repeat) if repeat.isdigit() else repeat)


_HYPERPARAMETERS = (*sharing_hyperparameters("swap"), *then.hyperparameters("kd"))

METHOD = Method(
    name="sps",
    title="shuffled parameter sharing",
    reference=then.REFERENCE,
    hyperparameters=_HYPERPARAMETERS,
    stages=(
        Stage(
            "train",
            then.objective,
            depends_on=tuple(h.name for h in _HYPERPARAMETERS),
            needs=then.needs,
            additive=True,
        ),
    ),
    student_layers="first",
    sharing=sharing,
    misfit=then.misfit,
    published=then.PUBLISHED,
)
