"""Trials that a person stops: at work, waiting, and without a driver."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.verify import verify
from tests.trainables.curves import FAULTS
from tests.trainables.sweeps import create, result, run_to_end, value
from tests.trainables.test_engine import CPUS, proven, run, starts
from trainables import lock, stop
from trainables.record import BY_HAND, COMPLETE, PRUNED, RUNNING, WAITING, read
from trainables.recorder import Recorder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert stop.main(arguments) == 2
    return capsys.readouterr().err.strip()


def test_without_a_driver_the_row_is_written_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(tmp_path / "s", points=4, epochs=4)
    run_to_end(sweep, "p00", 1)
    sweep.close()
    assert stop.main([str(sweep.path), "p00", "p02"]) == 0
    out = capsys.readouterr().out
    assert f"p00 was stopped by hand after 1 evaluation, best mcc {value('p00', 1):.3f} at epoch 1." in out
    assert "p02 was stopped by hand after 0 evaluations." in out
    assert "runs the 3 trials left." in out
    trials = read(sweep.path).trials
    assert [(trials[p].state, trials[p].cause, trials[p].stop) for p in ("p00", "p02")] == [(PRUNED, BY_HAND, None)] * 2
    assert trials["p01"].state == WAITING
    assert stop.asked(sweep.path) == []
    assert lock.holder(sweep.path) is None
    assert [fault for check in verify(sweep.path) for fault in check.faults] == []


def test_what_cannot_be_stopped_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(tmp_path / "s", points=4, epochs=1, scheduler="none")
    run_to_end(sweep, "p00")
    sweep.started("p01", attempt=1)
    sweep.failed("p01", "out of memory")
    sweep.stopped("p02")
    sweep.close()
    folder = str(sweep.path)
    assert refused(capsys, folder, "p3") == f"error: p3 is no trial of {folder}; did you mean p03?"
    assert refused(capsys, folder, "p03", "p00").startswith("error: p00 is complete already;")
    assert refused(capsys, folder, "p01").startswith("error: p01 has failed already;")
    assert refused(capsys, folder, "p02").startswith("error: p02 was stopped by hand already;")
    assert "holds no sweep" in refused(capsys, str(tmp_path), "p00")
    assert read(sweep.path).trials["p03"].state == WAITING


def test_a_trial_cut_while_it_wrote_an_evaluation_is_asked_to_end_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=4)
    run_to_end(sweep, "p00", 1)
    sweep.record.trials["p00"].folder.mkdir()
    np.savez(sweep.record.trials["p00"].predictions("last"), logits=[[1.0, 0.0], [0.0, 1.0]], labels=[0, 1])
    sweep.close()
    assert stop.main([str(sweep.path), "p00"]) == 0
    assert "ends with that evaluation" in capsys.readouterr().out
    assert read(sweep.path).trials["p00"].state == RUNNING
    assert stop.asked(sweep.path) == ["p00"]


@pytest.mark.parametrize("last", [1.0, 0.0, None])
def test_whole_files_are_those_of_the_recorded_evaluations(tmp_path: Path, last: float | None) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=4, scheduler="none")
    trial = sweep.record.trials["p00"]
    assert stop.whole(sweep.record, trial)
    sweep.started("p00", attempt=1)
    right, wrong = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]
    (trial.folder / "student").mkdir(parents=True)
    weights = trial.folder / "student" / "model.safetensors"
    weights.write_text("")
    assert not stop.whole(sweep.record, trial)
    for which in ("best", "last"):
        np.savez(trial.predictions(which), logits=right, labels=[0, 1])
    assert not stop.whole(sweep.record, trial)
    sweep.evaluation("p00", result("p00", 1, value=1.0))
    assert stop.whole(sweep.record, trial)
    # The next evaluation is worse: only the last predictions are written before its row.
    np.savez(trial.predictions("last"), logits=wrong, labels=[0, 1])
    assert not stop.whole(sweep.record, trial)
    sweep.evaluation("p00", result("p00", 2, value=-1.0))
    assert stop.whole(sweep.record, trial)
    # A better one: the student comes before everything else.
    weights.write_text("new")
    os.utime(weights, ns=(trial.predictions("best").stat().st_mtime_ns + 1,) * 2)
    assert not stop.whole(sweep.record, trial)
    weights.unlink()
    (trial.folder / "student").rmdir()
    assert not stop.whole(sweep.record, trial)


def test_a_stopped_trial_keeps_its_student_and_frees_the_rest(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=4, scheduler="none", baseline=False)
    trial = sweep.record.trials["p00"]
    run_to_end(sweep, "p00", 2)
    for name in ("student", ".student"):
        (trial.folder / name).mkdir(parents=True)
    (trial.folder / "state-00002.pt").write_text("")
    sweep.stopped("p00")
    assert sorted(file.name for file in trial.folder.iterdir()) == ["student"]
    assert sweep.record.best_trial() is trial
    sweep.stopped("p00")
    assert [row["state"] for row in sweep.record.rows if row["kind"] == "state"] == [RUNNING, PRUNED]


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Recorder]:
    sweep = create(tmp_path / "s", points=6, epochs=3, scheduler="none", concurrent=CPUS, baseline=False)
    yield sweep
    sweep.close()


def when(sweep: Recorder, seen: Any, do: Any) -> threading.Thread:
    """In a thread: wait until the record on disk satisfies `seen`, then act, as another process would."""

    def watch() -> None:
        end = time.monotonic() + 60
        while not seen(read(sweep.path).trials):
            assert time.monotonic() < end
            time.sleep(0.05)
        do()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_the_driver_stops_trials_at_work_and_waiting(
    ray: None, at_work: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """p00 would sleep for minutes before its first evaluation; p05 has not begun."""
    times: dict[str, float] = {}

    def do() -> None:
        times["asked"] = time.monotonic()
        assert stop.main([str(at_work.path), "p00", "p05"]) == 0
        times["answered"] = time.monotonic()

    thread = when(at_work, lambda trials: trials["p01"].state == COMPLETE, do)
    run(at_work, p00=("slow", 600), **{f"p0{n}": ("slow", 0.3) for n in (1, 2, 3, 4)})
    thread.join()
    assert times["answered"] - times["asked"] < 15
    out = capsys.readouterr().out
    assert f"Asked the driver ({os.getpid()} on " in out
    assert "p00 was stopped by hand after 0 evaluations." in out
    trials = read(at_work.path).trials
    assert {t.id: t.state for t in trials.values()} == {
        "p00": PRUNED,
        "p05": PRUNED,
        **dict.fromkeys(("p01", "p02", "p03", "p04"), COMPLETE),
    }
    assert not (trials["p05"].folder / "starts.txt").exists()
    assert starts(at_work, "p00") == [1]
    assert all(t.attempts <= 1 for t in trials.values())
    assert stop.asked(at_work.path) == []
    proven(at_work)


def test_a_trial_that_was_writing_an_evaluation_ends_with_it(ray: None, at_work: Recorder) -> None:
    """Its worker is killed while files are ahead of the rows, started again, and stopped once they agree."""
    thread = when(
        at_work,
        lambda trials: (trials["p00"].folder / "predictions-last.npz").exists(),
        lambda: stop.ask(at_work.path, "p00"),
    )
    run(at_work, p00=("ahead", 2))
    thread.join()
    trial = read(at_work.path).trials["p00"]
    assert (trial.state, trial.cause) == (PRUNED, BY_HAND)
    assert [row["value"] for row in trial.evaluations.values()] == [value("p00", 1), 1.0]
    assert (trial.attempts, starts(at_work, "p00")) == (2, [1, 3])
    assert stop.asked(at_work.path) == []
    proven(at_work)


def test_requests_left_for_all_that_waits_end_a_session_at_once(ray: None, at_work: Recorder) -> None:
    for point in (*at_work.record.trials, "p77"):
        stop.ask(at_work.path, point)
    run(at_work)
    assert {t.state for t in read(at_work.path).trials.values()} == {PRUNED}
    assert stop.asked(at_work.path) == []
    assert json.loads((at_work.path / FAULTS).read_text()) == {}
    proven(at_work)
