"""A last stage that another method does: fine-tuning, distillation or patient distillation, as `then` says.

What a method prepares a student for (`sps`, `ptp`, `pea`) it leaves to one of these three, with their losses and their
hyper-parameters. Imports without torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distill import layer_maps
from distill.errors import UserError
from distill.methods import ft, kd, pkd
from distill.methods.base import Hyperparameter, Method, Published, Shape

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting

METHODS: dict[str, Method] = {"ft": ft.METHOD, "kd": kd.METHOD, "pkd": pkd.METHOD}
REFERENCE = (
    "Cho and Kang, Pea-KD: Parameter-efficient and Accurate Knowledge Distillation on BERT, PLOS ONE 17(2), 2022"
)
_AUTO = "auto"

# Beside the rest of patient distillation's: both programs stop behind 5 of the 6 epochs of their schedule. Teachers are
# the same, so that all of these methods can be compared in this recipe as well.
PUBLISHED = Published(
    training={**kd.PUBLISHED.training, "epochs": 5, "schedule_epochs": 6}, teacher=kd.PUBLISHED.teacher
)


def hyperparameters(default: str) -> tuple[Hyperparameter, ...]:
    """`then`, and all that the three read, each of which acts where the chosen one has it.

    Args:
        default: Of `then`.
    """
    words = "how the student is trained on the task: ft (the labels), kd (with the teacher's predictions), pkd"
    then = Hyperparameter("then", "choice", default, f"{words} (with its [CLS] vectors)", choices=tuple(METHODS))
    return (then, *(_acting(known) for known in pkd.METHOD.hyperparameters))


def objective(setting: Setting) -> Objective:
    """That of the chosen method.

    Raises:
        UserError: It does not fit the two networks.
    """
    if setting.teacher is None:
        raise ValueError("what follows may need a teacher")
    if problem := misfit(setting.params, setting.student, setting.teacher):
        raise UserError(problem)
    params = _own(setting.params, setting.student, setting.teacher)
    made = _chosen(params).stages[0].objective(replace(setting, params=params))
    made.needs = needs(params, setting.recipe)
    return made


def needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    """What the chosen method takes of both networks; nothing of a teacher that it does not ask."""
    chosen = _chosen(params)
    return chosen.stages[0].needs(params, recipe) if chosen.needs_teacher else frozenset()


def misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    """Why the chosen method cannot train this student, as one sentence with the remedy, or None."""
    rule = params["layers"] if _is_patient(params) else None
    if rule is not None and student.layers < 2:
        return "then=pkd compares the layers below the last, and a student of 1 has none: --layers 2, or --set then=kd."
    if rule is not None and student.repeated and not rule[0].isdigit():
        if student.layers > teacher.layers:
            return (
                f"A student of {student.layers} logical layers cannot be laid onto a teacher of {teacher.layers}, "
                "whose [CLS] vectors it learns: choose fewer --layers, repeat fewer with --set sps_repeat=N, or --set "
                "then=kd."
            )
        if rule == "skip" and teacher.layers % student.layers:
            return (
                f"{teacher.layers} layers of the teacher are no multiple of the student's {student.layers} logical "
                "ones, as layers=skip needs where layers run twice: --set layers=auto, or the teacher's layers one by "
                "one."
            )
    return _chosen(params).misfit(_own(params, student, teacher), student, teacher)


def _chosen(params: dict[str, Any]) -> Method:
    return METHODS[params["then"]]


def _is_patient(params: dict[str, Any]) -> bool:
    return bool(params["then"] == "pkd" and params["beta"] > 0)


def _own(params: dict[str, Any], student: Shape, teacher: Shape) -> dict[str, Any]:
    """The values as patient distillation knows them: `layers` may not be "auto" there."""
    if not _is_patient(params) or params["layers"] != _AUTO:
        return params
    if not student.repeated or student.layers > teacher.layers:
        return {**params, "layers": "skip"}
    found = layer_maps.nearest(student.layers, teacher.layers)[:-1]
    return {**params, "layers": "-".join(map(str, found))}


def _acting(known: Hyperparameter) -> Hyperparameter:
    """A hyper-parameter of patient distillation, without effect where what follows is a method that lacks it."""
    having = {name for name, method in METHODS.items() if method.hyperparameter(known.name)}

    def active(values: dict[str, Any]) -> bool:
        return values["then"] in having and known.active(values)

    if known.name != "layers":
        return replace(known, active=active)
    words = "auto (skip, or where layers run twice the nearest to every N/M-th)"
    return replace(
        known,
        default=_AUTO,
        published="skip",
        choices=(_AUTO, *known.choices),
        help=f"the teacher's layers: {words}, skip (every N/M-th), last (those below its last), or one by one",
        active=active,
    )
