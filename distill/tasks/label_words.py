"""Labels as words: how they are spelled, which numbers are one, and where a row has none. Imports without torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from distill.errors import UserError
from distill.tasks.base import Task
from distill.tasks.table import NO_LABEL, Table

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_WHOLE = re.compile(r"[+-]?\d+")


def word_of(value: Any) -> str:
    """A label as it would stand in a text file: 1.0 and 1 are one word, a missing one is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def column(table: Table, name: str, option: str) -> Sequence[Any]:
    """The values of a column of labels or scores, as `Table.column`.

    Raises:
        UserError: There is none of this name, or a row has several labels.
    """
    values = table.column(name, option)
    for row, value in enumerate(values):
        if isinstance(value, Iterable) and not isinstance(value, str):
            raise UserError(
                f"{table.place(row)}: column {name!r} holds {value!r:.40} where one label or score is expected; name "
                f"another with {option}."
            )
    return values


def classes(values: Sequence[Any]) -> tuple[str, ...]:
    """The label words of a column, numbers by their size and words by the alphabet.

    Where all are numbers, those of equal value are one word. -1 beside 0, 1, 2 and so on is none: so the library
    `datasets` writes that there is no label. Beside 0 and 1 alone it is one, as on a scale around 0.
    """
    words = {word for value in values if value is not NO_LABEL and (word := word_of(value))}
    spelled: dict[Decimal, list[str]] = {}
    for word in words:
        if (number := _number(word)) is None:
            return tuple(sorted(words))
        spelled.setdefault(number, []).append(word)
    if len(spelled) > 3 and sorted(spelled) == list(range(-1, len(spelled) - 1)):
        del spelled[Decimal(-1)]
    # 01 stays as it is written, 1.0 is 1.
    return tuple(
        same[0] if len(same) == 1 and _WHOLE.fullmatch(same[0]) else _plain(number)
        for number, same in sorted(spelled.items())
    )


def place_of(word: str, labels: tuple[str, ...]) -> int | None:
    """The id of a word, or, where all labels are numbers, of its value; None where it is none of them."""
    if word in labels:
        return labels.index(word)
    number = _number(word)
    return None if number is None else _by_value(labels).get(number)


def settled(task: Task, values: Sequence[Any], columns: Sequence[str]) -> tuple[Sequence[Any], str | None]:
    """Labels of a file as the task's own words, and a sentence on how numbers are read, where that is to be said.

    Files of a known task may have the hub's label names, and, if they have its columns, its numbers.

    Args:
        columns: Names of label, first and, of a pair, second text.

    Returns:
        One value a row, `NO_LABEL` where it has no label.
    """
    if task.kind != "classification":
        return values, None
    hub = None if task.own else task.hub
    names = {} if hub is None else dict(zip(hub.labels, task.labels, strict=True))
    as_on_hub = hub is not None and tuple(columns) == hub.columns
    unlabelled = {task.no_gold} if task.no_gold else set()
    if as_on_hub or task.labels == tuple(map(str, range(len(task.labels)))):
        unlabelled.add("-1")
    words = [word_of(value) for value in values]
    # 1.0 is 1 here too.
    plain = {word: word if (number := _number(word)) is None else _plain(number) for word in set(words)}
    told = None
    if hub is not None and as_on_hub:
        order = hub.numbered or hub.labels
        numbers = {str(number): names[name] for number, name in enumerate(order)}
        found = {plain[word] for word in words if word} - unlabelled
        if found and found <= set(numbers) and not found <= set(task.labels):
            names |= numbers
            told = f"the labels {', '.join(numbers)} are read as {', '.join(order)}, as on the hub"
    return [
        NO_LABEL if value is NO_LABEL or plain[word] in unlabelled else names.get(plain[word], value)
        for value, word in zip(values, words, strict=True)
    ], told


def without(shown: str, values: Sequence[Any], words: Sequence[Any]) -> list[str]:
    """A sentence on the rows that have no label; none where all have one.

    Args:
        shown: The file.
        values: The labels as they stand there.
        words: The same rows of `settled`.
    """
    missing = [value for value, word in zip(values, words, strict=True) if word is NO_LABEL]
    return [f"{shown}: {len(missing)} rows without a label ({missing[0]!r}) left out"] if missing else []


def _number(word: str) -> Decimal | None:
    return Decimal(word) if _NUMBER.fullmatch(word) else None


def _plain(number: Decimal) -> str:
    whole = number.to_integral_value()
    return str(int(whole)) if number == whole else format(number, "f").rstrip("0")


@lru_cache(maxsize=16)
def _by_value(labels: tuple[str, ...]) -> dict[Decimal, int]:
    numbers = [_number(label) for label in labels]
    return {} if None in numbers else {number: place for place, number in enumerate(numbers) if number is not None}
