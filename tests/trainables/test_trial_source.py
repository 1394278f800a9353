"""A trial that learns from the teacher's outputs on disk: the same rows as from itself, and nothing of a damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.artifacts import Store
from tests.distill.teacher.kept import flip
from tests.trainables.test_trial import timeless, train
from trainables import plan, prepare, trial
from trainables.config import from_namespace
from trainables.record import PREPARED, SWEEP
from trainables.recorder import write_json
from trainables.resources import Machine
from trainables.teacher_source import kept_outputs

LINES: list[str] = []


def ready_for(header: dict[str, Any]) -> dict[str, Any]:
    """What the trials share, made in this process where the store has none."""
    data = prepare.load_data(header["config"], header["plan"])
    made = prepare.make_teacher(header["plan"], data, "own", LINES.append, None, kept_outputs(header["plan"]))
    student = header["plan"]["student"]
    return {
        "teacher": {"path": str(made.folder / "model"), "outputs": str(made.outputs) if made.outputs else None},
        "student": {"path": student["path"], "kept": student["kept"]},
        "data": {"path": str(made.rows)},
    }


@pytest.fixture(scope="module")
def ready(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sweep of two points and the baseline in float32, its teacher's outputs on disk."""
    import torch

    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("sweep")
    values = {
        **{"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "epochs": 3, "trials": 2},
        **{"artifacts": str(folder / "store"), "teacher_epochs": 1, "allow_weak_teacher": True},
        **{"set": ["lr=1e-3", "batch_size=16"], "max_train_rows": 80},
    }
    header = plan.make(from_namespace(values, []), Machine(1, 0, False))
    assert header["plan"]["teacher_source"]["kind"] == "cached"
    write_json(folder / SWEEP, header)
    write_json(folder / PREPARED, ready_for(header))
    yield folder
    trial.outputs.cache_clear()
    torch.set_num_threads(threads)


def copied(ready: Path, folder: Path, **changes: Any) -> Path:
    """The sweep, not begun, in another folder."""
    folder.mkdir(exist_ok=True)
    shutil.copy(ready / SWEEP, folder / SWEEP)
    prepared = json.loads((ready / PREPARED).read_text())
    prepared["teacher"] |= changes
    write_json(folder / PREPARED, prepared)
    return folder


@pytest.fixture(scope="module")
def straight(ready: Path) -> list[dict[str, Any]]:
    return timeless(train(ready, "p00"))


def outputs_of(sweep: Path) -> Path:
    return Path(json.loads((sweep / PREPARED).read_text())["teacher"]["outputs"])


def test_no_process_loads_the_teacher(
    ready: Path, straight: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "teacher", None)
    assert timeless(train(copied(ready, tmp_path), "p00")) == straight
    assert [row["evaluation"] for row in straight] == [1, 2, 3]
    assert trial.outputs(str(outputs_of(ready))) is trial.outputs(str(outputs_of(ready)))


def test_the_teacher_itself_gives_the_same_to_the_rounding(
    ready: Path, straight: list[dict[str, Any]], tmp_path: Path
) -> None:
    rows = timeless(train(copied(ready, tmp_path, outputs=None), "p00"))
    assert rows != straight
    for mine, exact in zip(straight, rows, strict=True):
        assert mine["terms"].keys() == exact["terms"].keys()
        for name, value in exact["terms"].items():
            assert mine["terms"][name] == pytest.approx(value, rel=2.0**-10), name
        assert mine["value"] == pytest.approx(exact["value"], abs=0.05)


def test_cut_and_continued_bit_for_bit(ready: Path, straight: list[dict[str, Any]], tmp_path: Path) -> None:
    sweep = copied(ready, tmp_path)
    rows: list[dict[str, Any]] = []
    for cut in (1, 2, None):
        rows += train(sweep, "p00", recorded=len(rows), until=cut)
        # Another process has not read a row yet.
        trial.outputs.cache_clear()
    assert timeless(rows) == straight


@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
def test_damage_stops_the_sweep_and_is_mended_at_the_next_start(
    ready: Path, straight: list[dict[str, Any]], tmp_path: Path, harm: str
) -> None:
    sweep = copied(ready, tmp_path)
    folder = outputs_of(sweep)
    file = folder / "hidden.npy"
    if harm == "flip":
        flip(file)
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-1000])
    else:
        file.unlink()
    trial.outputs.cache_clear()
    (row,) = train(sweep, "p00")
    # No fault of the point: it is left unfinished, not failed.
    assert "failure" not in row
    assert str(folder) in row["halt"]
    assert "damaged" in row["halt"]
    assert "the next start of the sweep makes them again" in row["halt"]
    LINES.clear()
    header = json.loads((sweep / SWEEP).read_text())
    write_json(sweep / PREPARED, ready_for(header))
    assert any(line.startswith("Teacher's outputs: one pass for logits, [CLS], hidden states") for line in LINES)
    assert outputs_of(sweep) == folder
    trial.outputs.cache_clear()
    assert timeless(train(sweep, "p00")) == straight


def test_what_is_there_is_found(ready: Path) -> None:
    header = json.loads((ready / SWEEP).read_text())
    LINES.clear()
    assert ready_for(header)["teacher"]["outputs"] == str(outputs_of(ready))
    assert f"Teacher's outputs: found in the store ({outputs_of(ready).name})." in LINES
    # A method of logits alone takes the same artifact, though it needs less of it.
    smaller = {**header["plan"], "teacher_source": {**header["plan"]["teacher_source"], "needs": ["logits"]}}
    assert ready_for({**header, "plan": smaller})["teacher"]["outputs"] == str(outputs_of(ready))
    online = {**header["plan"], "teacher_source": {**header["plan"]["teacher_source"], "kind": "online"}}
    assert ready_for({**header, "plan": online})["teacher"]["outputs"] is None
    store = Store(header["plan"]["artifacts"])
    assert store.facts(outputs_of(ready))["rows"] == 80
