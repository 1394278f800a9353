"""Embeddings of the teacher's that do not fit the student are refused before anything is trained, behind all doors."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

import distill
from distill.errors import UserError
from trainables import door_trial, plan
from trainables.config import from_namespace
from trainables.growth import grow
from trainables.recorder import Recorder
from trainables.resources import Machine
from trainables.shapes import shape_of

WORDS = "embeddings=teacher: the teacher's embeddings do not fit student {}, because they have 128 positions, not 48; "


@pytest.fixture
def student(tiny_encoder: Path, tmp_path: Path) -> Path:
    """Of the teacher's width and vocabulary, for shorter rows."""
    shutil.copytree(tiny_encoder, tmp_path / "short")
    config = json.loads((tmp_path / "short" / "config.json").read_text())
    assert config["max_position_embeddings"] == 128
    (tmp_path / "short" / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 48}))
    return tmp_path / "short"


@pytest.fixture
def header(tiny_encoder: Path, tiny_data: Path, student: Path, tmp_path: Path) -> Any:
    def make(*settings: str, **more: Any) -> dict[str, Any]:
        named = {"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "student": str(student), **more}
        asked = {
            "method": "lad",
            "set": ["max_length=48", *settings],
            "trials": 3,
            "artifacts": str(tmp_path / "store"),
        }
        return plan.make(from_namespace({**asked, **named}, []), Machine(2, 0, False))

    return make


def test_in_the_plan(header: Any) -> None:
    for values in ("teacher", "pretrained,teacher"):
        with pytest.raises(UserError) as error:
            header(f"embeddings={values}")
        assert str(error.value).startswith("--set " + WORDS.format("short"))
        assert str(error.value).endswith(
            "take --set embeddings=pretrained, or a student whose embeddings have the teacher's sizes."
        )
    assert header("embeddings=pretrained")
    # One that is cut from the teacher has embeddings of its sizes.
    assert header("embeddings=teacher", student=None, layers=2)


def test_of_a_point_that_is_added(header: Any, tmp_path: Path) -> None:
    recorder = Recorder.create(tmp_path / "s", header())
    with pytest.raises(UserError) as error:
        grow(recorder.record, settings={"embeddings": ["teacher"]})
    assert str(error.value).startswith("--set " + WORDS.format("short"))
    recorder.close()


def test_of_a_trial_of_a_persons_own_tuner(header: Any, tiny_encoder: Path, student: Path) -> None:
    plan_ = header()["plan"]
    spec = {
        **{
            "method": "lad",
            "task": "cola",
            "metric": "mcc",
            "recipe": "modern",
            "seed": 0,
            "training": plan_["training"],
        },
        **{"params": {}, "student": str(student), "teacher": str(tiny_encoder), "kept": None},
        "student_shape": list(astuple(shape_of(plan_["student"]))),
        "teacher_shape": list(astuple(shape_of(plan_["teacher"]))),
    }
    assert door_trial.settle(spec, {}).params["embeddings"] == "pretrained"
    with pytest.raises(UserError) as error:
        door_trial.settle(spec, {"embeddings": "teacher"})
    assert str(error.value).startswith(WORDS.format(student))


def test_without_ray(tiny_encoder: Path, tiny_data: Path, student: Path, tmp_path: Path) -> None:
    common = {"data_dir": tiny_data, "max_length": 48, "device": "cpu", "artifacts": tmp_path / "store"}
    with pytest.raises(UserError) as error:
        distill.run(tiny_encoder, student, "lad", "cola", params={"embeddings": "teacher"}, **common)  # type: ignore[arg-type]
    assert str(error.value).startswith(WORDS.format("short"))
    assert not (tmp_path / "store").exists()
