"""A task's rows from the model hub, the same as from GLUE's own files. Imports without torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from distill.errors import UserError
from distill.hub import (
    HubUnreachable,
    Say,
    Wanted,
    amount,
    bars_on_terminals_only,
    endpoint,
    failing,
    listed,
)
from distill.output import say
from distill.tasks import squad
from distill.tasks.base import Examples, HubRows, Task, TaskData
from distill.tasks.texts import fault

# Seconds that the hub may take to answer.
PATIENCE = 5.0
# What stands in place of a label where there is none.
_UNLABELLED = -1


def load(task: Task, revision: str | None = None, *, say: Say = say, patience: float = PATIENCE) -> TaskData:
    """Training and development rows of a task, with the library `datasets` and its cache.

    Texts are stripped and labels numbered as in GLUE's files, so the rows have the fingerprint of those read there.

    Args:
        task: One that has `hub`.
        revision: Commit of the data set; None is the newest, or the newest in the cache where the hub does not answer.
        say: Takes one line per download.
        patience: Seconds that the hub may take to answer.

    Returns:
        The data; `commit` says which commit it is of.

    Raises:
        HubUnreachable: No answer, and nothing in the cache.
        UserError: The data set is not there, has unexpected columns or labels, or the download failed.
    """
    if task.hub is None:
        raise ValueError(f"{task.name} is not on the hub")
    rows = task.hub
    found, commit = splits(rows, revision, f"--task {task.name}", say, patience)
    shown = f"{rows.repository}, {rows.config}, at {commit[:8]}"
    notes: list[str] = []
    train, dev = (_examples(task, rows, found, name, shown, notes) for name in ("train", rows.dev))
    # Nothing is trained on these or chosen by them, so that a data set without them serves as well.
    beside = tuple((n, _examples(task, rows, found, name, shown, notes)) for n, name in rows.beside if name in found)
    return TaskData(task, train, dev, f"{shown} (hub)", tuple(notes), commit, beside=beside)


def splits(
    rows: HubRows, revision: str | None, flag: str, say: Say = say, patience: float = PATIENCE, instead: str = ""
) -> tuple[Any, str]:
    """The splits of a data set by name, and their commit.

    Args:
        rows: Names repository and configuration; an empty one is the only one there is.
        flag: What a person asked for it with, for messages.
        instead: What else they may name, for messages; empty is a folder with --data-dir.

    Raises:
        HubUnreachable, UserError: As `load`.
    """
    wanted = Wanted("dataset", rows.repository, revision, flag, instead)
    if wanted.revision and (found := _cached(rows, wanted.revision)):
        return found, wanted.revision
    try:
        listing = listed(wanted, patience)
    except HubUnreachable:
        if wanted.revision is None and (found := _cached(rows)):
            return found, _commit(found)
        raise
    if found := _cached(rows, listing.commit):
        return found, listing.commit
    folder = f"{rows.config}/" if rows.config else ""
    size = sum(size for file, size in listing.files.items() if file.startswith(folder))
    config = f", {rows.config}" if rows.config else ""
    say(f"Downloading {rows.repository}{config}, from {endpoint()}: {amount(size)}.")
    with failing(wanted, begun=True), _quiet():
        from datasets import load_dataset

        found = load_dataset(rows.repository, rows.config or None, revision=listing.commit)
    if _commit(found) != listing.commit:
        # The library takes another commit from its cache when the download of this one fails.
        raise UserError(f"{wanted} did not arrive whole from {endpoint()}: run the command again, or {wanted.instead}.")
    return found, listing.commit


def _cached(rows: HubRows, commit: str | None = None) -> Any:
    """The splits from the cache of `datasets`, of one commit or of the newest; None where it has none."""
    from datasets import logging
    from datasets.packaged_modules.cache.cache import Cache

    version, digest = ("0.0.0", commit) if commit else ("auto", "auto")
    level = logging.get_verbosity()
    # It would warn that this is the newest in the cache; the plan names the commit.
    logging.set_verbosity_error()
    try:
        builder = Cache(
            repo_id=rows.repository,
            dataset_name=rows.repository.rpartition("/")[2],
            config_name=rows.config or ("default" if commit else None),
            version=version,
            hash=digest,
        )
        return builder.as_dataset()
    except (ValueError, OSError):
        return None
    finally:
        logging.set_verbosity(level)


def config_of(splits: Any) -> str:
    """The configuration that splits are of, also where nobody named one."""
    return Path(next(iter(splits.values())).cache_files[0]["filename"]).parents[2].name


def _commit(splits: Any) -> str:
    """The library keeps the rows of each commit in a folder of that name."""
    return Path(next(iter(splits.values())).cache_files[0]["filename"]).parent.name


@contextmanager
def _quiet() -> Iterator[None]:
    """Progress bars of both libraries on terminals only."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    quiet = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    try:
        with bars_on_terminals_only():
            yield
    finally:
        if quiet:
            enable_progress_bars()


