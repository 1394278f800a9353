"""Points run by real Ray, with a stand-in for training: states, retries, failures, a stop in the middle."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ray import PlacementGroupID, tune
from ray.exceptions import OutOfMemoryError

from analysis.verify import verify
from distill.errors import UserError
from tests.trainables.commands import ROOT
from tests.trainables.curves import FAULTS, curve
from tests.trainables.sweeps import create, header, value
from trainables import callbacks, engine, lock
from trainables.record import COMPLETE, FAIL, PRUNED, RUNNING, read
from trainables.recorder import Recorder

CPUS = 2


def test_no_other_sweep_joins_a_ray_that_ends_with_this_one(ray: None) -> None:
    from ray import get_runtime_context

    address = get_runtime_context().gcs_address
    code = "import sys; from trainables.sweep import guarded; from trainables.cluster import connect;"
    code += "sys.exit(guarded(lambda: print(connect('auto')) or 0))"
    environment = {**os.environ, "RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)}
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert (other.returncode, other.stdout) == (2, "")
    (told,) = [line for line in other.stderr.splitlines() if line.startswith("error: ")]
    assert told.startswith(f"error: --address auto (RAY_ADDRESS is {address}): the Ray found there belongs to another ")
    assert "`ray start --head`" in told


@dataclass
class Fragile:
    """The stand-in for training, which kills the worker that is about to load it for the first `times`."""

    count: Path
    times: int
    driver: int = field(default_factory=os.getpid)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        deaths = len(self.count.read_bytes()) if self.count.exists() else 0
        if deaths < self.times and os.getpid() != self.driver:
            self.count.write_bytes(b"." * (deaths + 1))
            os.kill(os.getpid(), signal.SIGKILL)

    def __call__(self, config: dict[str, Any]) -> None:
        curve(config)


def run(sweep: Recorder, function: Any = curve, **faults: tuple[str, float]) -> list[str]:
    """Run what is unfinished; what was said on a signal."""
    said: list[str] = []
    (sweep.path / FAULTS).write_text(json.dumps(faults))
    engine.catch_signals(said.append)
    sweep.session([])
    engine.run([sweep], function)
    return said


def proven(sweep: Recorder) -> None:
    sweep.close()
    checks = verify(sweep.path)
    assert [fault for check in checks for fault in check.faults] == []
    assert sum(check.count for check in checks) > 10


def values(sweep: Recorder, point: str) -> dict[int, Any]:
    return {number: row["value"] for number, row in read(sweep.path).trials[point].evaluations.items()}


def starts(sweep: Recorder, point: str) -> list[int]:
    """At which evaluation each start of a worker began."""
    return [int(line) for line in (sweep.path / "trials" / point / "starts.txt").read_text().split()]


def test_without_early_stopping_and_every_kind_of_fault(ray: None, tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=6, epochs=4, scheduler="none", concurrent=CPUS)
    faults = {"p01": ("fail", 2), "p02": ("die once", 3), "p03": ("return", 3), "p04": ("nan", 2), "p05": ("die", 2)}
    run(sweep, **faults)
    trials = read(sweep.path).trials
    whole = {n: value("p00", n) for n in (1, 2, 3, 4)}
    assert (trials["p00"].state, values(sweep, "p00")) == (COMPLETE, whole)
    assert trials["ft"].state == COMPLETE
    assert (trials["p01"].state, trials["p01"].cause) == (FAIL, "ValueError: by plan")
    assert (trials["p02"].state, trials["p02"].attempts) == (COMPLETE, 2)
    assert values(sweep, "p02") == {n: value("p02", n) for n in (1, 2, 3, 4)}
    assert starts(sweep, "p02") == [1, 3]
    rows = [row for row in read(sweep.path).rows if row.get("point") == "p02" and row["kind"] == "evaluation"]
    assert [row["evaluation"] for row in rows] == [1, 2, 3, 4]
    assert trials["p03"].state == FAIL
    assert "ended after 2 evaluations" in str(trials["p03"].cause)
    assert values(sweep, "p04") == {1: value("p04", 1), 2: None}
    assert (trials["p04"].state, trials["p04"].cause) == (FAIL, "diverged: not finite at epoch 2")
    assert trials["p05"].state == FAIL
    assert "process died 3 times" in str(trials["p05"].cause)
    assert not (trials["p00"].folder / "state-1.json").exists()
    proven(sweep)


def test_workers_that_die_before_a_trial_begins_cost_it_nothing(
    ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a node that is gone, which Ray has not noticed: more deaths than a trial at work is granted."""
    monkeypatch.setattr(callbacks, "PAUSE", 0.0)
    sweep = create(tmp_path / "s", points=1, epochs=2, scheduler="none", concurrent=1)
    run(sweep, Fragile(tmp_path / "deaths", engine.RETRIES + 2))
    assert (tmp_path / "deaths").read_bytes() == b"." * (engine.RETRIES + 2)
    trials = read(sweep.path).trials
    assert {(trial.state, trial.attempts) for trial in trials.values()} == {(COMPLETE, 1)}
    proven(sweep)


