"""A person's own classes, pairs or scores: a task made of files, of a data set on the hub, or of what Python holds.

Imports without torch.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from distill.errors import UserError
from distill.tasks import columnar, label_words, labelled, registry, tables
from distill.tasks.base import Examples, HubRows, Task, TaskData
from distill.tasks.table import NO_LABEL, Table

KINDS = ("classification", "regression")
# What people call the rows that choose, in the order in which they are looked for.
DEV_SPLITS = ("validation", "dev", "valid", "val", "development")
TRAIN_SPLIT = "train"
_INSTEAD = "name files with --task-file and --dev-file"
# Above so many labels that are hardly ever the same, they are no classes.
_MANY = 20
_METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "classification": ("accuracy", ("macro_f1",)),
    "regression": ("pearson_spearman", ("pearson", "spearman")),
}
# A definition's part in a plan; plans of known tasks have none.
PLANNED = "own_task"
_DEFINING = ("name", "title", "kind", "labels", "first_column", "second_column", "label_column", "center", "scale")


@dataclass(frozen=True)
class Options:
    """What the columns are called, and what the labels are.

    Attributes:
        text, pair: Columns of the texts; `pair` is None where there is one.
        label: Column of the label or score.
        kind: "classification" or "regression"; None takes scores where the labels are numbers, not all of them whole.
        dev_split: Name of the split of a data set on the hub that chooses; None takes the first of `DEV_SPLITS`.
    """

    text: str = "text"
    pair: str | None = None
    label: str = "label"
    kind: str | None = None
    dev_split: str | None = None

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Label, first and second text, each with the option that names it."""
        pair = [] if self.pair is None else [(self.pair, "--pair-column")]
        return [(self.label, "--label-column"), (self.text, "--text-column"), *pair]


def read(
    train: Any,
    dev: Any = None,
    options: Options | None = None,
    *,
    revision: str | None = None,
    name: str | None = None,
    named: bool = False,
) -> TaskData:
    """The task and its rows.

    The label words are those of the training rows, numbers in their order and words by the alphabet.

    Args:
        train: File (csv, tsv, jsonl, ndjson, json, parquet), data set on the hub (``org/name[:config][@revision]``), or
            columns by name, a list of records, a pandas frame or a `datasets.Dataset`.
        dev: The same, but for a data set on the hub, of the rows that choose; where it is None, a split of the data set
            that `train` names.
        revision: Commit of a data set on the hub, which goes before the one that `train` names.
        name: What the task is called, in small letters, digits and hyphens; None takes it from the file. One that a
            known task has gets `-own` behind it.
        named: Whether rows get the names of `table.row_names`, which predictions carry and nothing is trained on.

    Raises:
        UserError: Something is missing or malformed; one sentence that names the file and, where there is one, the row.
        HubUnreachable: The hub does not answer, and its cache does not have the data set.
    """
    options = options or Options()
    if options.kind not in (None, *KINDS):
        raise UserError(f"--label-kind {options.kind} is unknown; choose {' or '.join(KINDS)}.")
    columns = [column for column, _ in options.columns]
    if doubled := [column for column in dict.fromkeys(columns) if columns.count(column) > 1]:
        raise UserError(f"The column {doubled[0]!r} is named twice: each of text, pair and label needs one of its own.")
    if dev is not None and options.dev_split:
        raise UserError(
            f"--dev-split {options.dev_split} and --dev-file {_shown(dev)} both name the rows that choose; leave one "
            "of them out."
        )
    hub: HubData | None = None
    commit: str | None = None
    splits: Any = {}
    if isinstance(train, (str, os.PathLike)) and (asked := hub_data(os.fspath(train))) is not None:
        hub, commit, splits = _of_hub(asked, revision, options, chosen=dev is not None)
        trained = columnar.of_dataset(splits[TRAIN_SPLIT], f"{hub.shown}, {TRAIN_SPLIT}")
        source = f"{hub.shown} (hub)"
    else:
        trained, source = _table(train, "--task-file"), _shown(train)
    if dev is not None:
        chosen = _chosen(dev)
        source += f", {_shown(dev)}"
    elif hub is not None:
        chosen = columnar.of_dataset(splits[hub.dev], f"{hub.shown}, {hub.dev}")
    else:
        raise UserError(
            f"--task-file {_shown(train)} has no rows beside it that choose epoch and configuration; name a file of "
            "them with --dev-file."
        )
    task, note = _defined(trained, options, _unlike_known(name or _stem(train, hub)))
    if hub is not None:
        rows = HubRows(hub.config or "", options.text, options.pair, task.labels, hub.dev, hub.repository)
        task = replace(task, hub=rows)
    (first, told), (second, also) = (
        labelled.examples(task, table, options.columns, named) for table in (trained, chosen)
    )
    if task.kind == "regression":
        task, steps = _in_steps(task, first.labels)
        note += steps
    return TaskData(task, first, second, source, (note, *told, *also), commit)


