"""What the trials of a person's own Tuner share: planned and prepared once, then carried as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from distill import given, methods
from distill.artifacts import key_of
from distill.errors import UserError
from distill.published import task_values
from distill.tasks import tokens
from distill.tasks.base import TaskData
from distill.tasks.own import PLANNED
from distill.training.settings import TRAINING_FIELDS
from trainables import beside
from trainables import plan as planning
from trainables.config import SweepConfig
from trainables.models import resolve_models
from trainables.prepare import make_teacher, teacher_order
from trainables.shapes import shape_of


def plan_trials(config: SweepConfig, say: Callable[[str], None], rows: TaskData | None = None) -> dict[str, Any]:
    """Find or make data, tokens and teacher in this process; what a trial needs to know of them, as plain data.

    Args:
        config: What was asked.
        say: Takes one line of progress at a time.
        rows: Those of the task, where they are there already.

    Raises:
        UserError: Anything asked for cannot be had, or the teacher cannot teach.
    """
    header, data = planning.make_with_rows(config, models=None if rows is None else resolve_models(config, rows))
    plan = header["plan"]
    for notice in plan["notices"]:
        say(f"Note: {notice}")
    student, teacher = plan["student"], plan["teacher"]
    if student["path"] and not tokens.same_vocabulary(Path(teacher["path"]), Path(student["path"])):
        raise UserError(
            f"student {student['name']} and the teacher split text into different tokens: both must share one "
            "vocabulary."
        )
    point = plan["points"][0]
    made = make_teacher(plan, data, point["head"], say)
    names = ("task", "metric", "layers", "recipe", "seed", "numerics", "training")
    spec = {
        **{name: plan[name] for name in names},
        **({PLANNED: plan[PLANNED]} if PLANNED in plan else {}),
        "method": plan["method"],
        "select_on": plan["select_on"],
        "head": point["head"],
        # What `settings` fixed of the method, else what holds for the task or its defaults, not the first of a grid.
        "params": {
            **task_values(methods.get(plan["method"]), plan["recipe"], data.task),
            **{n: listed[0] for n, listed in config.settings.items() if n not in TRAINING_FIELDS},
        },
        "gpus": plan["resources"]["gpus_per_trial"],
        "data": str(made.rows),
        "teacher": str(made.folder / "model"),
        "teacher_shape": list(astuple(shape_of(teacher))),
        "student": student["path"] or str(made.folder / "model"),
        "student_shape": list(astuple(shape_of(student))),
        "kept": student["kept"],
    }
    brought = plan.get("given") or {}
    if (method := methods.get(plan["method"])).on_teacher is not None:
        taught = {"path": spec["teacher"], "content": made.own["content"], "rows": teacher_order(plan, data).tokens}
        folders = {given.TEACHER: config.teacher_filters, given.STUDENT: config.student_filters}
        spec["params"] |= given.idle(method, folders)
        spec["given"] = {what: found["path"] for what, found in brought.items()}
        spec["side"] = asdict(beside.side(plan, {"teacher": taught}))
        spec["artifacts"] = str(plan["artifacts"])
        # Once here, in place of by every trial at once.
        params = method.resolve(
            spec["params"], plan["recipe"], regression=data.task.kind == "regression", layers=plan["layers"]
        )
        beside.for_trial(spec, method, params, say)
    # Where things lie does not decide values, so a moved store may go on with old checkpoints.
    places = (
        "data",
        "teacher",
        "student",
        "gpus",
        "seed",
        "params",
        "training",
        "select_on",
        "given",
        "side",
        "artifacts",
    )
    spec["identity"] = key_of(
        {
            **{name: value for name, value in spec.items() if name not in places},
            "rows": made.rows.name,
            "taught": made.folder.name,
            "start": header["fingerprint"]["student"],
            **({"given": {what: found["content"] for what, found in brought.items()}} if brought else {}),
        }
    )
    return spec
