"""Which sweeps one command asks for: a child per method and size, and what each takes of what was asked.

Imports without torch and Ray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import search_spaces
from distill import given, methods
from distill.errors import UserError
from distill.methods.adaptors import ADAPTORS
from distill.methods.base import nearest
from distill.models.layers import Rule, chosen
from distill.training.settings import TRAINING_FIELDS
from trainables.config import SweepConfig
from trainables.families import listed, without
from trainables.models import Models
from trainables.spelled import spelled

BASELINE = "ft"
# Options that methods without filters know nothing of.
FILTERS = (given.TEACHER, given.STUDENT)


def children_of(config: SweepConfig) -> list[dict[str, Any]]:
    """The sweeps that were asked for: a name for each folder, and the options it changes."""
    if not config.methods:
        return [{"name": f"{layers}L", "changes": {"layers": layers}} for layers in config.sizes]
    if not config.sizes:
        return [{"name": method, "changes": {"method": method}} for method in config.methods]
    return [
        {"name": f"{method}-{layers}L", "changes": {"method": method, "layers": layers}}
        for method in config.methods
        for layers in config.sizes
    ]


def check(config: SweepConfig) -> None:
    """Raise UserError where what was asked does not go with several sweeps."""
    if config.sizes:
        sizes = ",".join(map(str, config.sizes))
        for flag, value in (("--student", config.student), ("--student-layers", config.student_layers)):
            if value:
                raise UserError(f"--layers {sizes} asks for students of several sizes, {flag} for one; leave one out.")
    if not config.methods:
        return
    if config.recipe == "published" and (plain := [n for n in config.methods if methods.get(n).published is None]):
        raise UserError(
            f"--recipe published: {listed(plain)} {'has' if len(plain) == 1 else 'have'} only the modern recipe here; "
            "use --recipe modern, or leave it out of --method (without ft each sweep runs an undistilled student)."
        )
    known = list(dict.fromkeys(h.name for name in config.methods for h in methods.get(name).hyperparameters))
    for name in config.settings:
        if name not in known and name not in TRAINING_FIELDS:
            tail = nearest(name, [*known, *TRAINING_FIELDS])
            raise UserError(f"--set {name}: none of {listed(config.methods)} has it{tail}")
    for name in FILTERS:
        if getattr(config, name) and not any(methods.get(n).on_teacher for n in config.methods):
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} plays no part: none of {listed(config.methods)} has filters; leave it out.")
    if config.space is not None and (owner := search_spaces.from_file(config.space).method) not in config.methods:
        raise UserError(
            f"--space {config.space} is a grid of {owner}, which is not among --method {','.join(config.methods)}; "
            "add it there, or leave --space out."
        )


def config_of(config: SweepConfig, changes: dict[str, Any], models: Models) -> SweepConfig:
    """What one child is asked for, but for its folder and its command.

    Of several methods each gets the settings that it has, ready filters if it has any, and the grid of `--space` if
    that is its own. In the modern recipe all students are cut alike, so that the methods differ in nothing else. The
    undistilled student is not run again beside each method where it has a sweep of its own: one with as many
    device-seconds is the stronger opponent.
    """
    own = replace(config, **changes, sizes=(), methods=())
    if not config.methods:
        return own
    method = methods.get(own.method)
    known = {*(hyper.name for hyper in method.hyperparameters), *TRAINING_FIELDS}
    space = own.space if own.space and search_spaces.from_file(own.space).method == method.name else None
    if method.on_teacher is None:
        own = replace(own, teacher_filters=None, student_filters=None)
    kept, init = own.student_layers, own.student_init
    if own.student is None and own.recipe == "modern":
        rule, first = _start(config.methods)
        if kept is None and own.layers is not None:
            kept = chosen(rule, own.layers, models.teacher.layers)
        # The encoder of a teacher that was trained elsewhere is not here, so all take that teacher's layers.
        if init is None and first != method.student_inits[0] and models.teacher_mode != "ready":
            init = first
    return replace(
        own,
        beside=tuple(name for name in config.methods if name != method.name),
        baseline=own.baseline and BASELINE not in config.methods,
        settings={name: values for name, values in own.settings.items() if name in known},
        space=space,
        student_layers=kept,
        student_init=init,
    )


def _start(names: Sequence[str]) -> tuple[Rule, str]:
    """How all students of several methods are cut, and from what: as the distilling ones have it where they agree, else
    evenly from the pre-trained encoder."""
    distilling = [method for method in map(methods.get, names) if method.needs_teacher]
    rules = {method.student_layers for method in distilling}
    inits = {method.student_inits[0] for method in distilling}
    return rules.pop() if len(rules) == 1 else "evenly", inits.pop() if len(inits) == 1 else "pretrained"


def command_of(typed: Sequence[str], own: SweepConfig, asked: SweepConfig, names: Sequence[str]) -> tuple[str, ...]:
    """The command that asks for one child alone.

    Args:
        typed: That which asked for all.
        own: The child's configuration.
        asked: That of all.
        names: Options that the child has of its own.
    """
    if any(word == "--config" or word.startswith("--config=") for word in typed):
        # What the file says is for all of them, and refused by one that lacks some of it.
        return spelled(own)
    found = list(typed)
    for name in names:
        found = without(found, f"--{name.replace('_', '-')}")
        value = getattr(own, name)
        if value is not None:
            words = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            found += [f"--{name.replace('_', '-')}", words]
    for name in asked.settings:
        if name not in own.settings:
            found = without(found, "--set", f"{name}=")
    if not set(ADAPTORS) & {hyper.name for hyper in methods.get(own.method).hyperparameters}:
        found = without(found, "--adaptors")
    for name in FILTERS:
        if getattr(own, name) is None:
            found = without(found, f"--{name.replace('_', '-')}")
    if asked.baseline and not own.baseline:
        found.append("--no-baseline")
    return tuple(found)


def check_teachers(headers: dict[str, dict[str, Any]]) -> None:
    """Raise UserError where the sweeps would not have one teacher: published recipes may train different ones."""
    teachers = {name: header["plan"]["teacher"] for name, header in headers.items()}
    first, own = next(iter(teachers.items()))
    for name, teacher in teachers.items():
        if own["mode"] == "ready":
            # Taken as it is, whatever a recipe would train.
            return
        differ = [key for key in own if key != "training" and own[key] != teacher[key]]
        differ += [key for key, value in own["training"].items() if teacher["training"].get(key) != value]
        if differ:
            raise UserError(
                f"--recipe published: {first} and {name} were published with teachers trained otherwise "
                f"({', '.join(differ)}), and one command has one teacher: use --recipe modern, or a command for each."
            )


def level(headers: dict[str, dict[str, Any]], config: SweepConfig) -> None:
    """Let all methods run the same number of points in any case, where nobody says how many.

    That is what the smallest of their grids has: with the whole of each, the largest grid would say what all may use.
    Undistilled students, whose grid is shorter than any, play no part in it.
    """
    plans = [header["plan"] for header in headers.values()]
    distilling = [plan for plan in plans if methods.get(plan["method"]).needs_teacher]
    known = [plan["device_seconds"]["trials"] for plan in distilling if _least(plan)]
    for plan in plans:
        if config.trials is None and known and _least(plan):
            plan["device_seconds"]["trials"] = min(_least(plan), *known)


def baselines(plan: dict[str, Any]) -> int:
    """How many of a plan's points are undistilled baselines, which no share of the devices is charged for."""
    return sum(point["origin"] == "baseline" for point in plan["points"])


