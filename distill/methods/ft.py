"""Plain fine-tuning: the undistilled baseline, and how a teacher is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.methods.base import Hyperparameter, Method, Stage

if TYPE_CHECKING:
    from distill.methods.objective import Objective, Setting


def objective(setting: Setting) -> Objective:
    """Cross-entropy with the labels (mean squared error for regression), mean over the batch."""
    from torch import Tensor
    from torch.nn import functional

    from distill.losses.precision import at_least_float32
    from distill.methods.objective import Objective, Outputs, Term

    class FineTuning(Objective):
        uses_teacher = False

        def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Tensor]) -> dict[str, Term]:
            logits = at_least_float32(student.logits)
            if setting.regression:
                loss = functional.mse_loss(logits.squeeze(-1), batch["labels"].to(logits.dtype))
            else:
                loss = functional.cross_entropy(logits, batch["labels"])
            return {"hard": Term(loss, 1.0)}

    return FineTuning()


METHOD = Method(
    name="ft",
    title="fine-tuning without a teacher",
    reference="Devlin et al., BERT, 2019",
    hyperparameters=(Hyperparameter("lr", "float", 5e-5, "peak learning rate", low=1e-8, high=1.0),),
    stages=(Stage("finetune", objective, depends_on=("lr",), additive=True),),
    needs_teacher=False,
)
