"""The points of a sweep: published first, then the grid, with a person's own values laid over it."""

from __future__ import annotations

from typing import Any

import search_spaces
from distill import methods
from distill.errors import UserError
from distill.methods.base import Method, nearest
from distill.tasks.base import Task
from distill.training.settings import TRAINING_FIELDS, Training, parse
from search_spaces import SearchSpace, format_params
from trainables.config import SweepConfig

RECIPE = "modern"
# Encoders narrower than this need larger steps (see search_spaces/ft.yaml).
_NARROW = 512


def split_settings(config: SweepConfig, method: Method, epochs: int) -> tuple[dict[str, list[Any]], Training]:
    """Split `--set` into values of the method's hyper-parameters and fixed training numbers."""
    values: dict[str, list[Any]] = {}
    training: dict[str, Any] = {}
    known = [h.name for h in method.hyperparameters]
    for name, given in config.settings.items():
        if hyper := method.hyperparameter(name):
            values[name] = list(dict.fromkeys(hyper.parse(value) for value in given))
        elif name in TRAINING_FIELDS:
            if len(given) != 1:
                raise UserError(f"--set {name} takes one value, not {len(given)}.")
            training[name] = parse(name, given[0])
        else:
            raise UserError(f"--set {name} is unknown{nearest(name, [*known, *TRAINING_FIELDS])}")
    return values, Training(**{"epochs": epochs, **training})


def make_points(
    config: SweepConfig,
    method: Method,
    space: SearchSpace,
    task: Task,
    layers: int,
    values: dict[str, list[Any]],
    wanted: int | None,
    width: int,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None, str, list[str]]:
    """The points in their order, the published row, the sentence about it, and what else a person should know.

    Args:
        values: `--set`, by hyper-parameter.
        wanted: Keep only so many distilled points; all when None.
        width: The student's, which the baseline's learning rate follows.
    """
    name = task.published_as
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
    defaults = {hyper.name: hyper.default for hyper in method.hyperparameters}
    for candidate in space.points(name or task.name, layers, RECIPE, config.seed):
        for chosen, grades, origin in _overlay(candidate, values, defaults):
            params = method.resolve(chosen, RECIPE, regression=task.kind == "regression")
            inert -= set(params)
            key = search_spaces.point_id(params)
            merged.setdefault(
                key,
                {
                    "method": method.name,
                    "params": params,
                    "origin": origin,
                    "grades": {n: grades.get(n, "code default") for n in params},
                },
            )
    points = list(merged.values())[:wanted]
    if config.baseline:
        ft = methods.get("ft")
        # A baseline that cannot learn would flatter every method: narrow encoders get the larger step of its axis.
        rates = search_spaces.load("ft").axis("lr").choices
        chosen = {"lr": max(rates) if width < _NARROW else min(rates)}
        baseline = {
            "method": "ft",
            "params": ft.resolve(dict(chosen), RECIPE),
            "origin": "baseline",
            "grades": dict.fromkeys(chosen, "ours"),
        }
        points.insert(1, baseline)
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
            f"{' and '.join(idle)} would change nothing here (recipe {RECIPE}): points that differ in nothing else "
            "are one."
        )
    if wanted is not None and config.trials is None and len(merged) > wanted:
        notices.append(f"On embedded data the plan is cut to {wanted} of {len(merged)} points; --trials changes that.")
    return points, published, note, notices


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
    """The study's distributions, fixed at its creation: wide bounds from the declaration, the scale from the axis."""
    space = search_spaces.load(method.name) if method.name in search_spaces.methods() else None
    axes = {axis.name: axis for axis in space.axes} if space else {}
    found = {}
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