def _least(plan: dict[str, Any]) -> int:
    """How many points a plan runs whatever they cost; 0 where that says nothing."""
    return int((plan.get("device_seconds") or {}).get("trials", 0))


def device_estimates(plans: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """By arithmetic, of each plan: device-seconds of a trial (`each`) and of the stages that are made before them
    (`shared`); `trials`, how many it will run; `seconds` of all.

    It is as rough as the plan's estimate of time, and better at which method is dearer than at how long anything takes.
    """
    found = []
    for plan in plans:
        estimate, resources = plan["estimate"], plan["resources"]
        before = estimate["stage_seconds"]
        own = (estimate["seconds"] - estimate["teacher_seconds"] - before) / max(1, estimate["trials"])
        devices = resources["max_concurrent"] * (resources["gpus_per_trial"] or resources["cpus_per_trial"])
        trials = float(estimate["trials"] - baselines(plan))
        found.append({"each": own * devices, "shared": before * devices, "trials": trials})
    for plan, one in zip(plans, found, strict=True):
        if (limit := plan["device_seconds"]) is None:
            continue
        rivals = [
            other["shared"] + other["each"] * _least(rival)
            for rival, other in zip(plans, found, strict=True)
            if rival["layers"] == plan["layers"]
        ]
        most = limit["seconds"] if limit["rule"] == "seconds" else max(rivals)
        further = round((most - one["shared"]) / one["each"]) if one["each"] else one["trials"]
        bought = max(limit.get("trials", 1), further)
        one["trials"] = min(one["trials"], bought)
    return [one | {"seconds": one["shared"] + one["each"] * one["trials"]} for one in found]
