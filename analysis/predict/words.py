"""What is said of a student and its answers."""

from __future__ import annotations

import math

import numpy as np

from analysis.predict.answers import Student
from analysis.predict.place import Found
from analysis.predict.rows import Split
from analysis.predict.said import Answers, Texts
from distill.models.student import parameter_count
from distill.tasks.base import Task, Windows
from distill.tasks.metrics import get
from distill.tasks.windows import usual_stride
from distill.training.predictions import scored

# Apart by no more than what another device's rounding may move.
_SAME = 1e-6


def student(found: Found, task: Task, student: Student) -> list[str]:
    """Which student answers, and how."""
    score = "" if found.trial is None or found.trial.reported is None else f", {_score(found)} on dev"
    order = list(student.order)
    lines = [
        f"Student: {found.name} ({parameter_count(student.model) / 1e6:.1f} M parameters{score}), task {task.name}, at "
        f"most {student.length} tokens a row, {student.batch} rows at a time on {student.device}."
    ]
    if order != sorted(order):
        lines.append(f"Note: its labels are brought into the order of {task.name} ({', '.join(task.labels)}).")
    return lines


def _score(found: Found) -> str:
    assert found.trial is not None
    assert found.trial.reported is not None
    return f"{found.plan['metric']} {found.trial.reported:.4f}"


def answered(found: Found, task: Task, split: Split, made: Answers | Texts, student: Student) -> list[str]:
    """How many rows got which answer, and how good the answers are where that is known."""
    lines = [f"Rows: {len(split.examples)} of {split.name} ({split.source}), {made.seconds:.0f} s."]
    if isinstance(made, Texts):
        silent = sum(not text for text in made.texts.values())
        lines.append(f"Answers: {len(made.texts) - silent} texts, {silent} rows without one.")
    elif task.kind == "regression":
        values = made.logits[:, 0]
        lines.append(f"Scores: {values.min():.3f} to {values.max():.3f}, mean {values.mean():.3f}.")
    else:
        counts = np.bincount(made.chosen, minlength=len(task.labels))
        told = ", ".join(f"{word} {count}" for word, count in zip(task.labels, counts, strict=True))
        lines.append(f"Answers: {told}.")
    if split.labelled:
        lines += _judged(found, task, split, made, student)
    return lines


def _judged(found: Found, task: Task, split: Split, made: Answers | Texts, student: Student) -> list[str]:
    logits = made.judged(split.examples) if isinstance(made, Texts) else made.logits
    values = scored(task, logits, split.examples.labels)
    told = ", ".join(f"{get(name).title} {value:.4f}" for name, value in values.items())
    lines = [f"{told[0].upper()}{told[1:]}."]
    recorded = None if found.trial is None or found.plan["task"] != task.name else found.trial.reported
    if split.name == "dev" and recorded is not None:
        same = math.isclose(values[task.metric], recorded, rel_tol=0.0, abs_tol=_SAME)
        other = otherwise(found, task, student.length, student.windows)
        why = f"the sweep has {' and '.join(other)}" if other else "the rows or the device are others"
        lines.append("That is what the record has." if same else f"The record has {recorded:.4f}: {why}.")
    return lines


def otherwise(found: Found, task: Task, length: int, windows: Windows) -> list[str]:
    """Options of the sweep that were given otherwise now, as the sweep has them.

    Args:
        length: Tokens of the longest row.
        windows: How contexts are read, of a span task.
    """
    data = found.plan.get("data") or {}
    planned = (found.plan.get("training") or {}).get("max_length", length)
    told = [] if planned == length else [f"--max-length {planned}"]
    if task.kind == "span" and (stride := data.get("doc_stride")) != windows.doc_stride:
        stride = usual_stride(planned) if stride is None else stride
        told += [] if stride == windows.doc_stride else [f"--doc-stride {stride}"]
    if task.unanswerable and (threshold := data.get("null_threshold") or 0.0) != windows.null_threshold:
        told.append(f"--null-threshold {threshold:g}")
    return told
