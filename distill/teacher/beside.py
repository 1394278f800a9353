"""What a method trains on the frozen teacher itself before any student, such as TED's filters: an artifact of its side.

Its key has the teacher by content and the stage's own numbers, and nothing of a student but what these settle. Imports
without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.artifacts import Store
from distill.methods.base import Method, Shape
from distill.models.folder import encoder_facts
from distill.tasks import own
from distill.training.settings import Numerics, Training, of_stage
from distill.training.stages import LEFT, code

if TYPE_CHECKING:
    from torch import Tensor

    from distill.training.loop import Evaluation

KIND, PREFIX = "teacher-stage", "teacher."


@dataclass(frozen=True)
class Side:
    """A teacher, and how it was trained, which its stage follows where it has no numbers of its own.

    Attributes:
        model: Its folder.
        content: Hash of it, as its facts have it.
        rows: Artifact of the tokenised rows that it was trained on.
        training, lr, seed: Of its own training.
        own_task: Definition of a task that a person made (`distill.tasks.own`); None of a known one.
    """

    model: str
    content: str
    rows: str
    task: str
    training: dict[str, Any]
    lr: float
    seed: int
    numerics: dict[str, Any]
    own_task: dict[str, Any] | None = None


def identity(
    method: Method, params: dict[str, Any], recipe: str, student: Shape, teacher: Shape, side: Side
) -> dict[str, Any]:
    """What determines the artifact, threads included, as of what `distill.training.stages` makes.

    Both are trained as a trial is. A teacher and its outputs leave threads out of their keys: they are made with all
    cores of a machine, and one with more cores could take nothing over.

    Args:
        method: One that has such a stage.
        params: A point's resolved values.

    Raises:
        UserError: As the method's own `settle`.
    """
    assert method.on_teacher is not None
    stage, values = method.on_teacher.stage, method.on_teacher.settle(params, student, teacher)
    own, lr = of_stage(stage, {**params, "lr": side.lr}, recipe, Training(**side.training))
    return {
        "method": method.name,
        "stage": stage.name,
        "recipe": recipe,
        "values": values,
        "training": own.as_dict(),
        "lr": lr,
        "seed": side.seed,
        "teacher": side.content,
        "tokens": Path(side.rows).name,
        "task": side.task,
        "numerics": side.numerics,
        "code": code(),
    }


def make(
    store: Store,
    inputs: dict[str, Any],
    method: Method,
    side: Side,
    progress: Callable[[Evaluation], None] = lambda evaluation: None,
    stepped: Callable[[float], None] = lambda epochs: None,
) -> Path:
    """The artifact: what the stage leaves, or in the facts under `failure` why that is nothing.

    Args:
        inputs: As `identity` gives them.
        progress: Called after each evaluation.
        stepped: Called after each optimizer step with the epochs that are done.
    """
    import torch

    from distill.models.student import load_classifier
    from distill.training.batching import Tokens
    from distill.training.loop import Diverged, Run

    assert method.on_teacher is not None
    task, rows = own.of({"task": side.task, own.PLANNED: side.own_task}), Path(side.rows)
    # Its own numbers are settled.
    stage = replace(method.on_teacher.stage, training=lambda params, recipe: {})

    def fill(folder: Path) -> dict[str, Any]:
        numerics, training = Numerics(**side.numerics), Training(**inputs["training"])
        torch.set_num_threads(numerics.threads)
        torch.manual_seed(side.seed)
        run = Run(
            method=replace(method, stages=(stage,), needs_teacher=False, on_teacher=None),
            student=load_classifier(side.model, task, **training.dropouts),
            params={**inputs["values"], "lr": inputs["lr"]},
            recipe=inputs["recipe"],
            task=task,
            train=Tokens.load(rows / "train.npz"),
            dev=Tokens.load(rows / "dev.npz"),
            training=training,
            numerics=numerics,
            seed=side.seed,
            stepped=stepped,
        )
        torch.manual_seed(side.seed)
        curve, failure = [], None
        try:
            for evaluation in run.through(0):
                progress(evaluation)
                told = ("epoch", "value", "metrics", "terms", "seconds", "steps")
                curve.append({name: getattr(evaluation, name) for name in told})
        except Diverged as error:
            failure = str(error)
        left = {PREFIX + name: value for name, value in run.left.items()}
        if failure is None:
            torch.save(left, folder / LEFT)
        return {
            "method": method.name,
            "task": task.name,
            "stage": stage.name,
            "failure": failure,
            "seconds": sum(row["seconds"] for row in curve),
            "left": {name: list(value.shape) for name, value in left.items()},
            "encoder": encoder_facts(run.student.config.model_type, run.student.config.vocab_size),
            "curve": curve,
        }

    return store.build(KIND, inputs, fill)


def carried(folder: Path) -> dict[str, Tensor]:
    """What an artifact of this kind, or of a student's stage, carries into further stages.

    Raises:
        Diverged: The loss of its stage was not finite.
    """
    import torch

    from distill.training.loop import Diverged

    if failure := Store(folder.parent).facts(folder)["failure"]:
        raise Diverged(failure)
    found: dict[str, Tensor] = torch.load(folder / LEFT, map_location="cpu", weights_only=True)
    return found
