"""The function for a person's own Tuner: which options it takes, what it carries, and the student of a result."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest
import torch
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from ray import tune

import trainables
from distill.errors import UserError
from tests.trainables.doors import OPTIONS


@pytest.fixture
def asked(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> dict[str, Any]:
    return {**OPTIONS, "teacher": tiny_encoder, "data_dir": tiny_data, "artifacts": tmp_path / "store"}


def test_the_teacher_is_made_at_the_call_and_the_function_carries_paths(asked: dict[str, Any]) -> None:
    said: list[str] = []
    threads = torch.get_num_threads()
    function = trainables.trainable("emd", **asked, progress=said.append)
    torch.set_num_threads(threads)
    assert any(line.startswith("Teacher: epoch 1 of 1") for line in said)
    assert function.__name__ == "emd_cola_2L"
    assert len(cloudpickle.dumps(function)) < 10_000
    assert function._resources.required_resources["CPU"] == 1.0  # type: ignore[attr-defined]
    again: list[str] = []
    trainables.trainable("emd", **asked, progress=again.append)
    assert any("found in the store" in line for line in again)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epoch": 3}, "trainable has no option epoch; did you mean epochs?"),
        ({"batchsize": 8}, "did you mean batch_size?"),
        ({"time_budget": "90m"}, "trainable takes no time_budget: that is decided by time_budget_s of your TuneConfig"),
        ({"max_failures": 3}, "trainable takes no max_failures: that is decided by stop of your RunConfig"),
        ({"storage": "s3://bucket"}, "takes no storage: that is decided by storage_path of your RunConfig"),
        ({"address": "auto"}, "takes no address: that is decided by your ray.init"),
        ({"sizes": (2, 4)}, "takes no sizes: that is decided by layers, one size a call"),
        ({"confirm": "3x5"}, "takes no confirm: that is decided by your Tuner"),
        ({"cache_gb": 1.0}, "takes no cache_gb: that is decided by the function itself"),
        ({"artifacts_gb": 1.0}, "takes no artifacts_gb: that is decided by python -m distill.artifacts gc"),
        ({"gpus_per_trial": "auto"}, "gpus_per_trial is 'auto', expected float"),
        ({"scheduler": "asha"}, "trainable takes no scheduler: that is decided by scheduler of your TuneConfig"),
        ({"epochs": "3"}, "epochs is '3', expected int"),
        ({"allow_weak_teacher": 1}, "allow_weak_teacher is 1, expected bool"),
        ({"layers": True}, "layers is True, expected int"),
        ({"student_layers": "1,2"}, "student_layers is '1,2', expected layers"),
        ({"student_layers": 5}, "student_layers is 5, expected layers"),
        ({"student_layers": (True, 2)}, "student_layers is (True, 2), expected layers"),
        ({"settings": ["lr"]}, "settings is ['lr'], expected values by name"),
        ({"teacher_settings": "lr=2"}, "teacher_settings is 'lr=2', expected values by name"),
        ({"settings": {"lr": [1e-5, 1e-4]}}, "lr takes one value here"),
        ({"settings": {"lrr": 1e-5}}, "did you mean lr?"),
        ({"seed": -1}, "--seed -1 is too small"),
        ({"recipe": "modren"}, "did you mean modern?"),
        ({"layers": 9}, "9"),
        ({"teacher": "no/such/folder"}, "no/such/folder"),
    ],
)
def test_options_are_checked_like_the_commands(asked: dict[str, Any], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        trainables.trainable("emd", **{**asked, **options}, progress=lambda line: None)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("method", "sentence"), [("ft", "has no teacher"), ("emdx", "did you mean emd?")])
def test_methods_are_checked(method: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        trainables.trainable(method)
    assert sentence in str(caught.value)


def checkpoint(folder: Path) -> tune.Checkpoint:
    (folder / "student").mkdir(parents=True)
    (folder / "student" / "config.json").write_text("{}")
    return tune.Checkpoint.from_directory(folder)


def test_student_of_a_result_or_checkpoint(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "c")
    assert trainables.student_of(found) == tmp_path / "c" / "student"
    result = SimpleNamespace(checkpoint=found, path="r")
    assert trainables.student_of(result, tmp_path / "out") == tmp_path / "out"
    assert (tmp_path / "out" / "config.json").exists()


def test_student_of_says_what_is_missing(tmp_path: Path) -> None:
    found = checkpoint(tmp_path / "c")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    remote = tune.Checkpoint("c", SubTreeFileSystem(str(tmp_path), LocalFileSystem()))
    with pytest.raises(UserError, match="no checkpoint"):
        trainables.student_of(SimpleNamespace(checkpoint=None, path="r"))
    with pytest.raises(UserError, match="not a str"):
        trainables.student_of("a path")
    with pytest.raises(UserError, match="not an empty folder"):
        trainables.student_of(found, tmp_path / "full")
    with pytest.raises(UserError, match="remote storage"):
        trainables.student_of(remote)
    assert trainables.student_of(remote, tmp_path / "copied") == tmp_path / "copied"
    (tmp_path / "c" / "student" / "config.json").unlink()
    with pytest.raises(UserError, match="holds no student"):
        trainables.student_of(found)
