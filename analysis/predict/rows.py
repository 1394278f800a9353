"""The rows that are to be answered, labelled where dev or training rows are asked for. Imports without torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.predict.place import Found
from distill.errors import UserError
from distill.tasks import given_files, own, registry, rows, squad, tables, unlabelled
from distill.tasks.base import Examples, HubRows, Task, TaskData

SPLITS = ("test", "dev", "train", "diagnostic")
# Tasks whose test rows stand in several files.
_PARTS = {("mnli", "test"): ("test_matched", "test_mismatched")}
# What GLUE's test files call it.
_NUMBER = ("index", "id")
# GLUE's diagnostic rows are a configuration of its data set on the hub.
_DIAGNOSTIC = "ax"


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of one file of predictions.

    Attributes:
        name: What they are called: "test", "test_matched", "dev", …
        source: Where they come from, for people.
        labelled: Whether their labels are known, so that answers can be judged.
        public: Whether they are those of the public set, not rows of a person's own that are merely called so.
    """

    name: str
    examples: Examples
    source: str
    labelled: bool
    public: bool = True


def read(found: Found, task: Task, asked: argparse.Namespace) -> list[Split]:
    """The rows that were asked for: those of a file, or of a split of the task's data.

    Raises:
        UserError: They cannot be had; one sentence with the file, and the row where there is one.
    """
    if asked.file:
        file = Path(asked.file).expanduser()
        if not file.is_file():
            raise UserError(f"--file {file} is not there; name a file with the columns of {task.name}.")
        return [_checked(_of_file(file, found, task, asked))]
    if asked.split not in SPLITS:
        raise UserError(f"--split {asked.split} is none of {', '.join(SPLITS)}; choose one, or name a --file.")
    if asked.split == "diagnostic" and task.name != "mnli":
        raise UserError(f"--split diagnostic has the labels of mnli, and the student answers {task.name}.")
    if task.kind == "span" and asked.split == "test":
        raise UserError(f"--split test: the test rows of {task.name} are not public; take --split dev, or a --file.")
    if task.own and asked.data_dir:
        raise UserError(f"--data-dir {asked.data_dir}: {task.name} has files of its own; name one with --file.")
    if asked.split in ("dev", "train"):
        return _labelled(_data(found, task, asked), asked.split)
    config = _asked_for(found, task)
    names = _PARTS.get((task.name, asked.split), (asked.split,))
    if folder := asked.data_dir or config.get("data_dir"):
        return [_checked(Split(name, unlabelled.read(task, folder, name), str(folder), False)) for name in names]
    if hub := _on_hub(found, task, config):
        return [_checked(_of_hub(name, *hub)) for name in names]
    raise UserError(
        f"--split {asked.split}: rows of {task.name} without labels are read from files; name one with --file"
        f"{'' if task.own or task.made_up else ', or their folder with --data-dir'}."
    )


def _of_file(file: Path, found: Found, task: Task, asked: argparse.Namespace) -> Split:
    """All rows of a file; those of a known task that was swept with columns of other names have these."""
    if task.kind == "span":
        squad.refuse_columns(task, asked.text_column, asked.pair_column)
        return Split(file.stem, squad.questions(file, task), str(file), False)
    public = _of_glue(file, task)
    if not public:
        config = _asked_for(found, task)
        first = asked.text_column or config.get("text_column") or task.first_column
        second = asked.pair_column or config.get("pair_column") or task.second_column
        task = replace(task, first_column=first, second_column=second)
    return Split(file.stem, unlabelled.read(task, file), str(file), False, public)


def _of_glue(file: Path, task: Task) -> bool:
    """Whether a file of rows without labels has the header of GLUE's: the number of the row, then the texts."""
    if file.suffix.lower() != ".tsv" or task.own:
        return False
    header = [cell.strip().lower() for cell in tables.lines_of(file)[0].split("\t")]
    known = registry.get(task.name)
    texts = [name.lower() for name in (known.first_column, known.second_column) if name]
    return header[0] in _NUMBER and set(texts) <= set(header) and known.label_column.lower() not in header


def _checked(split: Split) -> Split:
    if not len(split.examples):
        raise UserError(f"{split.source} has no rows for the split {split.name}.")
    return split


