"""Everything resolved before anything starts. Imports without torch and Ray."""

from __future__ import annotations

import math
import platform
import time
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import search_spaces
from distill import artifacts, methods
from distill.errors import UserError
from distill.methods.base import Method, nearest
from distill.models import embedded
from distill.models.folder import EncoderFolder, inspect
from distill.models.layers import evenly
from distill.tasks import glue, registry
from distill.tasks.base import Task, TaskData
from distill.training.settings import TRAINING_FIELDS, Training
from search_spaces import SearchSpace, SpaceError, format_params
from trainables import resources
from trainables.config import SweepConfig
from trainables.record import SCHEMA
from trainables.rungs import milestones

RECIPE = "modern"
EMBEDDED_TRIALS, EMBEDDED_EPOCHS = 8, 4
_NARROW = 512


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
            raise UserError(f"--task {task.name} needs --data-dir, a folder in GLUE's layout; no made-up data stands in.")
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
        "lr": config.teacher_lr or (1e-4 if models.teacher_origin == "embedded" else 5e-5),
        "seed": config.teacher_seed,
        "training": replace(training, epochs=config.teacher_epochs or 4).as_dict(),
    }


def make(config: SweepConfig, machine: resources.Machine | None = None) -> dict[str, Any]:
    """The header of a sweep: what was asked, the whole plan, fingerprints and versions (see docs/record.md).

    Raises:
        UserError: Anything asked for cannot be had; one sentence naming the flag.
    """
    machine = machine or resources.detect()
    method = methods.get(config.method)
    if not method.needs_teacher:
        raise UserError(f"--method {method.name} is the undistilled baseline, run beside every method; choose another.")
    models = resolve_models(config)
    task = models.task
    if task.kind == "regression" and not method.regression:
        raise UserError(f"--method {method.name} is not defined for regression; --task {task.name} has real labels.")
    space = search_spaces.load(method.name)
    student, layers, notices = _student(config, method, models)
    small = models.data_origin == "embedded"
    epochs = config.epochs or (EMBEDDED_EPOCHS if small else int(space.epochs.value))
    wanted = config.trials or (EMBEDDED_TRIALS if small else None)
    values, training = _settings(config, method, epochs)
    if training.max_length > models.teacher.positions:
        raise UserError(
            f"--set max_length={training.max_length} exceeds the {models.teacher.positions} positions of the teacher."
        )
    points, published, note = _points(config, method, space, task, layers, values, wanted, student["hidden_size"])
    if small and (config.epochs is None or config.trials is None):
        parts = [f"{EMBEDDED_EPOCHS} epochs"] if config.epochs is None else []
        parts = [f"{EMBEDDED_TRIALS} points", *parts] if config.trials is None else parts
        notices.append(f"On embedded data the plan is cut to {' and '.join(parts)}; --trials and --epochs change that.")
    allotted = resources.allot(machine, config.cpus_per_trial, config.gpus_per_trial, config.max_concurrent)
    numerics = resources.numerics(machine, allotted)
    recipe = teacher_recipe(config, models, training)
    plan = {
        "method": method.name,
        "method_title": method.title,
        "task": task.name,
        "task_title": task.title,
        "metric": task.metric,
        "metric_title": _metric_title(task),
        "layers": layers,
        "recipe": RECIPE,
        "seed": config.seed,
        "epochs": epochs,
        "evaluations_per_epoch": 1,
        "evaluations": epochs,
        "scheduler": _scheduler(config, epochs),
        "points": points,
        "published": published,
        "published_note": note,
        "axes": [
            {
                "name": axis.name,
                "type": axis.type,
                "scale": axis.scale,
                "values": [{"value": v.value, "grade": v.grade, "source": v.source} for v in axis.values],
            }
            for axis in space.active(RECIPE)
        ],
        "distributions": {m.name: _distributions(m) for m in (method, methods.get("ft"))},
        "resources": {
            "cpus_per_trial": allotted.cpus_per_trial,
            "gpus_per_trial": allotted.gpus_per_trial,
            "max_concurrent": allotted.max_concurrent,
            "threads": allotted.threads,
            "cpus": machine.cpus,
            "gpus": machine.gpus,
        },
        "numerics": numerics.as_dict(),
        "training": training.as_dict(),
        "notices": [*models.notices, *notices],
        "teacher": {
            "origin": models.teacher_origin,
            "name": models.teacher_name,
            "path": str(models.teacher.path),
            "layers": models.teacher.layers,
            "hidden_size": models.teacher.hidden_size,
            "heads": models.teacher.heads,
            "allow_weak": config.allow_weak_teacher,
            **recipe,
        },
        "student": student,
        "data": {
            "origin": models.data_origin,
            "name": task.name,
            "source": models.data.source,
            "train_rows": len(models.data.train),
            "dev_rows": len(models.data.dev),
        },
        "keep_students": config.keep_students,
        "artifacts": str(artifacts.Store(config.artifacts).place),
    }
    plan["estimate"] = _estimate(plan, models, student)
    fingerprint = {
        "data": models.data.fingerprint(),
        "encoder": artifacts.hash_encoder(models.teacher.path),
        "student": artifacts.hash_encoder(Path(student["path"])) if student["path"] else None,
        "code": code_hash(),
    }
    for point in points:
        point["hash"] = artifacts.key_of(
            {
                "method": point["method"],
                "params": point["params"],
                "seed": point["seed"],
                **{name: plan[name] for name in ("recipe", "numerics", "training")},
                "teacher": {name: recipe[name] for name in recipe},
                "student": {name: student[name] for name in ("init", "layers")},
                **{name: fingerprint[name] for name in ("data", "encoder", "student")},
            }
        )
    asked = {name: value for name, value in config.as_dict().items() if name != "command"}
    return {
        "schema": SCHEMA,
        "tool": f"distill-tune {metadata.version('distill-tune')}",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": list(config.command),
        "config": asked,
        "versions": versions(),
        "fingerprint": fingerprint,
        "plan": plan,
    }


