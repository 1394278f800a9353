"""Which of TED's early stages are one artifact: those that give the same weights bit for bit, and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from distill import methods
from distill.artifacts import key_of
from distill.methods.base import Method, Shape
from distill.training import stages
from distill.training.settings import Training
from tests.distill import tiny
from tests.distill.training import runs

TED = methods.get("ted")
STUDENT, TEACHER = Shape(2, 16, 2), Shape(4, 16, 2)
GROUND = {"student": "encoder", "tokens": "t", "teacher": "one", "source": "online", "seed": 0}


def keys(
    values: dict[str, Any] | None = None,
    ground: dict[str, Any] | None = None,
    teacher: Shape = TEACHER,
    method: Method = TED,
) -> list[str]:
    """Of the student's fine-tuning and of its filters."""
    params = method.resolve(values or {}, "modern")
    common, run = {**GROUND, **(ground or {})}, Training(epochs=3, batch_size=8)
    found = [stages.identity(method, n, params, "modern", run, common, STUDENT, teacher) for n in (0, 1)]
    return [key_of(one) for one in found]


@pytest.mark.parametrize(
    "same",
    [
        # Neither asks the teacher anything.
        {"ground": {"teacher": "other"}},
        {"ground": {"source": "cached"}},
        {"ground": {"teacher": "other"}, "teacher": Shape(6, 16, 4)},
        # What is found of itself, named.
        {"values": {"filter_interval": 1}},
        {"values": {"teacher_interval": 2}},
        {"values": {"filter_interval": 1, "teacher_interval": 2, "filter_output_dim": 16}},
        # What the run has, named.
        {"values": {"finetune_epochs": 3, "finetune_batch": 8, "filter_epochs": 3, "filter_batch": 8}},
        {"values": {"teacher_filter_epochs": 1}},
    ],
)
def test_what_gives_the_same_weights_is_one(same: dict[str, Any]) -> None:
    assert keys(**same) == keys()


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        # A student that is cut from the fine-tuned teacher has that one's weights.
        ({"ground": {"student": "teacher"}}, (True, True)),
        ({"ground": {"seed": 1}}, (True, True)),
        ({"values": {"finetune_epochs": 2}}, (True, True)),
        ({"values": {"finetune_lr": 1e-3}}, (True, True)),
        ({"values": {"filter_interval": 2}}, (False, True)),
        ({"values": {"filter_nonlinear": True}}, (False, True)),
        ({"values": {"filter_output_dim": 8}}, (False, True)),
        ({"values": {"filter_epochs": 2}}, (False, True)),
        # The width behind a filter is that of this teacher.
        ({"teacher": Shape(4, 32, 2)}, (False, True)),
    ],
)
def test_what_gives_others_is_not(other: dict[str, Any], changed: tuple[bool, bool]) -> None:
    assert tuple(one != two for one, two in zip(keys(**other), keys(), strict=True)) == changed


def test_whose_embeddings_a_student_begins_with_counts() -> None:
    def begun(whose: Any, **ground: str) -> str:
        return keys(ground=ground, method=replace(TED, embeddings=lambda values: whose))[0]

    assert begun("pretrained") == keys()[0]
    assert len({begun("pretrained"), begun("random"), begun("teacher"), begun("teacher", teacher="other")}) == 4
    assert begun("random", teacher="other") == begun("random")
    assert begun("teacher", source="cached") == begun("teacher")


def test_another_teacher_and_named_intervals_change_no_weight() -> None:
    """What the keys promise."""
    found = []
    for seed, values in ((1, {}), (7, {"filter_interval": 1, "teacher_interval": 2, "filter_output_dim": 16})):
        params = {"finetune_epochs": 1, "filter_epochs": 1, **values}
        run = runs.make("ted", params, epochs=1, teacher=tiny.classifier(layers=4, seed=seed))
        list(run.through(1))
        found.append({**runs.weights(run), **run.left})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
