"""Everything resolved before anything starts. Imports without torch and Ray."""

from __future__ import annotations

import platform
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import search_spaces
from distill import artifacts, given, methods
from distill.errors import UserError
from distill.kinds import undefined
from distill.methods.base import Method, Shape
from distill.models.folder import check_head, check_span_dropout
from distill.published import name_in_rows
from distill.tasks.base import Task, TaskData
from distill.tasks.planned import task_of
from distill.training.settings import Training, split
from search_spaces import SearchSpace
from trainables import option_values, resources, select, steps, untrained, windows
from trainables.config import SweepConfig
from trainables.early import plan_scheduler
from trainables.estimate import estimate
from trainables.judging import judged
from trainables.models import Models, check_length, resolve_models, shared_part
from trainables.points import Maker, distributions, find_space, make_points, split_settings, suggestible
from trainables.record import SCHEMA
from trainables.shapes import refuse_embeddings, refuse_sharing, shape_of
from trainables.student import resolve_student
from trainables.teacher_source import plan_source, source_of

EMBEDDED_TRIALS, EMBEDDED_EPOCHS = 8, 4


def make(config: SweepConfig, machine: resources.Machine | None = None) -> dict[str, Any]:
    """`make_with_rows` without the rows."""
    return make_with_rows(config, machine)[0]


def make_with_rows(
    config: SweepConfig, machine: resources.Machine | None = None, models: Models | None = None
) -> tuple[dict[str, Any], TaskData]:
    """The header of a sweep: what was asked, the whole plan, fingerprints and versions (see docs/record.md).

    Args:
        models: Teacher and rows where they are read already, as for several sweeps of which each needs them.

    Raises:
        UserError: Anything asked for cannot be had; one sentence naming the flag.
    """
    machine = machine or resources.detect()
    method = methods.get(config.method)
    if config.recipe == "published" and method.published is None:
        raise UserError(f"--recipe published: {method.title} has only the modern recipe here.")
    models = judged(models or resolve_models(config), config, method)
    task = models.task
    if problem := undefined(method, task, config.recipe):
        raise UserError(f"--method {method.name} {problem}.")
    rows = models.data.of_student()
    space = find_space(config, method)
    student, notices = resolve_student(config, method, models)
    layers = student["layers"]
    small = models.data_origin == "embedded"
    usual = EMBEDDED_EPOCHS if small else _usual_epochs(config, space, task)
    wanted = config.trials or (EMBEDDED_TRIALS if small else None)
    values, training = split_settings(config, method, task, usual, [axis.name for axis in space.axes])
    wanted_given = {given.TEACHER: config.teacher_filters, given.STUDENT: config.student_filters}
    given.refuse_idle(method, wanted_given, values, "--set ")
    values |= {name: [value] for name, value in given.idle(method, wanted_given).items()}
    check_length(training, models.teacher.positions, "teacher")
    check_length(training, student.pop("positions"), "student")
    check_span_dropout(training.classifier_dropout, task.kind == "span", student["model_type"], "student", "--set ")
    limit = option_values.planned(config)
    # Of several methods each runs as many at least, and further ones while its share of the devices lasts.
    more = limit is not None and limit["rule"] == option_values.DEAREST
    asked_for = (config, method, space, task, layers, values, training)
    found = make_points(*asked_for, None if more else wanted, student["hidden_size"])
    if more and wanted and found.search.get("trials", wanted) < wanted:
        found = make_points(*asked_for, wanted, student["hidden_size"])
    points, row, note, told, search = found
    notices += told
    if config.recipe == "published":
        _check_published(config, method, task, layers, row, models, student)
        notices += _about_baseline(points)
    if small and config.epochs is None and "epochs" not in config.settings:
        notices.append(f"On embedded data a full trial has {EMBEDDED_EPOCHS} epochs; --epochs changes that.")
    maker = Maker(method, config.recipe, training, task.kind == "regression", layers)
    possible = [*points, *suggestible(maker, points[0], search)]
    count = windows.count(rows, training, models.teacher.path)
    evaluations = _evaluations(possible, training, count)
    _check_fit(method, possible, student, models)
    brought = _given(wanted_given, method, possible, student, models)
    notices += untrained.notices(method, possible, student, training, task.kind == "span")
    compared = search["trials"] if search["name"] == "tpe" else sum(p["origin"] != "baseline" for p in points)
    scheduler, told = plan_scheduler(config, training.epochs, _evaluated(training, count), compared)
    notices += told
    allotted = resources.allot(machine, config.cpus_per_trial, config.gpu_share, config.max_concurrent)
    notices += resources.notices(config.gpus_per_trial, allotted, machine.gpus)
    numerics = resources.numerics(machine, allotted)
    plan = {
        **shared_part(config, models, training, numerics, machine.cpus, method),
        "method": method.name,
        "method_title": method.title,
        "task_title": task.title,
        "metric_title": _title(task.metric),
        "also": {name: _title(name) for name in task.also},
        "layers": layers,
        "recipe": config.recipe,
        "seed": config.seed,
        "epochs": training.epochs,
        "evaluations_per_epoch": evaluations / training.epochs,
        "evaluations": evaluations,
        "search": search,
        "device_seconds": limit and (limit | ({"trials": min(wanted or compared, compared)} if more else {})),
        "scheduler": scheduler,
        "points": points,
        "published": row,
        "published_note": note,
        "axes": [
            {
                "name": axis.name,
                "type": axis.type,
                "scale": axis.scale,
                "values": [{"value": v.value, "grade": v.grade, "source": v.source} for v in axis.values],
            }
            for axis in space.active(config.recipe, name_in_rows(task), layers)
        ],
        "unset": {h.name: list(h.unset) for h in method.hyperparameters if h.unset is not None},
        "distributions": {m.name: distributions(m) for m in (method, methods.get("ft"))},
        "resources": {
            "cpus_per_trial": allotted.cpus_per_trial,
            "gpus_per_trial": allotted.gpus_per_trial,
            "max_concurrent": allotted.max_concurrent,
            "threads": allotted.threads,
            "gpus": machine.gpus,
        },
        "notices": [*models.notices, *notices],
        "student": student,
        "data": {
            "origin": models.data_origin,
            "hub": models.data_hub,
            "name": task.name,
            "source": models.data.source,
            "train_rows": len(rows.train),
            "teacher_rows": len(models.data.train),
            "augmented": models.augmented,
            "choosing_rows": len(models.data.dev) if models.data.report else None,
            "dev_rows": len(models.data.reported),
            **windows.planned(rows, count),
        },
        "select_on": select.planned(models.data, config.select_on),
        "keep_students": config.keep_students,
        **({"given": brought} if brought else {}),
    }
    plan["teacher_source"] = plan_source(method, plan, rows, round(config.cache_gb * 1e9))
    plan["estimate"] = estimate(plan, models, student)
    fingerprint = {
        "data": windows.fingerprint(models.data, plan["training"]),
        "encoder": artifacts.hash_encoder(models.teacher.path),
        "student": artifacts.hash_encoder(Path(student["path"])) if student["path"] else None,
        "space": artifacts.key_of(space.to_dict()),
        "code": code_hash(),
    }
    for point in points:
        point |= derived(point, plan, fingerprint)
    asked = {name: value for name, value in config.as_dict().items() if name != "command"}
    header = {
        "schema": SCHEMA,
        "tool": f"distill-tune {metadata.version('distill-tune')}",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": list(config.command),
        "config": asked,
        "versions": versions(),
        "fingerprint": fingerprint,
        "plan": plan,
    }
    return header, models.data


