"""The three plain records every task is made of: the task, its examples, its data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from distill.errors import UserError

Kind = Literal["classification", "regression", "span"]
"""What a task asks for: one of its labels, a score, or a stretch of the row's second text."""


class Answer(NamedTuple):
    """An accepted answer of a span task: its text, and the character (from 0) of the row's second text it begins at."""

    text: str
    start: int


@dataclass(frozen=True)
class Positions:
    """Column numbers (from 0) of a file without a header.

    Attributes:
        width: number of columns every line has.
        label: column of the label or score.
        first: column of the sentence, or of the first of a pair.
        second: column of the second of a pair.
        more: whether lines may have further columns behind these.
    """

    width: int
    label: int
    first: int
    second: int | None = None
    more: bool = False


@dataclass(frozen=True)
class Form:
    """A form in which a task's files are published, other than GLUE's.

    Attributes:
        reader: ``tabs`` (plain cells, a header or `positions`), ``commas`` (cells that may be quoted), ``records``
            (a JSON object a line) or ``lines`` (texts in one file and the numbers of their labels in another).
        train, dev: file names; of ``lines`` those of the texts.
        test: file name of the rows without labels, or whose labels are not looked at; None where there is none.
        columns: names of label, first and second text, where they are other than the task's.
        positions: where the columns are in files without a header.
        unlabelled: what stands in place of a label where annotators disagreed; such rows are left out.
        beside: labelled splits that are shown beside dev, each with its file.
        note: what a person should know of this form.
    """

    reader: Literal["tabs", "commas", "records", "lines"]
    train: str
    dev: str
    test: str | None = None
    columns: tuple[str, ...] = ()
    positions: Positions | None = None
    unlabelled: str | None = None
    beside: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class HubRows:
    """Where a task's rows are on the model hub.

    Attributes:
        config: Configuration of the data set.
        first, second: Columns of the texts; `second` is None where there is one sentence.
        labels: The hub's label names in the order of our ids; empty for regression.
        dev: Split that serves as development split.
        repository: Id of the data set.
        beside: Labelled splits that are shown beside dev, each with its name on the hub.
        numbered: The label names in the order of the hub's ids, where that is another than ours.
    """

    config: str
    first: str
    second: str | None
    labels: tuple[str, ...]
    dev: str = "validation"
    repository: str = "nyu-mll/glue"
    beside: tuple[tuple[str, str], ...] = ()
    numbered: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of label, first and, of a pair, second text."""
        return ("label", self.first, *([self.second] if self.second else []))


@dataclass(frozen=True)
class Windows:
    """How the contexts of a span task are read, and when a row has no answer.

    Attributes:
        doc_stride: Tokens that two windows over one context share; None is 128, or a third of a shorter row.
        null_threshold: By how much "none" must be ahead of the best answer, in tasks whose rows may have none.
    """

    doc_stride: int | None = None
    null_threshold: float = 0.0


@dataclass(frozen=True)
class Task:
    """One task: its labels, its metric and the layout of its files.

    Attributes:
        name: the name on the command line and in records.
        title: the name for people.
        kind: ``classification`` (integer labels), ``regression`` (one score) or ``span`` (where in the second text the
            answer to the first stands, if anywhere).
        labels: label words as they stand in the files, in the order of their ids; of a classification alone.
        metric: name of the selection metric in `distill.tasks.metrics`.
        also: names of further metrics shown beside it.
        official: the task's own metric, where another one was chosen to judge it (`distill.tasks.judged`); else None.
        folder: folder of the files in GLUE's layout.
        other_folders: further names that this folder goes by.
        first_column: header name of the sentence, or of the first of a pair.
        second_column: header name of the second of a pair; None where there is one sentence.
        label_column: header name of the label or score.
        positions: where the columns are when the file has no header; None when a header is required.
        train_file: file name of the training split.
        dev_file: file name of the development split.
        torn_share: largest share of lines that may be torn (wrong number of columns, an empty text) and are
            then left out; 0 refuses the first. Only for files that are torn as published.
        published_as: the name under which published grids list the task; None where nothing is published.
        generator: module whose ``splits(seed)`` makes both splits, and whose ``VERSION`` changes with them; None for a
            task read from files.
        hub: where the rows are on the model hub; None where they are not there.
        beside: labelled splits that are shown beside dev, each with its file in GLUE's layout.
        forms: other forms in which the files are published; GLUE's goes before them.
        own: whether a person made it of their own files (`distill.tasks.own`).
        unanswerable: of a span task, whether rows may have no answer.
        center, scale: of own scores, what 0 and a step of 1 stand for while they are learned, in the units of the rows:
            a new head gives values near 0, and a score like 1998 or 0.003 would take it most of its training to reach.
    """

    name: str
    title: str
    kind: Kind
    labels: tuple[str, ...]
    metric: str
    folder: str
    first_column: str
    label_column: str
    second_column: str | None = None
    other_folders: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    official: str | None = None
    positions: Positions | None = None
    train_file: str = "train.tsv"
    dev_file: str = "dev.tsv"
    torn_share: float = 0.0
    published_as: str | None = None
    generator: str | None = None
    hub: HubRows | None = None
    beside: tuple[tuple[str, str], ...] = ()
    forms: tuple[Form, ...] = ()
    own: bool = False
    unanswerable: bool = False
    center: float = 0.0
    scale: float = 1.0

    @property
    def num_labels(self) -> int:
        """Width of the head: number of labels, 1 for a score, 2 for where an answer begins and ends."""
        return {"classification": len(self.labels), "regression": 1, "span": 2}[self.kind]

    @property
    def in_steps(self) -> bool:
        """Whether scores are learned in other units than the rows have."""
        return (self.center, self.scale) != (0.0, 1.0)

    def learned(self, labels: np.ndarray) -> np.ndarray:
        """Labels of rows as they are learned, of any shape: own scores from `center` in steps of `scale`, float32."""
        if not self.in_steps:
            return labels
        return ((labels.astype(np.float64) - self.center) / self.scale).astype(np.float32)

    def units(self, learned: np.ndarray) -> np.ndarray:
        """What is learned, or answered, in the units of the rows; own scores in float64, which keeps their order."""
        return learned.astype(np.float64) * self.scale + self.center if self.in_steps else learned

    @property
    def chosen_metric(self) -> dict[str, str]:
        """As `metric`, that which judges in the place of the task's own; for the identity of what depends on it."""
        return {"metric": self.metric} if self.official else {}

    @property
    def pair(self) -> bool:
        """Whether an example is two sentences."""
        return self.second_column is not None

    @property
    def no_gold(self) -> str | None:
        """What stands in place of a label where annotators disagreed."""
        return next((form.unlabelled for form in self.forms if form.unlabelled), None)

    @property
    def header(self) -> bool:
        """Whether the files must start with a line of column names."""
        return self.positions is None

    @property
    def made_up(self) -> bool:
        """Whether the data is generated instead of read from files."""
        return self.generator is not None


