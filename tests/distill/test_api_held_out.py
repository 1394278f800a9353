"""`distill.run` where held-out rows choose the epoch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distill
from distill.errors import UserError
from distill.tasks import metrics
from distill.tasks.holdout import hold_out
from distill.training.batching import tokenise
from distill.training.predictions import predict
from tests.distill import tiny

HELD_OUT = "train-holdout:0.25"


def run(encoder: Path, place: Path, **how: Any) -> distill.Distilled:
    given = {
        **{"student": 2, "method": "emd", "data": tiny.data(), "params": {"lr": 1e-3}, "device": "cpu"},
        **{"epochs": 2, "batch_size": 16, "max_length": 32, "select_on": HELD_OUT, "seed": 3},
        **{"teacher_settings": {"epochs": 1}, "allow_weak_teacher": True},
    }
    return distill.run(encoder, artifacts=place / "store", **{**given, **how})


@pytest.fixture(scope="module")
def result(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> distill.Distilled:
    return run(encoder, tmp_path_factory.mktemp("api"))


def test_the_epoch_is_chosen_on_held_out_rows_and_dev_reported(result: distill.Distilled) -> None:
    data = tiny.data()
    held = hold_out(data, 0.25, 3).dev
    assert all(len(evaluation.logits) == len(held) for evaluation in result.evaluations)
    assert result.score == metrics.get("mcc").compute(result.best.logits, held.labels)
    dev = tokenise(data.dev, result.tokenizer, 32)
    logits = predict(result.student, dev, 64)
    assert result.reported == pytest.approx(
        {name: metrics.get(name).compute(logits, dev.labels) for name in ("mcc", "accuracy")}
    )
    assert result.teacher_reported is not None
    assert result.reported is not None
    assert f"{result.reported['mcc']:.3f} on dev" in repr(result)


def test_labels_of_dev_change_nothing_but_the_report(encoder: Path, tmp_path: Path, result: distill.Distilled) -> None:
    data = tiny.data()
    flipped = dataclasses.replace(data.dev, labels=1 - data.dev.labels)
    other = run(encoder, tmp_path, data=dataclasses.replace(data, dev=flipped))
    assert [(e.value, e.terms) for e in other.evaluations] == [(e.value, e.terms) for e in result.evaluations]
    assert np.array_equal(other.best.logits, result.best.logits)
    assert other.teacher_score == result.teacher_score
    assert result.reported
    assert other.reported
    assert other.reported["accuracy"] == pytest.approx(1 - result.reported["accuracy"])


def test_without_it_nothing_is_reported_apart(encoder: Path, tmp_path: Path) -> None:
    found = run(encoder, tmp_path, select_on="dev", epochs=1)
    assert (found.reported, found.teacher_reported) == (None, None)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"select_on": 0.1}, "select_on 0.1 is neither dev nor train-holdout:SHARE"),
        ({"select_on": "train-holdout:0.001"}, "of which none would be held out"),
        ({"data": hold_out(tiny.data(), 0.25, 0)}, "data holds rows out already; leave select_on out."),
    ],
)
def test_what_is_refused(encoder: Path, tmp_path: Path, how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        run(encoder, tmp_path, **how)
    assert sentence in str(error.value)
