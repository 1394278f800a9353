"""The points of a sweep: published first, then the grid, with a person's own values laid over it."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import search_spaces
from distill import methods
from distill.errors import UserError
from distill.methods.base import Method, Published, nearest
from distill.models import repeats
from distill.published import for_task, name_in_rows
from distill.tasks.base import Task
from distill.training.settings import (
    SWEPT_FIELDS,
    TRAINING_FIELDS,
    Training,
    distribution_of,
    evaluated,
    parse,
    split,
    usual,
)
from search_spaces import SearchSpace, every_size, format_params
from search_spaces.ranges import Range
from trainables.config import SweepConfig
from trainables.draws import ADAPTIVE, candidate_ranges, draw_points, plan_search
from trainables.point_notices import Words, about_count, about_grid, about_names

# Encoders narrower than this need larger steps (see search_spaces/ft.yaml).
_NARROW = 512
# The undistilled baseline is trained as one would train it today, whatever the recipe of the method: its reference
# has no such run, and an optimizer made for another loss would make a weak opponent.
_BASELINE = ("optimizer", "schedule", "schedule_epochs", "warmup", "warmup_steps", "padding")


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
        ends = (int(end) if axis.type == "int" else end for end in axis.range or ())
        for value in (*axis.choices, *ends):
            parse_value(method, axis.name, value, f"--space {config.space}: ")
    return space


def published_of(config: SweepConfig, method: Method, task: Task) -> Published | None:
    """The rest of the published recipe for a task; None in the modern one.

    Args:
        task: The one that is run, which is another than was asked for where made-up data stands in.

    Raises:
        UserError, SpaceError: As `find_space`, or a row has a number that training does not know.
    """
    if config.recipe != "published" or method.published is None:
        return None
    return for_task(method.published, find_space(config, method), task.published_as, usual(task))


def parse_value(method: Method, name: str, value: Any, where: str) -> Any:
    """A value of a hyper-parameter of the method or of training in its type.

    Args:
        where: Put before the sentence of an error.

    Raises:
        UserError: It has another type or lies outside the bounds.
    """
    hyper = method.hyperparameter(name)
    try:
        return hyper.parse(value) if hyper else parse(name, value)
    except UserError as error:
        raise UserError(f"{where}{error}") from None


def split_settings(
    config: SweepConfig, method: Method, task: Task, epochs: int | None = None, axes: Collection[str] = ()
) -> tuple[dict[str, list[Any]], Training]:
    """Part `--set` into what the points differ in and the numbers that hold for all of them.

    Args:
        task: As in `published_of`.
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
        parsed = list(dict.fromkeys(parse_value(method, name, value, "--set ") for value in given))
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
    recipe = published.training if (published := published_of(config, method, task)) else {}
    try:
        return values, Training(**{**usual(task), **recipe, **evaluated(fixed)})
    except UserError as error:
        raise UserError(f"--set {error}") from None


class Planned(NamedTuple):
    """The points of a sweep in their order, and what belongs to them in the plan.

    Attributes:
        published: The published row of this task and size.
        note: What to say where there is none.
        notices: What else a person should know.
        search: How points are found: the plan's part "search".
    """

    points: list[dict[str, Any]]
    published: dict[str, Any] | None
    note: str
    notices: list[str]
    search: dict[str, Any]


