"""A stored stage: what decides its key, and that a run which begins behind it is the one that trained it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.artifacts import Store, key_of
from distill.methods.base import Shape
from distill.training import checkpoint, stages
from distill.training.loop import Diverged, Run
from distill.training.settings import Training
from tests.distill.methods import two_stage
from tests.distill.training import runs

GROUND: dict[str, Any] = {"seed": 0, "student": "s", "kept": None, "tokens": "t", "numerics": {"threads": 1}}


def key(
    training: dict[str, Any] | None = None,
    ground: dict[str, Any] | None = None,
    recipe: str = "modern",
    keep: str = "best",
    **values: Any,
) -> str:
    method = two_stage.method(keep)
    found = Training(**{"epochs": 2, "batch_size": 8, **(training or {})})
    params = method.resolve(values, recipe)
    shapes = Shape(2, 16, 2), Shape(4, 16, 2)
    return key_of(stages.identity(method, 0, params, recipe, found, {**GROUND, **(ground or {})}, *shapes))


@pytest.mark.parametrize(
    "same",
    [
        {"lr": 0.5},
        # The stage has its own.
        {"training": {"epochs": 9, "batch_size": 32}},
    ],
)
def test_what_a_later_stage_alone_reads_is_not_in_the_key(same: dict[str, Any]) -> None:
    assert key(**same) == key()


@pytest.mark.parametrize(
    "other",
    [
        *({name: value} for name, value in (("gain", 2.0), ("weight", 0.0), ("layers", "1-4"), ("first_epochs", 4))),
        {"first_lr": 1e-4},
        {"recipe": "published"},
        {"keep": "last"},
        *({"training": changed} for changed in ({"warmup": 0.5}, {"dropout": 0.3}, {"max_length": 64}, {"clip": 0.0})),
        *({"ground": {name: "other"}} for name in GROUND),
    ],
)
def test_what_the_stage_reads_is_in_the_key(other: dict[str, Any]) -> None:
    assert key(**other) != key()


def test_the_code_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(stages, "code", lambda: "other")
    assert key() != before


def made(place: Path, run: Run) -> Path:
    return stages.make(Store(place), {"of": "a test"}, run, 0)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_behind_a_stored_stage_bit_for_bit(tmp_path: Path, keep: str) -> None:
    """With dropout, whose draws must be those of a run that trained the stage, and objects of another process."""
    how: dict[str, Any] = {"method": two_stage.method(keep), "epochs": 2, "seed": 3}
    straight = runs.make(**how)
    assert straight.student.config.hidden_dropout_prob > 0
    expected = list(straight)
    folder = made(tmp_path, runs.make(**how))
    behind = runs.make(**how)
    # Where the generator stands, and what was drawn, is another matter in another process.
    torch.manual_seed(4321)
    stages.begin_behind(behind, 0, folder)
    found = list(behind)
    assert [evaluation.stage for evaluation in found] == ["prediction"] * 2
    assert all(runs.same(one, two) for one, two in zip(expected[-2:], found, strict=True))
    assert all(torch.equal(value, runs.weights(behind)[name]) for name, value in runs.weights(straight).items())


def test_a_run_behind_a_stage_that_is_killed_goes_on(tmp_path: Path) -> None:
    how: dict[str, Any] = {"method": two_stage.method(), "epochs": 2}
    expected = list(runs.make(**how))
    folder = made(tmp_path, runs.make(**how))
    behind = runs.make(**how)
    stages.begin_behind(behind, 0, folder)
    first = next(iter(behind))
    checkpoint.save(tmp_path / "trial", 1, behind.state())
    again = runs.make(**how)
    again.load_state(checkpoint.load(tmp_path / "trial") or {})
    (last,) = list(again)
    assert runs.same(expected[-2], first)
    assert runs.same(expected[-1], last)


def test_facts(tmp_path: Path) -> None:
    run = runs.make(two_stage.method())
    folder = made(tmp_path, run)
    facts = Store(tmp_path).facts(folder)
    expected = [e for e in runs.make(two_stage.method()) if not e.reporting]
    assert [(row["epoch"], row["value"], row["terms"]) for row in facts["curve"]] == [
        (e.epoch, e.value, e.terms) for e in expected
    ]
    assert facts["terms"] == expected[-1].terms
    assert facts["seconds"] == pytest.approx(sum(row["seconds"] for row in facts["curve"]))
    named = {name: facts[name] for name in ("method", "task", "stage", "seed", "failure")}
    assert named == {"method": "two_stage", "task": "cola", "stage": "intermediate", "seed": 0, "failure": None}
    # Made once: another run is not asked.
    assert stages.make(Store(tmp_path), {"of": "a test"}, None, 0) == folder  # type: ignore[arg-type]


def test_a_stage_that_diverges_is_kept_as_such(tmp_path: Path) -> None:
    method = two_stage.method()
    wild = replace(method.stages[0], training=lambda params, recipe: {"epochs": 3, "lr": 1e30, "clip": 0.0})
    how: dict[str, Any] = {"method": replace(method, stages=(wild, method.stages[1])), "epochs": 1}
    with pytest.raises(Diverged) as straight:
        list(runs.make(**how))
    folder = made(tmp_path, runs.make(**how))
    assert not (folder / stages.WEIGHTS).exists()
    with pytest.raises(Diverged) as behind:
        stages.begin_behind(runs.make(**how), 0, folder)
    assert str(behind.value) == str(straight.value)
    assert "of stage intermediate" in str(behind.value)


def test_the_end_of_a_stage_is_what_the_next_one_begins_with(tmp_path: Path) -> None:
    run = runs.make(two_stage.method(), epochs=1)
    list(run.through(0))
    left = {name: value.clone() for name, value in run.student.state_dict().items()}
    stored = torch.load(made(tmp_path, runs.make(two_stage.method(), epochs=1)) / stages.WEIGHTS, weights_only=True)
    assert stored.keys() == left.keys()
    assert all(np.array_equal(stored[name], left[name]) for name in left)
