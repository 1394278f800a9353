"""One point in this process: rows that do not depend on kills, on order or on the process; what is left on disk."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainables.sweeps import result
from trainables import plan, prepare, trial
from trainables.config import from_namespace
from trainables.lock import FolderLock, Held
from trainables.record import PREPARED, SWEEP, TRIALS
from trainables.recorder import write_json
from trainables.resources import Machine


@pytest.fixture(scope="module")
def ready(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sweep of two points and the baseline, 3 epochs, prepared and not begun."""
    import torch

    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("sweep")
    values = {
        **{"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "epochs": 3, "trials": 2},
        **{"artifacts": str(folder / "store"), "teacher_epochs": 1, "allow_weak_teacher": True},
        **{"set": ["lr=1e-3", "batch_size=16"], "max_train_rows": 80},
    }
    header = plan.make(from_namespace(values, []), Machine(1, 0, True))
    write_json(folder / SWEEP, header)
    data = prepare.load_data(header["config"], header["plan"])
    rows, made = prepare.share(header["plan"], data, lambda line: None)
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
def sweep(ready: Path, tmp_path: Path) -> Path:
    for name in (SWEEP, PREPARED):
        shutil.copy(ready / name, tmp_path / name)
    return tmp_path


def train(sweep: Path, point: str, recorded: int = 0, until: int | None = None) -> list[dict[str, Any]]:
    """What the trial reports; with `until` the report of that evaluation ends it, as Ray does."""
    reported: list[dict[str, Any]] = []

    def report(row: dict[str, Any]) -> None:
        reported.append(row)
        if row["evaluation"] == until:
            raise SystemExit

    try:
        trial.train_point(sweep, point, recorded, report)
    except SystemExit:
        assert until is not None
    return reported


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def straight(ready: Path) -> dict[str, list[dict[str, Any]]]:
    return {point: timeless(train(ready, point)) for point in ("p00", "ft")}


def test_rows(straight: dict[str, list[dict[str, Any]]]) -> None:
    rows = straight["p00"]
    assert [(row["evaluation"], row["epoch"], row["steps"], row["failure"]) for row in rows] == [
        (n, float(n), 5, None) for n in (1, 2, 3)
    ]
    assert set(rows[0]["metrics"]) == {"mcc", "accuracy"}
    assert {"soft", "hidden", "attention", "embedding", "total"} <= set(rows[0]["terms"])
    assert len({str(row["terms"]) for row in rows}) == 3
    assert all(isinstance(json.loads(json.dumps(row)), dict) for row in rows)


@pytest.mark.parametrize("cuts", [(1,), (2,), (1, 2), (3,)])
def test_cut_and_continued_bit_for_bit(sweep: Path, straight: dict[str, Any], cuts: tuple[int, ...]) -> None:
    """Whatever ran before in this process, and wherever it was cut, the rows are those of the straight run."""
    rows: list[dict[str, Any]] = []
    for cut in (*cuts, None):
        rows += train(sweep, "p00", recorded=len(rows), until=cut)
        train(sweep, "ft", recorded=0, until=1)
    assert timeless(rows) == straight["p00"]


def test_nothing_depends_on_what_drew_random_numbers_before(
    sweep: Path, straight: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher that has to be loaded first, in one process and not in the other, changes no value."""
    import torch

    found = trial.teacher

    def drawing(*arguments: Any) -> Any:
        torch.rand(1000)
        return found(*arguments)

    monkeypatch.setattr(trial, "teacher", drawing)
    torch.manual_seed(99)
    assert timeless(train(sweep, "p00")) == straight["p00"]


def test_a_retry_reports_again_what_the_driver_may_not_have_heard(sweep: Path, straight: dict[str, Any]) -> None:
    train(sweep, "p00", until=2)
    assert timeless(train(sweep, "p00", recorded=0)) == straight["p00"]


def test_a_damaged_newest_state_costs_one_evaluation(sweep: Path, straight: dict[str, Any]) -> None:
    train(sweep, "p00", until=2)
    newest = max((sweep / TRIALS / "p00").glob("state-*.pt"))
    newest.write_bytes(newest.read_bytes()[:100])
    rows = train(sweep, "p00", recorded=2)
    assert timeless(rows) == straight["p00"][1:]


def test_what_a_trial_leaves(sweep: Path) -> None:
    train(sweep, "p00", until=1)
    folder = sweep / TRIALS / "p00"
    with (folder / "seen.jsonl").open("a") as file:
        # A kill between these lines and the state that goes with them, the last line torn.
        file.write(json.dumps({"evaluation": 2, "layer_weights": {}}) + '\n{"evaluation": 3, "la')
    (folder / ".student").mkdir()
    train(sweep, "p00", recorded=1)
    seen = [json.loads(line) for line in (folder / "seen.jsonl").read_text().splitlines()]
    assert [row["evaluation"] for row in seen] == [1, 2, 3]
    assert seen[1]["layer_weights"]
    assert not (folder / ".student").exists()
    assert (folder / "student" / "model.safetensors").exists()
    assert {file.name for file in folder.glob("predictions-*")} == {"predictions-best.npz", "predictions-last.npz"}


def test_a_fault_of_the_program_is_reported_once_with_its_traceback(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, evaluation: Any) -> None:
        raise ValueError("a bug\nin two lines")

    monkeypatch.setattr(trial._Work, "keep", broken)
    (row,) = train(sweep, "p00")
    assert row["failure"] == "ValueError: a bug in two lines"
    assert row["value"] == trial.WORST
    assert "broken" in (sweep / TRIALS / "p00" / "failure.txt").read_text()


def test_want_of_memory_is_told_as_such_and_the_trial_goes_on_with_its_batches_in_parts(
    sweep: Path, straight: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    header = json.loads((sweep / SWEEP).read_text())
    # Dropout draws other numbers where batches are cut.
    header["plan"]["training"]["dropout"] = 0.0
    write_json(sweep / SWEEP, header)
    other = sweep.with_name("other")
    shutil.copytree(sweep, other)
    whole = timeless(train(other, "ft"))
    keep = trial._Work.keep

    def narrow(self: Any, evaluation: Any) -> Any:
        if evaluation.number == 2 and self.run.micro == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return keep(self, evaluation)

    monkeypatch.setattr(trial._Work, "keep", narrow)
    first, failure = train(sweep, "ft")
    assert failure["failure"] == "out of memory: CUDA out of memory. Tried to allocate 2 GiB"
    again: list[dict[str, Any]] = []
    trial.train_point(sweep, "ft", 1, again.append, micro=3)
    rows = timeless([first, *again])
    assert [row["evaluation"] for row in rows] == [1, 2, 3]
    for row, wanted in zip(rows, whole, strict=True):
        assert row["terms"]["total"] == pytest.approx(wanted["terms"]["total"], rel=1e-2)
        assert row["lr"] == wanted["lr"]


def test_a_fault_before_training_is_reported_too(sweep: Path) -> None:
    facts = json.loads((sweep / PREPARED).read_text())
    write_json(sweep / PREPARED, {**facts, "data": {"path": str(sweep / "gone")}})
    (row,) = train(sweep, "p00")
    assert "FileNotFoundError" in row["failure"]


def test_a_full_disk_is_no_fault_of_the_point(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*anything: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(trial.checkpoint, "save", full)
    (row,) = train(sweep, "p00")
    assert "failure" not in row
    assert "No space left" in row["halt"]


def test_two_workers_never_train_one_point(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_PATIENCE", 0.2)
    folder = sweep / TRIALS / "p00"
    folder.mkdir(parents=True)
    other = FolderLock(folder)
    other.acquire()
    with pytest.raises(Held, match=str(os.getpid())):
        train(sweep, "p00")
    assert sorted(os.listdir(folder)) == ["lock"]
    other.release()
    assert len(train(sweep, "p00", until=1)) == 1
    FolderLock(folder).acquire()


def test_the_stand_in_of_other_tests_reports_the_same_keys(straight: dict[str, Any]) -> None:
    assert set(result("p00", 1)) <= set(straight["p00"][0]) | {"seconds"}