@dataclass(frozen=True)
class Maker:
    """Turns chosen values into points of one method.

    Attributes:
        recipe: "modern" or "published".
        training: Of every point, but for what it sets itself.
        regression: Whether the task has real labels.
        layers: Of the student, those with weights of their own.
    """

    method: Method
    recipe: str
    training: Training
    regression: bool
    layers: int

    def point(self, chosen: dict[str, Any], grades: dict[str, str], origin: str) -> dict[str, Any]:
        """A point without id, number, seed, label and hash.

        Args:
            chosen: Name to value; what is inert is dropped, what is left out takes its default.
            grades: Name to the grade of the value.

        Raises:
            UserError: A name is unknown or a value illegal, or does not fit the student's layers.
        """
        own, _ = split(chosen, self.training)
        params = self.method.resolve(own, self.recipe, regression=self.regression, layers=self.layers)
        # In the declaration's order, so that labels and tables do not depend on who named a number first.
        numbers = {n: parse(n, chosen[n]) for n in SWEPT_FIELDS if n in chosen}
        params |= {n: value for n, value in numbers.items() if value is not None}
        return {
            "method": self.method.name,
            "params": params,
            "origin": origin,
            "grades": {n: grades.get(n, "code default") for n in params},
            "recipe": self.recipe,
            "head": self.method.head(self.recipe),
            "sharing": repeats.planned(self.method.sharing(params), self.layers),
            "training": {},
        }


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
) -> Planned:
    """The points in their order, the published row, and what a person should know.

    Args:
        values: What `--set` gave several values or names a hyper-parameter of the method.
        training: Of every point, but for what it sets itself.
        wanted: So many distilled points; where None, all of the grid or of the published settings, and as many as the
            grid has where they are drawn or suggested.
        width: The student's, which the baseline's learning rate follows.

    Raises:
        UserError: The search has nothing to look for: no published rows, or no range.
    """
    name, recipe = task.published_as, config.recipe
    row = space.row(name, layers) if name else None
    called = name_in_rows(task)
    note = about_grid(config, task, space, layers, row is not None, values)
    maker = Maker(method, recipe, training, task.kind == "regression", layers)
    settled = {hyper.name: hyper.settled for hyper in method.hyperparameters}
    defaults = {h.name: h.settled(h.default, layers) for h in method.hyperparameters} | training.as_dict()
    values = {n: [settled[n](v, layers) for v in given] if n in settled else given for n, given in values.items()}
    values = {name: list(dict.fromkeys(given)) for name, given in values.items()}
    candidates = space.points(called, layers, recipe, config.seed)
    if config.search == "published":
        candidates = space.settings(called, layers, recipe)
        if not candidates:
            raise UserError(
                f"--search published: {space.title} has no published rows; choose --search grid, random or tpe."
            )
    words = Words(method, config.settings)
    merged: dict[str, dict[str, Any]] = {}
    for candidate in candidates:
        for chosen, grades, origin in _overlay(candidate, values, defaults):
            point = maker.point(chosen, grades, origin)
            words.see(chosen, point["params"])
            there = merged.setdefault(search_spaces.point_id(point["params"]), point)
            if there["origin"] == "given" and point["origin"] != "given":
                # What the space has itself stays its own where a changed point came to it first.
                there.update(point)
    acting = {n for point in merged.values() for n in point["params"]}
    search: dict[str, Any] = {"name": config.search, "seed": config.seed, "ranges": []}
    total = len(merged) if wanted is None else wanted
    if config.search in ADAPTIVE:
        drawn = candidate_ranges(space, called, layers, recipe, values)
        ranges = [_bounded(r, method, layers) for r in drawn if r.name in acting]
        opening = [*every_size.opening(space, called, layers, recipe), space.point(None, recipe, called, layers)]
        first = space.published(called, layers, recipe) or opening[0]
        begun = [maker.point(*found) for found in _overlay(first, _one_each(first, values, defaults), defaults)]
        search |= plan_search(config.search, ranges, total)
        merged = {search_spaces.point_id(point["params"]): point for point in begun}
        if config.search == "random":
            merged = draw_points(maker, ranges, config.seed, total, begun)
        varied = [n for n in acting if n in {r.name for r in ranges if not r.fixed}]
    else:
        names = next(iter(merged.values()))["params"]
        varied = [n for n in names if len({repr(p["params"].get(n)) for p in merged.values()}) > 1]
    points = list(merged.values())[:wanted]
    if len(points) == 1:
        # Alone it is told whole, whatever the grid would vary.
        varied = []
    # Undistilled students have none beside them: they are it.
    beside = config.baseline and method.needs_teacher
    if beside:
        points.insert(1, _baseline(training, width, recipe, config.settings))
    count = total + beside if config.search == "tpe" else len(points)
    for number, point in enumerate(points):
        baseline = point["origin"] == "baseline"
        point.update(
            id="ft" if baseline else id_of(number, count),
            number=number,
            seed=config.seed,
            label=format_params(point["params"], None if baseline else varied or None),
        )
    published = None
    if row is not None:
        published = {"task": row.task, "layers": row.layers, "values": dict(row.values), "source": row.source}
    notices = about_names(config, method, space, values, acting) + words.told(points)
    notices += about_count(config, len(merged), total, wanted)
    return Planned(points, published, note, notices, search)


def _bounded(found: Range, method: Method, layers: int) -> Range:
    """A range with ends that the method or training takes, and with values as points have them.

    The axes of a person's own file may have no bounds, and several words for one value.
    """
    hyper = method.hyperparameter(found.name)
    if hyper is not None:
        return found.within(hyper.low, hyper.high).mapped(lambda value: hyper.settled(value, layers))
    declared = distribution_of(found.name)
    return found.within(declared["low"], declared["high"])


def suggestible(maker: Maker, first: dict[str, Any], search: dict[str, Any]) -> list[dict[str, Any]]:
    """Points that stand for all that a sampler may suggest later, without id, number, seed, label and hash.

    They are `first` with each value, or end, of every range in turn, and with all of those together that decide how
    many steps there are.

    Args:
        first: A point of the sweep.
        search: The plan's part "search".
    """
    if search["name"] != "tpe":
        return []
    given = {r["name"]: r.get("values") or [r["low"], r["high"]] for r in search["ranges"]}
    changes = [{name: value} for name, values in given.items() for value in values]
    sizes = [name for name in ("batch_size", "accumulation") if name in given]
    changes += [dict(zip(sizes, chosen, strict=True)) for chosen in itertools.product(*(given[n] for n in sizes))]
    return [maker.point({**first["params"], **change}, {}, "suggested") for change in changes]


def id_of(number: int, count: int) -> str:
    """The id of a point by its number, among `count` of them."""
    return f"p{number:0{max(2, len(str(count - 1)))}d}"


def _one_each(first: Any, values: dict[str, list[Any]], defaults: dict[str, Any]) -> dict[str, list[Any]]:
    """Of several values that `--set` gave, the one that the first point takes: its own where that is among them."""
    own = {**defaults, **first.params}
    return {name: [own[name] if own[name] in given else given[0]] for name, given in values.items()}


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
        "sharing": None,
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
