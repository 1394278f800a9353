"""The last layer between a folder and what learns: labels in the task's order, own scores in steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import distill
from distill.models.outputs import save_classifier
from distill.models.parameters import output_layer
from distill.models.student import load_classifier
from distill.tasks import own, registry
from distill.tasks.base import Task
from tests.distill import tiny

MNLI = registry.get("mnli")
SCORES = replace(registry.get("stsb"), center=1024.0, scale=16.0)
ROWS = {"input_ids": torch.tensor([[2, 9, 17, 3], [2, 8, 8, 3]]), "attention_mask": torch.ones(2, 4, dtype=torch.long)}


def answers(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**ROWS).logits
    return found


def saved(folder: Path, words: tuple[str, ...], kind: str = "bert") -> Any:
    """A classifier as someone else left it, whose outputs have these names."""
    model = tiny.classifier(kind, labels=len(words), seed=3)
    model.config.id2label = dict(enumerate(words))
    model.config.label2id = {word: place for place, word in enumerate(words)}
    with torch.no_grad():
        output_layer(model)[1].bias.copy_(torch.arange(len(words)).float())
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_outputs_are_brought_into_the_tasks_order_wherever_a_classifier_is_loaded(tmp_path: Path, kind: str) -> None:
    words = ("ENTAILMENT", "NEUTRAL", "CONTRADICTION")
    model = saved(tmp_path, words, kind)
    order = [words.index(word.upper()) for word in MNLI.labels]
    assert order != [0, 1, 2]
    found = load_classifier(tmp_path, MNLI)
    assert torch.equal(answers(found), answers(model)[:, order])
    # Once in order it stays so.
    save_classifier(found, MNLI, tmp_path / "again")
    assert torch.equal(answers(load_classifier(tmp_path / "again", MNLI)), answers(found))


def test_names_that_say_nothing_and_other_tasks_change_nothing(tmp_path: Path) -> None:
    model = saved(tmp_path, ("LABEL_0", "LABEL_1", "LABEL_2"))
    assert torch.equal(answers(load_classifier(tmp_path, MNLI)), answers(model))
    assert load_classifier(tmp_path, registry.get("rte")).num_labels == 2


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_scores_leave_in_the_units_of_the_rows_and_come_back_in_steps(tmp_path: Path, kind: str) -> None:
    model = tiny.classifier(kind, labels=1, regression=True)
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    own_units = answers(model)
    save_classifier(model, SCORES, tmp_path)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(answers(stock), own_units * 16 + 1024, rtol=1e-6, atol=2e-4)
    torch.testing.assert_close(answers(load_classifier(tmp_path, SCORES)), own_units, rtol=0, atol=1e-4)
    assert torch.equal(answers(load_classifier(tmp_path, registry.get("stsb"))), answers(stock))


def test_labels_and_answers_of_the_rows() -> None:
    labels = np.array([1024, 1040, 1000], dtype=np.float32)
    assert SCORES.learned(labels).tolist() == [0, 1, -1.5]
    assert SCORES.units(SCORES.learned(labels)).tolist() == labels.tolist()
    # Scores a hair apart stay in order, which float32 would lose beside 1024.
    assert np.diff(SCORES.units(np.array([0.1, 0.1 + 1e-7], dtype=np.float32)))[0] > 0
    plain: Task = registry.get("stsb")
    assert plain.learned(labels) is labels
    assert plain.units(labels) is labels


def rows(times: float, plus: float, seed: int) -> list[dict[str, Any]]:
    found = tiny.examples(40, registry.get("stsb"), seed)
    return [{"text": t, "label": float(y) * times + plus} for t, y in zip(found.first, found.labels, strict=True)]


def test_a_task_learns_the_same_in_any_units(encoder: Path, tmp_path: Path) -> None:
    """Labels 16 y + 1024 are learned as y is, and the student answers 16 times as much and 1024."""
    results = []
    for times, plus in ((1, 0), (16, 1024)):
        data = own.read(rows(times, plus, 0), rows(times, plus, 1), own.Options(kind="regression"))
        results.append(
            distill.run(
                encoder,
                2,
                "kd",
                data,
                artifacts=tmp_path / "store",
                out=tmp_path / f"{times}",
                teacher_settings={"epochs": 1},
                allow_weak_teacher=True,
                epochs=2,
                batch_size=8,
                device="cpu",
                autocast=None,
                max_length=32,
            )
        )
    one, other = results
    assert other.task.scale == 16 * one.task.scale
    assert other.task.center == 16 * one.task.center + 1024
    assert other.score == pytest.approx(one.score, abs=1e-4)
    np.testing.assert_allclose(other.best.logits, 16 * one.best.logits + 1024, rtol=1e-5)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "16")
    torch.testing.assert_close(answers(stock), answers(one.student) * 16 + 1024, rtol=1e-5, atol=1e-3)
    assert abs(float(answers(stock).mean()) - 1024) < 16 * 5
