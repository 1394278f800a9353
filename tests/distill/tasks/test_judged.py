"""A task judged by another metric than its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from distill.errors import UserError
from distill.tasks import metrics, registry
from distill.tasks.base import Task
from distill.tasks.judged import judged_by

COLA, MRPC, MNLI, STSB, SQUAD2, SQUAD = map(registry.get, ("cola", "mrpc", "mnli", "stsb", "squad2", "squad"))


def test_the_task_takes_the_metric_and_shows_its_own_beside_it() -> None:
    chosen = judged_by(MRPC, "f1")
    assert (chosen.metric, chosen.also, chosen.official) == ("f1", ("accuracy", "accuracy_f1"), "accuracy")
    assert replace(chosen, metric=MRPC.metric, also=MRPC.also, official=None) == MRPC
    assert judged_by(COLA, "macro_f1").also == ("mcc", "accuracy")


@pytest.mark.parametrize("name", [None, "accuracy"])
def test_no_metric_and_its_own_leave_the_task_as_it_is(name: str | None) -> None:
    assert judged_by(MRPC, name) is MRPC
    assert MRPC.chosen_metric == {}


def test_a_second_choice_is_as_the_first_one() -> None:
    assert judged_by(judged_by(MRPC, "f1"), "macro_f1").official == "accuracy"
    back = judged_by(judged_by(COLA, "accuracy"), "mcc")
    assert (back.metric, back.official, back.chosen_metric) == ("mcc", None, {})
    assert judged_by(COLA, "accuracy").chosen_metric == {"metric": "accuracy"}


def test_a_metric_that_does_not_judge_the_task_is_refused_with_those_that_do() -> None:
    with pytest.raises(UserError) as refused:
        judged_by(MNLI, "f1")
    assert str(refused.value) == (
        "--metric f1 does not judge mnli, which has 3 labels; choose one of mcc, accuracy, macro_recall, macro_f1, "
        "weighted_f1."
    )
    with pytest.raises(UserError, match="does not judge stsb, whose labels are numbers; choose one of pearson, spear"):
        judged_by(STSB, "accuracy")
    with pytest.raises(UserError, match=r"--metric Macro-F1 is unknown; did you mean macro_f1\? \(mrpc can be judged"):
        judged_by(MRPC, "Macro-F1")
    with pytest.raises(UserError, match=r"^metric rouge is unknown \(stsb can be judged by pearson, spearman"):
        judged_by(STSB, "rouge", "metric")


def test_a_metric_of_some_questions_chooses_only_where_answers_without_worth_cannot_win() -> None:
    with pytest.raises(UserError) as refused:
        judged_by(SQUAD2, "no_answer_f1")
    assert str(refused.value) == (
        "--metric no_answer_f1 does not judge squad2 alone: never to answer is perfect by it; choose one of squad_f1, "
        "em, has_answer_f1."
    )
    for name in ("has_answer_f1", "no_answer_f1"):
        with pytest.raises(UserError) as refused:
            judged_by(SQUAD, name)
        assert str(refused.value) == (
            f"--metric {name} does not judge squad, where every row has an answer; choose one of squad_f1, em."
        )
    with pytest.raises(UserError, match="accuracy does not judge squad, whose answers are stretches of text; choose"):
        judged_by(SQUAD, "accuracy")
    chosen = judged_by(SQUAD2, "has_answer_f1")
    assert (chosen.metric, chosen.also) == ("has_answer_f1", ("squad_f1", "em", "no_answer_f1"))
    assert judged_by(SQUAD, "em").also == ("squad_f1",)


@pytest.mark.parametrize("task", [task for task in map(registry.get, registry.names()) if task.kind == "span"])
def test_every_metric_that_may_choose_leaves_room_above_silence(task: Task) -> None:
    labels = np.array([1, 0, 1] if task.unanswerable else [1, 1, 1])
    silent, right = np.repeat(labels[:, None] == 0, 3, axis=1).astype(float), np.ones((3, 3))
    chosen = metrics.fitting(task.kind, task.num_labels, task.unanswerable)
    assert task.metric in chosen
    for name in chosen:
        assert metrics.get(name).compute(silent, labels) < metrics.get(name).compute(right, labels) == 1
