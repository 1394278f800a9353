"""What the trials of a person's own Tuner share: planned and prepared once, then carried as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

from distill.artifacts import key_of
from distill.errors import UserError
from distill.tasks import tokens
from distill.training.settings import TRAINING_FIELDS
from trainables import plan as planning
from trainables.config import SweepConfig
from trainables.prepare import make_teacher
from trainables.shapes import shape_of


def plan_trials(config: SweepConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """Find or make data, tokens and teacher in this process; what a trial needs to know of them, as plain data.

    Args:
        config: What was asked.
        say: Takes one line of progress at a time.

    Raises:
        UserError: Anything asked for cannot be had, or the teacher cannot teach.
    """
    header, data = planning.make_with_rows(config)
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
        "method": plan["method"],
        "select_on": plan["select_on"],
        "head": point["head"],
        # What `settings` fixed of the method, else its defaults, not the first point of a grid.
        "params": {n: listed[0] for n, listed in config.settings.items() if n not in TRAINING_FIELDS},
        "gpus": plan["resources"]["gpus_per_trial"],
        "data": str(made.rows),
        "teacher": str(made.folder / "model"),
        "teacher_shape": list(astuple(shape_of(teacher))),
        "student": student["path"] or str(made.folder / "model"),
        "student_shape": list(astuple(shape_of(student))),
        "kept": student["kept"],
    }
    # Where things lie does not decide values, so a moved store may go on with old checkpoints.
    places = ("data", "teacher", "student", "gpus", "seed", "params", "training", "select_on")
    spec["identity"] = key_of(
        {
            **{name: value for name, value in spec.items() if name not in places},
            "rows": made.rows.name,
            "taught": made.folder.name,
            "start": header["fingerprint"]["student"],
        }
    )
    return spec
