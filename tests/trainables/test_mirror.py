"""A driver and its nodes meet in the storage alone: trials are lost and continued, the driver's folder is lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill import artifact_use
from distill.artifacts import Store
from distill.errors import UserError
from tests.trainables import node_curves
from tests.trainables.sweeps import create, result, value
from trainables import interrupt, mirror, node_trial, stages, storage
from trainables.lock import FolderLock
from trainables.mirror import Mirror, restore, storage_of
from trainables.node_trial import CLAIM, Superseded, train_here
from trainables.record import COMPLETE, PRUNED, read
from trainables.recorder import Recorder
from trainables.storage import Place, StorageFailure


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(storage, "PAUSES", ())
    # Only what the tests send themselves is there.
    monkeypatch.setattr(mirror, "PERIOD", 600.0)
    monkeypatch.setenv("DISTILL_TUNE_NODE_DIR", str(tmp_path / "node"))
    monkeypatch.setattr(interrupt, "_STOP", type(interrupt._STOP)())


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Recorder]:
    found = create(tmp_path / "s", points=3, epochs=3, scheduler="none")
    found.close()
    content = json.loads((found.path / "sweep.json").read_text())
    content["plan"]["artifacts"] = str(tmp_path / "store")
    (found.path / "sweep.json").write_text(json.dumps(content))
    found = Recorder(found.path)
    (tmp_path / "gate").touch()
    found.prepared(node_curves.prepared(tmp_path / "store", str(tmp_path / "gate")))
    yield found
    found.close()


@pytest.fixture
def mirrored(sweep: Recorder, tmp_path: Path) -> Iterator[Mirror]:
    found = Mirror(str(tmp_path / "storage"), [sweep])
    found.begin()
    found.share(node_curves.train)
    yield found
    found.close()


class Ended(BaseException):
    """What Ray raises within a report."""


def work(
    sweep: Recorder, place: Place, home: Path, point: str = "p00", until: int | None = None, known: bool = True
) -> list[int]:
    """Train a point as a worker does; evaluations that it told of.

    Args:
        until: The worker ends within the report of this evaluation.
        known: Whether the driver hears the reports.
    """
    told = []

    def report(row: dict[str, Any]) -> None:
        if row.get("halt"):
            interrupt.halt(str(row["halt"]))
            raise Ended
        told.append(int(row["evaluation"]))
        if known and sweep.evaluation(point, row):
            raise Ended
        if row["evaluation"] == until:
            raise Ended

    sweep.started(point, 1)
    config = {"point": point, "sweep": str(sweep.path), "recorded": len(sweep.record.trial(point).evaluations)}
    with contextlib.suppress(Ended):
        train_here(node_curves.train, config, place, "s", report, home)
    return told


def test_a_trial_goes_on_elsewhere_from_its_last_evaluation(sweep: Recorder, mirrored: Mirror, tmp_path: Path) -> None:
    assert work(sweep, mirrored.place, tmp_path / "a", until=1) == [1]
    assert not any((tmp_path / "a").iterdir())
    # The driver never heard of the second evaluation, which is in the storage.
    assert work(sweep, mirrored.place, tmp_path / "b", until=2, known=False) == [2]
    assert work(sweep, mirrored.place, tmp_path / "c") == [2, 3]
    trial = sweep.record.trial("p00")
    assert trial.state == COMPLETE
    assert {n: row["value"] for n, row in trial.evaluations.items()} == {n: value("p00", n) for n in (1, 2, 3)}
    starts = [json.loads(line)["from"] for line in (trial.folder / node_curves.STARTS).read_text().splitlines()]
    assert starts == [1, 2, 3]
    assert not list(trial.folder.glob("state-*"))
    assert not (trial.folder / "student").exists()
    assert "state-00003" in mirrored.place.names("s/trials/p00")
    mirrored.end()
    assert (trial.folder / "student" / "weights").read_text() == "p00 3"
    assert [name for name in mirrored.place.names("s/trials/p00") if name.startswith("state")] == []


def test_only_the_students_that_are_kept_stay_there_and_come_here(sweep: Recorder, mirrored: Mirror) -> None:
    for point in ("p00", "p01", "p02", "ft"):
        work(sweep, mirrored.place, sweep.path.parent / "node", point)
    mirrored.end()
    trials = sweep.record.trials
    worst = min(("p00", "p01", "p02"), key=lambda point: value(point, 3))
    assert {point for point in trials if (trials[point].folder / "student").exists()} == set(trials) - {worst}
    for point in trials:
        assert ("student/weights" in mirrored.place.names(f"s/trials/{point}")) == (point != worst)


def test_a_worker_that_was_taken_for_dead_writes_no_more(sweep: Recorder, mirrored: Mirror, tmp_path: Path) -> None:
    place, seen = mirrored.place, []

    def report(row: dict[str, Any]) -> None:
        if not seen:
            # Another one takes the point over while this one trains on.
            seen.append(work(sweep, place, tmp_path / "b", until=2))

    sweep.started("p00", 1)
    config = {"point": "p00", "sweep": str(sweep.path), "recorded": 0}
    with pytest.raises(Superseded):
        train_here(node_curves.train, config, place, "s", report, tmp_path / "a")
    assert seen == [[1, 2]]
    assert "state-00003" not in place.names("s/trials/p00")
    assert not list((tmp_path / "a").iterdir())


@pytest.mark.parametrize("puts", range(1, 9))
def test_a_push_that_is_cut_leaves_no_state_without_its_student(
    sweep: Recorder, mirrored: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, puts: int
) -> None:
    real, done = Place.put, []

    def put(self: Place, file: Path, name: str) -> None:
        if len(done) == puts:
            raise Ended
        done.append(name)
        real(self, file, name)

    monkeypatch.setattr(Place, "put", put)
    work(sweep, mirrored.place, tmp_path / "a", known=False)
    monkeypatch.setattr(Place, "put", real)
    there = mirrored.place.names("s/trials/p00")
    states = [int(name.partition("-")[2]) for name in there if name.startswith("state-")]
    student = mirrored.place.read("s/trials/p00/student/weights")
    assert max(states, default=0) <= int((student or b"p00 0").split()[1])
    assert work(sweep, mirrored.place, tmp_path / "b") == [1, 2, 3]
    mirrored.end()
    assert (sweep.record.trial("p00").folder / "student" / "weights").read_text() == "p00 3"


def test_what_dead_workers_left_on_a_node_goes(sweep: Recorder, mirrored: Mirror, tmp_path: Path) -> None:
    folders = [tmp_path / "homes" / node / "1-abc" for node in ("before", "now", "busy")]
    for folder in folders:
        (folder / "s").mkdir(parents=True)
        (folder / "lock").touch()
    busy = FolderLock(folders[2])
    busy.acquire()
    for folder in folders:
        os.utime(folder / "lock", (0, 0))
    work(sweep, mirrored.place, tmp_path / "homes" / "now", until=1)
    assert [folder.exists() for folder in folders] == [False, False, True]
    busy.release()


def test_a_point_born_later_is_waited_for(
    sweep: Recorder, mirrored: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = {**sweep.record.trial("p00").point, "id": "p09", "number": 9}
    sweep.extend([point], [])

    def once(happened: Any, patience: float, every: float) -> bool:
        assert not happened()
        mirrored._send()
        return bool(happened())

    monkeypatch.setattr(node_trial, "until", once)
    assert work(sweep, mirrored.place, tmp_path / "a", "p09") == [1, 2, 3]


def test_a_storage_that_fails_a_worker_halts_the_sweep(
    sweep: Recorder, mirrored: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Place, file: Path, name: str) -> None:
        raise StorageFailure("storage/x failed: OSError: no space")

    monkeypatch.setattr(Place, "put", full)
    assert work(sweep, mirrored.place, tmp_path / "a") == []
    assert interrupt.halted() == "the storage failed: storage/x failed: OSError: no space"
    assert sweep.record.trial("p00").evaluations == {}


def test_a_storage_that_fails_the_driver_halts_the_sweep(
    sweep: Recorder, mirrored: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Place, folder: str) -> list[str]:
        raise StorageFailure("storage/x failed: OSError: timed out")

    monkeypatch.setattr(Place, "names", gone)
    sweep.started("p00", 1)
    sweep.evaluation("p00", result("p00", 1))
    assert interrupt.halted() == "the storage failed: storage/x failed: OSError: timed out"
    assert list(read(sweep.path).trials["p00"].evaluations) == [1]
    monkeypatch.setattr(Place, "put", lambda self, file, name: gone(self, name))
    with pytest.raises(UserError, match=r"lags behind: .*timed out; the sweep is whole on this machine"):
        mirrored.publish()


def test_a_lost_driver_is_restored_from_its_mirror(sweep: Recorder, mirrored: Mirror, tmp_path: Path) -> None:
    work(sweep, mirrored.place, tmp_path / "a", "p01")
    work(sweep, mirrored.place, tmp_path / "a", "p00", until=2)
    (sweep.path / "report.html").write_text("report")
    mirrored.end()
    mirrored.publish()
    rows = (sweep.path / "rows.jsonl").read_bytes()
    sweep.close()
    shutil.rmtree(sweep.path)
    shutil.rmtree(tmp_path / "store")
    uri = f"{mirrored.place.uri}/s"
    assert storage_of(uri) == mirrored.place.uri
    restore(uri, tmp_path / "again")
    assert (tmp_path / "again" / "rows.jsonl").read_bytes() == rows
    assert (tmp_path / "again" / "report.html").read_text() == "report"
    (tmp_path / "again").rename(sweep.path)
    assert sorted(path.name for path in (sweep.path / "trials" / "p00").iterdir()) == [
        "starts.jsonl",
        "student",
    ]
    found = Recorder(sweep.path)
    again = Mirror(mirrored.place.uri, [found])
    again.begin()
    assert Path(found.record.prepared["data"]["path"], "gate.txt").exists()  # type: ignore[index]
    again.share(node_curves.train)
    assert work(found, again.place, tmp_path / "b", "p00") == [3]
    again.close()
    found.close()
    with pytest.raises(UserError, match="exists; continue that sweep with --resume"):
        restore(uri, sweep.path)
    with pytest.raises(UserError, match="holds no sweep"):
        restore(f"{mirrored.place.uri}/t", tmp_path / "t")


def test_another_sweep_by_the_same_name_and_an_old_copy_are_refused(
    sweep: Recorder, mirrored: Mirror, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    other = create(tmp_path / "b" / "s", points=2)
    with pytest.raises(UserError, match="holds another sweep by this name"):
        Mirror(mirrored.place.uri, [other]).begin()
    other.close()
    mirrored._send()
    shutil.copytree(sweep.path, tmp_path / "old" / "s")
    work(sweep, mirrored.place, tmp_path / "a")
    mirrored._send()
    old = Recorder(tmp_path / "old" / "s")
    with pytest.raises(UserError, match="knows more of this sweep than"):
        Mirror(mirrored.place.uri, [old]).begin()
    old.close()


def test_a_session_without_it_leaves_states_that_a_node_can_use(sweep: Recorder, tmp_path: Path) -> None:
    sweep.started("p00", 1)
    sweep.evaluation("p00", result("p00", 1))
    folder = sweep.path / "trials" / "p00"
    folder.mkdir()
    (folder / "state-00001").write_text(json.dumps([result("p00", 1)]))
    (folder / "lock").write_text("")
    (folder / ".predictions-best.npz").write_text("half")
    found = Mirror(str(tmp_path / "storage"), [sweep])
    found.begin()
    found.share(node_curves.train)
    assert found.place.names("s/trials/p00") == ["state-00001"]
    assert work(sweep, found.place, tmp_path / "a") == [2, 3]
    found.close()


def test_a_driver_killed_at_the_very_end_takes_the_students_in_its_next_session(
    sweep: Recorder, mirrored: Mirror, tmp_path: Path
) -> None:
    for point in ("p00", "p01", "p02", "ft"):
        work(sweep, mirrored.place, tmp_path / "a", point)
    mirrored.close()
    sweep.close()
    again = Recorder(sweep.path)
    found = Mirror(mirrored.place.uri, [again])
    found.begin()
    found.end()
    assert len([t for t in again.record.trials.values() if (t.folder / "student").is_dir()]) == 3
    assert not any("/state-" in name for name in found.place.names("s"))
    again.close()


def test_a_family_of_sweeps_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = tmp_path / "family"
    parent.mkdir()
    (parent / "family.json").write_text("{}")
    sweeps = [create(parent / name, points=1, baseline=False) for name in ("2L", "3L")]
    (tmp_path / "gate").touch()
    for sweep in sweeps:
        sweep.prepared(node_curves.prepared(tmp_path / "store", str(tmp_path / "gate")))
        sweep.record.header["plan"]["artifacts"] = str(tmp_path / "store")
    found = Mirror(str(tmp_path / "storage"), sweeps, parent)
    found.begin()
    found.share(node_curves.train)
    assert found.names == {str(parent / name): f"family/{name}" for name in ("2L", "3L")}
    told: list[int] = []
    config = {"point": "p00", "sweep": str(sweeps[1].path), "recorded": 0}
    train_here(
        node_curves.train,
        config,
        found.place,
        found.names[config["sweep"]],
        lambda row: told.append(row["evaluation"]),
        tmp_path / "a",
    )
    assert told == [1, 2, 3, 4]
    assert found.place.names("family/2L/trials") == []
    (parent / "report.html").write_text("all")
    found.end()
    found.publish()
    assert found.place.read("family/report.html") == b"all"
    for sweep in sweeps:
        sweep.close()
    restore(f"{found.place.uri}/family", tmp_path / "again")
    assert {"family.json", "report.html", "2L", "3L"} == {path.name for path in (tmp_path / "again").iterdir()}
    assert read(tmp_path / "again" / "3L").header == read(parent / "3L").header


def test_requests_and_stops_by_hand(sweep: Recorder, mirrored: Mirror, tmp_path: Path) -> None:
    work(sweep, mirrored.place, tmp_path / "a", until=1)
    sweep.stopped("p00")
    mirrored.end()
    trial = sweep.record.trial("p00")
    assert trial.state == PRUNED
    assert (trial.folder / "student" / "weights").read_text() == "p00 1"
    assert mirrored.place.names("s/trials/p00") == [CLAIM, node_curves.STARTS, "student/weights"]


def test_a_node_copies_the_stages_that_its_trial_needs(
    sweep: Recorder, mirrored: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made after the first trials, as for confirming runs, reaches the nodes too."""

    def fill(folder: Path) -> None:
        (folder / "weights.pt").write_text("w")

    made = Store(tmp_path / "store").build("stage", {"of": "a test"}, fill)
    assert sweep.record.prepared is not None
    sweep.prepared({**sweep.record.prepared, "stages": {"k": {"path": str(made)}}})
    mirrored.renew()
    monkeypatch.setattr(stages, "keys", lambda header, prepared, point: ["k"] if point["id"] == "p01" else [])
    copied = tmp_path / "node" / "artifacts" / made.name
    assert work(sweep, mirrored.place, tmp_path / "a", point="p00") == [1, 2, 3]
    assert not copied.exists()
    assert work(sweep, mirrored.place, tmp_path / "b", point="p01") == [1, 2, 3]
    assert (copied / "weights.pt").read_text() == "w"
    artifact_use.release(tmp_path / "store", made.name)
