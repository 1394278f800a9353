"""`distill.run` with students whose layers run twice: training, the finished student, and going on from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import distill
from distill.errors import UserError
from distill.methods.base import Shape
from distill.models.architectures import RELU_HEAD
from distill.models.capture import shape_of
from distill.models.student import load_classifier, parameter_count
from tests.distill import tiny
from tests.distill.methods import twice
from tests.distill.methods.bench import bench
from tests.distill.test_api import QUICK
from tests.distill.training import runs


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        twice.register(patch)
        yield


def run(teacher: Any, store: Path, **how: Any) -> distill.Distilled:
    given = {"student": 2, "method": "twice", "data": tiny.data(), "params": {"lr": 1e-3}, **QUICK, **how}
    return distill.run(teacher, artifacts=store, **given)


def test_a_student_is_trained_saved_and_taken_up_again(encoder: Path, tmp_path: Path) -> None:
    found = run(encoder, tmp_path / "store", out=tmp_path / "student")
    assert shape_of(found.student) == Shape(4, 16, 2, 2)
    plain = load_classifier(encoder, found.task, (1, 2))
    assert parameter_count(found.student) == parameter_count(plain)
    assert {"soft", "hard", "patience"} <= found.terms.keys()
    again = load_classifier(tmp_path / "student", found.task).eval()
    inputs = tiny.inputs_of(tiny.batch())
    assert torch.equal(again(**inputs).logits, found.student(**inputs).logits)
    # Fine-tuning knows nothing of it, and trains what the folder holds.
    further = run(
        None,
        tmp_path / "store",
        student=tmp_path / "student",
        method="ft",
        teacher_settings=None,
        allow_weak_teacher=False,
    )
    assert shape_of(further.student) == Shape(4, 16, 2, 2)
    # As a teacher it has as many layers as it runs.
    taught = run(tmp_path / "student", tmp_path / "store", student=encoder, method="pkd", teacher_settings=None)
    assert shape_of(taught.student) == Shape(4, 16, 2)
    assert "patience" in taught.terms
    with pytest.raises(UserError, match="runs layers twice already"):
        run(encoder, tmp_path / "store", student=tmp_path / "student", params={"lr": 1e-3, "sps": "share"})
    with pytest.raises(UserError, match="no student is cut from it"):
        run(tmp_path / "student", tmp_path / "store", student=1)


def test_what_cannot_run_twice_is_refused_before_training(tmp_path: Path) -> None:
    folder = tiny.encoder_folder(tmp_path / "relu", kind=RELU_HEAD, layers=3)
    with pytest.raises(UserError, match=f"^student relu: layers of encoders of type {RELU_HEAD} cannot run twice"):
        run(folder, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("sps", ["none", "share", "swap"])
def test_killed_runs_go_on_bit_for_bit(tmp_path: Path, sps: str) -> None:
    how: dict[str, Any] = {"method": "twice", "params": {"sps": sps}, "epochs": 2}
    whole = runs.make(**how)
    expected = list(whole)
    found, weights = runs.stopped_and_continued(tmp_path, 1, **how)
    assert len(found) == len(expected) == 2
    assert all(runs.same(one, two) for one, two in zip(found, expected, strict=True))
    assert all(torch.equal(value, weights[name]) for name, value in runs.weights(whole).items())


@pytest.mark.parametrize("sps", ["none", "share", "swap"])
def test_patience_meets_every_logical_layer_but_the_last(sps: str) -> None:
    made = bench("twice", params={"sps": sps})
    ours, theirs = made.outputs(made.batch())
    assert theirs is not None
    assert ours.cls is not None
    assert len(ours.cls) == (3 if sps == "none" else 5)
    assert made.setting.student.layers == (2 if sps == "none" else 4)
    assert torch.isfinite(made.gradient(made.batch())).all()
    batch = made.batch()
    wider = {k: torch.nn.functional.pad(v, (0, 5)) if v.ndim == 2 else v for k, v in batch.items()}
    again = bench("twice", params={"sps": sps}).terms(wider)
    for name, term in made.terms(batch).items():
        assert again[name].value.item() == pytest.approx(term.value.item(), rel=1e-9), name
