"""The points of a sweep: published first, then the grid, with a person's own values laid over it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import search_spaces
from distill import methods
from distill.errors import UserError
from distill.methods.base import Method, nearest
from distill.tasks.base import Task
from distill.training.settings import SWEPT_FIELDS, TRAINING_FIELDS, Training, distribution_of, evaluated, parse, split
from search_spaces import SearchSpace, format_params
from trainables.config import SweepConfig

# Encoders narrower than this need larger steps (see search_spaces/ft.yaml).
_NARROW = 512
# The undistilled baseline is trained as one would train it today, whatever the recipe of the method: its reference
# has no such run, and an optimizer made for another loss would make a weak opponent.
_BASELINE = ("optimizer", "schedule", "warmup", "padding")


def find_space(config: SweepConfig, method: Method) -> SearchSpace:
    """The method's search space, or the one that `--space` brings.

    Raises:
        UserError, SpaceError: The file is faulty, of another method, or has an axis that nothing reads.
    """
    if config.space is None:
        return search_spaces.load(method.name)
    space = search_spaces.from_file(config.space, method.name)
    if not space.active(config.recipe):
        raise UserError(f"--space {config.space} has no axis that acts in the {config.recipe} recipe; add one.")
    known = [*(hyper.name for hyper in method.hyperparameters), *SWEPT_FIELDS]
    for axis in space.axes:
        if axis.name not in known:
            raise UserError(f"--space {config.space}: {method.name} has no axis {axis.name}{nearest(axis.name, known)}")
        for value in axis.choices:
            _parse(method, axis.name, value, f"--space {config.space}: ")
    return space


def _parse(method: Method, name: str, value: Any, where: str) -> Any:
    hyper = method.hyperparameter(name)
    try:
        return hyper.parse(value) if hyper else parse(name, value)
    except UserError as error:
        raise UserError(f"{where}{error}") from None


def split_settings(
    config: SweepConfig, method: Method, epochs: int | None = None, axes: Collection[str] = ()
) -> tuple[dict[str, list[Any]], Training]:
    """Part `--set` into what the points differ in and the numbers that hold for all of them.

    Args:
        epochs: Where neither `--epochs` nor `--set epochs` says anything.
        axes: Names of the grid's axes, whose values one value replaces too.

    Returns:
        Values by name, of the method's hyper-parameters and of training numbers that the points differ in; and the
        training of every point: the recipe's, with the other numbers laid over it.

    Raises:
        UserError: A name is unknown, a value illegal, or a number that all trials share was given several.
    """
    values: dict[str, list[Any]] = {}
    fixed: dict[str, Any] = {}
    known = [hyper.name for hyper in method.hyperparameters]
    for name, given in config.settings.items():
        if name not in known and name not in TRAINING_FIELDS:
            raise UserError(f"--set {name} is unknown{nearest(name, [*known, *TRAINING_FIELDS])}")
        parsed = list(dict.fromkeys(_parse(method, name, value, "--set ") for value in given))
        if name in known or (name in SWEPT_FIELDS and (len(parsed) > 1 or name in axes)):
            values[name] = parsed
        elif len(parsed) > 1:
            raise UserError(f"--set {name} takes one value, not {len(parsed)}: all trials of a sweep share it.")
        else:
            fixed[name] = parsed[0]
    asked = fixed.pop("epochs", config.epochs)
    if config.epochs not in (None, asked):
        raise UserError(f"--set epochs={asked} and --epochs {config.epochs} disagree; give one of them.")
    if asked or epochs:
        fixed["epochs"] = asked or epochs
    recipe = method.published.training if config.recipe == "published" and method.published else {}
    try:
        return values, Training(**{**recipe, **evaluated(fixed)})
    except UserError as error:
        raise UserError(f"--set {error}") from None


def make_points(
    config: SweepConfig,
    method: Method,
    space: SearchSpace,
    task: Task,
    layers: int,
    values: dict[str, list[Any]],
    training: Training,
    wanted: int | None,
    width: int,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None, str, list[str]]:
    """The points in their order, the published row, the sentence about it, and what else a person should know.

    Args:
        values: What `--set` gave several values or names a hyper-parameter of the method.
        training: Of every point, but for what it sets itself.
        wanted: Keep only so many distilled points; all when None.
        width: The student's, which the baseline's learning rate follows.
    """
    name, recipe = task.published_as, config.recipe
    row = space.row(name, layers) if name else None
    if task.made_up:
        note = (
            f"{task.name} is made-up data: nothing is published for it. The points come from the axes of {space.title}."
        )
    elif row is None:
        note = space.missing_row(name or task.name, layers) + "."
    else:
        note = ""
    merged: dict[str, dict[str, Any]] = {}
    inert = {*values, *(axis.name for axis in space.axes if len(axis.values) > 1)}
    defaults = {hyper.name: hyper.default for hyper in method.hyperparameters} | training.as_dict()
    head = method.head(recipe)
    for candidate in space.points(name or task.name, layers, recipe, config.seed):
        for chosen, grades, origin in _overlay(candidate, values, defaults):
            own, _ = split(chosen, training)
            params = method.resolve(own, recipe, regression=task.kind == "regression")
            # In the declaration's order, so that labels and tables do not depend on who named a number first.
            numbers = {n: parse(n, chosen[n]) for n in SWEPT_FIELDS if n in chosen}
            params |= {n: value for n, value in numbers.items() if value is not None}
            inert -= set(params)
            key = search_spaces.point_id(params)
            merged.setdefault(
                key,
                {
                    "method": method.name,
                    "params": params,
                    "origin": origin,
                    "grades": {n: grades.get(n, "code default") for n in params},
                    "recipe": recipe,
                    "head": head,
                    "training": {},
                },
            )
    points = list(merged.values())[:wanted]
    if config.baseline:
        points.insert(1, _baseline(training, width, recipe, config.settings))
    digits = max(2, len(str(len(points) - 1)))
    varied = [n for n in points[0]["params"] if len({repr(p["params"].get(n)) for p in merged.values()}) > 1]
    for number, point in enumerate(points):
        point.update(
            id="ft" if point["origin"] == "baseline" else f"p{number:0{digits}d}",
            number=number,
            seed=config.seed,
            label=format_params(point["params"], None if point["origin"] == "baseline" else varied or None),
        )
    published = None
    if row is not None:
        published = {"task": row.task, "layers": row.layers, "values": dict(row.values), "source": row.source}
    notices = []
    if idle := [hyper.name for hyper in method.hyperparameters if hyper.name in inert]:
        notices.append(
            f"{' and '.join(idle)} would change nothing here (recipe {recipe}): points that differ in nothing else "
            "are one."
        )
    if wanted is not None and config.trials is None and len(merged) > wanted:
        notices.append(f"On embedded data the plan is cut to {wanted} of {len(merged)} points; --trials changes that.")
    return points, published, note, notices


def _baseline(training: Training, width: int, recipe: str, asked: Collection[str]) -> dict[str, Any]:
    """Fine-tuning of the same student without a teacher.

    Args:
        asked: Names of settings that the person gave; those hold for it whatever the recipe.
    """
    ft = methods.get("ft")
    # A baseline that cannot learn would flatter every method: narrow encoders get the larger step of its axis.
    rates = search_spaces.load("ft").axis("lr").choices
    params = ft.resolve({"lr": max(rates) if width < _NARROW else min(rates)}, "modern")
    modern = Training()
    own = {n: getattr(modern, n) for n in _BASELINE if n not in asked} if recipe == "published" else {}
    return {
        "method": "ft",
        "params": params,
        "origin": "baseline",
        "grades": dict.fromkeys(params, "ours"),
        "recipe": "modern",
        "head": "own",
        "training": {name: value for name, value in own.items() if value != getattr(training, name)},
    }


def _overlay(
    candidate: Any, values: dict[str, list[Any]], defaults: dict[str, Any]
) -> list[tuple[dict[str, Any], dict[str, str], str]]:
    """`candidate` with every combination of the values that `--set` gave; what it would have anyway is not "given"."""
    own = {**defaults, **candidate.params}
    found = [(dict(candidate.params), dict(candidate.grades), str(candidate.origin))]
    for name, given in values.items():
        found = [
            (
                {**params, name: value},
                {**grades, name: grades.get(name, "code default") if own[name] == value else "given"},
                origin if own[name] == value else "given",
            )
            for params, grades, origin in found
            for value in given
        ]
    return found


def distributions(method: Method) -> dict[str, dict[str, Any]]:
    """The study's distributions, fixed at its creation: wide bounds from the declaration, the scale from the axis.

    Training numbers are all there, so that a sweep may be extended by points that differ in one.
    """
    space = search_spaces.load(method.name) if method.name in search_spaces.methods() else None
    axes = {axis.name: axis for axis in space.axes} if space else {}
    found = {name: distribution_of(name) for name in SWEPT_FIELDS}
    for hyper in method.hyperparameters:
        low, high = hyper.low, hyper.high
        log = hyper.name in axes and axes[hyper.name].scale == "log" and (low or 0) > 0
        found[hyper.name] = {
            "type": hyper.type,
            "low": low,
            "high": high,
            "log": log,
            "choices": list(hyper.choices),
        }
    return found
