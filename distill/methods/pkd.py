"""Patient knowledge distillation: beside its predictions, the teacher's [CLS] vectors below its last layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distill import layer_maps
from distill.errors import UserError
from distill.methods import kd
from distill.methods.base import Hyperparameter, Method, Shape, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def objective(setting: Setting) -> Objective:
    """Total: alpha · soft + (1 - alpha) · hard + beta · patience (Sun et al., EMNLP 2019, as in its code).

    `soft` and `hard` are those of `kd`. `patience` is the mean squared difference of the [CLS] vectors of the student's
    layers below its last and of as many layers of the teacher, each vector divided by its length first if `normalize`
    says so: a mean over layers, rows and features. So beta is of the order of hundreds.

    Raises:
        UserError: The layers do not fit, or the widths differ.
    """
    from torch import Tensor

    from distill.losses.patience import patience
    from distill.methods.objective import Objective, Outputs, Term

    params = setting.params
    beta: float = params["beta"]
    if setting.teacher is None:
        raise ValueError("patient distillation needs a teacher")
    if problem := _misfit(params, setting.student, setting.teacher):
        raise UserError(problem)
    theirs = _compared(params, setting.student, setting.teacher)
    own = tuple(range(1, len(theirs) + 1))
    prediction = kd.objective(setting)

    class Patience(Objective):
        needs = _needs(params, setting.recipe)
        uses_teacher = prediction.uses_teacher or beta > 0

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            asked = teacher if prediction.uses_teacher else None
            terms: dict[str, Term] = prediction(student, asked, batch)
            if beta > 0:
                assert teacher is not None
                loss = patience(student.at("cls", own), teacher.at("cls", theirs), normalize=params["normalize"])
                terms["patience"] = Term(loss, beta)
            return terms

    return Patience()


def _compared(params: dict[str, Any], student: Shape, teacher: Shape) -> tuple[int, ...]:
    """The teacher's layers, one for each of the student's but its last; none without patience."""
    return layer_maps.patience(params["layers"], student.layers, teacher.layers) if params["beta"] > 0 else ()


def _needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    return frozenset({"logits", "cls"} if params["beta"] > 0 else {"logits"})


def _misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    if not params["beta"] > 0:
        return None
    try:
        _compared(params, student, teacher)
    except UserError as error:
        return str(error)
    if student.hidden_size != teacher.hidden_size:
        return (
            f"The student's width {student.hidden_size} differs from the teacher's {teacher.hidden_size}, but patient "
            "distillation compares their vectors as they are: choose a --student as wide, or --set beta=0."
        )
    return None


def _patient(values: dict[str, Any]) -> bool:
    return bool(values["beta"] > 0)


def _own(known: Hyperparameter) -> Hyperparameter:
    """What plain distillation has too, at this program's own default."""
    return replace(known, default=10.0) if known.name == "T" else known


_HYPERPARAMETERS = (
    *(_own(known) for known in kd.HYPERPARAMETERS),
    Hyperparameter("beta", "float", 100.0, "weight of the [CLS] vectors below the last layer", low=0.0, high=1e6),
    Hyperparameter("normalize", "bool", True, "compare the directions of the vectors alone", active=_patient),
    Hyperparameter(
        "layers",
        "layers",
        "skip",
        "the teacher's layers: skip (every N/M-th), last (those below its last), or one by one",
        choices=layer_maps.PATIENCE_RULES,
        active=_patient,
    ),
)

METHOD = Method(
    name="pkd",
    title="patient knowledge distillation",
    reference="Sun et al., Patient Knowledge Distillation for BERT Model Compression, EMNLP 2019",
    hyperparameters=_HYPERPARAMETERS,
    stages=(
        Stage("distill", objective, depends_on=tuple(h.name for h in _HYPERPARAMETERS), needs=_needs, additive=True),
    ),
    student_layers="first",
    misfit=_misfit,
    published=kd.PUBLISHED,
)
