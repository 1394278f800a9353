"""Every method on every kind of task: generated rows, tiny networks, the real loop, one look at dev.

`python -m tests.conformance` shows the outcome as a table of method and kind.
"""

from __future__ import annotations

import math
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distill
from distill import methods
from distill.errors import UserError
from distill.methods.base import Shape
from distill.models.capture import shape_of
from distill.models.parameters import named
from distill.tasks import registry
from distill.tasks.base import Examples, TaskData
from distill.training.batching import Tokens, tokenise
from distill.training.windows import tokenise_windows
from tests.distill import tiny
from tests.distill.training import runs

KINDS = {
    "one sentence, two classes": "cola-made-up",
    "one sentence, three classes": "sentiment-made-up",
    "pair, two classes": "pair-made-up",
    "pair, three classes": "nli-made-up",
    "regression": "similarity-made-up",
    "span": "span-made-up",
}
REFUSED = {(name, kind) for name in ("ptp", "pea") for kind in ("regression", "span")}
CASES = [(name, kind) for name in methods.names() for kind in KINDS]
LENGTH = 48


@cache
def data(kind: str) -> TaskData:
    """Eight rows to train on and eight to look at, of which those of each label are some."""
    task = registry.get(KINDS[kind])
    assert task.generator is not None
    train, dev = import_module(task.generator).splits(0, 60, 60)

    def few(split: Examples) -> Examples:
        of_label = [np.flatnonzero(split.labels == label) for label in np.unique(split.labels)]
        # The first of each label, then the second of each.
        return split.take(np.array([rows[n] for n in range(8) for rows in of_label if n < len(rows)])[:8])

    return TaskData(task, few(train), few(dev), "a few generated rows")


@cache
def vocabulary() -> dict[str, int]:
    """The words of all kinds' rows, which differ in tokens then as they do in words."""
    every = [split for kind in KINDS for split in (data(kind).train, data(kind).dev)]
    texts = " ".join(text for split in every for text in (*split.first, *(split.second or ())))
    words = sorted(set(re.findall(r"[\w']+|[.,?]", texts.lower())))
    return {word: number for number, word in enumerate((*tiny.SPECIAL, *words))}


@cache
def splits(kind: str) -> tuple[Tokens, Tokens]:
    from transformers import BertTokenizer

    words, made = BertTokenizer(vocab=dict(vocabulary())), data(kind)
    if made.task.kind == "span":
        pair = [tokenise_windows(split, words, LENGTH, made.task, made.windows) for split in (made.train, made.dev)]
        return pair[0].tokens, pair[1].tokens
    return tokenise(made.train, words, LENGTH), tokenise(made.dev, words, LENGTH)


def network(kind: str, **how: Any) -> Any:
    task = data(kind).task
    head: dict[str, Any] = {"labels": task.num_labels, "regression": task.kind == "regression"}
    if task.kind == "span":
        head["span"] = True
    return {"vocab_size": len(vocabulary()), **head, **how}


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case not in REFUSED])
def test_a_student_learns_and_is_judged(name: str, kind: str) -> None:
    task, teacher = data(kind).task, tiny.classifier(**network(kind, layers=4, seed=1))
    run = runs.make(
        name,
        task=task.name,
        splits=splits(kind),
        student=network(kind),
        teacher=teacher,
        epochs=1,
        batch_size=4,
        max_length=LENGTH,
    )
    stages = {stage.name: stage for stage in run.method.stages}
    shape: Shape = shape_of(run.student)
    seen = []
    for evaluation in run:
        seen.append(evaluation.stage)
        assert all(math.isfinite(value) for value in (*evaluation.terms.values(), *evaluation.metrics.values()))
        assert len(evaluation.terms) > 1
        if evaluation.reporting:
            assert set(evaluation.metrics) == {task.metric, *task.also}
            assert evaluation.value == evaluation.metrics[task.metric]
            assert len(evaluation.logits) == 8
        # What the last step left.
        reached = {parameter for parameter, p in run.student.named_parameters() if p.grad is not None}
        assert reached == named(run.student, stages[evaluation.stage].trained(run.params, run.recipe, shape))
        objective = run._parts["objective"]
        for parameter, p in (*run.student.named_parameters(), *objective.named_parameters()):
            # Softmax takes no notice of what is added to all that it compares alike.
            if p.requires_grad and not parameter.endswith(("attention.self.key.bias", "qa_outputs.bias")):
                assert p.grad is not None, parameter
                assert p.grad.abs().max() > 0, parameter
    assert seen == list(stages)
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case in REFUSED])
def test_what_has_no_loss_for_it_says_so(name: str, kind: str, encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        distill.run(encoder, 2, name, data(kind), device="cpu", artifacts=tmp_path)
    said = str(caught.value)
    # Of spans it is the task that is named.
    assert re.match(rf"{name} is not defined for ({kind}|{KINDS[kind]}), .*\.$", said)
    assert KINDS[kind] in said
    assert not list(tmp_path.iterdir())


def test_no_method_and_no_kind_is_left_out() -> None:
    kinds = {(task.kind, task.pair, task.num_labels) for task in map(registry.get, registry.names())}
    assert {(task.kind, task.pair, task.num_labels) for task in (data(kind).task for kind in KINDS)} == kinds
    for name in methods.names():
        assert ((name, "regression") in REFUSED) == (not methods.get(name).regression)
