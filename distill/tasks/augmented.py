"""Rows that students train on instead of the task's own, which the teacher keeps. Imports without torch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.tasks import glue, own
from distill.tasks.base import Examples, Task, TaskData
from distill.tasks.holdout import texts


def with_augmented(data: TaskData, file: str | os.PathLike[str], flag: str = "--augmented") -> TaskData:
    """The same data, whose students train on all rows of a file.

    Args:
        data: Rows of the task as they were read, before any of them are left out.
        file: In the layout of the task's training file, such as `python -m distill.augment` writes; its copies come
            with the labels of the rows they were made of, and those rows are among them.
        flag: The option or argument that named it, for messages.

    Raises:
        UserError: The file is missing, malformed, or made of other rows than the task's; one sentence that names it
            and, if there is one, the line.
    """
    refuse_spans(data.task, f"{flag} {file}")
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"{flag} {file} is no file; python -m distill.augment makes one.")
    try:
        rows, _ = own.split(data.task, path, flag) if data.task.own else _plain(data.task, path)
    except UserError as error:
        told = str(error).rstrip(".")
        raise UserError(f"{flag} {told}; make it anew with python -m distill.augment, or name another file.") from None
    found = set(texts(rows))
    if not any(row in found for row in texts(data.train)):
        raise UserError(
            f"{flag} {file} holds none of the training rows of {data.task.name}, so it was not made of them; name "
            "another file."
        )
    return replace(data, augmented=rows)


def _plain(task: Task, path: Path) -> tuple[Examples, tuple[str, ...]]:
    # What a program wrote has no reason to be torn.
    return glue.read_split(replace(task, torn_share=0.0), path)


def refuse_spans(task: Task, asked: str) -> None:
    """Raise UserError for a span task.

    Args:
        asked: What a person asked for.
    """
    if task.kind == "span":
        raise UserError(
            f"{asked} does not go with {task.name}, whose answers are places in a text that would be changed; leave it "
            "out."
        )


def counted(data: TaskData, file: str | os.PathLike[str]) -> dict[str, Any]:
    """What a plan says of augmented rows.

    Args:
        data: With augmented rows, and with all of the task's own.
        file: Where they came from.

    Returns:
        `file`; `rows` in it; `own_rows`, the task's training rows; `originals`, how many of those stand in the file
        with the same texts; `dev_doubles`, how many dev rows do.
    """
    if data.augmented is None:
        raise ValueError("there are no augmented rows")
    found = set(texts(data.augmented))
    return {
        "file": str(file),
        "rows": len(data.augmented),
        "own_rows": len(data.train),
        "originals": sum(row in found for row in texts(data.train)),
        "dev_doubles": sum(row in found for row in texts(data.dev)),
    }
