"""Rows split off the training set, to choose epoch and configuration by, so that dev is left for one last look."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NoReturn

import numpy as np

from distill.errors import UserError
from distill.tasks.base import Examples, TaskData

DEV, HOLDOUT = "dev", "train-holdout"


def parse(text: str, flag: str = "--select-on") -> float | None:
    """The share of ``train-holdout:SHARE``; None for ``dev``.

    Raises:
        UserError: `text` is neither, or the share does not lie between 0 and 1.
    """
    kind, colon, number = text.partition(":")
    if text == DEV:
        return None
    try:
        share = float(number) if kind == HOLDOUT and colon else math.nan
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise UserError(
            f"{flag} {text} is neither {DEV} nor {HOLDOUT}:SHARE with a share between 0 and 1, such as 0.1."
        )
    return share


def hold_out(data: TaskData, share: float, seed: int, flag: str = "--select-on") -> TaskData:
    """The same task with some of its training rows as `dev`, and its dev rows as `report`.

    The seed decides which rows, by a stream of numbers of its own; with labels, each label gives the same share,
    rounded to the nearest row. Of a span task whole contexts are held out, as near to the share of the rows as they
    allow, so that no context stands on both sides. Both parts keep the order of the file. A sentence that stands twice
    in the file may come to stand on both sides.

    Args:
        data: Rows as they were read.
        share: Of the training rows, between 0 and 1.

    Raises:
        UserError: One side would be without rows, or without any of some label; or students train on augmented rows.
        ValueError: Rows are held out already.
    """
    if data.augmented is not None:
        refuse_augmented(f"{HOLDOUT}:{share:g}", flag)
    if data.report is not None:
        raise ValueError("rows are held out already")
    draw = _contexts if data.task.kind == "span" else _rows
    chosen = np.zeros(len(data.train), dtype=bool)
    chosen[draw(data, share, seed, flag)] = True
    return replace(
        data,
        train=data.train.take(np.flatnonzero(~chosen)),
        dev=data.train.take(np.flatnonzero(chosen)),
        report=data.dev,
    )


def _shuffled(count: int, seed: int) -> np.ndarray:
    # RandomState: its streams are frozen across numpy versions, those of default_rng are not.
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, 1]))).permutation(count)


def _rows(data: TaskData, share: float, seed: int, flag: str) -> np.ndarray:
    """The rows that are held out, of each label the same share."""
    labels = data.train.labels
    order = _shuffled(len(labels), seed)
    groups = [(f"{data.task.name} has", order)]
    if data.task.kind == "classification":
        known = data.task.labels
        groups = [(f"label {known[i]} has", order[labels[order] == i]) for i in range(len(known)) if i in labels]
    held = []
    for words, rows in groups:
        count = math.floor(share * len(rows) + 0.5)
        if not 0 < count < len(rows):
            _refuse(f"{flag} {HOLDOUT}:{share:g}: {words} {_counted(len(rows), 'training row')}", count == 0)
        held.append(rows[:count])
    return np.concatenate(held)


def _contexts(data: TaskData, share: float, seed: int, flag: str) -> np.ndarray:
    """The rows of contexts that are held out: in a random order each that goes into the share as a whole.

    What is then left of the share may be filled with one more, the smallest, where that comes nearer to it.
    """
    numbers: dict[str, int] = {}
    of_row = np.array([numbers.setdefault(context, len(numbers)) for context in data.train.second or ()])
    sizes = np.bincount(of_row)
    wanted, count = share * len(of_row), 0
    held, left = list[int](), list[int]()
    for context in _shuffled(len(sizes), seed).tolist():
        taken = count + sizes[context] <= wanted
        (held if taken else left).append(context)
        count += int(sizes[context]) * taken
    for smallest in sorted(left, key=sizes.__getitem__)[:1]:
        if abs(count + sizes[smallest] - wanted) < wanted - count:
            held.append(smallest)
            count += int(sizes[smallest])
    if not 0 < count < len(of_row):
        there = f"{_counted(len(of_row), 'training row')} in {_counted(len(sizes), 'context')}"
        _refuse(f"{flag} {HOLDOUT}:{share:g}: {data.task.name} has {there}", count == 0)
    return np.flatnonzero(np.isin(of_row, held))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _refuse(told: str, none_held: bool) -> NoReturn:
    side = "held out" if none_held else "left to train on"
    raise UserError(f"{told}, of which none would be {side}; ask for another share, or for more rows.")


def refuse_augmented(text: str, flag: str = "--select-on", augmented: str = "augmented rows") -> NoReturn:
    """Raise UserError: rows cannot be held out of those that augmented ones were made of.

    Args:
        text: What was asked for.
        augmented: What the augmented rows are called.
    """
    raise UserError(
        f"{flag} {text} does not go with {augmented}, which holds copies of the rows that would be held out; leave one "
        "of the two out."
    )


def doubles(data: TaskData) -> int:
    """How many of the rows that choose stand among the training rows with the same texts."""
    trained = set(texts(data.train))
    return sum(row in trained for row in texts(data.dev))


def texts(examples: Examples) -> list[tuple[str, ...]]:
    """Each row's one or two texts."""
    sides = (examples.first,) if examples.second is None else (examples.first, examples.second)
    return list(zip(*sides, strict=True))
