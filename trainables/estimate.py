"""What a sweep will take, before anything starts: steps, disk and time."""

from __future__ import annotations

from typing import Any

from distill import methods
from distill.tasks.base import Examples, TaskData
from distill.training.settings import Training
from trainables import beside, stages, steps, windows
from trainables.models import Models
from trainables.shapes import shape_of, student_of
from trainables.teacher_source import estimated_lengths

# Operations per second of one thread or one GPU, without and with bfloat16.
_RATES = {"cpu": (3e10, 6e10), "cuda": (1e13, 2e13)}


def estimate(plan: dict[str, Any], models: Models, student: dict[str, Any]) -> dict[str, Any]:
    """Steps, disk and time. Weights in float32; a training state holds them and two moments of AdamW.

    The time is arithmetic, not a measurement: multiplications of all layers over all tokens, at a rate that small
    encoders reach on common machines. The view of the running sweep measures.
    """
    width, vocabulary = student["hidden_size"], models.teacher.vocabulary
    weights = 4 * (vocabulary * width + student["layers"] * 12 * width * width + width * width)
    running = plan["resources"]["max_concurrent"]
    training = Training(**plan["training"])
    rows = models.data.of_student().train
    every = {point["id"]: steps.stages_of(plan, point) for point in plan["points"]}
    longest = max(sum(one.steps(windows.rows(plan)) for one in stages) for stages in every.values())
    teacher = 4 * (vocabulary * models.teacher.hidden_size + models.teacher.layers * 12 * models.teacher.hidden_size**2)
    layer = 12 * student["hidden_size"] ** 2
    teacher_layer = 12 * models.teacher.hidden_size**2
    # Forward costs 2 operations a weight, backward 4.
    tokens, own = (_tokens(split, training, models.data) for split in (rows, models.data.train))
    epochs = {name: sum(one.training.epochs for one in stages) for name, stages in every.items()}
    distilled = [epochs[point["id"]] for point in plan["points"] if point["origin"] != "baseline"]
    trials = len(plan["points"])
    taught, trained = sum(distilled), sum(epochs.values())
    if plan["search"]["name"] == "tpe":
        # The others are suggested one at a time, and no longer than the longest.
        more = plan["search"]["trials"] - len(distilled)
        each = max(distilled, default=plan["epochs"])
        trials, taught, trained = trials + more, taught + more * each, trained + more * each
    # A student that is cut shares what a stage leaves with all points that need the same.
    shared = stages.groups(plan)
    taught, trained = taught - stages.saved_epochs(plan), trained - stages.saved_epochs(plan)
    alone = sum(group.epochs for group in shared)
    # Points may run layers twice.
    depths = {p["id"]: student_of(plan, methods.get(p["method"]), p["params"]).layers for p in plan["points"]}
    depth = sum(depths[id] * count for id, count in epochs.items()) / sum(epochs.values())
    student_pass = tokens * 6 * depth * layer
    teacher_pass = tokens * 2 * shape_of(plan["teacher"]).layers * teacher_layer
    passes = {"cached": 1, "none": 0}.get(plan["teacher_source"]["kind"], taught)
    # What is trained on the teacher itself is small beside it, and it only answers there.
    on_teacher = beside.epochs_before(plan) * own * 2 * shape_of(plan["teacher"]).layers * teacher_layer
    operations = (trained * student_pass + passes * teacher_pass + on_teacher) / running
    asked = teacher_pass if plan["teacher_source"]["kind"] == "online" else 0
    sharing = (alone * (student_pass + asked) + on_teacher) / running
    rates = _RATES[plan["numerics"]["device"]]
    rate = rates[plan["numerics"]["autocast"] is not None] * (
        plan["resources"]["threads"] if not plan["resources"]["gpus_per_trial"] else 1
    )
    making = own * plan["teacher"]["training"]["epochs"] * 6 * shape_of(plan["teacher"]).layers * teacher_layer
    return {
        "trials": trials,
        "steps_per_trial": longest,
        "seconds": operations / rate + making / (rate * running),
        "teacher_seconds": making / (rate * running),
        "stage_seconds": sharing / rate,
        "teacher_bytes": teacher,
        "artifact_bytes": 2 * teacher + plan["teacher_source"]["disk"] + len(shared) * weights,
        "stage_bytes": len(shared) * weights,
        "disk_bytes": running * (3 * 3 * weights + weights) + (plan["keep_students"] + 2) * weights,
    }


def _tokens(split: Examples, training: Training, data: TaskData) -> float:
    """About how many tokens the rows of a split have: 1.3 word pieces for a word, and two special tokens a row."""
    if data.task.kind == "span":
        lengths = estimated_lengths(split, training.max_length, data.windows)
        return float(len(lengths) * training.max_length if training.padding == "max_length" else lengths.sum())
    if training.padding == "max_length":
        return float(training.max_length * len(split))
    return 1.3 * sum(len(text.split()) for text in (*split.first, *(split.second or ()))) + 2 * len(split)
