"""Files that a person names one by one as the rows of a known task. Imports without torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from distill.errors import UserError
from distill.tasks import glue, labelled, squad, tables
from distill.tasks.base import Examples, Task, TaskData
from distill.tasks.own import Options


def load(
    task: Task,
    train: str | os.PathLike[str],
    dev: str | os.PathLike[str],
    text_column: str | None = None,
    pair_column: str | None = None,
    label_column: str | None = None,
    named: bool = False,
) -> TaskData:
    """The rows of a known task from two files.

    They are in GLUE's layout (questions in SQuAD's), in another form in which the task is published (known by its
    file's name), or csv, jsonl, JSON or Parquet with the columns and labels of the task, or of its data set on the hub.

    Args:
        text_column, pair_column, label_column: What the columns are called; None as in the task's own files.
        named: Whether rows get the names of `table.row_names`, which predictions carry and nothing is trained on.

    Raises:
        UserError: As `glue.load`, or a column is named where files have none.
    """
    if task.kind == "span":
        squad.refuse_columns(task, text_column, pair_column, label_column)
    columns = any((text_column, pair_column, label_column))
    task = replace(
        task,
        first_column=text_column or task.first_column,
        second_column=pair_column or task.second_column,
        label_column=label_column or task.label_column,
    )
    both = ((train, "--task-file"), (dev, "--dev-file"))
    (first, told), (second, also) = (_read(task, Path(file).expanduser(), flag, columns, named) for file, flag in both)
    return TaskData(task, first, second, f"{train}, {dev}", told + also)


def _read(task: Task, path: Path, flag: str, columns: bool, named: bool) -> tuple[Examples, tuple[str, ...]]:
    if not path.is_file():
        raise UserError(f"{flag} {path}: there is no such file.")
    if task.kind == "span":
        return squad.training(path, task) if flag == "--task-file" else (squad.read(path, task), ())
    # A published form has columns of its own, in whose place a person may name others.
    for form in () if columns else task.forms:
        if path.name in (form.train, form.dev, form.test, *dict(form.beside).values()):
            return glue.read_file(task, form, path, named)
    if path.suffix.lower() in (".tsv", ".txt"):
        header = [cell.strip().lower() for cell in tables.lines_of(path)[0].split("\t")]
        return glue.read_split(task if columns else _as_on_hub(task, header), path, named)
    table = tables.read(path, flag)
    task = task if columns else _as_on_hub(task, table.names)
    called = Options(task.first_column, task.second_column, task.label_column).columns
    return labelled.examples(task, table, called, named)


def _as_on_hub(task: Task, names: Sequence[str]) -> Task:
    """The task with the columns that it has on the hub, where a file has these in place of the task's own."""
    own = {task.label_column, task.first_column, task.second_column or task.first_column}
    if task.hub is None or not set(task.hub.columns) <= set(names):
        return task
    if {name.lower() for name in own} <= {name.lower() for name in names}:
        return task
    return replace(task, first_column=task.hub.first, second_column=task.hub.second, label_column=task.hub.columns[0])
