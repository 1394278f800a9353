"""Teacher, data and the teacher's own recipe, as a person asked or as embedded. Imports without torch and Ray."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from distill import artifacts
from distill.errors import UserError
from distill.models import embedded
from distill.models.folder import EncoderFolder, inspect
from distill.tasks import glue, registry
from distill.tasks.base import Task, TaskData
from distill.training.settings import Numerics, Training
from trainables.config import SweepConfig

# The embedded encoder comes from sentence similarity and needs larger steps to leave it.
_LR = {"local": 5e-5, "embedded": 1e-4}
# Made-up data has few rows; with fewer passes over them the luck of a seed decides what the teacher learns.
_EPOCHS = {"local": 4, "embedded": 8}


@dataclass(frozen=True)
class Models:
    """The encoders of a sweep and where the data comes from."""

    task: Task
    data: TaskData
    teacher: EncoderFolder
    teacher_origin: str
    teacher_name: str
    data_origin: str
    notices: tuple[str, ...]
    teacher_mode: str = "finetune"
    teacher_hub: dict[str, str] | None = None
    data_hub: dict[str, str] | None = None


def resolve_models(config: SweepConfig) -> Models:
    """Find teacher and data; fall back on what is embedded, and say so.

    Raises:
        UserError: A folder or file is missing or malformed, or nothing can stand in for it.
    """
    task = registry.get(config.task)
    notices = []
    if config.teacher:
        teacher, origin = inspect(config.teacher, "--teacher"), "local"
        name = teacher.path.name
    else:
        teacher, origin, name = inspect(embedded.folder(), "--teacher"), "embedded", embedded.NAME
        notices.append(f"No --teacher was named: the embedded encoder serves, {name}.")
    if config.data_dir:
        data, data_origin = glue.load(task, config.data_dir), "local"
    else:
        made_up = task if task.made_up else registry.stand_in(task)
        if made_up is None:
            raise UserError(
                f"--task {task.name} needs --data-dir, a folder in GLUE's layout; no made-up data stands in."
            )
        data, data_origin = glue.load_made_up(made_up, seed=0), "embedded"
        if made_up is not task:
            notices.append(
                f"No --data-dir was named: made-up data serves instead of {task.name}. The task is called "
                f"{made_up.name}; its scores say nothing about {task.name}."
            )
        task = made_up
    notices.extend(data.notes)
    if config.max_train_rows and config.max_train_rows < len(data.train):
        notices.append(f"Training on {config.max_train_rows} of {len(data.train)} rows.")
        data = data.limit_train(config.max_train_rows, config.seed)
    return Models(task, data, teacher, origin, name, data_origin, tuple(notices))


def teacher_recipe(config: SweepConfig, models: Models, training: Training) -> dict[str, Any]:
    """The teacher's own training: batch and length as the students', its own rate, epochs and seed."""
    return {
        "lr": config.teacher_lr or _LR[models.teacher_origin],
        "seed": config.teacher_seed,
        "keep": "best",
        "training": replace(training, epochs=config.teacher_epochs or _EPOCHS[models.data_origin]).as_dict(),
    }


def shared_part(
    config: SweepConfig, models: Models, training: Training, numerics: Numerics, cpus: int
) -> dict[str, Any]:
    """The part of a plan that decides what trials share: data, tokens, teacher. `trainables.teacher` needs no more."""
    return {
        "task": models.task.name,
        "metric": models.task.metric,
        "artifacts": str(artifacts.Store(config.artifacts).place),
        "numerics": numerics.as_dict(),
        "training": training.as_dict(),
        "cpus": cpus,
        "teacher": {
            "origin": models.teacher_origin,
            "name": models.teacher_name,
            "path": str(models.teacher.path),
            "layers": models.teacher.layers,
            "hidden_size": models.teacher.hidden_size,
            "heads": models.teacher.heads,
            "mode": models.teacher_mode,
            "hub": models.teacher_hub,
            "allow_weak": config.allow_weak_teacher,
            **teacher_recipe(config, models, training),
        },
    }


def check_length(training: Training, positions: int, whose: str) -> None:
    """Raise UserError when rows may be longer than an encoder can read."""
    if training.max_length > positions:
        raise UserError(
            f"max_length={training.max_length} exceeds the {positions} positions of the {whose}: "
            f"--set max_length={positions}, or less."
        )
