"""Tables of the library `datasets` and of Parquet, whose class labels are numbers with names.

Imports without torch, and pyarrow only for Parquet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.tasks.table import NO_LABEL, Table, refuse_doubled


def of_dataset(dataset: Any, shown: str) -> Table:
    """The table of a `datasets.Dataset`; class labels are given by their names, and `NO_LABEL` where the id is -1.

    Raises:
        UserError: It is a stream.
    """
    if not hasattr(dataset, "__len__"):
        raise UserError(
            f"{shown} is a {type(dataset).__name__}, whose rows come one after the other; give a Dataset (load it "
            "without streaming=True), a file or a list of records."
        )

    def content(name: str) -> Sequence[Any]:
        return _named(dataset[name][:], getattr(dataset.features[name], "names", None), f"{shown}", name)

    return Table(shown, tuple(dataset.column_names), len(dataset), content)


def of_parquet(path: Path) -> Table:
    """The table in a Parquet file; class labels whose names the library `datasets` left in it as in `of_dataset`.

    Raises:
        UserError: It is broken or empty, or names a column twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def broken(error: Exception) -> UserError:
        reason = " ".join(str(error).split()).partition(". ")[0][:150].rstrip(".")
        return UserError(f"{path} is no whole Parquet file ({reason}); write or copy it again.")

    def content(name: str) -> Sequence[Any]:
        try:
            values = pq.read_table(path, columns=[name]).column(0).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise broken(error) from None
        return _named(values, words.get(name), str(path), name)

    try:
        described = pq.read_metadata(path)
        schema = described.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise broken(error) from None
    words = _class_names(schema.metadata or {})
    names = tuple(schema.names)
    refuse_doubled(str(path), names)
    if described.num_rows == 0:
        raise UserError(f"{path} is empty; rows of the task are expected.")
    return Table(str(path), names, described.num_rows, content)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The names of the class labels of each column that has some, as `datasets` writes them beside a table."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            name: [str(word) for word in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        # It stands beside the rows, and says nothing where it is of another form.
        return {}


def _named(values: Sequence[Any], words: Sequence[str] | None, shown: str, column: str) -> Sequence[Any]:
    if words is None:
        return values
    named: list[Any] = []
    for row, value in enumerate(values):
        if not isinstance(value, int):
            named.append(value)
        elif value == NO_LABEL:
            named.append(NO_LABEL)
        elif 0 <= value < len(words):
            named.append(words[value])
        else:
            raise UserError(
                f"{shown}, row {row + 1}: the class label {value} in column {column!r} has no name beside the rows "
                f"({len(words)} have one); write the file anew."
            )
    return named
