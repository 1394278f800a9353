"""Small real runs for the tests of the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from distill import methods
from distill.methods.base import Method
from distill.methods.objective import Setting
from distill.models.capture import shape_of
from distill.tasks import registry
from distill.teacher.source import OnlineTeacher
from distill.training import checkpoint
from distill.training.batching import Tokens
from distill.training.loop import Evaluation, Run
from distill.training.settings import Numerics, Training
from tests.distill import tiny


def make(
    method: str | Method = "ft",
    params: dict[str, Any] | None = None,
    *,
    recipe: Literal["modern", "published"] = "modern",
    task: str = "cola",
    rows: int = 40,
    epochs: int = 3,
    seed: int = 0,
    autocast: str | None = None,
    student: dict[str, Any] | None = None,
    teacher: Any = None,
    splits: tuple[Tokens, Tokens] | None = None,
    micro: int = 1,
    **training: Any,
) -> Run:
    """A run as a trial makes one: seeded before the student is built and again before training.

    Stages of a named method that have epochs, a rate or a batch size of their own are as short as the one that reports.
    """
    found = methods.get(method) if isinstance(method, str) else method
    numbers = {"epochs": epochs, "lr": 1e-3, "batch": training.get("batch_size", 8)}
    known = found.hyperparameters if isinstance(method, str) else ()
    own = {h.name: numbers[end] for h in known if (end := h.name.rpartition("_")[2]) in numbers}
    asked = registry.get(task)
    span = asked.kind == "span"
    head: dict[str, Any] = {"labels": asked.num_labels, "regression": asked.kind == "regression", "span": span}
    numerics = Numerics(autocast=autocast)
    source = None
    if found.needs_teacher:
        source = OnlineTeacher(teacher or tiny.classifier(layers=4, seed=1, **head), "cpu", autocast)
    train, dev = splits or tiny.tokens(task, rows, 16)
    resolved = found.resolve({"lr": 1e-3, **own, **(params or {})}, recipe)
    shape = {"layers": 2, "seed": seed, "sharing": found.sharing(resolved)}
    if any(stage.one_length(recipe) for stage in found.stages):
        training = {"padding": "max_length", "max_length": 32, **training}
    run = Run(
        method=found,
        student=tiny.classifier(**{**shape, **head, **(student or {})}),
        params=resolved,
        recipe=recipe,
        task=asked,
        train=train,
        dev=dev,
        training=Training(**{"epochs": epochs, "batch_size": 8, **training}),
        numerics=numerics,
        seed=seed,
        source=source,
        micro=micro,
    )
    if found.on_teacher is not None and source is not None:
        # As they begin: what they learn is another test's.
        settled = found.on_teacher.settle(run.params, shape_of(run.student), source.shape)
        torch.manual_seed(7)
        real = asked.kind == "regression"
        beside = Setting(settled, recipe, source.shape, None, asked.num_labels, real, span=span)
        left = found.on_teacher.stage.objective(beside).leaves()
        run.carried = {f"teacher.{name}": value for name, value in left.items()}
    torch.manual_seed(seed)
    return run


def weights(run: Run) -> dict[str, Tensor]:
    """Copies of all parameters of student and objective."""
    parts = {"student": run.student, "objective": run._parts["objective"]}
    return {f"{k}.{n}": p.detach().clone() for k, part in parts.items() for n, p in part.named_parameters()}


def facts(evaluation: Evaluation) -> dict[str, Any]:
    """All of an evaluation but the time it took."""
    return {k: v for k, v in vars(evaluation).items() if k != "seconds"}


def same(one: Evaluation, two: Evaluation) -> bool:
    a, b = facts(one), facts(two)
    return np.array_equal(a.pop("logits"), b.pop("logits")) and a == b


def stopped_and_continued(folder: Path, after: int, **how: Any) -> tuple[list[Evaluation], dict[str, Tensor]]:
    """A run that is killed after some evaluations and continued by fresh objects from its state on disk."""
    first = make(**how)
    seen = []
    for evaluation in first:
        seen.append(evaluation)
        checkpoint.save(folder, len(seen), first.state())
        if len(seen) == after:
            break
    # What is lost with a process: every object, and where the generator stood.
    state = checkpoint.load(folder)
    assert state is not None
    second = make(**how)
    torch.manual_seed(987)
    second.load_state(state)
    seen.extend(second)
    return seen, weights(second)