def own_data(
    train: Any,
    dev: Any = None,
    *,
    text_column: str = "text",
    pair_column: str | None = None,
    label_column: str = "label",
    label_kind: Literal["classification", "regression"] | None = None,
    dev_split: str | None = None,
    name: str | None = None,
) -> TaskData:
    """Rows of a person's own, for `distill.run(data=…)` and `trainables.trainable(task=…)`.

    Args:
        train: File (csv, tsv, jsonl, ndjson, json, parquet), data set on the hub (``org/name[:config][@revision]``), or
            columns by name, a list of records, a pandas frame or a `datasets.Dataset`.
        dev: The same, but for a data set on the hub, of the rows that choose; where it is None, a split of the data set
            that `train` names.
        text_column, pair_column: Columns of the texts; `pair_column` is None where there is one a row.
        label_column: Column of the labels or scores.
        label_kind: None takes scores where the labels are numbers, not all of them whole.
        dev_split: The split of a data set on the hub that chooses, where `dev` is None; None takes "validation", or
            "dev".
        name: What the task is called, in small letters, digits and hyphens; None takes it from the file. One that a
            known task has gets `-own` behind it.

    Raises:
        UserError: Something is missing or malformed; one sentence that names the file and, where there is one, the row.

    Example:
        >>> import distill
        >>> rows = [{"text": "good", "label": "yes"}, {"text": "bad", "label": "no"}]
        >>> distill.own_data(rows, rows).task.labels
        ('no', 'yes')
    """
    return read(train, dev, Options(text_column, pair_column, label_column, label_kind, dev_split), name=name)


def split(task: Task, path: str | os.PathLike[str], flag: str) -> tuple[Examples, tuple[str, ...]]:
    """The labelled rows of a further file of an own task, and what a person should know about the reading."""
    options = Options(task.first_column, task.second_column, task.label_column)
    return labelled.examples(task, tables.read(path, flag), options.columns)


def definition(task: Task) -> dict[str, Any]:
    """An own task as plain data, to be kept in a plan under `PLANNED`; by what it is judged is not in it."""
    content = asdict(task)
    return {name: list(v) if isinstance(v := content[name], tuple) else v for name in _DEFINING}


def of(plan: Mapping[str, Any]) -> Task:
    """The task of a plan: as it defines its own, else the known one of its name.

    Args:
        plan: With `task`, and of an own task with its definition under `PLANNED`.

    Raises:
        UserError: No such task is known.
    """
    found = plan.get(PLANNED)
    if found is None:
        return registry.get(plan["task"])
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return _made(**values)


@dataclass(frozen=True)
class HubData:
    """A data set on the hub as a person named it, or as it was found."""

    repository: str
    config: str | None = None
    revision: str | None = None
    dev: str = DEV_SPLITS[0]
    commit: str = ""

    @property
    def shown(self) -> str:
        """For messages."""
        config = f", {self.config}" if self.config else ""
        return f"{self.repository}{config}, at {self.commit[:8]}"


_HUB_DATA = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(:(?P<config>[\w.-]+))?(@(?P<revision>[\w./-]+))?"
)


def hub_data(text: str) -> HubData | None:
    """The data set on the hub that ``org/name[:config][@revision]`` names; None where `text` is a file, or reads so."""
    if Path(text).expanduser().exists() or text.lower().endswith((*tables.FORMS, ".txt")):
        return None
    found = _HUB_DATA.fullmatch(text)
    # Where the folder is there, the file in it is missing.
    if found is None or Path(found["repository"]).parent.is_dir():
        return None
    return HubData(**found.groupdict())


