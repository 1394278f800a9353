"""The tasks by name: GLUE, and the made-up stand-ins for machines without its files."""

from __future__ import annotations

import difflib
from dataclasses import replace

from distill.errors import UserError
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
_COLA_MADE_UP = replace(
    _COLA,
    name="cola-made-up",
    title="made-up acceptability (generated sentences, not CoLA)",
    published_as=None,
    hub=None,
    generator="distill.tasks.made_up",
)

_PAIR_MADE_UP = Task(
    name="pair-made-up",
    title="made-up paraphrase (generated pairs of sentences, no published set)",
    kind="classification",
    labels=_BINARY,
    metric="accuracy",
    also=("f1", "accuracy_f1"),
    folder="pair-made-up",
    first_column="sentence1",
    second_column="sentence2",
    label_column="label",
    generator="distill.tasks.made_up_pair",
)
_NLI_MADE_UP = replace(
    _PAIR_MADE_UP,
    name="nli-made-up",
    title="made-up inference (generated pairs of sentences, not MNLI)",
    labels=("contradiction", "entailment", "neutral"),
    also=(),
    folder="nli-made-up",
    generator="distill.tasks.made_up_nli",
)
_SENTIMENT_MADE_UP = Task(
    name="sentiment-made-up",
    title="made-up sentiment in three classes (generated sentences, nobody's tweets)",
    kind="classification",
    labels=("negative", "neutral", "positive"),
    metric="accuracy",
    folder="sentiment-made-up",
    first_column="sentence",
    label_column="label",
    generator="distill.tasks.made_up_sentiment",
)
_OPINION_MADE_UP = replace(
    _SENTIMENT_MADE_UP,
    name="opinion-made-up",
    title="made-up sentiment (generated sentences, not SST-2)",
    labels=_BINARY,
    folder="opinion-made-up",
    generator="distill.tasks.made_up_opinion",
)
_SIMILARITY_MADE_UP = Task(
    name="similarity-made-up",
    title="made-up similarity, 0 to 5 (generated pairs of sentences, not STS-B)",
    kind="regression",
    labels=(),
    metric="pearson_spearman",
    also=("pearson", "spearman"),
    folder="similarity-made-up",
    first_column="sentence1",
    second_column="sentence2",
    label_column="score",
    generator="distill.tasks.made_up_similarity",
)

_REAL = (_COLA, _SST2, _MRPC, _QQP, _MNLI, _QNLI, _RTE, _WNLI, _STSB)
_MADE_UP = (_COLA_MADE_UP, _PAIR_MADE_UP, _NLI_MADE_UP, _SENTIMENT_MADE_UP, _OPINION_MADE_UP, _SIMILARITY_MADE_UP)
_TASKS = {task.name: task for task in (*_REAL, *_MADE_UP)}
# A real task's name -> the name of the made-up task of its kind, which serves where its files are out of reach.
_STAND_INS = {
    "cola": "cola-made-up",
    "sst2": "opinion-made-up",
    "mrpc": "pair-made-up",
    "qqp": "pair-made-up",
    "mnli": "nli-made-up",
    "qnli": "pair-made-up",
    "rte": "pair-made-up",
    "wnli": "pair-made-up",
    "stsb": "similarity-made-up",
}


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
    name = _STAND_INS.get(task.name)
    return None if name is None else _TASKS[name]
