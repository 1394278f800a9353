from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.errors import UserError
from tests.trainables.sweeps import create, header, result, run_to_end
from trainables import lock, record
from trainables.record import COMPLETE, FAIL, PRUNED, ROWS, RUNNING, SWEEP, WAITING, read
from trainables.recorder import Recorder

PREPARED: dict[str, Any] = {"teacher": {"content": "a" * 64}, "student": {}, "data": {}}


def test_states_of_a_trial_that_runs_to_its_end(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", scheduler="none", epochs=3)
    assert {t.state for t in sweep.record.trials.values()} == {WAITING}
    sweep.started("p00", attempt=1)
    assert sweep.record.trials["p00"].state == RUNNING
    assert [sweep.evaluation("p00", result("p00", n)) for n in (1, 2, 3)] == [False, False, True]
    assert sweep.record.trials["p00"].state == COMPLETE
    assert read(sweep.path).trials["p00"].state == COMPLETE
    assert [t.id for t in sweep.record.unfinished()] == ["ft", "p01", "p02", "p03"]


def test_complete_needs_all_evaluations_and_none_comes_after(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", scheduler="none", epochs=2)
    run_to_end(sweep, "p00", 1)
    assert sweep.record.trials["p00"].state == RUNNING
    sweep.evaluation("p00", result("p00", 2))
    rows = len(sweep.record.rows)
    assert sweep.evaluation("p00", result("p00", 3, value=9.0)) is True
    sweep.started("p00", attempt=2)
    sweep.failed("p00", "too late")
    assert len(sweep.record.rows) == rows
    assert sweep.record.trials["p00"].state == COMPLETE


def test_a_rung_stops_the_worse_and_its_decision_stands_in_the_row(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    for point, value in (("p00", 0.5), ("p01", 0.4)):
        sweep.started(point, attempt=1)
        stop = sweep.evaluation(point, result(point, 1, value=value))
        assert stop is (point == "p01")
    assert sweep.record.trials["p01"].state == PRUNED
    assert sweep.record.trials["p01"].stop == {"rung": 1.0, "cutoff": 0.5, "recorded": 1, "stop": True}
    assert sweep.record.trials["p00"].evaluations[1]["decision"]["stop"] is False


def test_last_evaluation_is_not_judged(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    run_to_end(sweep, "p00")
    assert sweep.record.trials["p00"].evaluations[4]["decision"] is None
    assert set(sweep.rule.recorded) == {1.0, 2.0}  # type: ignore[union-attr]


def test_baseline_is_neither_judged_nor_counted(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    sweep.started("p00", attempt=1)
    sweep.evaluation("p00", result("p00", 1, value=0.9))
    sweep.started("ft", attempt=1)
    for number in (1, 2, 3, 4):
        sweep.evaluation("ft", result("ft", number, value=-0.5))
    assert sweep.record.trials["ft"].state == COMPLETE
    assert all(row["decision"] is None for row in sweep.record.trials["ft"].evaluations.values())
    assert sweep.rule.recorded == {1.0: {"p00": 0.9}, 2.0: {}}  # type: ignore[union-attr]


def test_failure_keeps_its_cause_and_its_score(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", scheduler="none")
    run_to_end(sweep, "p00", 2)
    sweep.failed("p00", "out of memory: 2 GiB")
    trial = read(sweep.path).trials["p00"]
    assert (trial.state, trial.cause) == (FAIL, "out of memory: 2 GiB")
    assert trial.score == result("p00", 2)["value"]


def test_equal_replay_leaves_no_row_and_another_is_a_fault(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    run_to_end(sweep, "p00", 2)
    rows, rungs = len(sweep.record.rows), json.dumps(sweep.rule.recorded)  # type: ignore[union-attr]
    assert sweep.evaluation("p00", result("p00", 2)) is False
    assert len(sweep.record.rows) == rows
    sweep.evaluation("p00", result("p00", 2, value=0.123))
    assert len(sweep.record.rows) == rows + 1
    trial = read(sweep.path).trials["p00"]
    first = result("p00", 2)["value"]
    assert trial.faults == [{"evaluation": 2, "first": first, "again": 0.123}]
    assert trial.evaluations[2]["value"] == first
    assert json.dumps(sweep.rule.recorded) == rungs  # type: ignore[union-attr]


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), float("-inf"), np.float32("nan")])
def test_a_value_that_is_not_finite_is_null_and_the_lowest(tmp_path: Path, bad: Any) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    run_to_end(sweep, "p00", 1)
    sweep.started("p01", attempt=1)
    odd = result("p01", 1, value=bad, metrics={"mcc": bad, "f1": np.float32(0.5)}, terms={"total": bad})
    assert sweep.evaluation("p01", odd) is True
    trial = read(sweep.path).trials["p01"]
    assert trial.evaluations[1]["value"] is None
    assert trial.evaluations[1]["metrics"] == {"mcc": None, "f1": 0.5}
    assert (trial.state, trial.cause) == (FAIL, "diverged: not finite at epoch 1")
    assert (trial.score, trial.best) == (None, None)


def test_a_value_that_is_not_finite_may_come_first(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    sweep.started("p00", attempt=1)
    assert sweep.evaluation("p00", result("p00", 1, value=float("nan"))) is True
    run_to_end(sweep, "p01", 1)
    assert sweep.record.trials["p01"].state == RUNNING
    assert sweep.record.trials["p01"].evaluations[1]["decision"]["recorded"] == 1


def test_a_trial_that_diverged_keeps_the_score_from_before(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", scheduler="none", epochs=3)
    run_to_end(sweep, "p00", 1)
    assert sweep.evaluation("p00", result("p00", 2, value=float("nan"))) is True
    trial = read(sweep.path).trials["p00"]
    assert (trial.state, trial.score) == (FAIL, result("p00", 1)["value"])


def test_a_kill_between_a_lost_value_and_its_end_is_mended(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    sweep.started("p00", attempt=1)
    sweep.evaluation("p00", result("p00", 1, value=float("nan")))
    sweep.close()
    file = sweep.path / ROWS
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert read(sweep.path).trials["p00"].state == RUNNING
    again = Recorder(sweep.path)
    assert again.record.trials["p00"].state == FAIL


def test_score_is_the_earliest_best_and_best_trial_the_first_in_the_plan(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", scheduler="none", epochs=3)
    for point in ("p01", "p00"):
        sweep.started(point, attempt=1)
        for number, value in enumerate((0.2, 0.7, 0.7), 1):
            sweep.evaluation(point, result(point, number, value=value))
    sweep.started("ft", attempt=1)
    sweep.evaluation("ft", result("ft", 1, value=0.99))
    best = sweep.record.best_trial()
    assert best is not None
    assert (best.id, best.best["evaluation"]) == ("p00", 2)  # type: ignore[index]
    assert sweep.record.best_trial(baseline=True).id == "ft"  # type: ignore[union-attr]


def test_a_score_of_zero_is_above_one_below_it(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", scheduler="none", epochs=1)
    for point, value in (("p00", -0.03), ("p01", 0.0), ("p02", -0.2)):
        sweep.started(point, attempt=1)
        sweep.evaluation(point, result(point, 1, value=value))
    best = sweep.record.best_trial()
    assert best is not None
    assert (best.id, best.score) == ("p01", 0.0)


def test_rows_are_numbered_and_listeners_hear_each_of_a_trial(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    heard: list[str] = []
    sweep.listeners.append(lambda kind, trial, row: heard.append(f"{kind} {trial.id}"))
    sweep.session(["--method", "emd"])
    run_to_end(sweep, "p00", 1)
    assert heard == ["state p00", "evaluation p00"]
    assert [row["seq"] for row in sweep.record.rows] == [0, 1, 2]
    assert read(sweep.path).sessions == 1


def test_a_folder_that_holds_something_is_refused_untouched(tmp_path: Path) -> None:
    create(tmp_path / "s").close()
    before = sorted(p.name for p in (tmp_path / "s").iterdir())
    with pytest.raises(UserError, match="holds another sweep; continue it with --resume"):
        create(tmp_path / "s")
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        create(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not an empty folder"):
        create(tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        create(tmp_path / "file" / "below")


def test_a_second_writer_is_refused_with_host_and_process(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s")
    code = f"from pathlib import Path; from trainables.recorder import Recorder; Recorder(Path({str(sweep.path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert f"(process {os.getpid()} on " in done.stderr
    assert f" on {socket.gethostname()}); wait for it" in done.stderr
    assert "being written by another sweep" in done.stderr
    assert lock.holder(sweep.path) is not None
    sweep.close()
    assert lock.holder(sweep.path) is None
    Recorder(sweep.path).close()


def test_a_lock_left_by_a_killed_process_does_not_hold(tmp_path: Path) -> None:
    folder = create(tmp_path / "s").path
    code = (
        "import os, signal; from pathlib import Path; from trainables.lock import FolderLock\n"
        f"FolderLock(Path({str(tmp_path)!r})).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60)
    assert (tmp_path / "lock").exists()
    assert lock.holder(tmp_path) is None
    lock.FolderLock(tmp_path).acquire()
    assert folder.exists()


def test_a_failed_opening_releases_the_folder(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s")
    sweep.close()
    with (sweep.path / ROWS).open("a") as file:
        file.write("{not json}\n")
    with pytest.raises(UserError, match=f"{ROWS} line 1 is damaged"):
        Recorder(sweep.path)
    assert lock.holder(sweep.path) is None


def test_reader_refuses_what_it_can_not_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no sweep"):
        read(tmp_path)
    (tmp_path / SWEEP).write_text(json.dumps({**header(), "schema": record.SCHEMA + 1}))
    with pytest.raises(UserError, match="schema"):
        read(tmp_path)
    (tmp_path / SWEEP).write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read(tmp_path)
    (tmp_path / SWEEP).write_text(json.dumps(header()))
    row = {"seq": 0, "kind": "state", "point": "p77", "state": RUNNING}
    (tmp_path / ROWS).write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match="p77"):
        read(tmp_path)


def test_only_the_best_students_and_open_states_are_kept(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", scheduler="none", epochs=2, keep=2)
    for trial in sweep.record.trials.values():
        (trial.folder / "student").mkdir(parents=True)
        (trial.folder / "student" / "model.safetensors").write_text(trial.id)
        (trial.folder / "state-00001.pt").write_text("")
        (trial.folder / "state-00002.99.tmp").write_text("")
    for point, value in (("p00", 0.3), ("p01", 0.9), ("p02", 0.6), ("ft", 0.1)):
        sweep.started(point, attempt=1)
        sweep.evaluation(point, result(point, 1, value=value))
        sweep.evaluation(point, result(point, 2, value=value))
    kept = {t.id for t in sweep.record.trials.values() if (t.folder / "student").exists()}
    assert kept == {"p01", "p02", "ft", "p03"}
    assert {t.id for t in sweep.record.trials.values() if list(t.folder.glob("state-*"))} == {"p03"}


def test_a_full_disk_leaves_whole_rows_and_a_sweep_that_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    run_to_end(sweep, "p00", 1)
    rows = (sweep.path / ROWS).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            sweep.evaluation("p00", result("p00", 2))
    with pytest.raises(OSError, match="No space"):
        sweep.evaluation("p00", result("p00", 3))
    sweep.close()
    assert (sweep.path / ROWS).read_bytes() == rows
    again = Recorder(sweep.path)
    assert again.rule.recorded[2.0] == {}  # type: ignore[union-attr]
    assert again.evaluation("p00", result("p00", 2)) is False
    assert again.record.trials["p00"].evaluations[2]["decision"]["recorded"] == 0


def test_another_teacher_is_refused_once_values_were_made_with_the_first(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    other = {**PREPARED, "teacher": {"content": "b" * 64}}
    sweep.prepared(PREPARED)
    sweep.prepared(other)
    run_to_end(sweep, "p00", 1)
    sweep.prepared(other)
    with pytest.raises(UserError, match="the teacher is no longer the one"):
        sweep.prepared(PREPARED)
    assert read(sweep.path).prepared == other
