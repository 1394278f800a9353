"""When dev is looked at, how many steps an epoch has, and what values a training number may take."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import UserError
from distill.training.settings import (
    SWEPT_FIELDS,
    TRAINING_FIELDS,
    Training,
    distribution_of,
    help_of,
    parse,
    split,
)

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "settings.md"


def walk(training: Training, rows: int) -> tuple[int, list[int]]:
    """Steps of an epoch and steps after which dev is looked at, by going through every batch."""
    step, looks, per = 0, [], 0
    for _epoch in range(training.epochs):
        left, batches = rows, 0
        while left >= (training.batch_size if training.drop_last else 1):
            left -= training.batch_size
            batches += 1
        per = 0
        while batches > 0:
            batches -= training.accumulation
            per, step = per + 1, step + 1
            if training.evaluation_steps and step % training.evaluation_steps == 0:
                looks.append(step)
        if not training.evaluation_steps:
            start = step - per
            count = training.evaluations_per_epoch
            looks.extend(start + s for s in sorted({max(1, round(i * per / count)) for i in range(1, count + 1)}))
    if looks[-1:] != [step]:
        looks.append(step)
    return per, looks


@given(
    rows=st.integers(1, 400),
    batch=st.integers(1, 40),
    accumulation=st.integers(1, 5),
    drop=st.booleans(),
    epochs=st.integers(1, 4),
    per=st.integers(1, 6),
    every=st.integers(0, 60),
)
def test_evaluations_against_a_walk_over_all_batches(
    rows: int, batch: int, accumulation: int, drop: bool, epochs: int, per: int, every: int
) -> None:
    training = Training(
        epochs=epochs,
        batch_size=batch,
        accumulation=accumulation,
        drop_last=drop,
        evaluations_per_epoch=per,
        evaluation_steps=every,
    )
    if drop and rows < batch:
        with pytest.raises(UserError, match="drop_last"):
            training.evaluations(rows)
        return
    steps, looks = walk(training, rows)
    found = training.evaluations(rows)
    assert training.steps_per_epoch(rows) == steps
    assert list(found) == looks
    assert found[-1] == steps * epochs


def test_the_published_rhythm() -> None:
    published = Training(batch_size=32, drop_last=True, evaluation_steps=50, epochs=10)
    # 8551 rows are 267 whole batches; 2670 steps have 53 full windows and a rest.
    assert published.steps_per_epoch(8551) == 267
    assert published.evaluations(8551) == (*range(50, 2651, 50), 2670)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("batch_size", "16", 16),
        ("batch_size", 16.0, 16),
        ("warmup", "0.06", 0.06),
        ("drop_last", "true", True),
        ("drop_last", False, False),
        ("optimizer", "bertadam", "bertadam"),
        ("dropout", "0.2", 0.2),
        ("dropout", "none", None),
        ("classifier_dropout", "0", 0.0),
        ("classifier_dropout", "none", None),
        ("padding", "max_length", "max_length"),
    ],
)
def test_legal_values(name: str, given: Any, value: Any) -> None:
    found = parse(name, given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("batch_size", "0", "batch_size=0 must be a whole number from 1"),
        ("batch_size", "1.5", "whole number"),
        ("batch_size", "true", "not a number"),
        ("batch_size", True, "whole number"),
        ("warmup", "1.5", "from 0 to 1"),
        ("warmup", "nan", "from 0 to 1"),
        ("clip", "inf", "from 0"),
        ("drop_last", "maybe", "neither true nor false"),
        ("optimizer", "sgd", "adamw, bertadam"),
        ("schedule", "Linear", "linear, cosine, constant"),
        ("dropout", "1", "from 0 to 0.99"),
    ],
)
def test_illegal_values(name: str, given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse(name, given)


def test_a_points_numbers_are_parted_from_the_methods() -> None:
    own, training = split({"alpha": 1.0, "lr": 1e-4, "batch_size": 8, "dropout": 0.0}, Training(epochs=3))
    assert own == {"alpha": 1.0, "lr": 1e-4}
    assert training == Training(epochs=3, batch_size=8, dropout=0.0)


def test_evaluations_per_epoch_of_a_point_take_the_place_of_steps() -> None:
    base = Training(evaluation_steps=50)
    assert split({"evaluations_per_epoch": 4}, base)[1] == Training(evaluations_per_epoch=4)
    assert split({"batch_size": 8}, base)[1] == Training(batch_size=8, evaluation_steps=50)
    with pytest.raises(UserError, match="give one of them"):
        split({"evaluations_per_epoch": 4, "evaluation_steps": 7}, base)


def test_every_number_is_explained_and_documented() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    for field in fields(Training):
        assert help_of(field.name)
        row = next((line for line in document.splitlines() if line.startswith(f"| `{field.name}` |")), None)
        assert row is not None, f"{DOCUMENT.name} has no row for {field.name}"
        assert row.split("|")[3].strip() == ("yes" if field.name in SWEPT_FIELDS else "no"), row
    assert len(TRAINING_FIELDS) == document.count("| yes |") + document.count("| no |")


def test_distributions_of_a_study_hold_every_legal_value() -> None:
    for name in SWEPT_FIELDS:
        found = distribution_of(name)
        if found["type"] == "choice":
            assert all(parse(name, word) == word for word in found["choices"])
        else:
            assert parse(name, found["low"]) == found["low"]
            assert parse(name, found["high"]) == found["high"]
            assert math.isfinite(found["high"])
