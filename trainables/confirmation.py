"""Which runs try the best points of a sweep again, and with which seeds. Imports without torch and Ray.

The search chose its best point among many by scores of one seed, so part of that score is luck of that seed. The
confirming runs have seeds that no trial of the search had, and everything on the student's side (new weights, dropout,
the order of batches) follows from them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import search_spaces
from distill import methods
from distill.errors import UserError
from distill.tasks.planned import task_of
from distill.training.settings import SWEPT_FIELDS, Training
from search_spaces import format_params
from trainables.config import LARGEST_SEED
from trainables.growth import recorded_config
from trainables.option_values import parse_confirm
from trainables.plan import derived
from trainables.points import distributions, find_space, make_points, split_settings
from trainables.progress import plural
from trainables.record import FINISHED, Record, Trial
from trainables.recorder import Recorder
from trainables.shapes import shape_of, student_of

Point = dict[str, Any]
BASELINE, KD = "ft", "kd"


@dataclass(frozen=True)
class Confirmation:
    """What is to be tried again.

    Attributes:
        bases: The points as they are but for their seed: the undistilled student and knowledge distillation where
            they are neither the sweep's own method nor swept beside it, then the best points.
        seeds: All of the confirmation, those that ran already first.
        points: What is new, the runs of one seed together: a confirmation that is cut still has whole pairs.
        top: How many of the best points it holds.
        distributions: Of methods that the plan does not know.
        notes: What a person should know.
    """

    bases: dict[str, Point]
    seeds: list[int]
    points: list[Point]
    top: int
    distributions: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def begin(recorders: Sequence[Recorder], say: Callable[[str], None]) -> bool:
    """Add what `--confirm` of each sweep still lacks, if its search is over; whether there was any.

    After an extension the best points may be others, which are then confirmed too.
    """
    begun = False
    for recorder in recorders:
        record = recorder.record
        asked = record.header["config"].get("confirm")
        over = all(trial.state in FINISHED for trial in record.trials.values()) and not record.to_suggest
        if not asked or not over or not winners(record, 1):
            continue
        found = confirmation(record, *parse_confirm(asked))
        if found.points:
            for line in describe(record, found):
                say(line)
            add(recorder, found, [])
            begun = True
    return begun


def add(recorder: Recorder, found: Confirmation, arguments: list[str]) -> None:
    """Write the new runs down."""
    recorder.confirm(found.points, arguments, top=found.top, seeds=found.seeds, distributions=found.distributions)


def confirmation(record: Record, top: int, seeds: int) -> Confirmation:
    """The best `top` points again with `seeds` fresh seeds, beside the undistilled student and knowledge distillation.

    Points that were confirmed before keep pace, so that all have the same seeds and can be compared in pairs.

    Raises:
        UserError: Nothing has a score yet, or the search is not over.
    """
    _refuse_open(record)
    plan, earlier = record.plan, record.confirmed()
    best = winners(record, top)
    notes = []
    if len(best) < top:
        notes.append(f"--top {top}: only {len(best)} of the points differ and have a score; all of them are confirmed.")
    before = [record.trials[id] for id in earlier if id in record.trials and not record.trials[id].is_baseline]
    if others := [trial.id for trial in before if trial.id not in {one.id for one in best}]:
        notes.append(f"Confirmed before, and given the same seeds: {', '.join(others)}.")
    method, beside = methods.get(plan["method"]), record.header["config"].get("beside") or ()
    bases: dict[str, Point] = {}
    # What has a sweep of its own beside this one is confirmed there, with the same seeds.
    if method.needs_teacher and BASELINE not in beside:
        bases[BASELINE] = _known(earlier, BASELINE) or _baseline(record)
    known = dict(plan["distributions"])
    none_by_kd = not method.needs_teacher or KD in (method.name, *beside)
    if not none_by_kd and (kd := _known(earlier, KD) or _distillation(record, best[0].point, notes)):
        bases[KD] = kd
        known.setdefault(KD, distributions(methods.get(KD)))
    bases |= {trial.id: trial.point for trial in (*before, *best)}
    chosen = list(itertools.islice(_seeds(record), max(seeds, len(_spent(record)))))
    points = list(_points(record, bases, chosen))
    new = {name: known[name] for name in {p["method"] for p in points} if name not in plan["distributions"]}
    return Confirmation(bases, chosen, points, len({*(t.id for t in before), *(t.id for t in best)}), new, notes)


def describe(record: Record, found: Confirmation) -> list[str]:
    """Lines that tell a person what will run again, and with which seeds."""
    plan, seeds = record.plan, ", ".join(map(str, found.seeds))
    lines = [
        f"{record.path} is confirmed with seeds {seeds}: {plural(len(found.points), 'new run')} of "
        f"{plural(plan['epochs'], 'epoch')}, none of which is stopped early."
    ]
    for of, base in found.bases.items():
        new = sum(point["of"] == of for point in found.points)
        score = record.trials[of].score if of in record.trials else None
        chosen = "" if score is None else f", {plan['metric']} {score:.3f} in the search"
        lines.append(f"  {of}  {_words(base)}  [{base['method']}, {plural(new, 'run')}{chosen}]")
    lines += [f"Note: {note}" for note in found.notes]
    if left := sum(trial.confirms for trial in record.unfinished()):
        lines.append(f"Before them: {plural(left, 'unfinished run')}.")
    return lines


def winners(record: Record, top: int) -> list[Trial]:
    """The best points of the search by score, each once whatever its seeds, in the name of its first trial."""
    ranked = sorted(
        (trial for trial in record.trials.values() if not trial.is_baseline and trial.score is not None),
        key=lambda trial: -(trial.score or 0.0),
    )
    first: dict[str, Trial] = {}
    for trial in record.trials.values():
        first.setdefault(_settings(trial.point), trial)
    return [first[settings] for settings in list(dict.fromkeys(_settings(trial.point) for trial in ranked))[:top]]


def _settings(point: Point) -> str:
    """What a point is but for its seed."""
    return json.dumps([point[n] for n in ("method", "params")] + [point.get(n) for n in _TRAINED], sort_keys=True)


_TRAINED = ("recipe", "head", "training")


def _refuse_open(record: Record) -> None:
    left = [trial for trial in record.trials.values() if trial.state not in FINISHED]
    if record.to_suggest and not left:
        raise UserError(
            f"{record.path} has {record.to_suggest} points yet to be suggested, and the best may be among them: finish "
            "it with python -m trainables.sweep --resume, then confirm."
        )
    if left and any(trial.score is not None for trial in record.trials.values()):
        some = ", ".join(trial.id for trial in left[:3]) + (", …" if len(left) > 3 else "")
        raise UserError(
            f"{record.path} has {len(left)} unfinished trials ({some}), and the best may be among them: finish them "
            "with python -m trainables.sweep --resume, or end them with python -m trainables.stop, then confirm."
        )
    if not winners(record, 1):
        raise UserError(f"{record.path} has no scored point yet, so there is nothing to confirm; finish the sweep.")
    if "head" not in record.plan["points"][0]:
        raise UserError(
            f"{record.path} was planned by an earlier version of distill-tune, whose sweeps cannot be confirmed; "
            "start a new sweep."
        )


def _spent(record: Record) -> list[int]:
    """Seeds that confirming runs have already, in their order."""
    return list(dict.fromkeys(trial.point["seed"] for trial in record.confirming.values()))


def _seeds(record: Record) -> Iterator[int]:
    """Seeds of earlier confirming runs, then those that no trial of the search had, counted from the sweep's."""
    spent = _spent(record)
    yield from spent
    taken = {*spent, *(trial.point["seed"] for trial in record.trials.values())}
    start = record.plan["seed"]
    yield from (seed for step in itertools.count(1) if (seed := (start + step) % (LARGEST_SEED + 1)) not in taken)