def _usual_epochs(config: SweepConfig, space: SearchSpace, task: Task) -> int:
    """The grid's; in the published recipe those of the task's row, where that has its own."""
    rows = [row for row in space.rows if row.task == task.published_as and config.recipe == "published"]
    return int(rows[0].training.get("epochs", space.epochs.value) if rows else space.epochs.value)


def derived(point: dict[str, Any], plan: dict[str, Any], fingerprint: dict[str, Any]) -> dict[str, Any]:
    """What follows of a point from all that was asked: its hash, and its stages for the record."""
    return {"hash": point_hash(point, plan, fingerprint), "stages": steps.recorded(plan, point)}


def point_hash(point: dict[str, Any], plan: dict[str, Any], fingerprint: dict[str, Any]) -> str:
    """Hash of all that was asked and decides the numbers of a trial of `point`; code and versions are not in it."""
    student = plan["student"]
    brought = given.taken(methods.get(point["method"]), point["params"], plan.get("given") or {})
    return artifacts.key_of(
        {
            "method": point["method"],
            "params": point["params"],
            "seed": point["seed"],
            **{name: point[name] for name in ("recipe", "head")},
            **task_of(plan).chosen_metric,
            "training": {**plan["training"], **point["training"]},
            "numerics": plan["numerics"],
            "teacher_source": source_of(plan, point),
            "teacher": {name: plan["teacher"][name] for name in ("lr", "seed", "keep", "mode", "training")},
            "student": {name: student[name] for name in ("init", "kept")},
            **({"given": {what: made["content"] for what, made in brought.items()}} if brought else {}),
            **{name: fingerprint[name] for name in ("data", "encoder", "student")},
        }
    )


