"""What a stage that does not report leaves, kept once for all runs that need the same.

Every stage begins with draws, optimizer and objective of its own (see `Run`), so the student's weights, and what the
objective says that it leaves, are all that the next one takes over, and a run that begins behind a stored stage gives
the values of one that trained it. Imports without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from importlib import metadata
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import distill
from distill.artifacts import Store, hash_file, key_of
from distill.methods.base import Method, Shape, Stage
from distill.models.folder import encoder_facts
from distill.training.settings import Training, of_stage

if TYPE_CHECKING:
    from distill.training.loop import Evaluation, Run

KIND, WEIGHTS, LEFT = "stage", "weights.pt", "left.pt"


def before_report(method: Method) -> list[Stage]:
    """The stages before the one that reports, in their order."""
    return list(takewhile(lambda stage: not stage.reporting, method.stages))


def identity(
    method: Method,
    number: int,
    params: dict[str, Any],
    recipe: str,
    training: Training,
    ground: dict[str, Any],
    student: Shape,
    teacher: Shape,
) -> dict[str, Any]:
    """What determines the student's weights at the end of stage `number`, from 0.

    Of the hyper-parameters count those that this stage and the ones before it depend on, and of the training numbers
    those that act in these; what only a later stage reads does not. Nor does the teacher where none of them asks it
    and the student has no embeddings of it; a student that is cut from it has its content as that of its own weights.

    Args:
        params: The method's resolved hyper-parameters, with `lr`.
        training: Of the run.
        ground: The rest, which says of what content rather than where it lies: task, a `metric` that was chosen in the
            place of the task's own, seed, head, `student` and layers kept of it, rows, `teacher` and who answers for it
            (`source`), numerics.
        student, teacher: Their shapes, the point's student's with layers that run twice.

    Raises:
        UserError, ValueError: As `distill.training.settings.of_stage`, or `Stage.settle`.
    """
    chain, asked = [], False
    for stage in method.stages[: number + 1]:
        own, lr = of_stage(stage, params, recipe, training)
        asked |= method.needs_teacher and bool(stage.needs(params, recipe))
        chain.append(
            {
                "stage": stage.name,
                "values": _values(stage, params, student, teacher),
                "training": own.as_dict(),
                "lr": lr,
                "keep": stage.keep(recipe),
            }
        )
    # Whatever a stage depends on, it trains the student that the point asks for, with the weights that it begins with.
    sharing = method.sharing(params)
    begun: dict[str, Any] = {} if sharing is None else {"sharing": asdict(sharing)}
    if (embeddings := method.embeddings(params)) != "pretrained":
        begun["embeddings"] = embeddings
    unread = set() if asked else {"source"} if embeddings == "teacher" else {"source", "teacher"}
    if all(stage["keep"] != "best-metric" for stage in chain):
        unread.add("metric")
    stood_on = {name: value for name, value in ground.items() if name not in unread}
    named = method.stages[number].origin or method.name
    return {"method": named, "recipe": recipe, "stages": chain, **begun, **stood_on, "code": code()}


def _values(stage: Stage, params: dict[str, Any], student: Shape, teacher: Shape) -> dict[str, Any]:
    """What a stage reads of a point's values."""
    if stage.settle is not None:
        return stage.settle(params, student, teacher)
    return {name: params[name] for name in sorted(stage.depends_on) if name in params}


@cache
def code() -> str:
    """Hash of what computes a stage: the sources of `distill`, and the versions of what they stand on."""
    root = Path(distill.__path__[0])
    files = {str(file.relative_to(root)): hash_file(file) for file in sorted(root.rglob("*.py"))}
    return key_of({**files, **{name: metadata.version(name) for name in ("torch", "transformers")}})


def make(
    store: Store,
    inputs: dict[str, Any],
    run: Run,
    number: int,
    progress: Callable[[Evaluation], None] = lambda evaluation: None,
) -> Path:
    """The artifact of a stage: what it leaves, or in the facts under `failure` why that is nothing.

    A loss that is not finite would not be at another time either, so that is kept as well.

    Args:
        inputs: As `identity` gives them.
        run: At its beginning, or behind a stage before this one.
        number: Of the stage, from 0.
        progress: Called after each evaluation of a stage.
    """
    import torch

    from distill.models.capture import shape_of
    from distill.training.loop import Diverged

    def fill(folder: Path) -> dict[str, Any]:
        stage = run.method.stages[number].name
        curve, failure = [], None
        try:
            for evaluation in run.through(number):
                progress(evaluation)
                told = ("epoch", "value", "metrics", "terms", "seconds", "steps")
                curve.append({"stage": evaluation.stage, **{name: getattr(evaluation, name) for name in told}})
        except Diverged as error:
            failure = str(error)
        if failure is None:
            weights = {name: value.detach().cpu() for name, value in run.student.state_dict().items()}
            torch.save(weights, folder / WEIGHTS)
            torch.save(run.left, folder / LEFT)
        own = [row for row in curve if row["stage"] == stage]
        shape = shape_of(run.student)
        return {
            "method": run.method.name,
            "task": run.task.name,
            "stage": stage,
            "seed": run.seed,
            "failure": failure,
            "seconds": sum(row["seconds"] for row in curve),
            "terms": own[-1]["terms"] if own else {},
            "seen": run.seen,
            "left": {name: list(value.shape) for name, value in run.left.items()},
            "encoder": encoder_facts(run.student.config.model_type, run.student.config.vocab_size),
            "student": [shape.layers, shape.hidden_size, shape.heads, run.task.num_labels],
            "curve": curve,
        }

    return store.build(KIND, inputs, fill)


def begin_behind(run: Run, number: int, folder: Path) -> None:
    """Let a run that is at its beginning start behind stage `number`, whose artifact `folder` is.

    Raises:
        Diverged: The stage's loss was not finite.
    """
    import torch

    from distill.training.loop import Diverged

    facts = Store(folder.parent).facts(folder)
    if facts["failure"]:
        raise Diverged(facts["failure"])
    weights, left = (torch.load(folder / name, map_location="cpu", weights_only=True) for name in (WEIGHTS, LEFT))
    run.behind(number, weights, left, dict(facts["seen"]))
