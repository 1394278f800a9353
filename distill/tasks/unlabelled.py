"""Rows without labels, for predictions: GLUE's test and diagnostic files, and a person's own. Imports without torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill.errors import UserError
from distill.tasks import folders, forms, tables
from distill.tasks.base import Examples, Form, Task
from distill.tasks.table import Table, row_names
from distill.tasks.texts import fault

DIAGNOSTIC = "diagnostic"
# As GLUE's own script stores it, and as it is called where it is downloaded from.
_DIAGNOSTIC = ("diagnostic.tsv", "diagnostic/diagnostic.tsv", "AX.tsv", "diagnostic/AX.tsv")


def read(task: Task, source: str | os.PathLike[str], split: str = "test") -> Examples:
    """The texts of a split, every row of it in the order of the file, with no look at labels.

    Read are GLUE's files (``test.tsv``, ``test_matched.tsv``, ``test_mismatched.tsv`` and, of MNLI, ``diagnostic.tsv``
    in its folder or in one of that name beside it, or ``AX.tsv``; columns are index, sentence1, sentence2), those of
    the other forms in which the task is published, and own files of any form of `tables.read` with the task's text
    columns. A file with labels is read as well; empty texts are kept, because a server wants an answer to every row. So
    is a blank line in a file of one column; where there are more columns, it is refused.

    Args:
        source: A folder that holds the task's files, or one file.
        split: ``test``, ``test_matched``, ``test_mismatched``, ``diagnostic``, ``dev`` or ``train``; of one file it
            plays no part.

    Returns:
        Examples with `ids` (the column index, id or idx; where there is none, the numbers of the rows from 0) and
        labels that are all 0.

    Raises:
        UserError: There is no such file, or it lacks a column; one sentence with the file and, where one is, the row.
    """
    place = Path(source).expanduser()
    if place.is_file():
        form = next((form for form in task.forms if place.name in (form.train, form.dev, form.test)), None)
        return _read(task, form, place)
    folder = folders.find_folder(task, place, alone=False)
    names = [(None, name) for name in _names(task, split)] + [
        (form, name) for form in task.forms if (name := _name(form, split))
    ]
    found = next(((form, folder / name) for form, name in names if (folder / name).is_file()), None)
    if found is None and split == DIAGNOSTIC:
        found = next(((None, path) for path in _diagnostic(task, folder, place) if path.is_file()), None)
    if found is None:
        there = sorted(path.name for path in folder.iterdir() if path.is_file())
        raise UserError(
            f"{folder} has no {' or '.join(name for _, name in names) or split} for the split {split} of {task.name} "
            f"(it has {', '.join(there[:12])}); name another split, or the file itself."
        )
    return _read(task, *found)


def _diagnostic(task: Task, folder: Path, place: Path) -> list[Path]:
    """Where GLUE's diagnostic rows lie, which have a folder of their own beside the task's."""
    beside = [folder.resolve().parent] if folders.is_folder_of(task, folder) else []
    return [start / name for start in dict.fromkeys([folder, place, *beside]) for name in _DIAGNOSTIC]


def _names(task: Task, split: str) -> list[str]:
    """The files of a split in GLUE's layout."""
    known = {"train": task.train_file, "dev": task.dev_file, **dict(task.beside)}
    return [known.get(split, f"{split}.tsv")]


def _name(form: Form, split: str) -> str | None:
    known = {"train": form.train, "dev": form.dev, "test": form.test, **dict(form.beside)}
    return known.get(split)


def _read(task: Task, form: Form | None, path: Path) -> Examples:
    if form is not None and form.reader == "lines":
        texts = tables.lines_of(path)
        for line, text in enumerate(texts, start=1):
            if problem := fault(text):
                raise UserError(f"{path}, line {line}: the text {problem}.")
        return _examples(task, [texts], [str(number) for number in range(len(texts))])
    wanted = forms.columns(task, form)[1:]
    positions = form.positions if form is not None else task.positions
    table = forms.table(form, path, wanted, positions, blank=True)
    sides = [_texts(table, name) for name in wanted]
    return _examples(task, sides, row_names(table))


def _texts(table: Table, name: str) -> list[str]:
    values = table.column(name, "--text-column and --pair-column")
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise UserError(f"{table.place(row)}: column {name!r} holds {value!r:.40} where a text is expected.")
        if problem := fault(value):
            raise UserError(f"{table.place(row)}: the text in column {name!r} {problem}.")
    return [value.strip() for value in values]


def _examples(task: Task, sides: Sequence[Sequence[str]], ids: Sequence[str]) -> Examples:
    first, *second = (tuple(side) for side in sides)
    labels = np.zeros(len(first), dtype=np.float32 if task.kind == "regression" else np.int64)
    return Examples(first, second[0] if second else None, labels, ids=tuple(ids))