def _student(config: SweepConfig, method: Method, models: Models) -> tuple[dict[str, Any], int, list[str]]:
    """The student's shape and first weights."""
    teacher = models.teacher
    if config.student:
        folder = inspect(config.student, "--student")
        if config.layers is not None and config.layers != folder.layers:
            raise UserError(
                f"--layers {config.layers} does not fit --student {config.student}, which has {folder.layers} layers; "
                "leave --layers out."
            )
        if folder.vocabulary != teacher.vocabulary:
            raise UserError(
                f"--student {config.student} has {folder.vocabulary} token ids and the teacher {teacher.vocabulary}: "
                "both must share one vocabulary."
            )
        facts = {"init": "folder", "path": str(folder.path), "name": folder.path.name, "layers": None}
        width = folder.hidden_size
        notices = []
        if width != teacher.hidden_size:
            notices.append(f"The student's width {width} differs from the teacher's {teacher.hidden_size}: a linear "
                           "projection is trained beside it and dropped at the end.")
        return {**facts, "hidden_size": width, "heads": folder.heads, "kept": folder.layers}, folder.layers, notices
    kept = config.student_layers
    if kept is None:
        if config.layers is None:
            raise UserError("--layers is missing: say how many layers the student has, or name one with --student.")
        kept = evenly(config.layers, teacher.layers)
    elif config.layers is not None and config.layers != len(kept):
        raise UserError(f"--student-layers names {len(kept)} layers, --layers {config.layers}; leave one out.")
    if min(kept) < 1 or max(kept) > teacher.layers:
        raise UserError(f"--student-layers {','.join(map(str, kept))} does not fit an encoder of {teacher.layers} layers.")
    init = config.student_init or method.student_inits[0]
    return (
        {
            "init": init,
            "path": str(teacher.path) if init == "pretrained" else None,
            "name": f"layers {', '.join(map(str, kept))} of the {init} encoder",
            "layers": list(kept),
            "hidden_size": teacher.hidden_size,
            "heads": teacher.heads,
            "kept": len(kept),
        },
        len(kept),
        [],
    )


def _settings(config: SweepConfig, method: Method, epochs: int) -> tuple[dict[str, list[Any]], Training]:
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
            training[name] = _training_value(name, given[0])
        else:
            raise UserError(f"--set {name} is unknown{nearest(name, [*known, *TRAINING_FIELDS])}")
    return values, Training(**{"epochs": epochs, **training})


_TRAINING_BOUNDS = {
    "epochs": (1, 10_000),
    "batch_size": (1, 65_536),
    "warmup": (0.0, 1.0),
    "weight_decay": (0.0, 10.0),
    "clip": (0.0, 1e6),
    "max_length": (3, 100_000),
    "evaluation_batch": (1, 65_536),
}


def _training_value(name: str, text: Any) -> Any:
    low, high = _TRAINING_BOUNDS[name]
    if name == "epochs":
        raise UserError("--set epochs is not needed; use --epochs.")
    try:
        number = float(text)
    except (TypeError, ValueError):
        raise UserError(f"--set {name}={text} is not a number.") from None
    whole = isinstance(low, int)
    if not low <= number <= high or (whole and number != int(number)):
        raise UserError(f"--set {name}={text} must be {'a whole number' if whole else 'a number'} from {low} to {high:g}.")
    return int(number) if whole else number


