"""`distill.run` on questions whose answers stand in a text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distill
from distill.errors import UserError
from distill.models.student import load_classifier
from distill.tasks import registry
from distill.tasks.base import TaskData
from distill.teacher import ready
from distill.training.predictions import predict, predicted_answers
from distill.training.windows import tokenise_windows
from tests.distill import tiny

QUICK: dict[str, Any] = {
    **{"epochs": 6, "batch_size": 8, "max_length": 24, "device": "cpu", "autocast": None},
    **{"teacher_settings": {"epochs": 6, "lr": 1e-2, "batch_size": 8}, "allow_weak_teacher": True},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


def run(encoder: Path, place: Path, **how: Any) -> distill.Distilled:
    given = {"student": 2, "method": "kd", "data": tiny.data("squad2"), "params": {"lr": 1e-2}, **QUICK, **how}
    return distill.run(given.pop("teacher", encoder), artifacts=place / "store", **given)


@pytest.fixture(scope="module")
def result(encoder: Path, place: Path) -> distill.Distilled:
    return run(encoder, place, out=place / "student")


def test_values_are_those_of_rows(result: distill.Distilled) -> None:
    assert result.score == result.metrics["squad_f1"]
    assert list(result.metrics) == ["squad_f1", "em", "has_answer_f1", "no_answer_f1"]
    assert result.best.logits.shape == (24, 3)
    assert result.teacher_score is not None


def test_the_saved_student_gives_the_score(result: distill.Distilled) -> None:
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    assert result.path is not None
    assert json.loads((result.path / "config.json").read_text())["architectures"] == ["BertForQuestionAnswering"]
    model = AutoModelForQuestionAnswering.from_pretrained(result.path)
    words, data = AutoTokenizer.from_pretrained(result.path), tiny.data("squad2")
    dev = tokenise_windows(data.dev, words, 24, data.task, data.windows).tokens
    logits = predict(model, dev, 64)
    assert np.array_equal(logits, result.best.logits)
    texts, _ = predicted_answers(model, dev, 64)
    assert data.dev.answers is not None
    right = [
        any(text == a.text for a in answers) if answers else not text
        for text, answers in zip(texts.values(), data.dev.answers, strict=True)
    ]
    assert np.mean(right) == pytest.approx(result.metrics["em"])


def test_a_model_that_answers_already_is_taken_as_it_is(
    result: distill.Distilled, encoder: Path, place: Path, tmp_path: Path
) -> None:
    assert result.path is not None
    task = registry.get("squad2")
    assert ready.is_ready(result.path, task)
    assert "is not made to point to answers" in (ready.misfit(encoder, task) or "")
    assert "has no classifier" in (ready.misfit(result.path, registry.get("cola")) or "")
    said: list[str] = []

    found = run(
        result.path, place, epochs=1, finetune_teacher="never", teacher_settings=None, student=1, progress=said.append
    )

    assert found.teacher_score == result.score
    assert any("taken as it is" in line for line in said)
    assert any("training rows are read in" in line for line in said)


def test_a_threshold_decides_who_stays_silent(result: distill.Distilled) -> None:
    data = tiny.data("squad2")
    texts = {}
    for threshold in (-1e6, 0.0, 1e6):
        asked = replace(data.windows, null_threshold=threshold)
        dev = tokenise_windows(data.dev, result.tokenizer, 24, data.task, asked).tokens
        texts[threshold] = predicted_answers(result.student, dev, 64)[0].values()
    assert not any(texts[-1e6])
    assert all(texts[1e6])
    always = tokenise_windows(data.dev, result.tokenizer, 24, registry.get("squad"), data.windows).tokens
    assert list(predicted_answers(result.student, always, 64)[0].values()) == list(texts[1e6])


def test_the_first_version_has_an_answer_to_everything(encoder: Path, place: Path) -> None:
    task = registry.get("squad")
    # One sentence a row, so that the answer is its verb.
    splits = (tiny.span_examples(rows, task, seed, sentences=1) for rows, seed in ((96, 1), (24, 2)))
    data = TaskData(task, *splits, "made for a test")

    found = run(encoder, place, data=data, method="ft", teacher=None, student=encoder, **NO_TEACHER)

    assert list(found.metrics) == ["squad_f1", "em"]
    assert found.metrics["em"] > 0.9


NO_TEACHER: dict[str, Any] = {"teacher_settings": None, "allow_weak_teacher": False}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"method": "ptp"}, "ptp is not defined for squad2, because its own labels"),
        ({"method": "emd", "recipe": "published"}, "emd was not published for squad2; choose --recipe modern"),
        ({"doc_stride": 30}, "doc-stride 30 does not fit max_length=24"),
        ({"classifier_dropout": 0.3}, "classifier_dropout=0.3 plays no part: a student of type bert has no dropout"),
        (
            {"teacher_settings": {"classifier_dropout": 0.3}},
            "teacher_settings: classifier_dropout=0.3 plays no part: a teacher of type bert",
        ),
        ({"doc_stride": -3}, "doc_stride -3 must be a whole number of tokens, at least 0"),
        ({"doc_stride": 2.5}, "doc_stride 2.5 must be a whole number"),
        ({"null_threshold": float("inf")}, "null_threshold inf must be a finite number"),
        ({"null_threshold": float("nan")}, "null_threshold nan must be a finite number"),
        ({"data": tiny.data("cola"), "null_threshold": 1.0}, "null_threshold 1 plays no part"),
        ({"augmented": "some.tsv"}, "augmented some.tsv does not go with squad2, whose answers"),
    ],
)
def test_what_does_not_go_is_one_sentence(encoder: Path, place: Path, how: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        run(encoder, place, **{"params": None, **how})


def test_layers_that_run_twice_point_too(encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForQuestionAnswering

    from distill.models.repeats import Sharing

    model = load_classifier(encoder, registry.get("squad2"), (1, 2), sharing=Sharing("swap"))
    model.save_pretrained(tmp_path / "student")

    again = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "student", trust_remote_code=True)
    assert type(again).__name__ == "SharedBertForQuestionAnswering"
    ours = load_classifier(tmp_path / "student", registry.get("squad2"))
    assert ours.config.id2label == {0: "start", 1: "end"}
    for name, weight in again.state_dict().items():
        assert (ours.state_dict()[name] == weight).all()


def test_a_head_with_a_relu_points_nowhere(encoder: Path) -> None:
    with pytest.raises(UserError, match="points to no tokens"):
        load_classifier(encoder, registry.get("squad2"), head="relu")


def test_steps_are_counted_in_windows(encoder: Path, place: Path) -> None:
    """A batch may be larger than there are rows where these are read in more windows than it holds."""
    assert len(tiny.data("squad2").train) < 64 < len(tiny.tokens("squad2")[0])
    how = {"method": "ft", "teacher": None, "student": encoder, "epochs": 1, "batch_size": 64, "drop_last": True}
    assert run(encoder, place, **how, **NO_TEACHER).evaluations
    with pytest.raises(UserError, match="batch_size=640 exceeds"):
        run(encoder, place, **{**how, "batch_size": 640}, **NO_TEACHER)


def test_held_out_rows_choose(encoder: Path, place: Path) -> None:
    found = run(encoder, place, select_on="train-holdout:0.25", epochs=1)
    assert found.best.logits.shape == (12, 3)
    assert found.reported is not None
    assert set(found.reported) == set(found.metrics)
