"""`distill.run`: what comes back, what stays as it was, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import distill
from distill.errors import UserError
from distill.tasks import metrics
from distill.training import loop, predictions
from distill.training.batching import tokenise
from tests.distill import tiny

QUICK: dict[str, Any] = {
    **{"epochs": 2, "batch_size": 16, "max_length": 32, "device": "cpu"},
    **{"teacher_settings": {"epochs": 1}, "allow_weak_teacher": True},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


def run(encoder: Path, place: Path, **how: Any) -> distill.Distilled:
    given = {"student": 2, "method": "emd", "data": tiny.data(), "params": {"lr": 1e-3}, **QUICK, **how}
    return distill.run(given.pop("teacher", encoder), artifacts=place / "store", **given)


@pytest.fixture(scope="module")
def result(encoder: Path, place: Path) -> distill.Distilled:
    return run(encoder, place, out=place / "student")


def test_the_result_is_that_of_the_best_evaluation(encoder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    values = iter([0.1, 0.5, 0.3])
    real = loop.Run.__iter__

    def scored(run: Any) -> Iterator[Any]:
        for evaluation in real(run):
            weights.append(run.student.classifier.weight.detach().clone())
            yield replace(evaluation, value=next(values)) if run.method.name == "emd" else evaluation

    run(encoder, place)
    monkeypatch.setattr(loop.Run, "__iter__", scored)
    found = run(encoder, place, epochs=3)
    assert found.score == found.best.value == 0.5
    assert found.best is found.evaluations[1]
    assert found.terms == found.evaluations[1].terms
    assert torch.equal(found.student.classifier.weight, weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert not found.student.training


def test_the_saved_student_gives_the_score(result: distill.Distilled) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    assert result.path is not None
    model = AutoModelForSequenceClassification.from_pretrained(result.path)
    words = AutoTokenizer.from_pretrained(result.path)
    dev = tokenise(tiny.data().dev, words, 32)
    logits = predictions.predict(model, dev, 64)
    assert np.array_equal(logits, result.best.logits)
    assert metrics.get("mcc").compute(logits, dev.labels) == result.score
    assert sorted(p.name for p in result.path.parent.glob(".student*")) == []
    for name, weight in result.student.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])


def test_it_repeats_itself_and_leaves_torch_as_it_was(encoder: Path, place: Path, result: distill.Distilled) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    again = run(encoder, place)
    assert torch.equal(torch.get_rng_state(), before)
    assert [e.terms for e in again.evaluations] == [e.terms for e in result.evaluations]
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(again.evaluations, result.evaluations, strict=True))
    other = run(encoder, place, seed=1)
    assert other.evaluations[0].terms != result.evaluations[0].terms


def test_a_result_is_frozen_and_says_what_it_is(result: distill.Distilled) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.score = 1.0  # type: ignore[misc]
    assert repr(result).startswith("<emd on cola: mcc ")
    assert result.params["lr"] == 1e-3
    assert (result.params["beta"], result.training.epochs, result.seed) == (0.01, 2, 0)
    assert result.teacher_score is not None


def test_progress_is_told_and_the_teacher_kept(encoder: Path, tmp_path: Path) -> None:
    first: list[str] = []
    second: list[str] = []
    run(encoder, tmp_path, progress=first.append)
    run(encoder, tmp_path, progress=second.append)
    assert [line.split(",")[0] for line in first if "epoch" in line] == [
        *("Teacher: epoch 1 of 1", "Student: epoch 1 of 2", "Student: epoch 2 of 2")
    ]
    assert [line for line in second if "Teacher: epoch" in line] == []


def test_parameters_that_no_step_trains_are_named(encoder: Path, place: Path) -> None:
    for params, left in (
        ({}, []),
        ({"prediction_trains": "classifier"}, ["layer 2 (attention.output, intermediate, output), pooler."]),
    ):
        lines: list[str] = []
        params = {"intermediate_epochs": 1, **params}
        run(encoder, place, method="twostep", params=params, epochs=1, progress=lines.append)
        found = [line.partition(": ") for line in lines if line.startswith("No step trains")]
        assert [words for _, _, words in found] == left


def test_training_numbers_from_all_sides(encoder: Path, place: Path, result: distill.Distilled) -> None:
    """Keywords, a `Training`, and a point of a sweep, whose parameters hold training numbers, mean the same."""
    numbers = distill.Training(epochs=2, batch_size=16, max_length=32)
    plain = {name: how for name, how in QUICK.items() if name not in ("epochs", "batch_size", "max_length")}
    common = {"student": 2, "method": "emd", "data": tiny.data(), "artifacts": place / "store", **plain}
    one = distill.run(encoder, params={"lr": 1e-3}, training=numbers, **common)
    two = distill.run(encoder, params={"lr": "1e-3", "batch_size": 16}, epochs=2, max_length=32, **common)
    for other in (one, two):
        assert other.training == result.training
        assert [e.terms for e in other.evaluations] == [e.terms for e in result.evaluations]


def test_evaluations_per_epoch_replace_the_recipes_steps_between_them(encoder: Path, tmp_path: Path) -> None:
    """Though 1 is what the recipe has as well: who asks for it wants it."""
    common = {"recipe": "published", "teacher_settings": {"epochs": 1, "max_length": 32}}
    common["data"] = tiny.data("cola-made-up")
    found = run(encoder, tmp_path, **common, evaluations_per_epoch=1)
    assert [evaluation.epoch for evaluation in found.evaluations] == [1, 2]
    with pytest.raises(UserError, match="both say when dev is looked at"):
        run(encoder, tmp_path, **common, evaluations_per_epoch=1, evaluation_steps=2)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"method": "emdx"}, "did you mean emd?"),
        ({"recipe": "modren"}, "did you mean modern?"),
        ({"params": {"betta": 1}}, "emd has no hyper-parameter betta; did you mean beta?"),
        ({"params": {"beta": "much"}}, "beta=much is not a number"),
        ({"params": {"epochs": 3}}, "epochs is given twice"),
        ({"epoch": 3}, "distill.run has no argument epoch; did you mean epochs?"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"training": distill.Training(clip=-1.0)}, "clip=-1.0"),
        ({"max_length": 65}, "max_length=65 exceeds the 64 positions of the student"),
        ({"student": 5}, "student=5 does not fit a teacher of 4 layers"),
        ({"student": (2, 1)}, "must ascend"),
        ({"student": (1, 9)}, "must name layers from 1 to 4"),
        ({"student": "no/such/folder"}, "student"),
        ({"teacher": Path("no/such/folder")}, "no/such/folder is not a folder"),
        ({"teacher": None}, "emd needs a teacher"),
        ({"teacher": 3}, "teacher is a int; give a folder"),
        ({"data": "colla"}, "the nearest known one is 'cola'"),
        ({"data": 3}, "data is a int"),
        ({"data_dir": "x"}, "data holds the rows already"),
        ({"device": "gpu"}, "choose cpu or cuda"),
        ({"autocast": "float16"}, "choose auto, bfloat16 or None"),
        ({"threads": 0}, "threads=0"),
        ({"teacher_settings": {"lrr": 1}}, "teacher_settings has no lrr; did you mean lr?"),
        ({"teacher_settings": {"lr": 2}}, "lr=2 must lie between 0 and 1"),
        ({"teacher_settings": {"max_length": 65}}, "pass teacher_settings={'max_length': 64}, or less"),
        ({"finetune_teacher": "never"}, "never"),
        ({"params": {"beta": 0, "prediction": False}}, "switched off"),
        ({"method": "ft"}, "ft has no teacher"),
        ({"method": None}, "method is None; name one of emd, ft"),
        ({"seed": -1}, "seed=-1 must be a whole number from 0"),
        ({"seed": "x"}, "seed='x' must be a whole number"),
        ({"seed": 1.5}, "seed=1.5 must be a whole number"),
        ({"seed": 2**32}, "seed=4294967296 must be a whole number"),
        ({"training": {"epochs": 2}}, "training is a dict; give a distill.Training"),
        ({"params": ["lr"]}, "params is ['lr'], expected values by name"),
        ({"params": {1: 2}}, "params is {1: 2}, expected values by name"),
        ({"teacher_settings": ["lr"]}, "teacher_settings is ['lr'], expected values by name"),
        ({"max_train_rows": "10"}, "max_train_rows='10' must be a whole number from 2"),
        ({"max_train_rows": 0}, "max_train_rows=0 must be a whole number from 2"),
        ({"finetune_teacher": "sometimes"}, "finetune_teacher='sometimes' is unknown"),
        ({"finetune_teacher": "allways"}, "did you mean always?"),
        ({"data_dir": 3, "data": "cola"}, "data_dir is 3, expected a folder"),
        ({"out": 3}, "out is 3, expected a folder"),
        ({"method": "ft", "recipe": "published"}, "only the modern recipe"),
    ],
)
def test_what_is_refused_in_one_sentence(encoder: Path, place: Path, how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        run(encoder, place, **{**how, **({"params": {}} if how.get("method") == "ft" else {})})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_a_head_that_an_encoder_lacks_is_refused_before_a_teacher_is_trained(
    encoder: Path, tmp_path: Path, whose: str
) -> None:
    other = tiny.encoder_folder(tmp_path / "electra", kind="electra")
    models = {"teacher": encoder, "student": encoder, whose: other}
    how = {"recipe": "published", "data": tiny.data("cola-made-up"), "progress": lambda line: pytest.fail(line)}
    with pytest.raises(UserError, match=f"^{whose}: .* encoders of type electra do not have"):
        run(encoder, tmp_path, **models, **how)
    assert not (tmp_path / "store").exists()


def test_a_student_without_a_step_is_refused_before_a_teacher_is_trained(encoder: Path, tmp_path: Path) -> None:
    rows = len(tiny.data().train)
    with pytest.raises(UserError, match=f"exceeds the {rows} training rows and drop_last"):
        run(encoder, tmp_path, batch_size=rows + 1, drop_last=True, progress=lambda line: pytest.fail(line))
    assert not (tmp_path / "store").exists()


def test_an_occupied_folder_is_refused_before_training(encoder: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="not an empty folder"):
        run(encoder, place, out=tmp_path, progress=lambda line: pytest.fail(line))


def test_a_loss_that_is_not_finite_is_one_sentence(
    encoder: Path, place: Path, result: distill.Distilled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverged(run: Any) -> Iterator[Any]:
        raise loop.Diverged("not finite in epoch 1: total")
        yield

    monkeypatch.setattr(loop.Run, "__iter__", diverged)
    with pytest.raises(
        UserError, match=r"emd on cola diverged: not finite in epoch 1: total; lower lr \(it was 0.001\)"
    ):
        run(encoder, place)
