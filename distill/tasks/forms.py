"""The forms, beside GLUE's, in which the files of public data sets come. Imports without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill.errors import UserError
from distill.tasks import labelled, tables
from distill.tasks.base import Examples, Form, Positions, Task
from distill.tasks.table import Table
from distill.tasks.texts import fault

# What names the columns of label, first and second text.
OPTIONS = ("--label-column", "--text-column", "--pair-column")


def columns(task: Task, form: Form | None) -> tuple[str, ...]:
    """Names of label, first and, of a pair, second text in the files of a form; None is GLUE's."""
    if form is not None and form.columns:
        return form.columns
    return (task.label_column, task.first_column, *([task.second_column] if task.second_column else []))


def read(task: Task, form: Form, path: Path, named: bool = False) -> tuple[Examples, tuple[str, ...]]:
    """The labelled rows of one file, and what a person should know about the reading.

    Args:
        named: Whether rows get the names of `table.row_names`, which predictions carry and nothing is trained on.

    Raises:
        UserError: As `glue.load`.
    """
    if form.reader == "lines":
        return _lines(task, path)
    wanted = columns(task, form)
    found = table(form, path, wanted, form.positions)
    options = [f"{option} beside --task-file" for option in OPTIONS[: len(wanted)]]
    return labelled.examples(task, found, list(zip(wanted, options, strict=True)), named)


def table(
    form: Form | None, path: Path, wanted: Sequence[str], positions: Positions | None, blank: bool = False
) -> Table:
    """The table in a file of a form, whose columns are called as `wanted` (case does not matter in the file).

    Args:
        form: None is GLUE's, or for an own file whatever its ending says.
        wanted: Label, first and second text, or these without the label.
        positions: Where they are, if the file has no header.
        blank: Whether a blank line between others is a row of one empty cell.
    """
    tabs = path.suffix.lower() in (".tsv", ".txt")
    if (form is not None and form.reader == "records") or (form is None and not tabs):
        return tables.read(path, "file", blank)
    rows = tables.cells_of(path, tables.text_of(path), form is not None and form.reader == "commas", blank)
    header = [cell.strip().lower() for cell in rows[0][1]]
    if positions is None or all(name.lower() in header for name in wanted):
        spelled = {name.lower(): name for name in wanted}
        first = [spelled.get(cell.strip().lower(), cell) for cell in rows[0][1]]
        return tables.with_header(path, [(rows[0][0], first), *rows[1:]], "separate them by single tabs.")
    places = [place for place in (positions.label, positions.first, positions.second) if place is not None]
    called = dict(zip(places[-len(wanted) :], wanted, strict=True))
    names = [called.get(place, f"column {place + 1}") for place in range(positions.width)]
    return tables.named(path, rows, names, f"{positions.width} are expected.", positions.more)


def _lines(task: Task, path: Path) -> tuple[Examples, tuple[str, ...]]:
    """Texts, and the numbers of their labels in the file beside them."""
    beside = path.with_name(path.name.replace("_text", "_labels"))
    if not beside.is_file():
        raise UserError(f"{path} has texts alone: {task.name} needs the file {beside}, which is missing")
    texts, numbers = ([line.strip() for line in tables.lines_of(file)] for file in (path, beside))
    if len(texts) != len(numbers):
        raise UserError(f"{path} has {len(texts)} lines and {beside} has {len(numbers)}; one label a text is expected")
    labels = []
    for line, (text, number) in enumerate(zip(texts, numbers, strict=True), start=1):
        if not text:
            raise UserError(f"{path}, line {line}: the text is empty; every row needs one")
        if problem := fault(text):
            raise UserError(f"{path}, line {line}: the text {problem}")
        if not number.isdecimal() or int(number) >= len(task.labels):
            known = ", ".join(f"{index} {word}" for index, word in enumerate(task.labels))
            raise UserError(f"{beside}, line {line}: unknown label {number[:40]!r} (known: {known})")
        labels.append(int(number))
    labelled.check_split(task, str(beside), labels)
    return Examples(tuple(texts), None, labelled.array_of(task, labels)), ()
