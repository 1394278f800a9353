"""Named columns of equal length, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distill.errors import UserError
from distill.tasks.texts import fault


class _ClassId(int):
    """The id of a class label, told apart from a number that a person wrote."""


# What the library `datasets` puts in place of a class label that is missing.
NO_LABEL = _ClassId(-1)
# Columns that name a row, in the order in which they are looked for.
NAMING = ("index", "id", "idx")


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length.

    Attributes:
        shown: Name for messages: the file, or the argument.
        names: The columns, each once.
        length: Number of rows.
        content: Gives the values of a column; `NO_LABEL` where a class label is missing.
        lines: The line that each row begins at; None where rows are not lines.
    """

    shown: str
    names: tuple[str, ...]
    length: int
    content: Callable[[str], Sequence[Any]]
    lines: tuple[int, ...] | None = None

    def column(self, name: str, option: str) -> Sequence[Any]:
        """The values of a column, as they stand in the file.

        Args:
            option: What names the column, such as ``--text-column``, for the message.

        Raises:
            UserError: There is none of this name.
        """
        if name not in self.names:
            there = ", ".join(map(repr, self.names))
            if len(self.names) == 1 and ";" in self.names[0]:
                raise UserError(
                    f"{self.shown} has no column {name!r}: its header ({self.names[0]}) seems to part cells by "
                    "semicolons; save it with commas."
                )
            raise UserError(f"{self.shown} has no column {name!r} (it has {there}); name one with {option}.")
        return self.content(name)

    def place(self, row: int) -> str:
        """Where row `row` (from 0) stands, for people: file and line, or file and row from 1."""
        return f"{self.shown}, row {row + 1}" if self.lines is None else f"{self.shown}, line {self.lines[row]}"


def row_names(table: Table) -> list[str]:
    """What each row is called: as the column index, id or idx says; where there is none, the number of the row from 0.

    Raises:
        UserError: A name is far too long, or holds what no text does.
    """
    spelled = {name.lower(): name for name in table.names}
    column = next((spelled[name] for name in NAMING if name in spelled), None)
    named = [str(value).strip() for value in (range(table.length) if column is None else table.content(column))]
    for row, name in enumerate(named):
        if problem := fault(name):
            raise UserError(f"{table.place(row)}: the name in column {column!r} {problem}.")
    return named


def refuse_doubled(what: str, names: Sequence[str]) -> None:
    """Raise UserError where `what` has two columns of one name."""
    doubled = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if doubled:
        raise UserError(f"{what} names {', '.join(map(repr, doubled))} more than once; once is expected.")
