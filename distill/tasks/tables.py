"""Tables as people keep them: csv, tsv, JSON lines, JSON, Parquet. What is wrong is said in one sentence with the row.

Imports without torch.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.tasks.columnar import of_dataset, of_parquet
from distill.tasks.table import Table, refuse_doubled

FORMS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
# The csv module refuses longer cells than 131072 characters unless told otherwise; long texts are cut by the tokenizer.
_LONGEST_CELL = 2**31 - 1


def text_of(path: Path) -> str:
    """A whole text file without its byte-order mark.

    Raises:
        UserError: It cannot be read, is not UTF-8, or is empty.
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
    if not text.strip():
        raise UserError(f"{path} is empty; rows of the task are expected")
    return text


def lines_of(path: Path) -> list[str]:
    """The lines of a file; only LF ends one, blank ones at the end are dropped.

    The CR of CRLF stays: every cell is stripped when it is used.

    Raises:
        UserError: As `text_of`, or only CR ends the lines.
    """
    lines = _parted(path, text_of(path))
    while not lines[-1].strip():
        lines.pop()
    return lines


def _parted(path: Path, text: str) -> list[str]:
    """The lines of a text; a lone CR is a sign in one, unless there is no LF at all."""
    within = text.strip()
    if "\r" in within and "\n" not in within:
        raise UserError(f"{path} ends its lines with CR alone, as old programs do; save it with LF or CRLF.")
    return text.split("\n")


def read(path: str | os.PathLike[str], flag: str, blank: bool = False) -> Table:
    """The table in a file; its ending says in which form.

    Csv may quote cells; in tsv quotes are plain text, as in GLUE's files. JSON is a list of records, an object of
    columns, or one record a line.

    Args:
        flag: What named the file, for messages.
        blank: As of `cells_of`.

    Raises:
        UserError: The file is missing, of another form, or broken; one sentence with the file and, where there is one,
            the line or row.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"{flag} {path}: there is no such file.")
    form = file.suffix.lower()
    if form == ".parquet":
        return of_parquet(file)
    if form in (".csv", ".tsv"):
        quoted = form == ".csv"
        advice = "put texts with commas into quotes." if quoted else "separate them by single tabs."
        return with_header(file, cells_of(file, text_of(file), quoted, blank), advice)
    if form in (".jsonl", ".ndjson"):
        return _json_lines(file, text_of(file))
    if form == ".json":
        return _json(file, text_of(file))
    raise UserError(f"{flag} {path} ends in {form or 'nothing'!r}; {', '.join(FORMS[:-1])} and {FORMS[-1]} are read.")


def of(value: Any, name: str) -> Table:
    """The table of what Python holds: columns by name, a list of records, a pandas frame or a `datasets.Dataset`.

    Class labels of a data set are given by their names.

    Args:
        name: Of the argument, for messages.

    Raises:
        UserError: It is something else, or its columns differ in length.
    """
    if hasattr(value, "to_dict") and hasattr(value, "column_names"):
        return of_dataset(value, name)
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        value = value.to_dict("list")
    if isinstance(value, Mapping) and hasattr(value, "column_names"):
        raise UserError(f"{name} holds several splits ({', '.join(map(str, value))}); give one of them.")
    if isinstance(value, Mapping):
        return _columns(name, {str(key): list(column) for key, column in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(row, Mapping) for row in value):
        return _records(name, value)
    raise UserError(
        f"{name} is a {type(value).__name__}; give a file, columns by name, a list of records or a Dataset."
    )


def cells_of(path: Path, text: str, quoted: bool, blank: bool = False) -> list[tuple[int, list[str]]]:
    """The cells of a text file, each row with the line it begins at.

    Args:
        quoted: Commas part the cells, which may be quoted; else tabs, and quotes are plain text.
        blank: Whether a blank line between others is a row of one empty cell; else blank lines are no rows.

    Raises:
        UserError: A quote is never closed, text follows a closed one, or only CR ends the lines between tabs.
    """
    # Not by the csv module where tabs part cells: for it a lone CR ends a line.
    rows = _quoted(path, text) if quoted else _plain(_parted(path, text), blank)
    kept = [index for index, (_, cells) in enumerate(rows) if cells]
    if not blank:
        return [rows[index] for index in kept]
    return [(line, cells or [""]) for line, cells in rows[kept[0] : kept[-1] + 1]]


def _plain(lines: Sequence[str], blank: bool) -> list[tuple[int, list[str]]]:
    # Empty texts are rows too, where every row counts.
    rows = [line.rstrip("\r").split("\t") if line.strip(" \r" if blank else None) else [] for line in lines]
    return list(enumerate(rows, start=1))


def _quoted(path: Path, text: str) -> list[tuple[int, list[str]]]:
    # newline="" keeps line breaks inside quotes as they are.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    with _long_cells():
        while True:
            begins = reader.line_num + 1
            try:
                rows.append((begins, next(reader)))
            except StopIteration:
                return rows
            except csv.Error as error:
                raise UserError(f"{path}, line {begins}: {_unquoted(str(error))}.") from None


def with_header(path: Path, rows: Sequence[tuple[int, list[str]]], advice: str) -> Table:
    """The table of rows of which the first names the columns.

    Args:
        advice: What to do where a row has another number of cells.

    Raises:
        UserError: A name stands twice, or a row has another number of cells.
    """
    (line, header), *body = rows
    names = tuple(cell.strip() for cell in header)
    refuse_doubled(f"{path}, line {line}: the header", names)
    return named(path, body, names, f"the header has {len(names)}; {advice}")


def named(
    path: Path, rows: Sequence[tuple[int, list[str]]], names: Sequence[str], expected: str, more: bool = False
) -> Table:
    """The table of rows whose columns are called `names`.

    Args:
        expected: How many cells a row must have, for the message.
        more: Whether a row may have further cells behind these.

    Raises:
        UserError: A row has another number of cells.
    """
    for line, cells in rows:
        if len(cells) < len(names) or (len(cells) > len(names) and not more):
            found = f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
            raise UserError(f"{path}, line {line}: {found} where {expected}")
    columns = {name: [cells[index] for _, cells in rows] for index, name in enumerate(names)}
    return Table(str(path), tuple(names), len(rows), columns.__getitem__, tuple(line for line, _ in rows))


def _unquoted(reason: str) -> str:
    if "unexpected end" in reason:
        return "a quote that is opened here is never closed; close it, or double the quotes that belong to the text"
    return "text follows the closing quote of a cell; double the quotes that belong to the text"


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _Twice(dict[str, Any]):
    """A JSON object with names that it has more than once; the values are the last ones."""

    twice: tuple[str, ...]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    names = [name for name, _ in pairs]
    found = _Twice(plain)
    found.twice = tuple(name for name in plain if names.count(name) > 1)
    return found


def _refuse_said_twice(value: Any, place: str) -> None:
    if isinstance(value, _Twice):
        raise UserError(f"{place} names {', '.join(map(repr, value.twice))} more than once; once is expected.")


def parsed(text: str, place: str) -> Any:
    """What JSON says.

    Args:
        place: File, and line where there is one, for messages.

    Raises:
        json.JSONDecodeError: It is none.
        UserError: It is nested too deeply, or has a number of too many digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise UserError(f"{place}: this JSON is nested too deeply; texts, labels and scores are expected.") from None
    except ValueError:
        # Python's own limit.
        most = sys.get_int_max_str_digits()
        raise UserError(
            f"{place}: a whole number has more than {most} digits; shorten it, or put it in quotes."
        ) from None