def _points(record: Record, bases: dict[str, Point], seeds: Sequence[int]) -> Iterator[Point]:
    number = len(record.everything())
    for place, seed in enumerate(seeds, 1):
        for of, base in bases.items():
            id = f"{of}-c{place}"
            if id in record.confirming:
                continue
            point = {
                **base,
                "id": id,
                "number": number,
                "seed": seed,
                "label": f"{_words(base)} · seed {seed}",
                "phase": "confirm",
                "of": of,
            }
            point |= derived(point, record.plan, record.header["fingerprint"])
            number += 1
            yield point


def _words(point: Point) -> str:
    """The values of a point without its seed."""
    return str(point["label"]).partition(" · seed ")[0]


def _known(earlier: dict[str, list[Trial]], of: str) -> Point | None:
    """What an earlier confirmation ran; it stays what it was, whichever point is the best now."""
    return earlier[of][0].point if of in earlier else None


def _baseline(record: Record) -> Point:
    """The sweep's undistilled student, or the one that its plan would have had."""
    here = next((trial.point for trial in record.trials.values() if trial.is_baseline), None)
    if here is not None:
        return here
    plan = record.plan
    config = replace(recorded_config(record.header["config"]), baseline=True, trials=1, search="grid")
    method = methods.get(plan["method"])
    space = find_space(config, method)
    values, _ = split_settings(config, method, task_of(plan), plan["epochs"], [axis.name for axis in space.axes])
    training, width = Training(**plan["training"]), plan["student"]["hidden_size"]
    points, *_ = make_points(config, method, space, task_of(plan), plan["layers"], values, training, 1, width)
    return next(point for point in points if point["origin"] == "baseline")


def _distillation(record: Record, best: Point, notes: list[str]) -> Point | None:
    """Knowledge distillation at the learning rate of the best point; the rest as published for this task and size."""
    plan, method, task = record.plan, methods.get(KD), task_of(record.plan)
    if task.kind == "regression" and not method.regression:
        notes.append(f"{method.title} is not defined for regression, so no such student stands beside the others.")
        return None
    row = search_spaces.load(KD).row(task.published_as, plan["layers"]) if task.published_as else None
    values = {} if row is None else {name: value for name, value in row.values.items() if name not in SWEPT_FIELDS}
    grades = dict.fromkeys(values, "published")
    if "lr" in best["params"]:
        values["lr"], grades["lr"] = best["params"]["lr"], best["grades"].get("lr", "ours")
    params = method.resolve(values, best["recipe"], regression=task.kind == "regression")
    if problem := method.misfit(params, student_of(plan, method, params), shape_of(plan["teacher"])):
        notes.append(f"No student by {method.title.lower()} stands beside the others: {problem}")
        return None
    return {
        "method": KD,
        "params": params,
        "origin": KD,
        "grades": {name: grades.get(name, "code default") for name in params},
        # The teacher is read as the best point reads it, so that both students learn from the same answers.
        "recipe": best["recipe"],
        "head": best["head"],
        "sharing": None,
        "training": best["training"],
        "label": format_params(params),
    }
