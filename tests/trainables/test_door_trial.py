"""One trial of a person's own Tuner, in this process: its values, its checkpoints, what it refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

import distill
from distill.errors import UserError
from distill.training import loop
from tests.trainables.doors import LR, OPTIONS, session, spec_of, timeless
from trainables import plan, prepare, trial
from trainables.config import from_namespace
from trainables.door import student_of
from trainables.door_trial import settle, train
from trainables.record import PREPARED, SWEEP
from trainables.recorder import write_json


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    yield tmp_path_factory.mktemp("door")
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def spec(tiny_encoder: Path, tiny_data: Path, place: Path) -> dict[str, Any]:
    return spec_of(tiny_encoder, tiny_data, place / "store")


@pytest.fixture(scope="module")
def straight(spec: dict[str, Any], place: Path) -> list[dict[str, Any]]:
    with session(place / "straight") as seen:
        train(spec, {"lr": LR})
    return seen.rows


def test_a_flat_row_per_evaluation(straight: list[dict[str, Any]]) -> None:
    assert [(row["evaluation"], row["epoch"]) for row in straight] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    for row in straight:
        assert row["mcc"] == row["value"]
        assert {"accuracy", "terms/soft", "terms/total", "seconds", "lr"} <= set(row)
        assert all(isinstance(value, (int, float)) and math.isfinite(value) for value in row.values())
        json.dumps(row)
    assert [row["best"] for row in straight] == [max(r["value"] for r in straight[:n]) for n in (1, 2, 3)]
    assert len({row["terms/total"] for row in straight}) == 3


def test_the_sweep_and_both_doors_give_the_same_values(
    straight: list[dict[str, Any]], tiny_encoder: Path, tiny_data: Path, place: Path
) -> None:
    """One point behind three doors: bit for bit the same metrics and loss terms."""
    shared = {name: value for name, value in OPTIONS.items() if name != "batch_size"}
    places = {"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(place / "store")}
    header = plan.make(from_namespace({**shared, **places, "trials": 1, "set": [f"lr={LR}", "batch_size=16"]}, []))
    data = prepare.load_data(header["config"], header["plan"])
    sweep = place / "sweep"
    sweep.mkdir()
    write_json(sweep / SWEEP, header)
    write_json(sweep / PREPARED, prepare_here(header, data))
    point = header["plan"]["points"][0]
    rows: list[dict[str, Any]] = []
    trial.train_point(sweep, point["id"], 0, rows.append)
    result = distill.run(
        tiny_encoder,
        2,
        "emd",
        "cola",
        data_dir=tiny_data,
        params=point["params"],
        max_train_rows=80,
        epochs=3,
        batch_size=16,
        teacher_settings={"epochs": 1},
        allow_weak_teacher=True,
        device="cpu",
        artifacts=place / "store",
    )
    with session(place / "same") as seen:
        train(spec_of(tiny_encoder, tiny_data, place / "store"), point["params"])
    assert [row["failure"] for row in rows] == [None] * 3
    wanted = [(row["metrics"], row["terms"]) for row in rows]
    assert [(e.metrics, e.terms) for e in result.evaluations] == wanted
    door = [{name.removeprefix("terms/"): row[name] for name in row if name.startswith("terms/")} for row in seen.rows]
    assert [
        ({name: row[name] for name in rows[0]["metrics"]}, t) for row, t in zip(seen.rows, door, strict=True)
    ] == wanted


def prepare_here(header: dict[str, Any], data: Any) -> dict[str, Any]:
    made = prepare.make_teacher(header["plan"], data, "own", lambda line: None)
    student = header["plan"]["student"]
    return {
        "teacher": {"path": str(made.folder / "model")},
        "student": {"path": student["path"], "kept": student["kept"]},
        "data": {"path": str(made.rows)},
    }


@pytest.mark.parametrize("cut", [1, 2])
def test_goes_on_bit_for_bit_from_a_checkpoint(
    spec: dict[str, Any], straight: list[dict[str, Any]], tmp_path: Path, cut: int
) -> None:
    with session(tmp_path / "first", until=cut) as first:
        train(spec, {"lr": LR})
    torch.manual_seed(987)
    with session(tmp_path / "other", until=1):
        train(spec, {"lr": 2 * LR, "seed": 5})
    with session(tmp_path / "second", start=first.checkpoints[-1]) as second:
        train(spec, {"lr": LR})
    assert timeless(first.rows + second.rows) == timeless(straight)


def test_every_checkpoint_has_the_best_student_so_far(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    values = iter([0.1, 0.5, 0.3])
    weights = []
    real = loop.Run.__iter__

    def scored(run: Any) -> Iterator[Any]:
        for evaluation in real(run):
            weights.append(run.student.classifier.weight.detach().clone())
            value = next(values)
            yield replace(evaluation, value=value, metrics={**evaluation.metrics, "mcc": value})

    monkeypatch.setattr(loop.Run, "__iter__", scored)
    with session(tmp_path) as seen:
        train(spec, {"lr": LR})
    assert [row["best"] for row in seen.rows] == [0.1, 0.5, 0.5]
    for checkpoint, epoch in zip(seen.checkpoints, (0, 1, 1), strict=True):
        folder = student_of(checkpoint)
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        assert torch.equal(model.classifier.weight, weights[epoch])
        assert AutoTokenizer.from_pretrained(folder)("the cat")["input_ids"]
    assert len({tuple(w.flatten().tolist()) for w in weights}) == 3


def test_a_loss_that_is_not_finite_raises_and_reports_nothing(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.Run.__iter__

    def diverging(run: Any) -> Iterator[Any]:
        for number, evaluation in enumerate(real(run)):
            if number == 1:
                raise loop.Diverged("not finite in epoch 2: total")
            yield evaluation

    monkeypatch.setattr(loop.Run, "__iter__", diverging)
    with (
        pytest.raises(loop.Diverged, match=r"emd on cola diverged \(not finite in epoch 2: total\); lower lr=0.001"),
        session(tmp_path) as seen,
    ):
        train(spec, {"lr": LR})
    assert [row["evaluation"] for row in seen.rows] == [1]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"lrr": 1e-3}, "emd has no hyper-parameter lrr; did you mean lr?"),
        ({"batchsize": 8}, "did you mean batch_size?"),
        ({"lr": "fast"}, "lr=fast is not a number"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"max_length": 64}, "max_length=64 is not that of the tokens, 128"),
        ({"seed": -1}, "seed=-1 must be a whole number"),
        ({"beta": 0, "prediction": False}, "switched off"),
    ],
)
def test_a_faulty_config_is_refused_before_training(
    spec: dict[str, Any], tmp_path: Path, config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as caught, session(tmp_path) as seen:
        train(spec, config)
    assert sentence in str(caught.value)
    assert seen.rows == []


def test_what_a_config_leaves_out_takes_the_defaults(spec: dict[str, Any]) -> None:
    point = settle({**spec, "params": {"theta": "0.5"}}, {"T": 3, "batch_size": 8})
    assert (point.params["theta"], point.params["T"], point.params["beta"]) == (0.5, 3.0, 0.01)
    assert (point.training.batch_size, point.training.epochs, point.seed) == (8, 3, 0)
    assert settle(spec, {"theta": 2.0, "seed": 7}).seed == 7


def test_another_trials_checkpoint_is_refused(spec: dict[str, Any], tmp_path: Path) -> None:
    with session(tmp_path / "first", until=1) as first:
        train(spec, {"lr": LR})
    start = first.checkpoints[0]
    with pytest.raises(UserError, match="has another lr: a trial goes on"), session(tmp_path / "a", start=start):
        train(spec, {"lr": 2 * LR})
    with pytest.raises(UserError, match="another teacher, student, data"), session(tmp_path / "b", start=start):
        train({**spec, "identity": "0"}, {"lr": LR})
    for state in Path(start.path).glob("state-*.pt"):
        state.write_bytes(b"torn")
    with pytest.raises(RuntimeError, match="cannot be read"), session(tmp_path / "c", start=start):
        train(spec, {"lr": LR})


def test_a_spec_is_small_plain_data(spec: dict[str, Any]) -> None:
    text = json.dumps(spec)
    assert json.loads(text) == spec
    assert len(text) < 4000
    assert asdict(settle(spec, {}).training) == settle(spec, {}).training.as_dict()
