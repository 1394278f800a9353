"""A method of two stages, made for tests alone: what a method of the package may declare, it declares.

In the first stage the student's embeddings and lower layers learn chosen hidden states and values of the teacher; in
the second the whole student learns its predictions.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from distill.errors import UserError
from distill.methods import base
from distill.methods.base import Hyperparameter, Method, Shape, Stage
from distill.methods.objective import Objective, Setting

NAME = "two_stage"


def chosen(params: dict[str, Any], student: Shape, teacher: Shape) -> tuple[int, ...]:
    """The teacher's layer for each of the student's, and the embedding output."""
    if params["layers"] == "even":
        return tuple(i * teacher.layers // student.layers for i in range(student.layers + 1))
    if params["layers"] == "last":
        return (0, *range(teacher.layers - student.layers + 1, teacher.layers + 1))
    return (0, *(int(layer) for layer in params["layers"].split("-")))


def intermediate(setting: Setting) -> Objective:
    """gain · hidden + weight · values, mean squares over real tokens."""
    from torch import Tensor, nn

    from distill.losses.precision import at_least_float32
    from distill.methods.objective import Outputs, Term

    assert setting.teacher is not None
    ours, theirs, params = setting.student, setting.teacher, setting.params
    layers = chosen(params, ours, theirs)
    if not params["gain"] and not params["weight"]:
        raise UserError("Every loss is switched off: --set gain=1.")

    class Intermediate(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.needs = _needs(params, setting.recipe)
            self.projection = nn.Linear(ours.hidden_size, theirs.hidden_size, bias=False)
            if ours.hidden_size == theirs.hidden_size:
                nn.init.eye_(self.projection.weight)

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            assert teacher is not None
            real = batch["attention_mask"].bool()
            terms = {}
            for name, what, first, weight in (
                ("states", "hidden", 0, params["gain"]),
                ("values", "value", 1, params["weight"]),
            ):
                if what not in self.needs:
                    continue
                # The student's last layer is left out: what it gives has no part in this stage.
                wanted = layers[first:-1]
                mine = at_least_float32(student.at(what, range(first, ours.layers)))
                mine = nn.functional.linear(mine, self.projection.weight.to(mine.dtype))
                difference = mine - at_least_float32(teacher.at(what, wanted))
                terms[name] = Term(difference[:, real].square().mean(), weight)
            return terms

    return Intermediate()


def prediction(setting: Setting) -> Objective:
    """Mean square to the teacher's logits."""
    from torch import Tensor, nn

    from distill.losses.precision import at_least_float32
    from distill.methods.objective import Outputs, Term

    class Prediction(Objective):
        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            assert teacher is not None
            soft = nn.functional.mse_loss(at_least_float32(student.logits), at_least_float32(teacher.logits))
            return {"soft": Term(soft, 1.0)}

    return Prediction()


def _needs(params: dict[str, Any], recipe: str) -> frozenset[str]:
    return frozenset(what for what, weight in (("hidden", "gain"), ("value", "weight")) if params[weight] > 0)


def _training(params: dict[str, Any], recipe: str) -> dict[str, Any]:
    return {"epochs": params["first_epochs"], "lr": params["first_lr"], "batch_size": 16}


def _trainable(params: dict[str, Any], recipe: str, student: Shape) -> tuple[str, ...]:
    return ("embeddings.", *(f"encoder.layer.{i}." for i in range(student.layers - 1)))


def _teacher_layers(params: dict[str, Any], recipe: str, student: Shape, teacher: Shape) -> tuple[int, ...]:
    return chosen(params, student, teacher)[:-1]


_FIRST = ("gain", "weight", "layers", "first_epochs", "first_lr")


def method(keep: str = "best") -> Method:
    return Method(
        name=NAME,
        title="two stages",
        reference="made for tests",
        hyperparameters=(
            Hyperparameter("gain", "float", 1.0, "weight of states", low=0.0, high=9.0),
            Hyperparameter("weight", "float", 0.5, "weight of values", low=0.0, high=9.0),
            Hyperparameter("layers", "layers", "even", "layers of the teacher", choices=("even", "last")),
            Hyperparameter("first_epochs", "int", 3, "epochs of the first stage", low=1, high=99),
            Hyperparameter("first_lr", "float", 2e-3, "learning rate of the first stage", low=1e-8, high=1.0),
            Hyperparameter("lr", "float", 1e-3, "peak learning rate", low=1e-8, high=1.0),
        ),
        stages=(
            Stage(
                "intermediate",
                intermediate,
                depends_on=_FIRST,
                trainable=_trainable,
                reporting=False,
                needs=_needs,
                teacher_layers=_teacher_layers,
                training=_training,
                keep=lambda recipe: keep,  # type: ignore[arg-type, return-value]
            ),
            Stage("prediction", prediction, depends_on=("lr",), additive=True),
        ),
    )


def register(patch: pytest.MonkeyPatch, keep: str = "best") -> Method:
    """Let the package find the method by its name."""
    module: Any = ModuleType(f"distill.methods.{NAME}")
    module.METHOD = method(keep)
    patch.setitem(sys.modules, module.__name__, module)
    known = base.names()
    patch.setattr(base, "names", lambda: (*known, NAME))
    return module.METHOD
