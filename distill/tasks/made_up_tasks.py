"""The made-up tasks, one for each kind of task, and which of them stands in for which real one."""

from __future__ import annotations

from dataclasses import replace

from distill.tasks.base import Positions, Task

_BINARY = ("0", "1")

_COLA = Task(
    name="cola-made-up",
    title="made-up acceptability (generated sentences, not CoLA)",
    kind="classification",
    labels=_BINARY,
    metric="mcc",
    also=("accuracy",),
    folder="CoLA",
    first_column="sentence",
    label_column="label",
    # As in CoLA: source, label, the author's star, sentence.
    positions=Positions(width=4, label=1, first=3),
    generator="distill.tasks.made_up",
)
_PAIR = Task(
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
_NLI = replace(
    _PAIR,
    name="nli-made-up",
    title="made-up inference (generated pairs of sentences, no published set)",
    labels=("contradiction", "entailment", "neutral"),
    also=(),
    folder="nli-made-up",
    generator="distill.tasks.made_up_nli",
)
_SENTIMENT = Task(
    name="sentiment-made-up",
    title="made-up sentiment in three classes (generated sentences, nobody's tweets)",
    kind="classification",
    labels=("negative", "neutral", "positive"),
    metric="macro_recall",
    also=("macro_f1", "accuracy"),
    folder="sentiment-made-up",
    first_column="sentence",
    label_column="label",
    generator="distill.tasks.made_up_sentiment",
)
_OPINION = replace(
    _SENTIMENT,
    name="opinion-made-up",
    title="made-up sentiment in two classes (generated sentences, not SST-2)",
    labels=_BINARY,
    metric="accuracy",
    also=(),
    folder="opinion-made-up",
    generator="distill.tasks.made_up_opinion",
)
_SIMILARITY = Task(
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
_SPAN = Task(
    name="span-made-up",
    title="made-up questions (generated texts, some without the answer, not SQuAD)",
    kind="span",
    labels=(),
    metric="squad_f1",
    also=("em", "has_answer_f1", "no_answer_f1"),
    folder="span-made-up",
    first_column="question",
    second_column="context",
    label_column="answers",
    generator="distill.tasks.made_up_span",
    unanswerable=True,
)

ALL = (_COLA, _PAIR, _NLI, _SENTIMENT, _OPINION, _SIMILARITY, _SPAN)
# A real task's name -> that of the made-up task of its kind, which serves where its files are out of reach.
STAND_INS = {
    "cola": _COLA.name,
    "sst2": _OPINION.name,
    "mrpc": _PAIR.name,
    "qqp": _PAIR.name,
    "mnli": _NLI.name,
    "snli": _NLI.name,
    "qnli": _PAIR.name,
    "rte": _PAIR.name,
    "wnli": _PAIR.name,
    "stsb": _SIMILARITY.name,
    "tweet-sentiment": _SENTIMENT.name,
    "squad2": _SPAN.name,
    "squad": _SPAN.name,
}
