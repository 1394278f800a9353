"""The rows that are to be answered, labelled where dev or training rows are asked for. Imports without torch."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.predict.place import Found
from distill.errors import UserError
from distill.tasks import rows, unlabelled
from distill.tasks.base import Examples, Task, TaskData

SPLITS = ("test", "dev", "train", "diagnostic")
# Tasks whose test rows stand in several files.
_PARTS = {("mnli", "test"): ("test_matched", "test_mismatched")}


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of one file of predictions.

    Attributes:
        name: What they are called: "test", "test_matched", "dev", …
        source: Where they come from, for people.
        labelled: Whether their labels are known, so that answers can be judged.
    """

    name: str
    examples: Examples
    source: str
    labelled: bool


def read(found: Found, task: Task, asked: argparse.Namespace) -> list[Split]:
    """The rows that were asked for: those of a file, or of a split of the task's data.

    Raises:
        UserError: They cannot be had; one sentence with the file, and the row where there is one.
    """
    if asked.split not in SPLITS and not asked.file:
        raise UserError(f"--split {asked.split} is none of {', '.join(SPLITS)}; choose one, or name a --file.")
    if asked.file:
        return [_of_file(task, Path(asked.file).expanduser())]
    if asked.split == "diagnostic" and task.name != "mnli":
        raise UserError(f"--split diagnostic has the labels of mnli, and the student answers {task.name}.")
    if asked.split in ("dev", "train"):
        return _labelled(_data(found, task, asked), asked.split)
    folder = asked.data_dir or _own(found, task).get("data_dir")
    if folder is None:
        raise UserError(
            f"--split {asked.split}: rows of {task.name} without labels are read from files; name their folder with "
            "--data-dir, or one with --file."
        )
    names = _PARTS.get((task.name, asked.split), (asked.split,))
    return [_checked(Split(name, unlabelled.read(task, folder, name), str(folder), False)) for name in names]


def _of_file(task: Task, file: Path) -> Split:
    if not file.is_file():
        raise UserError(f"--file {file} is not there; name a file with the columns of {task.name}.")
    return _checked(Split(file.stem, unlabelled.read(task, file), str(file), False))


def _checked(split: Split) -> Split:
    if not len(split.examples):
        raise UserError(f"{split.source} has no rows for the split {split.name}.")
    return split


def _own(found: Found, task: Task) -> dict[str, Any]:
    """What the student's sweep was asked, where it was of this very task; else nothing."""
    if found.record is None or found.plan["task"] != task.name:
        return {}
    return dict(found.record.header["config"])


def _data(found: Found, task: Task, asked: argparse.Namespace) -> TaskData:
    """The labelled rows of a task, from a person's folder, else from where the sweep had them, else from the hub."""
    if asked.data_dir:
        return rows.read(task, "local", asked.data_dir)
    if config := _own(found, task):
        plan = found.plan["data"]
        return rows.read(task, plan["origin"], config.get("data_dir"), (plan.get("hub") or {}).get("revision"))
    if not task.made_up and task.hub is None:
        raise UserError(f"--split {asked.split}: the rows of {task.name} are read from files; name their --data-dir.")
    return rows.read(task, "embedded" if task.made_up else "hub")


def _labelled(data: TaskData, split: str) -> list[Split]:
    """A split, and beside dev the further ones that the task shows."""
    examples = data.train if split == "train" else data.dev
    found = [Split(split, examples, data.source, True)]
    if split == "dev":
        found += [Split(f"dev_{name}", others, data.source, True) for name, others in data.beside]
    return found
