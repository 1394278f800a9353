"""Labels as they stand in files, and the labelled rows of a table. Imports without torch."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distill.errors import UserError
from distill.tasks.base import Examples, Task
from distill.tasks.label_words import column, place_of, settled, without, word_of
from distill.tasks.table import NO_LABEL, Table, row_names
from distill.tasks.texts import fault

_LARGEST = float(np.finfo(np.float32).max)


def score_of(value: Any) -> float:
    """A score; NaN where the value is none that is finite."""
    try:
        score = float(str(value).strip()) if not isinstance(value, bool) else math.nan
    except ValueError:
        return math.nan
    return score if math.isfinite(score) else math.nan


def label_of(task: Task, place: str, word: Any) -> float:
    """The id of a label word, or a score.

    Args:
        place: File and row, for the message.

    Raises:
        UserError: The word is none of the task's, or the score is no number that float32 can hold.
    """
    if task.kind == "regression":
        score = score_of(word)
        if math.isnan(score):
            raise UserError(f"{place}: the score {str(word)[:40]!r} is not a finite number")
        if abs(score) > _LARGEST:
            raise UserError(f"{place}: the score {str(word)[:40]!r} is larger than {_LARGEST:.1e}; bring it to scale")
        # As it is kept: two scores that differ by less are one.
        return float(np.float32(score))
    word = word_of(word)
    if (found := place_of(word, task.labels)) is None:
        nearest = difflib.get_close_matches(word, task.labels, n=1)
        suggestion = f"; did you mean {nearest[0]!r}?" if nearest else ""
        known = ", ".join(task.labels[:20]) + (" …" if len(task.labels) > 20 else "")
        raise UserError(f"{place}: unknown label {word[:40]!r} (known: {known}){suggestion}")
    return found


def check_split(task: Task, shown: str, labels: Sequence[float]) -> None:
    """Raise UserError where a split has fewer than two rows, or they all carry one label."""
    if len(labels) < 2:
        raise UserError(f"{shown} has {len(labels)} row{'' if len(labels) == 1 else 's'}; at least 2 are needed")
    if len(set(labels)) < 2:
        only = task.labels[int(labels[0])] if task.kind == "classification" else f"{labels[0]:g}"
        what = "label" if task.kind == "classification" else "score"
        raise UserError(f"{shown}: every row has the {what} {only!r}; at least two different ones are needed")


def array_of(task: Task, labels: Sequence[float]) -> np.ndarray:
    """Labels (n,) in the type of the task's kind."""
    return np.asarray(labels, dtype=np.int64 if task.kind == "classification" else np.float32)


def examples(
    task: Task, table: Table, columns: Sequence[tuple[str, str]], named: bool = False
) -> tuple[Examples, tuple[str, ...]]:
    """The labelled rows of a table, texts stripped, and what a person should know about the reading.

    Rows that have no label (`label_words.settled`) are left out.

    Args:
        columns: Name of label, first and, of a pair, second text, each with the option that names it.
        named: Whether rows get the names of `table.row_names`, which predictions carry and nothing is trained on.

    Raises:
        UserError: A column is missing, a text is empty, no text or far too long, or a label is wrong; one sentence with
            file and row.
    """
    stands = column(table, *columns[0])
    sides = [table.column(name, option) for name, option in columns[1:]]
    labels, told = settled(task, stands, [name for name, _ in columns])
    found: list[float] = []
    kept: list[int] = []
    torn: list[int] = []
    allowed = math.floor(task.torn_share * table.length)
    for row in range(table.length):
        if labels[row] is NO_LABEL:
            continue
        if problem := _problem(table, sides, columns[1:], row):
            torn.append(row)
            if len(torn) > allowed:
                raise UserError(f"{table.place(row)}: {problem}")
            continue
        if not word_of(labels[row]) and not (task.kind == "regression" and isinstance(labels[row], float)):
            raise UserError(f"{table.place(row)}: column {columns[0][0]!r} is empty; every row needs a label or score")
        if isinstance(labels[row], str) and (problem := fault(labels[row])):
            raise UserError(f"{table.place(row)}: the label in column {columns[0][0]!r} {problem}")
        found.append(label_of(task, table.place(row), labels[row]))
        kept.append(row)
    check_split(task, table.shown, found)
    notes = [f"{table.shown}: {told}"] if told else []
    notes += without(table.shown, stands, labels)
    if torn:
        notes.append(f"{table.shown}: {len(torn)} rows with an empty text left out (first: {table.place(torn[0])})")
    first, *second = (tuple(side[row].strip() for row in kept) for side in sides)
    names = row_names(table) if named else []
    ids = tuple(names[row] for row in kept) if named else None
    return Examples(first, second[0] if second else None, array_of(task, found), ids=ids), tuple(notes)


def _problem(table: Table, sides: Sequence[Sequence[Any]], columns: Sequence[tuple[str, str]], row: int) -> str | None:
    """What is wrong with the texts of a row that may be left out where files are torn as published.

    Raises:
        UserError: A text is one that no such file has.
    """
    for side, (name, option) in zip(sides, columns, strict=True):
        value = side[row]
        if value is not None and not isinstance(value, str):
            return f"column {name!r} holds {value!r:.40} where a text is expected; name the texts with {option}"
        text = value or ""
        if not text.strip():
            return f"the text in column {name!r} is empty; every row needs one"
        if problem := fault(text):
            raise UserError(f"{table.place(row)}: the text in column {name!r} {problem}")
    return None
