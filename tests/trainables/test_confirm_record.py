"""Confirming runs in the record: kept apart from the search, never judged, mirrored by a second study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from analysis import state
from analysis.verify import verify
from distill.errors import UserError
from tests.trainables.sweeps import FLOAT, create, result, run_to_end
from trainables import progress, status, stop
from trainables.record import COMPLETE, JOURNAL, ROWS, WAITING, read
from trainables.recorder import Recorder
from trainables.study import confirming_distributions
from trainables.tensorboard import CurveCallback, experiment


def again(sweep: Recorder, *of: str, seeds: tuple[int, ...] = (1, 2)) -> list[dict[str, Any]]:
    """Runs of points with fresh seeds, a seed's runs together."""
    base = {point["id"]: point for point in sweep.record.plan["points"]}
    base["kd"] = {**base["ft"], "method": "kd", "origin": "kd", "params": {"lr": 1e-4, "T": 20.0}, "label": "kd"}
    return [
        {**base[id], "id": f"{id}-c{place}", "seed": seed, "number": 50, "phase": "confirm", "of": id}
        for place, seed in enumerate(seeds, 1)
        for id in of
    ]


def searched(folder: Path, **plan: Any) -> Recorder:
    """A sweep whose search is over."""
    sweep = create(folder, **{"points": 3, "epochs": 4, **plan})
    for point in list(sweep.record.trials):
        run_to_end(sweep, point)
    return sweep


def confirm(sweep: Recorder, *of: str, seeds: tuple[int, ...] = (1, 2)) -> None:
    sweep.confirm(again(sweep, *of, seeds=seeds), [], distributions={"kd": {"lr": FLOAT, "T": FLOAT}})


def report(sweep: Recorder, point: str, *values: float) -> None:
    """Run a point with these values."""
    sweep.started(point, attempt=1)
    for number, value in enumerate(values, 1):
        sweep.evaluation(point, result(point, number, value=value, metrics={"mcc": value}))


def study(folder: Path, name: str = "confirm") -> optuna.Study:
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    return optuna.load_study(study_name=name, storage=storage)


def faults(folder: Path) -> list[str]:
    return [fault for check in verify(folder) for fault in check.faults]


def judged(sweep: Recorder) -> dict[float, dict[str, float]]:
    """What each rung compares with."""
    assert sweep.rule is not None
    return {rung: dict(seen) for rung, seen in sweep.rule.recorded.items()}  # type: ignore[attr-defined]


