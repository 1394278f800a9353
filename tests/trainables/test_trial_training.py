"""What a point says of its own training: recipe, head, and numbers that differ from the plan's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainables.test_trial import timeless, train
from trainables import plan, prepare, trial
from trainables.config import from_namespace
from trainables.record import PREPARED, SWEEP, TRIALS
from trainables.recorder import write_json
from trainables.resources import Machine

# 80 rows in batches of 16, of which 5 make an epoch: looks in the middle of two epochs and at the end of one.
PUBLISHED = {
    "recipe": "published",
    "head": "relu",
    "training": {
        **{"optimizer": "bertadam", "schedule": "constant", "warmup": 0.0, "padding": "max_length", "max_length": 12},
        **{"drop_last": True, "evaluation_steps": 3, "epochs": 2},
    },
}


@pytest.fixture(scope="module")
def ready(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A modern sweep of one point and the baseline, prepared and not begun."""
    import torch

    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("sweep")
    values = {
        **{"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "epochs": 2, "trials": 1},
        **{"artifacts": str(folder / "store"), "teacher_epochs": 1, "allow_weak_teacher": True},
        **{"set": ["lr=1e-3", "batch_size=16"], "max_train_rows": 80},
    }
    header = plan.make(from_namespace(values, []), Machine(1, 0, True))
    write_json(folder / SWEEP, header)
    rows, made = prepare.share(header["plan"], prepare.load_data(header["config"], header["plan"]), lambda line: None)
    student = header["plan"]["student"]
    facts = {
        "teacher": {"path": str(made / "model")},
        "student": {"path": student["path"], "kept": student["kept"]},
        "data": {"path": str(rows)},
    }
    write_json(folder / PREPARED, facts)
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def with_point(ready: Path, tmp_path: Path) -> Callable[..., Path]:
    """The sweep with a changed first point, in a new folder."""

    def change(name: str = "sweep", without: tuple[str, ...] = (), **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(ready / PREPARED, folder / PREPARED)
        header = json.loads((ready / SWEEP).read_text())
        point = next(p for p in header["plan"]["points"] if p["id"] == "p00")
        params = {**point["params"], **changes.pop("params", {})}
        point.update(changes, params=params)
        for key in without:
            point.pop(key)
        write_json(folder / SWEEP, header)
        return folder

    return change


def test_a_published_point(with_point: Callable[..., Path]) -> None:
    folder = with_point(**PUBLISHED)
    rows = train(folder, "p00")
    assert [(row["evaluation"], row["epoch"], row["steps"]) for row in rows] == [
        (1, 0.6, 3),
        (2, 1.2, 3),
        (3, 1.8, 3),
        (4, 2.0, 1),
    ]
    assert {row["lr"] for row in rows} == {1e-3}
    student = folder / TRIALS / "p00" / "student"
    assert json.loads((student / "config.json").read_text())["model_type"] == "bert-relu-head"
    assert (student / "relu_head.py").exists()


def test_its_student_gives_the_recorded_logits(with_point: Callable[..., Path]) -> None:
    from distill.models.student import load_classifier
    from distill.tasks import registry
    from distill.training.predictions import predict

    folder = with_point(**PUBLISHED)
    train(folder, "p00")
    student = load_classifier(folder / TRIALS / "p00" / "student", registry.get("cola"))
    _, dev = trial.tokens(json.loads((folder / PREPARED).read_text())["data"]["path"])
    with np.load(folder / TRIALS / "p00" / "predictions-best.npz") as best:
        np.testing.assert_allclose(predict(student, dev, 64), best["logits"], atol=1e-6)


@pytest.mark.parametrize("cuts", [(1,), (2,), (1, 2, 3), (4,)])
def test_cut_within_an_epoch_and_continued_bit_for_bit(with_point: Callable[..., Path], cuts: tuple[int, ...]) -> None:
    straight, cut_up = with_point("straight", **PUBLISHED), with_point("cut", **PUBLISHED)
    rows: list[dict[str, Any]] = []
    for cut in (*cuts, None):
        rows += train(cut_up, "p00", recorded=len(rows), until=cut)
    assert timeless(rows) == timeless(train(straight, "p00"))


def test_the_teacher_is_read_through_the_points_head(with_point: Callable[..., Path]) -> None:
    """Without dropout and with the same recipe the first losses differ in what the head changes and nothing else."""
    from distill.tasks import registry

    found = {}
    for head in ("own", "relu"):
        training = {**PUBLISHED["training"], "evaluation_steps": 1, "epochs": 1, "dropout": 0.0}  # type: ignore[dict-item]
        folder = with_point(head, recipe="published", head=head, training=training)
        found[head] = train(folder, "p00", until=1)[0]["terms"]
        facts = json.loads((folder / PREPARED).read_text())
        numerics = trial.Numerics(**json.loads((folder / SWEEP).read_text())["plan"]["numerics"])
        source = trial.teacher(facts["teacher"]["path"], registry.get("cola"), numerics, head)  # type: ignore[arg-type]
        assert (source.model.config.model_type == "bert-relu-head") == (head == "relu")
    for term in ("hidden", "attention", "embedding"):
        assert found["own"][term] == found["relu"][term]
    assert found["own"]["soft"] != found["relu"]["soft"]


def test_swept_training_numbers(with_point: Callable[..., Path]) -> None:
    """In a point's parameters they go before those of its training, and these before the plan's."""
    folder = with_point(
        params={"batch_size": 8, "dropout": 0.0, "classifier_dropout": 0.25}, training={"batch_size": 32, "epochs": 1}
    )
    (row,) = train(folder, "p00")
    assert (row["steps"], row["epoch"]) == (10, 1.0)
    config = json.loads((folder / TRIALS / "p00" / "student" / "config.json").read_text())
    assert {config[f"{where}_dropout_prob"] for where in ("hidden", "attention_probs")} == {0.0}
    assert config["classifier_dropout"] == 0.25


def test_a_point_that_says_nothing_follows_the_plan(with_point: Callable[..., Path]) -> None:
    silent = with_point("silent", without=("recipe", "head", "training"))
    spoken = with_point("spoken", recipe="modern", head="own", training={})
    assert timeless(train(silent, "p00", until=1)) == timeless(train(spoken, "p00", until=1))


def test_a_failure_tells_how_far_the_trial_had_come(
    with_point: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = trial._Work.keep

    def broken(self: Any, evaluation: Any) -> Any:
        if evaluation.number == 3:
            raise ValueError("a bug")
        return keep(self, evaluation)

    monkeypatch.setattr(trial._Work, "keep", broken)
    *_, row = train(with_point(**PUBLISHED), "p00")
    assert (row["evaluation"], row["epoch"], row["failure"]) == (3, 1.2, "ValueError: a bug")