def _json_lines(path: Path, text: str) -> Table:
    records, lines = [], []
    for number, line in enumerate(_parted(path, text), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            record = parsed(line, place)
        except json.JSONDecodeError as error:
            raise UserError(f"{place}: this is not JSON ({error.msg}).") from None
        if not isinstance(record, dict):
            raise UserError(f"{place}: this is no JSON object; one for each row is expected.")
        _refuse_said_twice(record, place)
        records.append(record)
        lines.append(number)
    return _records(str(path), records, tuple(lines))


def _json(path: Path, text: str) -> Table:
    try:
        found = parsed(text, str(path))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            # Many programs write one record a line under this ending.
            return _json_lines(path, text)
        raise UserError(f"{path}, line {error.lineno}: this is not JSON ({error.msg}).") from None
    if isinstance(found, list):
        for index, record in enumerate(found):
            if not isinstance(record, dict):
                raise UserError(f"{path}, row {index + 1}: this is no JSON object; one for each row is expected.")
            _refuse_said_twice(record, f"{path}, row {index + 1}")
        return _records(str(path), found)
    if isinstance(found, dict) and isinstance(found.get("data"), list) and "version" in found:
        raise UserError(f"{path} is in SQuAD's form; name the task, as with --task squad2.")
    if not isinstance(found, dict) or not found:
        raise UserError(f"{path} holds neither a list of records nor an object of columns.")
    _refuse_said_twice(found, str(path))
    columns = {}
    for name, column in found.items():
        _refuse_said_twice(column, f"{path}, column {name!r}")
        # pandas writes each column as an object of its rows.
        values = list(column.values()) if isinstance(column, dict) else column
        if not isinstance(values, list):
            if len(text.splitlines()) == 1:
                return _records(str(path), [found])
            raise UserError(f"{path}: column {name!r} is no list; one value for each row is expected.")
        columns[name] = values
    return _columns(str(path), columns)


def _records(shown: str, records: Sequence[Mapping[str, Any]], lines: tuple[int, ...] | None = None) -> Table:
    if not records:
        raise UserError(f"{shown} is empty; rows of the task are expected.")
    names = tuple(dict.fromkeys(name for record in records for name in record))
    return Table(shown, names, len(records), lambda name: [record.get(name) for record in records], lines)


def _columns(shown: str, columns: dict[str, list[Any]]) -> Table:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        raise UserError(f"{shown}: the columns differ in length ({told}).")
    if not any(lengths.values()):
        raise UserError(f"{shown} is empty; rows of the task are expected.")
    return Table(shown, tuple(columns), next(iter(lengths.values())), columns.__getitem__)
