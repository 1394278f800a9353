"""Training state on disk: whole or absent, with a generation in reserve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.training import checkpoint


def _state(number: int) -> dict[str, Any]:
    return {"number": number, "weights": torch.arange(5) * number, "rows": "[]", "best": None}


def _files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_two_generations_are_kept(tmp_path: Path) -> None:
    for number in range(1, 13):
        checkpoint.save(tmp_path / "trial", number, _state(number))
    assert _files(tmp_path / "trial") == ["state-00011.pt", "state-00012.pt"]
    state = checkpoint.load(tmp_path / "trial")
    assert state is not None
    assert state["number"] == 12
    assert torch.equal(state["weights"], torch.arange(5) * 12)


def test_nothing_there(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    assert checkpoint.load(tmp_path / "nowhere") is None


@pytest.mark.parametrize("damage", ["torn", "empty", "text", "holed"])
def test_a_damaged_newest_file_costs_one_generation(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        newest = checkpoint.save(tmp_path, number, _state(number))
    raw = newest.read_bytes()
    broken = {"torn": raw[: len(raw) // 2], "empty": b"", "text": b"not a checkpoint", "holed": bytes(len(raw))}
    newest.write_bytes(broken[damage])
    state = checkpoint.load(tmp_path)
    assert state is not None
    assert state["number"] == 1
    assert newest.name in capsys.readouterr().out
    assert _files(tmp_path) == ["state-00001.pt"]
    checkpoint.save(tmp_path, 2, _state(22))
    again = checkpoint.load(tmp_path)
    assert again is not None
    assert again["number"] == 22


def test_all_damaged_is_none(tmp_path: Path) -> None:
    for number in (1, 2):
        checkpoint.save(tmp_path, number, _state(number)).write_bytes(b"")
    assert checkpoint.load(tmp_path) is None


def test_a_write_that_fails_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, 1, _state(1))

    def full_disk(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(tmp_path, 2, _state(2))
    assert not (tmp_path / "state-00002.pt").exists()
    state = checkpoint.load(tmp_path)
    assert state is not None
    assert state["number"] == 1


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "trapped"),)

    torch.save({"trap": Trap()}, tmp_path / "state-00001.pt")
    assert checkpoint.load(tmp_path) is None
    assert not (tmp_path / "trapped").exists()


def test_generators_continue_where_they_were(tmp_path: Path) -> None:
    torch.manual_seed(7)
    torch.rand(5)
    checkpoint.save(tmp_path, 1, {"random": checkpoint.random_state()})
    expected = torch.rand(9)
    torch.manual_seed(0)
    state = checkpoint.load(tmp_path)
    assert state is not None
    checkpoint.restore_random_state(state["random"])
    assert torch.equal(torch.rand(9), expected)
