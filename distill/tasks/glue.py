"""Reading a task's files in GLUE's layout, and making the data of the made-up tasks."""

from __future__ import annotations

import difflib
import importlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from distill.errors import UserError
from distill.tasks import registry
from distill.tasks.base import Examples, Positions, Task, TaskData


def load(task: Task, data_dir: str | os.PathLike[str]) -> TaskData:
    """Reads the training and development files of `task`.

    Accepted: ``data_dir/<folder>`` (case and hyphens don't matter) or the task's own folder; UTF-8 with or
    without a byte-order mark; LF or CRLF; a header, or none where the task's layout knows the positions.
    Quotes are plain text. Texts are stripped of white space at both ends.

    Raises:
        UserError: anything missing or malformed; one sentence naming the file and, if there is one, the line.
    """
    if task.made_up:
        raise UserError(f"--data-dir: the data of {task.name} is generated, not read; leave --data-dir out")
    folder = find_folder(task, Path(data_dir))
    train, train_notes = read_split(task, _find_file(task, folder, task.train_file))
    dev, dev_notes = read_split(task, _find_file(task, folder, task.dev_file))
    return TaskData(task, train, dev, f"{folder} ({task.train_file}, {task.dev_file})", train_notes + dev_notes)


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


def find_folder(task: Task, data_dir: Path) -> Path:
    """The folder of `task`'s files: a sub-folder of `data_dir`, or `data_dir` itself.

    Raises:
        UserError: no such folder, or several that could be meant.
    """
    if not data_dir.is_dir():
        raise UserError(f"--data-dir: there is no folder {data_dir}")
    wanted = _folder_key(task.folder)
    found = sorted(path for path in data_dir.iterdir() if path.is_dir() and _folder_key(path.name) == wanted)
    exact = [path for path in found if path.name == task.folder]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if found:
        several = " and ".join(path.name for path in found)
        raise UserError(f"--data-dir: {data_dir} holds {several}; keep one of them, or name it with --data-dir")
    if not (data_dir / task.train_file).is_file():
        raise UserError(
            f"--data-dir: {data_dir} has no folder {task.folder} with {task.train_file} and {task.dev_file}"
        )
    own = _folder_key(data_dir.resolve().name)
    others = {_folder_key(registry.get(name).folder): name for name in registry.names()}
    if own != wanted and own in others:
        # Several tasks share column names, so the reading alone would not notice.
        raise UserError(f"--data-dir: {data_dir} holds {others[own]}, but the task is {task.name}")
    return data_dir


def _folder_key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _find_file(task: Task, folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise UserError(f"--data-dir: {task.name} needs the file {path}, which is missing")
    return path


def _lines(path: Path) -> list[str]:
    """The lines of a file; only LF ends one, blank ones at the end are dropped.

    The CR of CRLF stays: every cell is stripped when it is used.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw:
        raise UserError(f"{path} is not UTF-8 text (it looks like UTF-16 or a binary file); save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from None
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise UserError(f"{path} is empty; rows of the task are expected")
    return lines


def read_split(task: Task, path: Path) -> tuple[Examples, tuple[str, ...]]:
    """The rows of one file in the task's layout, and what a person should know about the reading.

    Raises:
        UserError: As `load`.
    """
    lines = _lines(path)
    layout, has_header = _layout(task, path, lines[0].split("\t"))
    firsts: list[str] = []
    seconds: list[str] = []
    labels: list[float] = []
    torn: list[int] = []
    allowed = math.floor(task.torn_share * len(lines))
    for number, cells in _rows(lines, has_header):
        problem = _torn(task, layout, cells)
        if problem is not None:
            torn.append(number)
            if len(torn) > allowed:
                raise UserError(f"{path}, line {number}: {problem}{_hint(task, has_header)}")
            continue
        labels.append(_label(task, path, number, cells[layout.label].strip()))
        firsts.append(cells[layout.first].strip())
        if layout.second is not None:
            seconds.append(cells[layout.second].strip())
    _check_split(task, path, labels)
    dtype = np.int64 if task.kind == "classification" else np.float32
    second = tuple(seconds) if layout.second is not None else None
    notes = (f"{path}: {len(torn)} torn lines left out ({_some(torn)})",) if torn else ()
    return Examples(tuple(firsts), second, np.asarray(labels, dtype=dtype)), notes


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
        raise UserError(
            f"{path}, line 1: the header lacks {_quoted(missing)} (expected {_quoted(wanted)}; found: {found})"
        )
    doubled = [name for name in wanted if columns.count(name.lower()) > 1]
    if doubled:
        raise UserError(f"{path}, line 1: the header names {_quoted(doubled)} more than once; once is expected")
    label, first, *second = (columns.index(name.lower()) for name in wanted)
    return Positions(len(columns), label, first, second[0] if second else None), True


def _torn(task: Task, layout: Positions, cells: Sequence[str]) -> str | None:
    if len(cells) != layout.width:
        found = f"{len(cells)} column" + ("" if len(cells) == 1 else "s")
        return f"{found} found where {layout.width} separated by tabs are expected"
    texts = [(layout.first, task.first_column), (layout.second, task.second_column)]
    empty = [name for position, name in texts if position is not None and not cells[position].strip()]
    return f"the text in column {empty[0]!r} is empty; every row needs one" if empty else None


def _hint(task: Task, has_header: bool) -> str:
    if has_header or task.positions is None:
        return ""
    return f", or a header with {_quoted([task.label_column, task.first_column])}"


def _label(task: Task, path: Path, number: int, word: str) -> float:
    if task.kind == "regression":
        try:
            score = float(word)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise UserError(f"{path}, line {number}: the score {word[:40]!r} is not a finite number")
        return score
    if word not in task.labels:
        nearest = difflib.get_close_matches(word, task.labels, n=1)
        suggestion = f"; did you mean {nearest[0]!r}?" if nearest else ""
        known = ", ".join(task.labels)
        raise UserError(f"{path}, line {number}: unknown label {word[:40]!r} (known: {known}){suggestion}")
    return task.labels.index(word)


def _check_split(task: Task, path: Path, labels: Sequence[float]) -> None:
    if len(labels) < 2:
        raise UserError(f"{path} has {len(labels)} row{'' if len(labels) == 1 else 's'}; at least 2 are needed")
    if len(set(labels)) < 2:
        only = task.labels[int(labels[0])] if task.kind == "classification" else f"{labels[0]:g}"
        what = "label" if task.kind == "classification" else "score"
        raise UserError(f"{path}: every row has the {what} {only!r}; at least two different ones are needed")


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