def test_they_are_no_part_of_the_search(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s")
    best, points = sweep.record.best_trial(), list(sweep.record.trials)
    rungs = judged(sweep)
    confirm(sweep, "ft", "kd", "p00")
    # Far better than any of the search, and far worse: neither moves a rung.
    report(sweep, "p00-c1", 0.99, 0.99, 0.99, 0.99)
    report(sweep, "p00-c2", -0.9, -0.9, -0.9, -0.9)
    record = sweep.record
    assert record.best_trial() is best
    assert (list(record.trials), [p["id"] for p in record.plan["points"]]) == (points, points)
    assert judged(sweep) == rungs
    assert [record.confirming[id].state for id in ("p00-c1", "p00-c2")] == [COMPLETE, COMPLETE]
    assert all(row["decision"] is None for row in record.confirming["p00-c2"].evaluations.values())
    assert [trial.id for trial in record.unfinished()] == ["ft-c1", "kd-c1", "ft-c2", "kd-c2"]
    sweep.close()
    read_again = read(sweep.path)
    assert {id: t.state for id, t in read_again.confirming.items()} == {
        id: t.state for id, t in record.confirming.items()
    }
    assert faults(sweep.path) == []
    Recorder(sweep.path).close()
    assert faults(sweep.path) == []


def test_the_second_study_says_what_the_rows_say(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s")
    names = {frozen.study_name for frozen in optuna.get_all_study_summaries(sweep.study._storage)}
    assert names == {"search"}
    confirm(sweep, "ft", "kd", "p00")
    report(sweep, "p00-c1", 0.5, 0.7, 0.6, 0.6)
    report(sweep, "kd-c1", 0.1, 0.2)
    found = {trial.user_attrs["id"]: trial for trial in study(sweep.path).trials}
    assert list(found) == ["ft-c1", "kd-c1", "p00-c1", "ft-c2", "kd-c2", "p00-c2"]
    states = {"ft-c1": "WAITING", "kd-c1": "RUNNING", "p00-c1": "COMPLETE"}
    assert {id: found[id].state.name for id in states} == states
    assert (found["p00-c1"].value, found["p00-c1"].user_attrs["of"]) == (0.7, "p00")
    assert found["p00-c1"].user_attrs["seed"] == 1
    assert found["kd-c1"].params == {"lr": 1e-4, "T": 20.0}
    assert found["kd-c1"].intermediate_values == {1: 0.1, 2: 0.2}
    assert [t.user_attrs["id"] for t in study(sweep.path, "search").trials] == ["p00", "ft", "p01", "p02"]


def test_a_journal_that_lags_or_is_missing_catches_up(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s")
    searched_only = len((sweep.path / JOURNAL).read_bytes().splitlines())
    confirm(sweep, "ft", "kd", "p00")
    report(sweep, "p00-c1", 0.5, 0.7, 0.6, 0.6)
    report(sweep, "kd-c1", 0.1)
    sweep.close()
    wanted = [(t.state, t.values, t.intermediate_values) for t in study(sweep.path).trials]
    lines = (sweep.path / JOURNAL).read_bytes().splitlines(keepends=True)
    for keep in (0, searched_only, searched_only + 1, searched_only + 4, len(lines) - 1):
        (sweep.path / JOURNAL).write_bytes(b"".join(lines[:keep]) + b'{"op_code": 5, "tri')
        Recorder(sweep.path).close()
        assert [(t.state, t.values, t.intermediate_values) for t in study(sweep.path).trials] == wanted
        assert faults(sweep.path) == []


def test_a_torn_row_adds_nothing_and_a_point_is_added_once(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s")
    confirm(sweep, "ft", "p00")
    with pytest.raises(UserError, match="ft-c1 already"):
        confirm(sweep, "ft", "p00")
    sweep.close()
    content = (sweep.path / ROWS).read_bytes()
    (sweep.path / ROWS).write_bytes(content[:-1])
    assert read(sweep.path).confirming == {}
    resumed = Recorder(sweep.path)
    confirm(resumed, "ft", "p00")
    assert [t.state for t in resumed.record.confirming.values()] == [WAITING] * 4
    resumed.close()
    assert faults(sweep.path) == []


def test_the_best_is_the_highest_mean_over_settled_seeds(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s", scheduler="none", epochs=1)
    confirm(sweep, "ft", "kd", "p00", "p01", seeds=(1, 2, 3))
    record = sweep.record
    scores = {"ft": (0.9, 0.9, 0.9), "kd": (0.9, 0.9, 0.9), "p00": (0.8, 0.1, 0.1), "p01": (0.4, 0.4, 0.8)}
    for of in scores:
        report(sweep, f"{of}-c1", scores[of][0])
    assert (record.settled_seeds(), record.confirmed_best()) == ([1], None)
    assert record.student_trial() is record.best_trial()
    for of in ("ft", "kd", "p00"):
        report(sweep, f"{of}-c2", scores[of][1])
    assert record.confirmed_best() is None
    sweep.failed("p01-c2", "diverged")
    # A run that failed settles its seed, and leaves p01 with one run.
    assert (record.settled_seeds(), record.confirmed_best()) == ([1, 2], "p00")
    for of in scores:
        report(sweep, f"{of}-c3", scores[of][2])
    # (.8 + .1 + .1) / 3 against (.4 + .8) / 2.
    assert (record.settled_seeds(), record.confirmed_best()) == ([1, 2, 3], "p01")
    student = record.student_trial()
    assert student is not None
    assert student.id == "p01-c3"


def test_students_of_the_best_run_of_each_point_stay(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s", scheduler="none", epochs=1, keep=1)
    confirm(sweep, "ft", "kd", "p00", "p01", seeds=(1, 2, 3))
    for trial in sweep.record.everything():
        (trial.folder / "student").mkdir(parents=True)
    scores = {"ft": (0.9, 0.9, 0.9), "kd": (0.9, 0.9, 0.9), "p00": (0.3, 0.7, 0.1), "p01": (0.4, 0.2, 0.2)}
    for place in range(3):
        for of, mine in scores.items():
            report(sweep, f"{of}-c{place + 1}", mine[place])
    assert [t.id for t in sweep.record.confirming.values() if (t.folder / "student").exists()] == ["p01-c1", "p00-c2"]
    best = sweep.record.best_trial()
    kept = [t.id for t in sweep.record.trials.values() if (t.folder / "student").exists()]
    assert best is not None
    assert sorted(kept) == sorted({"ft", best.id})


def test_a_row_tells_what_was_asked(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s")
    confirm(sweep, "ft", "kd", "p00")
    row = json.loads((sweep.path / ROWS).read_text().splitlines()[-1])
    assert row["kind"] == "confirm"
    assert [point["id"] for point in row["points"]][:3] == ["ft-c1", "kd-c1", "p00-c1"]
    assert confirming_distributions(sweep.record) == {"kd": {"lr": FLOAT, "T": FLOAT}}


def test_status_and_progress_count_them(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s", scheduler="none", epochs=1)
    confirm(sweep, "ft", "kd", "p00")
    for of in ("ft", "kd", "p00"):
        report(sweep, f"{of}-c1", 0.5)
    sweep.started("ft-c2", attempt=1)
    sweep.close()
    found = status.status(sweep.path)
    assert found["confirming"] == {"total": 6, "finished": 3, "seeds": [1], "best": None}
    assert (found["trials"]["total"], found["trials"]["waiting"], found["state"]) == (10, 2, "interrupted")
    assert [trial["id"] for trial in found["open"]] == ["ft-c2"]
    assert "Confirming runs: 3 of 6 finished, 1 seed whole." in status.describe(found)
    assert progress.summary(read(sweep.path))["confirming"] == "3 of 6 runs, whole seeds: 1"
    assert state.progress(read(sweep.path), running=False).sentence.startswith(
        "Interrupted: 7 of 10 trials finished (7 complete, 3 of them confirming); "
    )


def test_one_can_be_stopped_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = searched(tmp_path / "s", scheduler="none", epochs=1)
    confirm(sweep, "ft", "p00")
    sweep.close()
    assert stop.main([str(sweep.path), "p00-c1"]) == 0
    assert read(sweep.path).confirming["p00-c1"].by_hand
    assert faults(sweep.path) == []
    assert stop.main([str(sweep.path), "p00-c9"]) == 2
    assert "did you mean p00-c" in capsys.readouterr().err


def test_their_curves_are_drawn(tmp_path: Path) -> None:
    sweep = searched(tmp_path / "s", scheduler="none", epochs=1)
    confirm(sweep, "ft", "kd", "p00")
    report(sweep, "kd-c1", 0.5)
    CurveCallback(sweep).setup()
    assert list((sweep.path / "tensorboard" / "kd-c1").glob("events.*"))
    assert "T" in {info.name for info in experiment(sweep.record).hparam_infos}
