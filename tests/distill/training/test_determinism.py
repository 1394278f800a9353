"""Bit for bit: the same point gives the same values, however often it was stopped and whatever ran before it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from distill import methods
from distill.training.loop import Evaluation
from tests.distill.training import runs

EPOCHS = 3
ALL = methods.names()
RULES: dict[str, dict[str, Any]] = {
    "current": {"update": "current"},
    "v2020": {"update": "v2020", "T_emd": 2.0},
    "v2020 with one softmax": {"update": "v2020", "T_emd": 2.0, "second_softmax": False},
    "frozen": {"update": "frozen"},
}
CASES: dict[str, dict[str, Any]] = {
    **{f"{name} {recipe}": {"method": name, "recipe": recipe} for name in ALL for recipe in ("modern", "published")},
    **{
        f"emd {rule} {'joint' if joint else 'separate'}": {"params": {"beta": 1.0, **params, "joint": joint}}
        for rule, params in RULES.items()
        for joint in (True, False)
    },
    "emd projected": {"student": {"width": 8}, "params": {"beta": 1.0}},
    "emd bfloat16": {"autocast": "bfloat16", "params": {"beta": 1.0, "alpha": 0.5}},
    "emd regression": {"task": "stsb"},
}
CASES = {name: {"method": "emd", "rows": 24, "epochs": EPOCHS, **how} for name, how in CASES.items()}


# Evaluations after which a run is killed: within each stage, and where one has just ended.
KILLS = [
    (case, after)
    for case, how in CASES.items()
    for after in range(1, EPOCHS * len(methods.get(how["method"]).stages))
    if after < EPOCHS or after % EPOCHS < 2
]


@cache
def _straight(case: str) -> tuple[list[Evaluation], dict[str, Tensor]]:
    run = runs.make(**CASES[case])
    return list(run), runs.weights(run)


def _equal(one: tuple[list[Evaluation], dict[str, Tensor]], two: tuple[list[Evaluation], dict[str, Tensor]]) -> None:
    assert len(one[0]) == len(two[0])
    for stage in {evaluation.stage for evaluation in one[0]}:
        assert sum(evaluation.stage == stage for evaluation in two[0]) == EPOCHS
    for a, b in zip(one[0], two[0], strict=True):
        left, right = runs.facts(a), runs.facts(b)
        assert {k: v for k, v in left.items() if k != "logits"} == {k: v for k, v in right.items() if k != "logits"}
        assert (left["logits"] == right["logits"]).all()
    assert one[1].keys() == two[1].keys()
    assert all(torch.equal(one[1][name], two[1][name]) for name in one[1])


@pytest.mark.parametrize(("case", "after"), KILLS)
def test_stopped_and_continued(case: str, after: int, tmp_path: Path) -> None:
    _equal(_straight(case), runs.stopped_and_continued(tmp_path, after, **CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_after_another_run_in_the_same_process(case: str) -> None:
    other = runs.make("emd", {"beta": 2.0}, seed=5, rows=16, epochs=1)
    list(other)
    run = runs.make(**CASES[case])
    _equal(_straight(case), (list(run), runs.weights(run)))


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    case = "emd modern"
    _equal(_straight(case), runs.stopped_and_continued(tmp_path, EPOCHS, **CASES[case]))


def test_seeds_differ() -> None:
    """Weights at the start are the same here; the order of rows and dropout are not."""
    (one,), (two,) = (runs.make("ft", seed=seed, student={"seed": 0}, epochs=1) for seed in (0, 1))
    assert one.terms != two.terms


def _digest(case: str) -> str:
    evaluations, weights = _straight(case)
    digest = hashlib.sha256(repr([e.terms for e in evaluations]).encode())
    digest.update(evaluations[-1].logits.tobytes())
    for name in sorted(weights):
        digest.update(weights[name].numpy().tobytes())
    return digest.hexdigest()


def test_in_another_process() -> None:
    case = "emd modern"
    code = (
        "import torch; torch.set_num_threads(1)\n"
        f"from tests.distill.training.test_determinism import _digest; print(_digest({case!r}))"
    )
    root = Path(__file__).resolve().parents[3]
    found = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert found.stdout.split()[-1] == _digest(case)
