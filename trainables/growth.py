"""Further points for a sweep that exists: more of its grid, more values, more seeds. Imports without torch and Ray."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import search_spaces
from distill import artifacts, given, methods
from distill.errors import UserError
from distill.methods.base import nearest
from distill.tasks.planned import task_of
from distill.training.settings import SWEPT_FIELDS, TRAINING_FIELDS, Training, split
from search_spaces import format_params
from search_spaces.axes import GIVEN
from trainables import windows
from trainables.config import SweepConfig
from trainables.draws import ADAPTIVE, next_number
from trainables.plan import derived
from trainables.points import Maker, find_space, make_points, parse_value, split_settings
from trainables.record import Record, suggests
from trainables.shapes import refuse_embeddings, refuse_sharing, shape_of, student_of

Point = dict[str, Any]
_LARGEST_SEED = 2**32 - 1


def grow(
    record: Record,
    trials: int | None = None,
    settings: dict[str, list[Any]] | None = None,
    seeds: Sequence[int] = (),
    only: Sequence[str] = (),
) -> list[Point]:
    """Points that are not in the sweep yet, in the order in which they are to be added.

    Args:
        trials: Points of the grid or of the random draws, in their order, up to so many distilled points in all;
            further seeds of a point are not counted. Where a sampler suggests the points, these come later, one at a
            time, and none of them is among what is returned.
        settings: More values of hyper-parameters: the points of the sweep, those just taken in too, each with these.
        seeds: The points again with these seeds, but for those stopped by hand that `only` does not name.
        only: Ids of the points that get further seeds; all when empty, new ones and the baseline included.

    Raises:
        UserError: A name is unknown, a value illegal, or nothing is new.
    """
    if "head" not in record.plan["points"][0]:
        raise UserError(
            f"{record.path} was planned by an earlier version of distill-tune, whose sweeps cannot be extended; "
            "start a new sweep."
        )
    growing = _Growing(record)
    if trials is not None and not suggests(record):
        growing.fill(trials)
    elif trials is not None:
        growing.refuse_few(trials)
    for name, values in (settings or {}).items():
        growing.vary(name, values)
    for seed in seeds:
        growing.repeat(seed, only)
    if not growing.added and not (suggests(record) and trials is not None):
        raise UserError(f"Nothing is new: {record.path} has all of these points already; name others.")
    return growing.added


class _Growing:
    """The points of a sweep and those that are to be added."""

    def __init__(self, record: Record) -> None:
        self.plan, self.fingerprint = record.plan, record.header["fingerprint"]
        self.path = record.path
        self._to_suggest = record.to_suggest
        self.confirming = {trial.point["seed"] for trial in record.confirming.values()}
        # Whoever stopped a point by hand wants it gone, with any seed.
        self.unwanted = {trial.id for trial in record.trials.values() if trial.by_hand}
        self.config = recorded_config(record.header["config"])
        self.method = methods.get(self.plan["method"])
        self._given = {given.TEACHER: self.config.teacher_filters, given.STUDENT: self.config.student_filters}
        self.training = Training(**self.plan["training"])
        self.points: list[Point] = list(self.plan["points"])
        # Their ids are taken, in the Optuna study for instance.
        self.left_out = record.left_out
        self.added: list[Point] = []
        self._known = {self._identity(point) for point in self.points}

    def _effective(self, point: Point) -> dict[str, Any]:
        """Everything that acts, so that a number which a point names and one that all share are told equal."""
        shared = {name: self.plan["training"].get(name) for name in SWEPT_FIELDS}
        return {**shared, **point["training"], **point["params"]}

    def _identity(self, point: Point) -> tuple[Any, ...]:
        return point["method"], search_spaces.point_id(self._effective(point)), point["seed"]

    def _add(self, point: Point, id: str, label: str) -> None:
        """Take a point in, unless it is there."""
        if self._identity(point) in self._known:
            return
        point = {**point, "id": id, "number": len(self.points), "label": label}
        point |= derived(point, self.plan, self.fingerprint)
        self._known.add(self._identity(point))
        self.points.append(point)
        self.added.append(point)

    def _bases(self) -> list[Point]:
        """Distilled points with the sweep's own seed."""
        return [p for p in self.points if p["origin"] != "baseline" and p["seed"] == self.plan["seed"]]

    @property
    def _search(self) -> str:
        return str((self.plan.get("search") or {"name": "grid"})["name"])

    def _candidates(self, settings: dict[str, list[Any]], trials: int | None = None) -> list[Point]:
        """The points of the sweep's search in their order, with `settings` laid over them: so many, or a whole grid."""
        config = replace(self.config, settings={**self.config.settings, **settings}, baseline=False, trials=trials)
        space = find_space(config, self.method)
        if self.fingerprint.get("space") not in (None, artifacts.key_of(space.to_dict())):
            where = config.space or f"the grid of {self.method.name}"
            raise UserError(f"{where} has changed since {self.path} began; bring it back, or start a new sweep.")
        task = task_of(self.plan)
        values, _ = split_settings(config, self.method, task, self.plan["epochs"], [axis.name for axis in space.axes])
        # As the plan had it: what is given is not trained, so its numbers are those of the sweep's own points.
        values |= {name: [value] for name, value in given.idle(self.method, self._given).items()}
        points, *_ = make_points(
            config,
            self.method,
            space,
            task,
            self.plan["layers"],
            values,
            self.training,
            trials,
            self.plan["student"]["hidden_size"],
        )
        return points

    def _take(self, points: list[Point], most: int | None = None) -> None:
        """Number and add distilled points that are new, check that they can run, up to `most` distilled ones in all."""
        new = [point for point in points if self._identity(point) not in self._known]
        if most is not None:
            new = new[: max(0, most - len(self._bases()))]
        first = next_number([*self.points, *self.left_out])
        digits = max(2, len(str(max(first - 1, 0))))
        everyone = [*self._bases(), *new]
        varied = [name for name in _names(new) if len({repr(p["params"].get(name)) for p in everyone}) > 1]
        for number, point in enumerate(new, first):
            self._check(point)
            self._add(point, f"p{number:0{digits}d}", format_params(point["params"], varied or None))

    def _check(self, point: Point) -> None:
        plan = self.plan
        params, _ = split(point["params"], self.training)
        refuse_sharing(plan["student"], plan["teacher"]["name"], self.method.sharing(params))
        own, teacher = student_of(plan, self.method, params), shape_of(plan["teacher"])
        if problem := self.method.misfit(params, own, teacher):
            raise UserError(problem)
        refuse_embeddings(self.method, params, plan["student"], Path(plan["teacher"]["path"]))
        for what, found in (plan.get("given") or {}).items():
            given.check_sizes(what, found["path"], self.method, params, own, teacher)
        _, training = split(point["params"], replace(self.training, **point["training"]))
        count = len(training.evaluations(windows.rows(plan)))
        if count != plan["evaluations"]:
            raise UserError(
                f"{format_params(point['params'])} would be evaluated {count} times, the trials of this sweep "
                f"{plan['evaluations']} times, and could not be compared; start a new sweep for it."
            )

    def fill(self, trials: int) -> None:
        """More points of the search, up to `trials` distilled ones in all."""
        self.refuse_few(trials)
        # A random search stops at the number it is told; of a grid all points are needed, to pass over those that are
        # there.
        self._take(self._candidates({}, trials if self._search == "random" else None), trials)

    def refuse_few(self, trials: int) -> None:
        """Raise UserError where the sweep has, or is to have, as many distilled points already."""
        have = len(self._bases()) + self._to_suggest
        if trials <= have:
            raise UserError(
                f"--trials {trials}: {self.path} has {have} distilled points already; name a larger number."
            )

    def vary(self, name: str, values: list[Any]) -> None:
        """Every distilled point with each of `values` for `name`."""
        if self.method.hyperparameter(name) is None and name not in SWEPT_FIELDS:
            if name in TRAINING_FIELDS:
                raise UserError(f"--set {name}: all trials of a sweep share it; start a new sweep for another value.")
            known = [*(hyper.name for hyper in self.method.hyperparameters), *SWEPT_FIELDS]
            raise UserError(f"--set {name} is unknown{nearest(name, known)}")
        given.refuse_idle(self.method, self._given, {name: values}, "--set ")
        bases = self._bases()
        # Values that an earlier extension brought are on no axis of the grid.
        brought: dict[str, list[Any]] = {}
        for point in bases:
            for other, grade in point["grades"].items():
                if grade == "given" and other not in {name, *self.config.settings}:
                    brought.setdefault(other, [])
        for other in brought:
            brought[other] = list(dict.fromkeys(self._effective(point)[other] for point in bases))
        settings = {**brought, name: values}
        if name in SWEPT_FIELDS:
            # One value alone would hold for all points, not for some.
            settings[name] = [self.plan["training"][name], *values]
        if self._search in ADAPTIVE:
            # What was drawn lies on no grid.
            parsed = [parse_value(self.method, name, value, "--set ") for value in values]
            self._take([self._changed(base, name, value) for value in parsed for base in bases])
        else:
            candidates = self._candidates(settings)
            self._take([point for point in candidates if any(self._kin(point, b, name) for b in bases)])

    def _changed(self, base: Point, name: str, value: Any) -> Point:
        """`base` with another value for `name`."""
        regression = task_of(self.plan).kind == "regression"
        maker = Maker(self.method, self.plan["recipe"], self.training, regression, self.plan["layers"])
        chosen, grades = {**base["params"], name: value}, {**base["grades"], name: GIVEN}
        return {**maker.point(chosen, grades, GIVEN), "seed": self.plan["seed"]}

    def _kin(self, point: Point, base: Point, name: str) -> bool:
        """Whether `point` is `base` but for `name` and what becomes active with it."""
        mine, theirs = self._effective(point), self._effective(base)
        usual = {hyper.name: hyper.default for hyper in self.method.hyperparameters}
        return all(
            value == theirs[other] if other in theirs else value == usual.get(other)
            for other, value in mine.items()
            if other != name
        )

    def repeat(self, seed: int, only: Sequence[str]) -> None:
        """The points again with another seed."""
        if seed in self.confirming:
            raise UserError(
                f"--seeds {seed}: confirming runs have it, and a search that used it would choose by what is to judge "
                "the choice; name another seed."
            )
        base = {point["id"]: point for point in self.points if point["seed"] == self.plan["seed"]}
        for id in only:
            if id not in base:
                near = difflib.get_close_matches(id, base, n=1, cutoff=0.0)[0]
                raise UserError(f"--points {id} is no point with the sweep's own seed; did you mean {near}?")
        for id in only or (id for id in list(base) if id not in self.unwanted):
            self._add({**base[id], "seed": seed}, f"{id}-s{seed}", f"{base[id]['label']} · seed {seed}")


def _names(points: list[Point]) -> list[str]:
    return list(dict.fromkeys(name for point in points for name in point["params"]))


def recorded_config(asked: dict[str, Any]) -> SweepConfig:
    """What a person asked, from a sweep's `sweep.json`."""
    known = {field.name for field in fields(SweepConfig)} - {"command"}
    values = {name: value for name, value in asked.items() if name in known}
    if values.get("student_layers"):
        values["student_layers"] = tuple(values["student_layers"])
    return SweepConfig(**values)


def parse_seeds(text: str) -> list[int]:
    """Seeds of `--seeds 1,2`.

    Raises:
        UserError: One is no whole number that a generator takes.
    """
    found = []
    for part in text.split(","):
        if not part.strip().isdecimal() or int(part) > _LARGEST_SEED:
            raise UserError(f"--seeds {text} must be whole numbers from 0 to {_LARGEST_SEED}, such as 1,2.")
        found.append(int(part))
    return list(dict.fromkeys(found))


__all__ = ["grow", "parse_seeds", "recorded_config"]
