"""The tasks by name: GLUE, and the made-up ones, which stand in on machines without its files."""

from __future__ import annotations

import difflib

from distill.errors import UserError
from distill.tasks import made_up_tasks
from distill.tasks.base import HubRows, Positions, Task

_BINARY = ("0", "1")
_ENTAILMENT = ("entailment", "not_entailment")

_COLA = Task(
    name="cola",
    title="CoLA (linguistic acceptability)",
    kind="classification",
    labels=_BINARY,
    metric="mcc",
    also=("accuracy",),
    folder="CoLA",
    first_column="sentence",
    label_column="label",
    # source, label, the author's star, sentence
    positions=Positions(width=4, label=1, first=3),
    published_as="cola",
    hub=HubRows("cola", "sentence", None, ("unacceptable", "acceptable")),
)
_SST2 = Task(
    name="sst2",
    title="SST-2 (sentiment)",
    kind="classification",
    labels=_BINARY,
    metric="accuracy",
    folder="SST-2",
    first_column="sentence",
    label_column="label",
    published_as="sst2",
    hub=HubRows("sst2", "sentence", None, ("negative", "positive")),
)
_MRPC = Task(
    name="mrpc",
    title="MRPC (paraphrase)",
    kind="classification",
    labels=_BINARY,
    metric="accuracy",
    also=("f1", "accuracy_f1"),
    folder="MRPC",
    first_column="#1 String",
    second_column="#2 String",
    label_column="Quality",
    published_as="mrpc",
    hub=HubRows("mrpc", "sentence1", "sentence2", ("not_equivalent", "equivalent")),
)
_QQP = Task(
    name="qqp",
    title="QQP (duplicate questions)",
    kind="classification",
    labels=_BINARY,
    metric="accuracy",
    also=("f1", "accuracy_f1"),
    folder="QQP",
    first_column="question1",
    second_column="question2",
    label_column="is_duplicate",
    # The published file has a few questions torn over two lines, and a few empty ones.
    torn_share=1e-4,
    published_as="qqp",
    hub=HubRows("qqp", "question1", "question2", ("not_duplicate", "duplicate")),
)
_MNLI = Task(
    name="mnli",
    title="MNLI (inference, matched)",
    kind="classification",
    labels=("contradiction", "entailment", "neutral"),
    metric="accuracy",
    folder="MNLI",
    first_column="sentence1",
    second_column="sentence2",
    label_column="gold_label",
    dev_file="dev_matched.tsv",
    published_as="mnli",
    hub=HubRows("mnli", "premise", "hypothesis", ("contradiction", "entailment", "neutral"), "validation_matched"),
)
_QNLI = Task(
    name="qnli",
    title="QNLI (answer in sentence)",
    kind="classification",
    labels=_ENTAILMENT,
    metric="accuracy",
    folder="QNLI",
    first_column="question",
    second_column="sentence",
    label_column="label",
    published_as="qnli",
    hub=HubRows("qnli", "question", "sentence", _ENTAILMENT),
)
_RTE = Task(
    name="rte",
    title="RTE (inference)",
    kind="classification",
    labels=_ENTAILMENT,
    metric="accuracy",
    folder="RTE",
    first_column="sentence1",
    second_column="sentence2",
    label_column="label",
    published_as="rte",
    hub=HubRows("rte", "sentence1", "sentence2", _ENTAILMENT),
)
_WNLI = Task(
    name="wnli",
    title="WNLI (Winograd inference)",
    kind="classification",
    labels=_BINARY,
    metric="accuracy",
    folder="WNLI",
    first_column="sentence1",
    second_column="sentence2",
    label_column="label",
    published_as="wnli",
    hub=HubRows("wnli", "sentence1", "sentence2", ("not_entailment", "entailment")),
)
_STSB = Task(
    name="stsb",
    title="STS-B (similarity, 0 to 5)",
    kind="regression",
    labels=(),
    metric="pearson_spearman",
    also=("pearson", "spearman"),
    folder="STS-B",
    first_column="sentence1",
    second_column="sentence2",
    label_column="score",
    published_as="stsb",
    hub=HubRows("stsb", "sentence1", "sentence2", ()),
)
_GLUE = (_COLA, _SST2, _MRPC, _QQP, _MNLI, _QNLI, _RTE, _WNLI, _STSB)
_TASKS = {task.name: task for task in (*_GLUE, *made_up_tasks.ALL)}


def _key(name: str) -> str:
    return name.strip().lower().replace("-", "").replace("_", "")


def names() -> tuple[str, ...]:
    """Names of all known tasks, in the order they are listed to people."""
    return tuple(_TASKS)


def get(name: str, where: str = "--task") -> Task:
    """The task called `name`; case, hyphens and underscores don't matter (``SST-2`` is ``sst2``).

    Args:
        where: A person named it, for messages.

    Raises:
        UserError: no such task; the message names the nearest known one, or who has published rows for it.
    """
    by_key = {_key(task.name): task for task in _TASKS.values()}
    task = by_key.get(_key(name))
    if task is None:
        if having := _published_for(name):
            raise UserError(
                f"{where}: {name} is no task here yet, though rows of {' and '.join(having)} are published for it; "
                f"choose another (known: {', '.join(_TASKS)})."
            )
        nearest = by_key[difflib.get_close_matches(_key(name), by_key, n=1, cutoff=0.0)[0]].name
        raise UserError(
            f"{where}: unknown task {name!r}; the nearest known one is {nearest!r} (known: {', '.join(_TASKS)})"
        )
    return task


def _published_for(name: str) -> list[str]:
    """Methods with rows for a task, known here or not."""
    # Late, and only where something is wrong anyway: it reads all grids.
    import search_spaces

    tasks = {method: search_spaces.load(method).tasks for method in search_spaces.methods()}
    return [method for method, names in tasks.items() if _key(name) in map(_key, names)]


def stand_in(task: Task) -> Task | None:
    """The made-up task that serves where `task`'s files are out of reach, or None where there is none."""
    name = made_up_tasks.STAND_INS.get(task.name)
    return None if name is None else _TASKS[name]
