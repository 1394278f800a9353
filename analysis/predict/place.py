"""Which student a folder stands for. Imports without torch."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.tasks import own, registry
from distill.tasks.base import Task
from distill.tasks.planned import task_of as planned_task
from trainables.families import FAMILY, Family, is_family, listed, read_family
from trainables.record import FINISHED, SWEEP, Record, Trial, read

STUDENT = "student"


@dataclass(frozen=True)
class Found:
    """A student that can answer.

    Attributes:
        folder: What was named, or the sweep in it that was chosen.
        name: Of the student, for people.
        model, tokenizer: Folders of its weights and of what splits text into its tokens.
        record, trial: The sweep that it comes from, and the trial; None of a student's own folder.
    """

    folder: Path
    name: str
    model: Path
    tokenizer: Path
    record: Record | None = None
    trial: Trial | None = None

    @property
    def plan(self) -> dict[str, Any]:
        """The sweep's plan; empty without one."""
        return {} if self.record is None else self.record.plan


def find(folder: Path, method: str | None = None) -> Found:
    """The student that a folder stands for: of a sweep the best one of its report, of several sweeps the best of all.

    Args:
        method: Of several sweeps only those of this one count.

    Raises:
        UserError: There is no such folder, it is nothing of that kind, or it has no student yet.
    """
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; name a sweep's, or a student's.")
    if is_family(folder):
        return _of_family(read_family(folder), method)
    if (folder / SWEEP).exists():
        record = read(folder)
        if method not in (None, record.plan["method"]):
            raise UserError(f"--method {method}: {folder} is a sweep of {record.plan['method']}; leave --method out.")
        return _of_sweep(record)
    if method is not None:
        raise UserError(f"--method {method} chooses among several sweeps, and {folder} is none of them; leave it out.")
    if not (folder / "config.json").exists():
        raise UserError(
            f"{folder} is neither a sweep's folder ({SWEEP}), nor the parent of the sweeps that one command made "
            f"({FAMILY}), nor a student's folder (config.json); name one of these."
        )
    return Found(folder, folder.name, folder, folder)


def _of_sweep(record: Record) -> Found:
    best = record.student_trial()
    if best is None or best.best is None:
        raise UserError(f"{record.path} has no student yet: no distilled trial has a score; let the sweep go on first.")
    exported, own = record.path / STUDENT, best.folder / STUDENT
    prepared = (record.prepared or {}).get("student") or {}
    tokenizer = exported if exported.is_dir() else Path(str(prepared.get("path")))
    name = f"{best.id} of {record.path.name}"
    # The trial's own is the newer one while a sweep goes on; half-written it may be while the trial runs.
    if best.state in FINISHED and (own / "config.json").is_file() and tokenizer.is_dir():
        return Found(record.path, name, own, tokenizer, record, best)
    if best.state in FINISHED and exported.is_dir():
        return Found(record.path, name, exported, exported, record, best)
    why = f"its best trial, {best.id}, still runs" if best.state not in FINISHED else "its weights are not here"
    raise UserError(f"{record.path} has no student yet: {why}; wait for its end, or go on with --resume.")


def _of_family(family: Family, method: str | None) -> Found:
    """The best student of all children, by its score on dev."""
    records = family.records()
    methods = list(dict.fromkeys(str(record.plan["method"]) for record in records.values()))
    if method is not None and method not in methods:
        raise UserError(f"--method {method}: {family.path} holds sweeps of {listed(methods)}; choose one of these.")
    metrics = {record.plan["metric"] for record in records.values()}
    found, problems = [], []
    for record in records.values():
        if method in (None, record.plan["method"]):
            try:
                found.append(_of_sweep(record))
            except UserError as error:
                problems.append(str(error))
    if not found:
        raise UserError(problems[0] if problems else f"{family.path} holds no sweep that was begun; --resume goes on.")
    if len(metrics) > 1 and len(found) > 1:
        raise UserError(f"{family.path} holds sweeps judged by {listed(sorted(metrics))}; name one of its folders.")
    return max(found, key=_score)


def _score(found: Found) -> float:
    score = None if found.trial is None else found.trial.reported
    return -math.inf if score is None else score


def task_of(found: Found, named: str | None, text: str | None = None, pair: str | None = None) -> Task:
    """The task that the student is asked: the one that a person named, else the sweep's, else one of its own labels.

    Args:
        text, pair: What the columns of the texts are called, where a person says so. Without a task and a sweep they
            make one of the labels that the student's own configuration names.

    Raises:
        UserError: Nothing says which it is, or the student cannot answer it.
    """
    from distill.teacher.ready import misfit

    planned = found.plan.get("task")
    if named is not None and named != planned:
        named = registry.get(named).name
    if planned is not None and named in (None, planned):
        # With the metric that the sweep was judged by, and an own one's columns.
        task = planned_task(found.plan)
    elif named is not None:
        task = registry.get(named)
    elif text is not None:
        task = _of_labels(found.model, text, pair)
    else:
        raise UserError(
            f"{found.folder} does not say which task its student was trained for; name it with --task, or for rows of "
            "your own with --text-column the column of the texts."
        )
    if pair is not None and not task.pair:
        raise UserError(f"--pair-column {pair}: {task.name} has one text a row; leave it out.")
    task = replace(task, first_column=text or task.first_column, second_column=pair or task.second_column)
    if problem := misfit(found.model, task):
        raise UserError(f"The student in {found.model} {problem}; name the task that it was trained for with --task.")
    return task


def _of_labels(folder: Path, text: str, pair: str | None) -> Task:
    """A task whose labels are those that a student's configuration names, of rows with these columns."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        named = {int(key): str(word) for key, word in (config.get("id2label") or {0: "LABEL_0", 1: "LABEL_1"}).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / 'config.json'} cannot be read ({error}); name another folder.") from error
    kind = "regression" if config.get("problem_type") == "regression" or len(named) == 1 else "classification"
    return own.of(
        {
            own.PLANNED: {
                "name": "rows",
                "title": "rows of one's own",
                "kind": kind,
                "labels": [named[key] for key in sorted(named)] if kind == "classification" else [],
                "first_column": text,
                "second_column": pair,
                "label_column": "label",
            }
        }
    )