def _check_fit(method: Method, points: list[dict[str, Any]], student: dict[str, Any], models: Models) -> None:
    """Raise UserError where the method cannot run a point on these two networks."""
    teacher = _teacher_shape(models)
    for point in points:
        if point["method"] != method.name:
            continue
        sharing = method.sharing(point["params"])
        refuse_sharing(student, models.teacher_name, sharing)
        if problem := method.misfit(point["params"], shape_of(student).shared(sharing), teacher):
            raise UserError(problem)
        refuse_embeddings(method, point["params"], student, models.teacher.path)


def _teacher_shape(models: Models) -> Shape:
    """Of the teacher, whose layers that run twice count twice."""
    found = models.teacher
    layers = found.layers + found.repeated
    return Shape(layers, found.hidden_size, found.heads, found.repeated, found.model_type)


def _given(
    wanted: dict[str, str | None], method: Method, points: list[dict[str, Any]], student: dict[str, Any], models: Models
) -> dict[str, dict[str, str]]:
    """Path and content of what a person gives in place of what would be trained, which fits every point."""
    fit = given.Fit(
        student=shape_of(student),
        teacher=_teacher_shape(models),
        student_type=student["model_type"],
        teacher_type=models.teacher.model_type,
        vocabulary=models.teacher.vocabulary,
        task=models.task,
    )
    own = [point["params"] for point in points if point["method"] == method.name]
    given.refuse_unused(method, wanted, own)
    return {
        what: given.check(what, folder, method, params, fit)
        for what, folder in wanted.items()
        if folder
        for params in own
    }


def _about_baseline(points: list[dict[str, Any]]) -> list[str]:
    """What the undistilled student has of its own while the others follow the published recipe."""
    found = next((point for point in points if point["origin"] == "baseline"), None)
    if found is None:
        return []
    own = "".join(f", {name} {value}" for name, value in found["training"].items())
    return [f"The undistilled baseline keeps to the modern recipe: its own head{own}; the rest as published."]


def _evaluations(points: list[dict[str, Any]], training: Training, rows: int) -> int:
    """How often a trial that runs to its end is evaluated: as often in every one, or none could be compared."""
    counts = set()
    for point in points:
        _, own = split(point["params"], replace(training, **point["training"]))
        counts.add(len(own.evaluations(rows)))
    if len(counts) > 1:
        low, high = min(counts), max(counts)
        raise UserError(
            f"The points would be evaluated {low} to {high} times, because their steps differ in size: count "
            "evaluations by epochs (--set evaluation_steps=0 and --set evaluations_per_epoch=N, N at most the steps "
            "of an epoch)."
        )
    return counts.pop()


def _check_published(
    config: SweepConfig,
    method: Method,
    task: Task,
    layers: int,
    row: dict[str, Any] | None,
    models: Models,
    student: dict[str, Any],
) -> None:
    """Raise UserError where the published recipe does not reach."""
    space = search_spaces.load(method.name)
    # Where no row is published at all, the recipe was the same for every task and size.
    if row is None and space.rows and not task.made_up and config.space is None:
        raise UserError(
            f"--recipe published: {space.missing_row(task.published_as or task.name, layers).partition(';')[0]}; "
            "choose a published task and size (python -m search_spaces lists them), bring a grid with --space, or use "
            "--recipe modern."
        )
    if method.published:
        check_head(method.published.head, models.teacher.model_type, "--teacher")
        check_head(method.published.head, student["model_type"], "--student")


def _evaluated(training: Training, rows: int) -> list[float]:
    """Epochs at which dev is looked at."""
    steps = training.steps_per_epoch(rows)
    return [step / steps for step in training.evaluations(rows)]


def _title(metric: str) -> str:
    from distill.tasks.metrics import get

    return get(metric).title


def code_hash() -> str:
    """Hash over the sources that decide values: `distill` and the search spaces."""
    import distill

    roots = [Path(package.__path__[0]) for package in (distill, search_spaces)]
    files = [f for root in roots for f in sorted(root.rglob("*")) if f.suffix in {".py", ".yaml"}]
    return artifacts.key_of({f"{f.parent.name}/{f.name}": artifacts.hash_file(f) for f in files})


def versions() -> dict[str, str]:
    """Versions of what decides values."""
    names = ("torch", "transformers", "tokenizers", "ray", "optuna", "POT", "numpy", "scikit-learn")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
