"""How far a trial has to go: the training numbers of each stage of its method. Imports without torch and Ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distill import methods
from distill.methods.base import Stage
from distill.training.settings import Training, of_stage, split


@dataclass(frozen=True)
class Planned:
    """One stage of a trial.

    Attributes:
        training: Its own numbers over the point's.
        lr: Its peak learning rate.
        keep: Which weights the next stage begins with ("last", "best" or "best-metric").
    """

    stage: Stage
    training: Training
    lr: float
    keep: str

    def steps(self, rows: int) -> int:
        """Optimizer steps, given the training rows.

        Raises:
            UserError: There is none.
        """
        return self.training.steps_per_epoch(rows) * self.training.epochs


def stages_of(plan: dict[str, Any], point: dict[str, Any]) -> list[Planned]:
    """What a trial of `point` does, stage by stage.

    Args:
        plan: With training and recipe.
    """
    method, recipe = methods.get(point["method"]), point.get("recipe", plan["recipe"])
    own, training = split(point["params"], Training(**{**plan["training"], **point.get("training", {})}))
    return [Planned(stage, *of_stage(stage, own, recipe, training), keep=stage.keep(recipe)) for stage in method.stages]


def recorded(plan: dict[str, Any], point: dict[str, Any]) -> list[dict[str, Any]]:
    """What the record says of a point's stages that have epochs, in their order.

    Each with its numbers, which weights it leaves, and whether its losses ask the teacher.
    """
    method, recipe = methods.get(point["method"]), point.get("recipe", plan["recipe"])
    own, _ = split(point["params"], Training(**{**plan["training"], **point.get("training", {})}))
    return [
        {
            "stage": planned.stage.name,
            "epochs": planned.training.epochs,
            "lr": planned.lr,
            "batch_size": planned.training.batch_size,
            "keep": planned.keep,
            "teacher": method.needs_teacher and bool(planned.stage.needs(own, recipe)),
        }
        for planned in stages_of(plan, point)
        if planned.training.epochs
    ]


def epochs_of(plan: dict[str, Any], point: dict[str, Any]) -> int:
    """Passes over the training rows of a trial, all stages together."""
    return sum(planned.training.epochs for planned in stages_of(plan, point))


def batch_rows(plan: dict[str, Any], point: dict[str, Any]) -> int:
    """Rows of the largest batch of a point."""
    return max(planned.training.batch_size for planned in stages_of(plan, point))


def words(plan: dict[str, Any], point: dict[str, Any]) -> str | None:
    """The stages before the one that reports, as a sentence; None where there is none."""
    told = []
    for planned in stages_of(plan, point):
        name, training = planned.stage.name, planned.training
        count = f"{training.epochs} epoch{'' if training.epochs == 1 else 's'}"
        if not training.epochs:
            continue
        count += f" of a schedule for {training.schedule_epochs}" if training.schedule_epochs else ""
        if planned.stage.reporting:
            told.append(f"{name} ({count})")
        else:
            kept = {"best-metric": "weights of the best metric kept"}.get(planned.keep, f"{planned.keep} weights kept")
            told.append(f"{name} ({count} at {planned.lr:g}, judged by its loss on dev, {kept})")
    return f"Stages: {', then '.join(told)}." if len(told) > 1 else None
