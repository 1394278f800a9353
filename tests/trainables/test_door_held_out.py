"""A trial of a person's own Tuner where held-out rows choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.models.student import load_classifier
from distill.tasks import registry
from distill.tasks.metrics import get
from distill.training import last_look
from distill.training.batching import Tokens
from distill.training.predictions import predict
from tests.trainables.doors import LR, OPTIONS, session, timeless
from trainables.config import from_namespace
from trainables.door import student_of
from trainables.door_plan import plan_trials
from trainables.door_trial import train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    yield tmp_path_factory.mktemp("door")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def spec(tiny_encoder: Path, tiny_data: Path, place: Path) -> dict[str, Any]:
    values = {
        **{name: value for name, value in OPTIONS.items() if name != "batch_size"},
        **{"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(place / "store")},
        **{"set": ["batch_size=16"], "baseline": False, "scheduler": "none", "trials": 1},
        **{"select_on": "train-holdout:0.25"},
    }
    return plan_trials(from_namespace(values, []), lambda line: None)


def test_dev_of_the_best_so_far_stands_beside_the_values_that_choose(spec: dict[str, Any], place: Path) -> None:
    with session(place / "straight") as seen:
        train(spec, {"lr": LR})
    held, dev = Tokens.load(Path(spec["data"]) / "dev.npz"), last_look.load(spec["data"])
    assert (len(held), len(dev)) == (21, 60)
    for row, checkpoint in zip(seen.rows, seen.checkpoints, strict=True):
        student = load_classifier(student_of(checkpoint), registry.get("cola"))
        assert row["best"] == pytest.approx(get("mcc").compute(predict(student, held, 64), held.labels))
        assert row["dev/accuracy"] == pytest.approx(get("accuracy").compute(predict(student, dev, 64), dev.labels))
    with session(place / "cut", until=1) as first:
        train(spec, {"lr": LR})
    with session(place / "rest", start=first.checkpoints[-1]) as rest:
        train(spec, {"lr": LR})
    assert timeless(first.rows + rest.rows) == timeless(seen.rows)