@dataclass(frozen=True, eq=False)
class Examples:
    """The examples of one split.

    Attributes:
        first: the sentence, or the first of a pair, one a row; the question in a span task.
        second: the second of a pair; None where there is one sentence; the context in a span task.
        labels: shape (n,): int64 ids for classification, float32 scores for regression; in a span task int64 1 where
            the row has an answer and 0 where it has none.
        answers: the accepted answers of each row of a span task, the first of which is learned; None in other tasks.
        ids: the name of each row in its file, where rows have names that predictions must carry; else None.
    """

    first: tuple[str, ...]
    second: tuple[str, ...] | None
    labels: np.ndarray
    answers: tuple[tuple[Answer, ...], ...] | None = None
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or self.labels.dtype not in (np.int64, np.float32):
            raise ValueError(f"labels must be (n,) int64 or float32, not {self.labels.shape} {self.labels.dtype}")
        lengths = {len(self.first), len(self.labels), len(self.first if self.second is None else self.second)}
        lengths |= {len(column) for column in (self.answers, self.ids) if column is not None}
        if len(lengths) != 1:
            raise ValueError(f"texts and labels differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.first)

    def head(self, n: int, seed: int) -> Examples:
        """The first `n` rows of a shuffle that depends on `seed` alone.

        Of two heads with one seed the smaller is the beginning of the larger. With `n` >= len the rows stay
        as they are, so that a limit that limits nothing changes nothing.

        Raises:
            ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        if n >= len(self):
            return self
        # RandomState: its streams are frozen across numpy versions, those of default_rng are not.
        order = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed))).permutation(len(self))[:n]
        return self.take(order)

    def take(self, rows: np.ndarray) -> Examples:
        """The rows of these numbers (m,), in that order."""
        columns = (self.first, self.second, self.answers, self.ids)
        first, second, answers, ids = (None if c is None else tuple(c[i] for i in rows) for c in columns)
        return Examples(first, second, self.labels[rows], answers, ids)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class TaskData:
    """A task with its labelled splits.

    Attributes:
        task: the task.
        train: training examples.
        dev: the examples that choose epoch and configuration: the task's development split, or rows held out of its
            training split (`distill.tasks.holdout`).
        source: where the data comes from, for people.
        notes: what the person should know about the reading (lines left out); empty when all went plainly.
        commit: of the data set on the hub; None where the rows are not from there.
        report: the task's development split where `dev` was held out, for the report alone; else None.
        augmented: what students train on instead of `train`, which is then the teacher's alone; None where both read
            the same rows (`distill.tasks.augmented`).
        beside: further labelled splits by name, which decide nothing and are shown beside dev.
        windows: How the rows of a span task are read; of no other.
    """

    task: Task
    train: Examples
    dev: Examples
    source: str
    notes: tuple[str, ...] = field(default=())
    commit: str | None = None
    report: Examples | None = None
    augmented: Examples | None = None
    beside: tuple[tuple[str, Examples], ...] = ()
    windows: Windows = Windows()

    @property
    def reported(self) -> Examples:
        """The rows that the numbers for people come from: the task's development split."""
        return self.dev if self.report is None else self.report

    def of_student(self) -> TaskData:
        """The data as students read it: augmented rows, where there are some, are its training rows."""
        return self if self.augmented is None else replace(self, train=self.augmented, augmented=None)

    def of_teacher(self) -> TaskData:
        """The data as a teacher's own training reads it, the same with augmented rows and without."""
        return self if self.augmented is None else replace(self, augmented=None)

    def fingerprint(self) -> str:
        """Sha256 (hex) over task kind, label words, texts and labels of all splits, in order; of spans the windows too.

        Where the data lies plays no part, nor do splits that are shown beside dev.
        """
        digest = hashlib.sha256()
        _add_texts(digest, (self.task.kind, *self.task.labels))
        for split in (self.train, self.dev, *(() if self.report is None else (self.report,))):
            _add_texts(digest, split.first)
            _add_texts(digest, split.second or ())
            digest.update(split.labels.astype(split.labels.dtype.newbyteorder("<")).tobytes())
            for answers in split.answers or ():
                _add_texts(digest, [part for answer in answers for part in (answer.text, str(answer.start))])
        if self.task.kind == "span":
            threshold = self.windows.null_threshold if self.task.unanswerable else None
            _add_texts(digest, (f"{self.windows.doc_stride}", f"{threshold}"))
        if self.augmented is not None:
            # Of the same rows in the place of `report` the hash is another.
            digest.update(b"augmented" + self.of_student().fingerprint().encode())
        return digest.hexdigest()

    def limit_train(self, n: int, seed: int) -> TaskData:
        """The same data with only `Examples.head` of the training split; augmented rows stay as they are.

        Raises:
            UserError: `n` is below 2, or the rows that remain carry only one label or score.
        """
        if n < 2:
            raise UserError(f"--max-train-rows must be at least 2, not {n}")
        train = self.train.head(n, seed)
        if self.task.kind != "span" and len(np.unique(train.labels)) < 2:
            raise UserError(
                f"--max-train-rows {n} with seed {seed} leaves {self.task.name} with a single label; ask for more rows"
            )
        return replace(self, train=train)


def _add_texts(digest: hashlib._Hash, texts: Sequence[str]) -> None:
    digest.update(len(texts).to_bytes(8, "little"))
    for text in texts:
        raw = text.encode("utf-8")
        # The length in front keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
