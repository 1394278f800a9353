"""Everything resolved before anything starts. Imports without torch and Ray."""

from __future__ import annotations

import math
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import search_spaces
from distill import artifacts, methods
from distill.errors import UserError
from distill.methods.base import Method, Shape
from distill.models.folder import inspect
from distill.models.layers import evenly
from distill.tasks.base import Task
from trainables import resources
from trainables.config import SweepConfig
from trainables.models import Models, check_length, resolve_models, shared_part
from trainables.points import RECIPE, distributions, make_points, split_settings
from trainables.record import SCHEMA
from trainables.rungs import milestones

EMBEDDED_TRIALS, EMBEDDED_EPOCHS = 8, 4


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
    values, training = split_settings(config, method, epochs)
    check_length(training, models.teacher.positions, "teacher")
    if config.student:
        check_length(training, inspect(config.student, "--student").positions, "student")
    points, published, note, told = make_points(
        config, method, space, task, layers, values, wanted, student["hidden_size"]
    )
    notices += told
    if small and config.epochs is None:
        notices.append(f"On embedded data a full trial has {EMBEDDED_EPOCHS} epochs; --epochs changes that.")
    _check_fit(method, points, student, models)
    if config.scheduler == "none" and (config.reduction_factor is not None or config.grace != 1):
        notices.append("--grace and --reduction-factor play no part with --scheduler none.")
    allotted = resources.allot(machine, config.cpus_per_trial, config.gpus_per_trial, config.max_concurrent)
    numerics = resources.numerics(machine, allotted)
    plan = {
        **shared_part(config, models, training, numerics, machine.cpus),
        "method": method.name,
        "method_title": method.title,
        "task_title": task.title,
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
            "name": task.name,
            "source": models.data.source,
            "train_rows": len(models.data.train),
            "dev_rows": len(models.data.dev),
        },
        "keep_students": config.keep_students,
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
                "teacher": {name: plan["teacher"][name] for name in ("lr", "seed", "training")},
                "student": {name: student[name] for name in ("init", "kept")},
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
        facts = {"init": "folder", "path": str(folder.path), "name": folder.path.name, "kept": None}
        width = folder.hidden_size
        notices = []
        if width != teacher.hidden_size:
            notices.append(
                f"The student's width {width} differs from the teacher's {teacher.hidden_size}: a linear "
                "projection is trained beside it and dropped at the end."
            )
        return (
            {**facts, "hidden_size": width, "heads": folder.heads, "layers": folder.layers},
            folder.layers,
            notices,
        )
    kept = config.student_layers
    if kept is None:
        if config.layers is None:
            raise UserError("--layers is missing: say how many layers the student has, or name one with --student.")
        kept = evenly(config.layers, teacher.layers)
    elif config.layers is not None and config.layers != len(kept):
        raise UserError(f"--student-layers names {len(kept)} layers, --layers {config.layers}; leave one out.")
    if min(kept) < 1 or max(kept) > teacher.layers:
        raise UserError(
            f"--student-layers {','.join(map(str, kept))} does not fit an encoder of {teacher.layers} layers."
        )
    if list(kept) != sorted(set(kept)):
        raise UserError(f"--student-layers {','.join(map(str, kept))} must ascend, each layer named once.")
    init = config.student_init or method.student_inits[0]
    return (
        {
            "init": init,
            "path": str(teacher.path) if init == "pretrained" else None,
            "name": f"layers {', '.join(map(str, kept))} of the {init} encoder",
            "kept": list(kept),
            "hidden_size": teacher.hidden_size,
            "heads": teacher.heads,
            "layers": len(kept),
        },
        len(kept),
        [],
    )


def _check_fit(method: Method, points: list[dict[str, Any]], student: dict[str, Any], models: Models) -> None:
    """Raise UserError where the method cannot run a point on these two networks."""
    own = Shape(student["layers"], student["hidden_size"], student["heads"])
    teacher = Shape(models.teacher.layers, models.teacher.hidden_size, models.teacher.heads)
    for point in points:
        if point["method"] == method.name and (problem := method.misfit(point["params"], own, teacher)):
            raise UserError(problem)


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
    """Steps, disk and time. Weights in float32; a training state holds them and two moments of AdamW.

    The time is arithmetic, not a measurement: multiplications of all layers over all tokens, at a rate that small
    encoders reach on common machines. The view of the running sweep measures.
    """
    width, vocabulary = student["hidden_size"], models.teacher.vocabulary
    weights = 4 * (vocabulary * width + student["layers"] * 12 * width * width + width * width)
    running = plan["resources"]["max_concurrent"]
    steps = math.ceil(len(models.data.train) / plan["training"]["batch_size"]) * plan["epochs"]
    teacher = 4 * (vocabulary * models.teacher.hidden_size + models.teacher.layers * 12 * models.teacher.hidden_size**2)
    layer = 12 * student["hidden_size"] ** 2
    teacher_layer = 12 * models.teacher.hidden_size**2
    words = sum(len(text.split()) for text in models.data.train.first) + sum(
        len(text.split()) for text in models.data.train.second or ()
    )
    # A word is about 1.3 word pieces; two special tokens a row. Forward costs 2 operations a weight, backward 4.
    tokens = 1.3 * words + 2 * len(models.data.train)
    distilled = sum(point["origin"] != "baseline" for point in plan["points"])
    operations = tokens * plan["epochs"] * len(plan["points"]) * 6 * student["layers"] * layer
    operations += tokens * plan["epochs"] * distilled * 2 * models.teacher.layers * teacher_layer
    operations /= running
    rates = _RATES[plan["numerics"]["device"]]
    rate = rates[plan["numerics"]["autocast"] is not None] * (
        plan["resources"]["threads"] if not plan["resources"]["gpus_per_trial"] else 1
    )
    making = tokens * plan["teacher"]["training"]["epochs"] * 6 * models.teacher.layers * teacher_layer
    return {
        "trials": len(plan["points"]),
        "steps_per_trial": steps,
        "seconds": operations / rate + making / (rate * running),
        "artifact_bytes": 2 * teacher,
        "disk_bytes": running * (3 * 3 * weights + weights) + (plan["keep_students"] + 2) * weights,
    }


# Operations per second of one thread or one GPU, without and with bfloat16.
_RATES = {"cpu": (3e10, 6e10), "cuda": (1e13, 2e13)}


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
