"""A sweep goes on only with the data, models, code and versions that it began with."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from trainables import changes, plan
from trainables.config import from_namespace
from trainables.prepare import load_data
from trainables.resources import Machine


@pytest.fixture
def header(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> dict[str, Any]:
    for folder in (tiny_encoder, tiny_data / "CoLA"):
        (tmp_path / folder.name).mkdir()
        for file in folder.iterdir():
            (tmp_path / folder.name / file.name).write_bytes(file.read_bytes())
    values = {"layers": 2, "teacher": str(tmp_path / tiny_encoder.name), "data_dir": str(tmp_path)}
    return plan.make(from_namespace(values, []), Machine(2, 0, False))


def refuse(header: dict[str, Any], allowed: bool = False) -> None:
    changes.refuse_changed(header, load_data(header["config"], header["plan"]), allowed)


def test_nothing_changed(header: dict[str, Any]) -> None:
    refuse(header)


def test_changed_rows_are_never_allowed(header: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "CoLA" / "train.tsv"
    file.write_text(file.read_text().replace("cat", "dog", 1))
    for allowed in (False, True):
        with pytest.raises(UserError, match="the rows of cola"):
            refuse(header, allowed)


def test_changed_or_lost_encoder_is_never_allowed(header: dict[str, Any]) -> None:
    weights = Path(header["plan"]["teacher"]["path"]) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="the teacher's encoder"):
        refuse(header, allowed=True)
    weights.unlink()
    with pytest.raises(UserError, match="the teacher's encoder"):
        refuse(header, allowed=True)


def test_a_gpu_that_is_gone_is_never_allowed(header: dict[str, Any]) -> None:
    changed = copy.deepcopy(header)
    changed["plan"]["resources"]["gpus_per_trial"] = 0.5
    if changes.detect().gpus:
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="no GPU"):
        refuse(changed, allowed=True)
    # A cluster has its own; what is typed goes before what the sweep began with.
    data = load_data(header["config"], header["plan"])
    changes.refuse_changed(changed, data, False, address="auto")
    changed["config"]["address"] = "auto"
    changes.refuse_changed(changed, data, False)
    with pytest.raises(UserError, match="no GPU"):
        changes.refuse_changed(changed, data, False, address="local")


def test_changed_versions_and_code_are_named_and_may_be_allowed(header: dict[str, Any]) -> None:
    changed = copy.deepcopy(header)
    changed["versions"]["torch"] = "1.0"
    changed["fingerprint"]["code"] = "0" * 16
    with pytest.raises(UserError, match=r"torch 1\.0 → .*the code of distill.*--allow-changed"):
        refuse(changed)
    refuse(changed, allowed=True)