def test_tune_ends_itself_where_memory_runs_low_and_another_start_goes_on(
    ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune raises out of its loop, with the trials' workers still there, as where Ray's memory monitor ended one."""
    sweep = create(tmp_path / "s", points=2, epochs=4, scheduler="none", concurrent=1)
    told: list[str] = []

    class Monitor(tune.Callback):
        def __init__(self, recorder: Recorder) -> None:
            pass

        def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
            told.extend(trial.id for trial in sweep.record.everything() if len(trial.evaluations) == 2)
            if told:
                raise RuntimeError("Caught unexpected exception") from OutOfMemoryError("1 worker(s) were killed")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_CALLBACKS", (*engine._CALLBACKS, Monitor))
        with pytest.raises(engine.MemoryLow):
            run(sweep)
    (point,) = told
    assert read(sweep.path).trials[point].state == RUNNING
    gc.collect()
    _free_what_tune_held()
    engine.run([sweep], curve)
    trials = read(sweep.path).trials
    assert {trial.state for trial in trials.values()} == {COMPLETE}
    assert starts(sweep, point)[0] == 1
    assert values(sweep, point) == {n: value(point, n) for n in (1, 2, 3, 4)}
    assert {folder.name for folder in (sweep.path / "ray").iterdir()} == {"session-001", "session-001-2"}
    proven(sweep)


def _free_what_tune_held() -> None:
    """What shutting Ray down does, which other tests go on with."""
    from ray.util import placement_group_table, remove_placement_group
    from ray.util.placement_group import PlacementGroup

    for group, facts in placement_group_table().items():
        if facts["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group)))


def test_asha_stops_by_the_recorded_values_and_reuses_workers(ray: None, tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=8, epochs=4, concurrent=CPUS)
    run(sweep, p03=("nan", 1))
    trials = read(sweep.path).trials
    assert trials["p03"].state == FAIL
    assert {t.state for t in trials.values() if t.id != "p03"} == {COMPLETE, PRUNED}
    assert trials["ft"].state == COMPLETE
    for trial in trials.values():
        if trial.state == PRUNED:
            assert trial.stop is not None
            assert trial.last is not None
            assert trial.last["value"] < trial.stop["cutoff"]
    proven(sweep)


def test_a_stop_in_the_middle_and_its_resume(ray: None, tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=4, epochs=4, concurrent=CPUS)
    slow = {f"p{n:02d}": ("slow", 0.2) for n in range(4)}

    def interrupt(kind: str, trial: Any, row: dict[str, Any]) -> None:
        if kind == "evaluation" and len(sweep.record.rows) >= 8:
            sweep.listeners.clear()
            os.kill(os.getpid(), signal.SIGINT)

    sweep.listeners.append(interrupt)
    before = time.monotonic()
    said = run(sweep, **slow)
    assert time.monotonic() - before < 40
    assert any("Stopping" in line for line in said)
    unfinished = [t for t in read(sweep.path).trials.values() if t.state == RUNNING or not t.evaluations]
    assert unfinished
    assert not any(t.state == FAIL for t in read(sweep.path).trials.values())
    finished = {t.id: len(starts(sweep, t.id)) for t in read(sweep.path).trials.values() if t.state == COMPLETE}
    proven(sweep)

    again = Recorder(sweep.path)
    run(again)
    trials = read(again.path).trials
    assert {t.state for t in trials.values()} <= {COMPLETE, PRUNED}
    assert all(values(again, t)[n] == value(t, n) for t in trials for n in values(again, t))
    assert {point: len(starts(again, point)) for point in finished} == finished
    proven(again)


def test_a_full_disk_halts_the_sweep_and_fails_no_point(ray: None, tmp_path: Path) -> None:
    from trainables import engine

    sweep = create(tmp_path / "s", points=4, epochs=2, scheduler="none", concurrent=1, baseline=False)
    run(sweep, p01=("full", 2))
    trials = read(sweep.path).trials
    assert engine.halted() == "No space left"
    assert [t.state for t in trials.values()][:2] == [COMPLETE, RUNNING]
    assert FAIL not in {t.state for t in trials.values()}
    proven(sweep)


def test_a_worker_that_outlived_its_driver_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables import engine

    sweep = create(tmp_path / "s", points=1, baseline=False)
    (trial,) = sweep.record.unfinished()
    trial.folder.mkdir()
    orphan = lock.FolderLock(trial.folder)
    orphan.acquire()
    with pytest.raises(UserError, match=f"process {os.getpid()} on "):
        engine._await_orphans([trial], patience=0.3)
    threading.Timer(0.5, orphan.release).start()
    before = time.monotonic()
    engine._await_orphans([trial], patience=30)
    assert 0.3 < time.monotonic() - before < 20


def test_several_sweeps_take_turns_and_each_keeps_its_own_record(ray: None, tmp_path: Path) -> None:
    from trainables import engine

    sweeps: list[Recorder] = []
    started: list[str] = []

    def note(kind: str, trial: Any, row: dict[str, Any]) -> None:
        if row.get("state") == RUNNING:
            started.append(trial.folder.parents[1].name)

    for layers, scheduler in ((2, "asha"), (6, "none")):
        planned = header(points=3, epochs=2, scheduler=scheduler, concurrent=CPUS)
        planned["plan"]["layers"] = layers
        sweep = Recorder.create(tmp_path / f"{layers}L", planned)
        # The second sweep's faults are its own, although its points are named like those of the first.
        (sweep.path / FAULTS).write_text(json.dumps({"p02": ("fail", 2)} if layers == 6 else {}))
        sweep.session([])
        sweep.listeners.append(note)
        sweeps.append(sweep)
    engine.catch_signals(lambda line: None)
    engine.run(sweeps, curve)
    small, large = (read(sweep.path).trials for sweep in sweeps)
    assert {trial.state for trial in small.values()} == {COMPLETE, PRUNED}
    assert [trial.id for trial in large.values() if trial.state == FAIL] == ["p02"]
    assert all(trial.state == COMPLETE for trial in large.values() if trial.id != "p02")
    assert started == ["2L", "6L"] * 4
    for sweep in sweeps:
        proven(sweep)