def _of_hub(asked: HubData, revision: str | None, options: Options, chosen: bool) -> tuple[HubData, str, Any]:
    """The data set that was found, its commit, and its splits.

    Args:
        chosen: Whether the rows that choose are others, so that no split is looked for.
    """
    # Late: it needs the libraries of the hub.
    from distill.tasks import hub

    rows = HubRows(asked.config or "", options.text, options.pair, (), repository=asked.repository)
    # A plan knows that it was no file.
    flag = "--task-file" if revision else "No such file, and --task-file"
    splits, commit = hub.splits(rows, revision or asked.revision, flag, instead=_INSTEAD)
    wanted = (options.dev_split,) if options.dev_split else DEV_SPLITS
    dev = next((name for name in wanted if name in splits), None)
    found = HubData(asked.repository, hub.config_of(splits), revision, "" if chosen else dev or "", commit)
    there = ", ".join(splits)
    if TRAIN_SPLIT not in splits:
        raise UserError(f"--task-file {asked.repository} has no split {TRAIN_SPLIT} (it has {there}); use files of it.")
    if dev is None and not chosen:
        missing = f"no split {options.dev_split}" if options.dev_split else f"no split called {DEV_SPLITS[0]}"
        raise UserError(
            f"--task-file {asked.repository} has {missing} (it has {there}); name one with --dev-split, or a file with "
            "--dev-file."
        )
    return found, commit, splits


def _chosen(dev: Any) -> Table:
    if isinstance(dev, (str, os.PathLike)) and hub_data(os.fspath(dev)) is not None:
        raise UserError(
            f"--dev-file {os.fspath(dev)}: there is no such file, and data sets on the hub are named with --task-file "
            "alone; name a file, or with --dev-split a split of that data set."
        )
    return _table(dev, "--dev-file")


def _table(source: Any, flag: str) -> Table:
    return tables.read(source, flag) if isinstance(source, (str, os.PathLike)) else tables.of(source, flag)


def _shown(source: Any) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"rows of a {type(source).__name__}"


def _stem(source: Any, hub: HubData | None) -> str:
    """What file, folder or data set is called."""
    if hub is not None:
        config = "" if hub.config in (None, "default") else f"-{hub.config}"
        return hub.repository.rpartition("/")[2] + config
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser().absolute()
        general = re.fullmatch(r"(data|rows|train(ing)?)([-_.].*)?", path.stem.lower())
        return path.parent.name if general else path.stem
    return "rows"


def _unlike_known(name: str) -> str:
    """A short name for records and folders that no known task has."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "rows"
    return f"{plain}-own" if registry.is_known(plain) else plain


def _defined(table: Table, options: Options, name: str) -> tuple[Task, str]:
    """The task that the training rows make, and a sentence on its labels."""
    values = label_words.column(table, options.label, "--label-column")
    kind = options.kind or ("regression" if _are_scores(values) else "classification")
    guessed = "" if options.kind else "; --label-kind reads them otherwise"
    labels: tuple[str, ...] = ()
    if kind == "classification":
        labels = label_words.classes(values)
        if len(labels) > max(_MANY, len(values) // 2):
            raise UserError(
                f"{table.shown}: column {options.label!r} has {len(labels)} different values in {len(values)} rows, "
                "too many for classes; name another with --label-column, or ask for --label-kind regression."
            )
        shown = [repr(label) if "," in label else label for label in labels[:6]]
        some = ", ".join(shown) + (", …" if len(labels) > 6 else "")
        note = f"The labels are {len(labels)} classes ({some}){guessed}."
        if labels == ("-1", "0", "1"):
            note += " Where -1 says that there is no label, leave these rows out of the file."
    else:
        note = f"The labels are scores{guessed}. "
    task = _made(
        name=name,
        title=f"own {'pairs' if options.pair else 'texts'} of {Path(table.shown).name}",
        kind=kind,
        labels=labels,
        first_column=options.text,
        second_column=options.pair,
        label_column=options.label,
    )
    return task, note


def _in_steps(task: Task, labels: np.ndarray) -> tuple[Task, str]:
    """The task with what its training rows say of the units of its scores, and a sentence on it.

    The step is a power of two, by which weights are multiplied without rounding.
    """
    values = labels.astype(np.float64)
    low, high = values.min(), values.max()
    scale = 2.0 ** round(math.log2(values.std()))
    center = round(float(values.mean()) / (scale / 4)) * (scale / 4)
    note = f"They run from {low:g} to {high:g} and are learned from {center:g} in steps of {scale:g}."
    return replace(task, center=center, scale=scale), note


def _made(kind: Any, **values: Any) -> Task:
    """The task of these columns and labels, judged as all own ones of its kind."""
    metric, also = _METRICS[kind]
    return Task(kind=kind, metric=metric, also=also, folder="", own=True, **values)


def _are_scores(values: Sequence[Any]) -> bool:
    """Whether all that is there are numbers, and one of them is not whole."""
    words = [word for value in values if value is not NO_LABEL and (word := label_words.word_of(value))]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return False
    return any(not number.is_integer() for number in numbers)
