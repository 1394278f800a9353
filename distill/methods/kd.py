"""Vanilla knowledge distillation: the student learns the teacher's softened predictions beside the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.methods.base import Hyperparameter, Method, Published, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def objective(setting: Setting) -> Objective:
    """Total: alpha · soft + (1 - alpha) · hard.

    `soft` is T² · KL(teacher ‖ student) of the distributions at temperature T, divided by the rows of the batch or,
    with reduction "mean", by rows and classes; `hard` is the cross-entropy with the labels. In regression, for which
    the reference has no loss, both are mean squared errors: to the teacher's output and to the label.

    Without a weight of the teacher (alpha 0) it is not asked, and what is left is plain fine-tuning.
    """
    from torch import Tensor

    from distill.losses.logits import prediction_loss
    from distill.methods.objective import Objective, Outputs, Term

    params = setting.params
    alpha: float = params["alpha"]
    # Inert values are absent from a resolved point, so each has a neutral stand-in here.
    temperature: float = params.get("T", 1.0)
    elementwise = params.get("reduction") == "mean"

    class Distillation(Objective):
        uses_teacher = alpha > 0

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            losses = prediction_loss(
                student.logits,
                None if teacher is None else teacher.logits,
                batch["labels"],
                alpha=alpha,
                temperature=temperature,
                form="elementwise" if elementwise else "modern",
                regression=setting.regression,
                real=setting.places(batch),
            )
            weights = {"soft": alpha, "hard": 1.0 - alpha}
            return {name: Term(value, weights[name]) for name, value in losses.items()}

    return Distillation()


# Patient distillation begins with the same ones.
HYPERPARAMETERS = (
    Hyperparameter("alpha", "float", 0.7, "share of the teacher's soft labels", low=0.0, high=1.0),
    Hyperparameter(
        "T",
        "float",
        20.0,
        "temperature of the soft labels",
        low=1e-3,
        high=1e3,
        active=lambda v: v["alpha"] > 0,
        regression=False,
    ),
    Hyperparameter(
        "reduction",
        "choice",
        "batchmean",
        "whether the soft term is a mean over rows, or over rows and classes",
        choices=("batchmean", "mean"),
        published="mean",
        active=lambda v: v["alpha"] > 0,
        regression=False,
    ),
    Hyperparameter("lr", "float", 2e-5, "peak learning rate", low=1e-8, high=1.0),
)

_OPTIMIZATION = {"epochs": 4, "optimizer": "bertadam", "max_length": 128, "padding": "max_length"}

# The reference program's own choices; what it does by accident (rows in the order of the file, no dropout after the
# first epoch, a schedule that ends before the last rows) is not here.
PUBLISHED = Published(
    training=_OPTIMIZATION,
    # One of its runs with alpha 0, at the rate that was the best of its grid for every task with a listed teacher.
    teacher={**_OPTIMIZATION, "lr": 2e-5, "keep": "best"},
)

METHOD = Method(
    name="kd",
    title="knowledge distillation",
    reference="Hinton et al., Distilling the Knowledge in a Neural Network, 2015; Sun et al., EMNLP 2019",
    hyperparameters=HYPERPARAMETERS,
    stages=(Stage("distill", objective, depends_on=tuple(h.name for h in HYPERPARAMETERS), additive=True),),
    student_layers="first",
    published=PUBLISHED,
)
