"""The tasks by name: GLUE, SQuAD and others, and the made-up ones, which stand in on machines without their files."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Literal

from distill.errors import UserError
from distill.tasks import made_up_tasks
from distill.tasks.base import Form, HubRows, Positions, Task

_BINARY = ("0", "1")
_ENTAILMENT = ("entailment", "not_entailment")
_INFERENCE = ("contradiction", "entailment", "neutral")
# The ids of nyu-mll/glue (mnli) and stanfordnlp/snli.
_NUMBERED = ("entailment", "neutral", "contradiction")
_RECORDS_OR_TABS: tuple[tuple[Literal["records", "tabs"], str], ...] = (("records", "jsonl"), ("tabs", "txt"))
# In the files of SNLI and MultiNLI, where annotators disagreed.
_NO_GOLD = "-"

# source, label, the author's star, sentence
_COLA_POSITIONS = Positions(width=4, label=1, first=3)
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
    positions=_COLA_POSITIONS,
    # As in the corpus of Warstadt et al. (2019).
    forms=(
        Form(
            "tabs",
            "in_domain_train.tsv",
            "in_domain_dev.tsv",
            positions=_COLA_POSITIONS,
            beside=(("out-of-domain", "out_of_domain_dev.tsv"),),
        ),
    ),
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
    forms=(
        Form(
            "tabs",
            "msr_paraphrase_train.txt",
            "msr_paraphrase_test.txt",
            note="msr_paraphrase_test.txt serves as dev: GLUE's dev rows are some of msr_paraphrase_train.txt.",
        ),
    ),
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
    labels=_INFERENCE,
    metric="accuracy",
    folder="MNLI",
    first_column="sentence1",
    second_column="sentence2",
    label_column="gold_label",
    dev_file="dev_matched.tsv",
    beside=(("mismatched", "dev_mismatched.tsv"),),
    forms=tuple(
        Form(
            reader,
            f"multinli_1.0_train.{ending}",
            f"multinli_1.0_dev_matched.{ending}",
            unlabelled=_NO_GOLD,
            beside=(("mismatched", f"multinli_1.0_dev_mismatched.{ending}"),),
        )
        for reader, ending in _RECORDS_OR_TABS
    ),
    published_as="mnli",
    hub=HubRows(
        "mnli",
        "premise",
        "hypothesis",
        _INFERENCE,
        "validation_matched",
        beside=(("mismatched", "validation_mismatched"),),
        numbered=_NUMBERED,
    ),
)
_SNLI = Task(
    name="snli",
    title="SNLI (inference)",
    kind="classification",
    labels=_INFERENCE,
    metric="accuracy",
    folder="SNLI",
    first_column="sentence1",
    second_column="sentence2",
    label_column="gold_label",
    # A few hypotheses of the published file are empty.
    torn_share=1e-4,
    forms=tuple(
        Form(
            reader,
            f"snli_1.0_train.{ending}",
            f"snli_1.0_dev.{ending}",
            f"snli_1.0_test.{ending}",
            unlabelled=_NO_GOLD,
        )
        for reader, ending in _RECORDS_OR_TABS
    ),
    hub=HubRows("plain_text", "premise", "hypothesis", _INFERENCE, repository="stanfordnlp/snli", numbered=_NUMBERED),
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
    forms=(
        # stsb-multi-mt: no header, cells may be quoted
        Form(
            "commas",
            "stsb-en-train.csv",
            "stsb-en-dev.csv",
            "stsb-en-test.csv",
            positions=Positions(width=3, first=0, second=1, label=2),
        ),
        # genre, file, year, number, score, both sentences, and sometimes their licences
        Form(
            "tabs",
            "sts-train.csv",
            "sts-dev.csv",
            "sts-test.csv",
            positions=Positions(width=7, label=4, first=5, second=6, more=True),
        ),
    ),
    published_as="stsb",
    hub=HubRows("stsb", "sentence1", "sentence2", ()),
)
_TWEET_SENTIMENT = Task(
    name="tweet-sentiment",
    title="tweet_eval sentiment",
    kind="classification",
    labels=("negative", "neutral", "positive"),
    metric="macro_recall",
    also=("macro_f1", "accuracy"),
    folder="tweet_eval/sentiment",
    first_column="text",
    label_column="label",
    forms=(Form("lines", "train_text.txt", "val_text.txt", "test_text.txt"),),
    hub=HubRows("sentiment", "text", None, ("negative", "neutral", "positive"), repository="cardiffnlp/tweet_eval"),
)
_SQUAD2 = Task(
    name="squad2",
    title="SQuAD 2.0 (questions that may have no answer)",
    kind="span",
    labels=(),
    metric="squad_f1",
    also=("em", "has_answer_f1", "no_answer_f1"),
    folder="SQuAD2",
    other_folders=("SQuAD2.0", "SQuAD-v2", "SQuAD-v2.0"),
    first_column="question",
    second_column="context",
    label_column="answers",
    train_file="train-v2.0.json",
    dev_file="dev-v2.0.json",
    published_as="squad2",
    hub=HubRows("squad_v2", "question", "context", (), repository="rajpurkar/squad_v2"),
    unanswerable=True,
)
_SQUAD = replace(
    _SQUAD2,
    name="squad",
    title="SQuAD 1.1 (questions with an answer in the context)",
    also=("em",),
    folder="SQuAD",
    other_folders=("SQuAD1", "SQuAD1.1", "SQuAD-v1", "SQuAD-v1.1"),
    train_file="train-v1.1.json",
    dev_file="dev-v1.1.json",
    published_as="squad",
    hub=HubRows("plain_text", "question", "context", (), repository="rajpurkar/squad"),
    unanswerable=False,
)
_GLUE = (_COLA, _SST2, _MRPC, _QQP, _MNLI, _QNLI, _RTE, _WNLI, _STSB)
_TASKS = {task.name: task for task in (*_GLUE, _SNLI, _TWEET_SENTIMENT, _SQUAD2, _SQUAD, *made_up_tasks.ALL)}


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


def is_known(name: str) -> bool:
    """Whether a task, or a row of a published grid, has this name in any spelling."""
    return _key(name) in {_key(task) for task in _TASKS} or bool(_published_for(name))


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
