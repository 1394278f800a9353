"""Reading a task's files in GLUE's layout, and making the data of the made-up tasks."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from distill.errors import UserError
from distill.tasks import folders, forms
from distill.tasks.base import Examples, Form, Positions, Task, TaskData
from distill.tasks.label_words import settled, without
from distill.tasks.labelled import array_of, check_split, label_of
from distill.tasks.table import NAMING, NO_LABEL
from distill.tasks.tables import lines_of
from distill.tasks.texts import LONGEST, fault


def load(task: Task, data_dir: str | os.PathLike[str], named: bool = False) -> TaskData:
    """Reads the training and development files of `task`.

    Accepted: ``data_dir/<folder>`` (case and hyphens don't matter) or the task's own folder; UTF-8 with or
    without a byte-order mark; LF or CRLF; a header, or none where the task's layout knows the positions.
    Quotes are plain text. Texts are stripped of white space at both ends.

    Args:
        named: Whether rows get the names of `table.row_names`, which predictions carry and nothing is trained on.

    Raises:
        UserError: anything missing or malformed; one sentence naming the file and, if there is one, the line.
    """
    if task.made_up:
        raise UserError(f"--data-dir: the data of {task.name} is generated, not read; leave --data-dir out")
    folder = folders.find_folder(task, Path(data_dir))
    form = form_in(task, folder)
    names = (task.train_file, task.dev_file) if form is None else (form.train, form.dev)
    (train, train_notes), (dev, dev_notes) = (
        read_file(task, form, _find_file(task, folder, name), named) for name in names
    )
    beside = []
    for split, name in task.beside if form is None else form.beside:
        # Nothing is trained on it or chosen by it, so that a folder without it serves as well.
        if (folder / name).is_file():
            rows, notes = read_file(task, form, folder / name, named)
            beside.append((split, rows))
            dev_notes += notes
    own = (form.note,) if form is not None and form.note else ()
    source = f"{folder} ({', '.join(names)})"
    return TaskData(task, train, dev, source, own + train_notes + dev_notes, beside=tuple(beside))


def form_in(task: Task, folder: Path) -> Form | None:
    """The form of the files that a folder has for a task; None is GLUE's, also where there are none."""
    if (folder / task.train_file).is_file():
        return None
    return next((form for form in task.forms if (folder / form.train).is_file()), None)


def read_file(task: Task, form: Form | None, path: Path, named: bool = False) -> tuple[Examples, tuple[str, ...]]:
    """The labelled rows of one file of a form (None is GLUE's), and what a person should know about the reading.

    Raises:
        UserError: As `load`.
    """
    if form is None:
        return read_split(task, path, named)
    if form.reader == "tabs" and form.unlabelled is None:
        return read_split(replace(task, positions=form.positions), path, named)
    return forms.read(task, form, path, named)


def load_made_up(task: Task, seed: int = 0) -> TaskData:
    """Generates the data of a made-up task; the same seed gives the same data.

    Raises:
        ValueError: `task` is read from files, or its generator gives rows of another kind or an unknown label.
    """
    if task.generator is None:
        raise ValueError(f"{task.name} is read from files; there is nothing to generate")
    module = importlib.import_module(task.generator)
    train, dev = module.splits(seed=seed)
    for split in (train, dev):
        _check_made(task, split)
    return TaskData(task, train, dev, f"made up by {task.generator} version {module.VERSION}, seed {seed}")


def _find_file(task: Task, folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise UserError(f"--data-dir: {task.name} needs the file {path}, which is missing")
    return path


def read_split(task: Task, path: Path, named: bool = False) -> tuple[Examples, tuple[str, ...]]:
    """The rows of one file in the task's layout, and what a person should know about the reading.

    Rows that have no label (`label_words.settled`) are left out.

    Raises:
        UserError: As `load`.
    """
    lines = lines_of(path)
    layout, has_header = _layout(task, path, lines[0].split("\t"))
    found: list[tuple[int, list[str]]] = []
    torn: list[int] = []
    allowed = math.floor(task.torn_share * len(lines))
    for number, cells in _rows(lines, has_header):
        _refuse_faults(task, layout, cells, f"{path}, line {number}")
        problem = _torn(task, layout, cells)
        if problem is not None:
            torn.append(number)
            if len(torn) > allowed:
                raise UserError(f"{path}, line {number}: {problem}{_hint(task, has_header)}")
            continue
        found.append((number, cells))
    stands = [cells[layout.label].strip() for _, cells in found]
    columns = [task.label_column, task.first_column, *([task.second_column] if task.second_column else [])]
    words, told = settled(task, stands, columns)
    kept = [(number, cells, word) for (number, cells), word in zip(found, words, strict=True) if word is not NO_LABEL]
    labels = [label_of(task, f"{path}, line {number}", word) for number, _, word in kept]
    check_split(task, str(path), labels)
    first, *second = (
        tuple(cells[place].strip() for _, cells, _ in kept)
        for place in (layout.first, layout.second)
        if place is not None
    )
    notes = [f"{path}: {told}"] if told else []
    notes += without(str(path), stands, words)
    if torn:
        notes.append(f"{path}: {len(torn)} torn lines left out ({_some(torn)})")
    ids = _names(lines, has_header, [number for number, _, _ in kept]) if named else None
    return Examples(first, second[0] if second else None, array_of(task, labels), ids=ids), tuple(notes)


def _names(lines: Sequence[str], has_header: bool, kept: Sequence[int]) -> tuple[str, ...]:
    """What the rows on these lines (from 1) are called, as by `table.row_names`."""
    header = [cell.strip().lower() for cell in lines[0].split("\t")] if has_header else []
    place = next((header.index(name) for name in NAMING if name in header), None)
    if place is None:
        return tuple(str(number - 1 - has_header) for number in kept)
    return tuple(lines[number - 1].split("\t")[place].strip() for number in kept)


def _rows(lines: Sequence[str], has_header: bool) -> Iterator[tuple[int, list[str]]]:
    start = 1 if has_header else 0
    for index in range(start, len(lines)):
        yield index + 1, lines[index].split("\t")


def _layout(task: Task, path: Path, cells: Sequence[str]) -> tuple[Positions, bool]:
    """Where the columns are, and whether the first line is a header."""
    columns = [cell.strip().lower() for cell in cells]
    wanted = [task.label_column, task.first_column]
    if task.second_column is not None:
        wanted.append(task.second_column)
    missing = [name for name in wanted if name.lower() not in columns]
    if missing and task.positions is not None:
        return task.positions, False
    if missing:
        found = ", ".join(cell.strip()[:30] for cell in cells)
        options = " and ".join(option for name, option in zip(wanted, forms.OPTIONS, strict=False) if name in missing)
        raise UserError(
            f"{path}, line 1: the header lacks {_quoted(missing)} (expected {_quoted(wanted)}; found: {found}); name "
            f"another with {options} beside --task-file"
        )
    doubled = [name for name in wanted if columns.count(name.lower()) > 1]
    if doubled:
        raise UserError(f"{path}, line 1: the header names {_quoted(doubled)} more than once; once is expected")
    label, first, *second = (columns.index(name.lower()) for name in wanted)
    return Positions(len(columns), label, first, second[0] if second else None), True


def _torn(task: Task, layout: Positions, cells: Sequence[str]) -> str | None:
    if len(cells) < layout.width or (len(cells) > layout.width and not layout.more):
        found = f"{len(cells)} column" + ("" if len(cells) == 1 else "s")
        return f"{found} found where {layout.width} separated by tabs are expected"
    for position, name in ((layout.first, task.first_column), (layout.second, task.second_column)):
        if position is None:
            continue
        if not cells[position].strip():
            return f"the text in column {name!r} is empty; every row needs one"
    return None


def _refuse_faults(task: Task, layout: Positions, cells: Sequence[str], place: str) -> None:
    """Raise UserError for a text that no file has, however many lines of it are torn as published."""
    if len(cells) < layout.width:
        # Which text it is cannot be told.
        if longest := next((cell for cell in cells if len(cell) > LONGEST), None):
            raise UserError(f"{place}: a cell {fault(longest)}")
        return
    for position, name in ((layout.first, task.first_column), (layout.second, task.second_column)):
        if position is not None and (problem := fault(cells[position])):
            raise UserError(f"{place}: the text in column {name!r} {problem}")


def _hint(task: Task, has_header: bool) -> str:
    if has_header or task.positions is None:
        return ""
    return f", or a header with {_quoted([task.label_column, task.first_column])}"


def _check_made(task: Task, split: Examples) -> None:
    """Raise ValueError where generated rows are none of the task."""
    if (split.second is not None, split.answers is not None) != (task.pair, task.kind == "span"):
        raise ValueError(f"{task.generator} must give rows of the form that {task.name} has")
    if task.kind != "regression":
        known = 2 if task.kind == "span" else task.num_labels
        if len(split) == 0 or split.labels.min() < 0 or split.labels.max() >= known:
            raise ValueError(f"{task.generator} must give rows with labels 0 to {known - 1}")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _some(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:5])
    return f"lines {shown}" + (" …" if len(numbers) > 5 else "")
