"""Early stopping as a sweep plans it: which rule, where it looks, and what a person should know of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distill.errors import UserError
from trainables.config import SweepConfig
from trainables.progress import plural
from trainables.rungs import MIN_SAMPLES, TOLERANCE, milestones


def plan_scheduler(
    config: SweepConfig, epochs: int, evaluated: Sequence[float], points: int
) -> tuple[dict[str, Any], list[str]]:
    """The plan's part "scheduler", which holds all that replaying its decisions takes, and notices.

    Args:
        epochs: Of a full trial.
        evaluated: Epochs at which dev is looked at, ascending; the last ends the trial and stops nothing.
        points: That are compared, the undistilled baseline not among them.

    Raises:
        UserError: The grace that was asked for leaves nothing to compare.
    """
    name, grace = config.scheduler, float(1 if config.grace is None else config.grace)
    never: dict[str, Any] = {"name": "none", "grace": None, "reduction_factor": None, "rungs": []}
    nothing = f"Nothing is stopped early: {plural(epochs, 'epoch')} a trial leave"
    nothing += "s" * (epochs == 1)
    if name == "none":
        unused = config.reduction_factor is not None or config.grace is not None
        return never, ["--grace and --reduction-factor play no part with --scheduler none."] * unused
    if name == "median":
        notices = ["--reduction-factor plays no part with --scheduler median."] * (config.reduction_factor is not None)
        if not any(grace - TOLERANCE <= epoch for epoch in evaluated[:-1]):
            if config.grace is None:
                return never, [*notices, f"{nothing} no evaluation to compare at before the last."]
            raise UserError(
                f"--grace {grace:g} leaves no evaluation before the end at epoch {epochs}; lower it, raise --epochs, "
                "or use --scheduler none."
            )
        if points <= MIN_SAMPLES:
            notices.append(
                f"--scheduler median stops nothing here: it compares a point with {MIN_SAMPLES} others at least, and "
                f"there {'is' if points == 1 else 'are'} {plural(points, 'point')}."
            )
        found = {"name": "median", "grace": grace, "min_samples": MIN_SAMPLES, "reduction_factor": None, "rungs": []}
        return found, notices + _about_grace(grace, evaluated)
    factor = config.reduction_factor or (3 if epochs >= 9 else 2)
    rungs = milestones(epochs, grace, factor)
    if not rungs and config.grace is None:
        return never, [f"{nothing} no rung to compare at."]
    if not rungs:
        raise UserError(
            f"--grace {grace:g} leaves no rung below {plural(epochs, 'epoch')}; lower it, raise --epochs, "
            "or use --scheduler none."
        )
    found = {"name": "asha", "grace": grace, "reduction_factor": factor, "rungs": list(rungs)}
    return found, _about_grace(grace, evaluated) + _about_rungs(rungs, evaluated)


def _about_grace(grace: float, evaluated: Sequence[float]) -> list[str]:
    if grace >= evaluated[0] - TOLERANCE:
        return []
    return [
        f"--grace {grace:g} lies before the first evaluation, at epoch {evaluated[0]:g}: nothing is stopped earlier "
        "than that. --set evaluations_per_epoch=N looks more often."
    ]


def _about_rungs(rungs: Sequence[float], evaluated: Sequence[float]) -> list[str]:
    """Rungs that no point will ever be compared at, because a higher one falls on the same evaluation."""
    due = [next(i for i, epoch in enumerate(evaluated) if epoch >= rung - TOLERANCE) for rung in rungs]
    idle = [rung for i, rung in enumerate(rungs) if due[i] in due[i + 1 :] or due[i] == len(evaluated) - 1]
    if not idle:
        return []
    words = ", ".join(f"{rung:g}" for rung in idle)
    which = f"The rungs at epochs {words} compare" if len(idle) > 1 else f"The rung at epoch {words} compares"
    return [
        f"{which} nothing: between two evaluations only the highest rung counts, and the last evaluation stops nothing."
    ]


def describe_scheduler(plan: dict[str, Any]) -> str:
    """One sentence for people."""
    scheduler = plan["scheduler"]
    exempt = "; the baseline always runs to the end" if any(p["origin"] == "baseline" for p in plan["points"]) else ""
    if scheduler["name"] == "asha":
        rungs = ", ".join(f"{rung:g}" for rung in scheduler["rungs"])
        return (
            f"Early stopping: ASHA, rungs at epochs {rungs}, best 1 in {scheduler['reduction_factor']} goes on{exempt}."
        )
    if scheduler["name"] == "median":
        return (
            f"Early stopping: the median rule, from epoch {scheduler['grace']:g} on, once {scheduler['min_samples']} "
            f"other points have come as far{exempt}."
        )
    return "Early stopping: none."