def _asked_for(found: Found, task: Task) -> dict[str, Any]:
    """What the student's sweep was asked, where it was of this very task; else nothing."""
    if found.record is None or found.plan["task"] != task.name:
        return {}
    return dict(found.record.header["config"])


def _on_hub(found: Found, task: Task, config: Mapping[str, Any]) -> tuple[HubRows, str | None] | None:
    """Where on the hub a task's rows are, and the commit of the sweep; None where they are files or made up."""
    hub = (found.plan.get("data") or {}).get("hub") if config else None
    if hub and task.own:
        return HubRows(hub["config"], task.first_column, task.second_column, (), repository=hub["id"]), hub["revision"]
    if config.get("task_file") or task.hub is None:
        return None
    return task.hub, hub["revision"] if hub else None


def _of_hub(name: str, where: HubRows, revision: str | None) -> Split:
    """The texts of a split of a data set, every row of it in its order."""
    # Late: it needs the libraries of the hub.
    from distill.tasks.hub import refuse_faults, splits

    if name == "diagnostic":
        name, where = "test", replace(where, config=_DIAGNOSTIC)
    found, commit = splits(where, revision, f"--split {name}", instead="name a file with --file")
    shown = f"{where.repository}{f', {where.config}' if where.config else ''}, at {commit[:8]} (hub)"
    if name not in found:
        raise UserError(f"{shown} has no split {name} (it has {', '.join(found)}); name a file with --file.")
    table = found[name]
    sides = []
    for column in (where.first, *([where.second] if where.second else [])):
        if column not in table.column_names:
            there = ", ".join(table.column_names)
            raise UserError(f"{shown} has no column {column} in {name} (it has {there}); name a file with --file.")
        texts = table[column][:]
        for row, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise UserError(
                    f"{shown}, {name}, row {row}: column {column!r} holds {text!r:.40} where a text is expected; name "
                    "a file with --file."
                )
        refuse_faults(texts, column, f"{shown}, {name}")
        sides.append(tuple(text.strip() for text in texts))
    ids = table["idx"] if "idx" in table.column_names else range(len(table))
    labels = np.zeros(len(table), dtype=np.int64)
    examples = Examples(sides[0], sides[1] if where.second else None, labels, ids=tuple(map(str, ids)))
    return Split("diagnostic" if where.config == _DIAGNOSTIC else name, examples, shown, False)


def _data(found: Found, task: Task, asked: argparse.Namespace) -> TaskData:
    """The labelled rows of a task, from a person's folder, else from where the sweep had them, else from the hub."""
    if asked.data_dir:
        return rows.read(task, "local", asked.data_dir, named=True)
    config = _asked_for(found, task)
    if config.get("task_file"):
        return _given(found, task, config)
    if config:
        plan = found.plan["data"]
        revision = (plan.get("hub") or {}).get("revision")
        return rows.read(task, plan["origin"], config.get("data_dir"), revision, named=True)
    if not task.made_up and task.hub is None:
        raise UserError(f"--split {asked.split}: rows of {task.name} are read from files; name one with --file.")
    return rows.read(task, "embedded" if task.made_up else "hub")


def _given(found: Found, task: Task, config: Mapping[str, Any]) -> TaskData:
    """The rows of the files that a sweep was given."""
    if not task.own:
        columns = {name: config.get(name) for name in ("text_column", "pair_column", "label_column")}
        return given_files.load(task, config["task_file"], config["dev_file"], named=True, **columns)
    options = own.Options(task.first_column, task.second_column, task.label_column, task.kind, config.get("dev_split"))
    hub = found.plan["data"].get("hub")
    named, revision = (f"{hub['id']}:{hub['config']}", hub["revision"]) if hub else (config["task_file"], None)
    data = own.read(named, config.get("dev_file"), options, revision=revision, name=task.name, named=True)
    if data.task.labels != task.labels:
        raise UserError(f"The labels of {config['task_file']} have changed since the sweep; name the rows with --file.")
    return data


def _labelled(data: TaskData, split: str) -> list[Split]:
    """A split, and beside dev the further ones that the task shows."""
    examples = data.train if split == "train" else data.dev
    found = [Split(split, examples, data.source, True)]
    if split == "dev":
        found += [Split(f"dev_{name}", others, data.source, True) for name, others in data.beside]
    return found