def _points(
    config: SweepConfig,
    method: Method,
    space: SearchSpace,
    task: Task,
    layers: int,
    values: dict[str, list[Any]],
    wanted: int | None,
    width: int,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None, str]:
    """The points in their order, the published row, and the sentence about it."""
    name = task.published_as
    row = space.row(name, layers) if name else None
    if task.made_up:
        note = f"{task.name} is made-up data: nothing is published for it. The points come from the axes of {space.title}."
    elif row is None:
        note = space.missing_row(name or task.name, layers) + "."
    else:
        note = ""
    merged: dict[str, dict[str, Any]] = {}
    inert = set()
    axes = {axis.name for axis in space.active(RECIPE)}
    for candidate in space.points(name or task.name, layers, RECIPE, config.seed):
        for chosen, grades, origin in _overlay(candidate, values, axes):
            params = method.resolve(chosen, RECIPE)
            inert |= set(chosen) - set(params)
            key = search_spaces.point_id(params)
            merged.setdefault(
                key,
                {"method": method.name, "params": params, "origin": origin,
                 "grades": {n: grades.get(n, "code default") for n in params}},
            )
    points = list(merged.values())[:wanted]
    if config.baseline:
        ft = methods.get("ft")
        # A baseline that cannot learn would flatter every method: narrow encoders get the larger step of its axis.
        rates = search_spaces.load("ft").axis("lr").choices
        chosen = {"lr": max(rates) if width < _NARROW else min(rates)}
        baseline = {"method": "ft", "params": ft.resolve(dict(chosen), RECIPE), "origin": "baseline",
                    "grades": dict.fromkeys(chosen, "ours")}
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
    return points, published, note


def _overlay(candidate: Any, values: dict[str, list[Any]], axes: set[str]) -> list[tuple[dict[str, Any], dict[str, str], str]]:
    """`candidate` with every combination of the values that `--set` gave."""
    found = [(dict(candidate.params), dict(candidate.grades), str(candidate.origin))]
    for name, given in values.items():
        found = [
            ({**params, name: value}, {**grades, name: grades[name] if params.get(name) == value else "given"},
             origin if params.get(name) == value else "given")
            for params, grades, origin in found
            for value in given
        ]
    return found


def _distributions(method: Method) -> dict[str, dict[str, Any]]:
    """Wide bounds for the study, fixed at its creation: the axis's where there is one, else the declaration's."""
    space = search_spaces.load(method.name) if method.name in search_spaces.methods() else None
    axes = {axis.name: axis for axis in space.axes} if space else {}
    found = {}
    for hyper in method.hyperparameters:
        low, high = hyper.low, hyper.high
        log = hyper.name in axes and axes[hyper.name].scale == "log" and (low or 0) > 0
        found[hyper.name] = {"type": hyper.type, "low": low, "high": high, "log": log, "choices": list(hyper.choices)}
    return found


def _scheduler(config: SweepConfig, epochs: int) -> dict[str, Any]:
    """ASHA's rungs, checked to be what was asked."""
    if config.scheduler == "none":
        return {"name": "none", "grace": None, "reduction_factor": None, "rungs": []}
    factor = config.reduction_factor or (3 if epochs >= 9 else 2)
    rungs = milestones(epochs, config.grace, factor)
    if not rungs:
        raise UserError(
            f"--grace {config.grace} leaves no rung below {epochs} epochs; lower it, raise --epochs, "
            "or use --scheduler none."
        )
    return {"name": "asha", "grace": config.grace, "reduction_factor": factor, "rungs": list(rungs)}


def _estimate(plan: dict[str, Any], models: Models, student: dict[str, Any]) -> dict[str, Any]:
    """Steps and disk. Weights in float32; a training state holds them and two moments of AdamW."""
    width, vocabulary = student["hidden_size"], models.teacher.vocabulary
    weights = 4 * (vocabulary * width + student["kept"] * 12 * width * width + width * width)
    running = plan["resources"]["max_concurrent"]
    steps = math.ceil(len(models.data.train) / plan["training"]["batch_size"]) * plan["epochs"]
    teacher = 4 * (vocabulary * models.teacher.hidden_size + models.teacher.layers * 12 * models.teacher.hidden_size**2)
    return {
        "trials": len(plan["points"]),
        "steps_per_trial": steps,
        "disk_bytes": running * (3 * 3 * weights + weights) + (plan["keep_students"] + 2) * weights + teacher,
    }


def _metric_title(task: Task) -> str:
    from distill.tasks.metrics import get

    return get(task.metric).title


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


__all__ = ["Models", "SpaceError", "make", "resolve_models", "teacher_recipe"]