def _examples(task: Task, rows: HubRows, splits: Any, name: str, shown: str, notes: list[str]) -> Examples:
    """The labelled rows of one split; what was left out goes into `notes`."""
    if name not in splits:
        raise UserError(f"{shown} has no split {name} (it has {', '.join(splits)}); use --data-dir.")
    split = splits[name]
    span = task.kind == "span"
    columns = [rows.first, *([rows.second] if rows.second else []), *(["answers", "id"] if span else ["label"])]
    for column in columns:
        if column not in split.column_names:
            raise UserError(
                f"{shown} has no column {column} in {name} (it has {', '.join(split.column_names)}); use --data-dir."
            )
    if span:
        return squad.from_columns(task, split.select_columns(columns)[:], f"{shown}, {name}")
    ids = _ids(task, rows, split.features["label"], shown)
    content = split.select_columns(columns)[:]
    texts = [[str(text or "").strip() for text in content[column]] for column in columns[:-1]]
    for column, side in zip(columns[:-1], texts, strict=True):
        refuse_faults(side, column, f"{shown}, {name}")
    labels = [_label(value, ids) for value in content["label"]]
    known = [label is not None for label in labels]
    whole = [all(row) for row in zip(*texts, strict=True)]
    torn = sum(k and not w for k, w in zip(known, whole, strict=True))
    if torn > math.floor(task.torn_share * len(labels)):
        raise UserError(f"{shown} has {torn} rows with an empty text in {name}; use --data-dir.")
    for count, what in ((torn, "with an empty text"), (len(known) - sum(known), "without a label")):
        if count:
            notes.append(f"{shown}: {count} rows {what} left out of {name}.")
    kept = [i for i in range(len(labels)) if known[i] and whole[i]]
    dtype = np.int64 if task.kind == "classification" else np.float32
    array = np.asarray([labels[i] for i in kept], dtype=dtype)
    if len(np.unique(array)) < 2:
        raise UserError(f"{shown} has fewer than two different labels in {name}; use --data-dir.")
    first, *second = (tuple(column[i] for i in kept) for column in texts)
    return Examples(first, second[0] if second else None, array)


def refuse_faults(texts: Sequence[str], column: str, shown: str) -> None:
    """Raise UserError where one of a column's texts is none that a file could have."""
    for row, text in enumerate(texts, start=1):
        if problem := fault(text):
            raise UserError(f"{shown}, row {row}: the text in column {column!r} {problem}.")


def _ids(task: Task, rows: HubRows, feature: Any, shown: str) -> tuple[int, ...] | None:
    """Our id for each of the hub's; None for scores."""
    names = getattr(feature, "names", None)
    if task.kind == "regression":
        if names is not None or not str(getattr(feature, "dtype", "")).startswith("float"):
            raise UserError(f"{shown} has labels where scores are expected; use --data-dir.")
        return None
    if names is None or sorted(names) != sorted(rows.labels):
        found = "no names" if names is None else ", ".join(names)
        raise UserError(f"{shown} has labels with {found} where {', '.join(rows.labels)} are expected; use --data-dir.")
    return tuple(rows.labels.index(name) for name in names)


def _label(value: Any, ids: tuple[int, ...] | None) -> float | None:
    """Our id or the score; None where there is none."""
    if value is None or value == _UNLABELLED or not math.isfinite(value):
        return None
    return float(value) if ids is None else ids[int(value)]
