"""Pre-training with the teacher's predictions: first whether the teacher is right and sure, then the task itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distill.methods import sps, then
from distill.methods.base import POOLED, Hyperparameter, Method, Shape, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def pretrain(setting: Setting) -> Objective:
    """Cross-entropy of four classes, which the teacher's prediction of a row and its label make (Cho and Kang, 2022).

    The classes are confidently right, unconfidently right, confidently wrong and unconfidently wrong (see
    `distill.losses.ptp`), with the thresholds `t` and `t2`. They are read off the pooled output by a linear layer of
    the objective's own, which begins with weights N(0, 0.02) and is dropped behind the stage.

    What is observed are the rows of each class, of the training rows since the last call (an epoch) and of dev.
    """
    import torch
    from torch import Tensor, nn

    from distill.losses.precision import at_least_float32
    from distill.losses.ptp import CLASSES, counted, ptp_labels, ptp_loss
    from distill.methods.objective import Objective, Outputs, Term

    t: float = setting.params["t"]
    t2: float = setting.params["t2"] or t

    class Pretraining(Objective):
        own_needs = frozenset({POOLED})
        rows: Tensor
        dev_rows: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(setting.student.hidden_size, len(CLASSES))
            nn.init.normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)
            self.register_buffer("rows", torch.zeros(len(CLASSES), dtype=torch.int64))
            # Of one look at dev, which is not interrupted.
            self.register_buffer("dev_rows", torch.zeros(len(CLASSES), dtype=torch.int64), persistent=False)

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            assert teacher is not None
            assert student.pooled is not None
            classes = ptp_labels(teacher.logits, batch["labels"], t, t2)
            (self.rows if self.training else self.dev_rows).add_(counted(classes))
            with torch.autocast(classes.device.type, enabled=False):
                return {"ptp": Term(ptp_loss(self.head(at_least_float32(student.pooled)), classes), 1.0)}

        def observation(self) -> dict[str, Any]:
            found = {"train": self.rows.tolist(), "dev": self.dev_rows.tolist()}
            for counts in (self.rows, self.dev_rows):
                counts.zero_()
            return {"ptp_labels": found}

    return Pretraining()


def misfit(params: dict[str, Any], student: Shape, teacher: Shape) -> str | None:
    """That of what follows, or of the numbers of the pre-training."""
    epochs, scheduled = params["ptp_epochs"], params["ptp_schedule_epochs"]
    if 0 < scheduled < epochs:
        return (
            f"ptp_schedule_epochs={scheduled} would end the schedule before ptp_epochs={epochs} do: --set "
            "ptp_schedule_epochs=0 for as many, or more."
        )
    return then.misfit(params, student, teacher)


def _training(params: dict[str, Any], recipe: str) -> dict[str, Any]:
    """Numbers of the pre-training. An epoch is what the classes are counted over, so dev is looked at behind each."""
    own = {"epochs": "ptp_epochs", "schedule_epochs": "ptp_schedule_epochs", "lr": "ptp_lr"}
    return {**{name: params[value] for name, value in own.items()}, "evaluations_per_epoch": 1}


_PRETRAINING = (
    Hyperparameter("t", "float", 0.95, "above it the teacher is confident where it is right", low=0.0, high=1.0),
    Hyperparameter(
        "t2",
        "float",
        0.0,
        "the same where the teacher is wrong; 0 takes t",
        low=0.0,
        high=1.0,
        canonical=lambda t2, values: 0.0 if t2 == values["t"] else t2,
        unset=(0.0, "that of t"),
    ),
    Hyperparameter("ptp_epochs", "int", 4, "epochs of the pre-training", low=1, high=10_000),
    Hyperparameter(
        "ptp_schedule_epochs",
        "int",
        0,
        "epochs that its learning-rate schedule is computed for, of which it runs the first; 0 for as many as it has",
        low=0,
        high=10_000,
        published=6,
        unset=(0, "as many as ptp_epochs"),
    ),
    Hyperparameter("ptp_lr", "float", 2e-5, "peak learning rate of the pre-training", low=1e-8, high=1.0),
)


def method(name: str, title: str, *, shared: str, following: str) -> Method:
    """Pre-training, then what `then` says.

    Args:
        shared: Default of `sps`.
        following: Default of `then`.
    """
    sharing, task = sps.sharing_hyperparameters(shared), then.hyperparameters(following)
    return Method(
        name=name,
        title=title,
        reference=then.REFERENCE,
        hyperparameters=(*sharing, *_PRETRAINING, *task),
        stages=(
            Stage(
                "pretrain",
                pretrain,
                depends_on=tuple(h.name for h in (*sharing, *_PRETRAINING)),
                trainable=("body",),
                reporting=False,
                training=_training,
                keep=lambda recipe: "best",
                additive=True,
                origin="ptp",
            ),
            Stage(
                "train",
                then.objective,
                depends_on=tuple(h.name for h in (*sharing, *task)),
                needs=then.needs,
                redraws=("output",),
                additive=True,
            ),
        ),
        student_layers="first",
        sharing=sps.sharing,
        regression=False,
        spans=False,
        misfit=misfit,
        published=then.PUBLISHED,
    )


METHOD = method("ptp", "pre-training with the teacher's predictions", shared="none", following="kd")
