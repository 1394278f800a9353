"""The Optuna study says what the rows say, and Optuna's own tools take it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from distill import methods
from tests.trainables.sweeps import create, header, result, run_to_end
from trainables.points import distributions
from trainables.record import JOURNAL
from trainables.recorder import Recorder


def load(folder: Path) -> optuna.Study:
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    return optuna.load_study(study_name="search", storage=storage)


def by_id(folder: Path) -> dict[str, Any]:
    return {trial.user_attrs["id"]: trial for trial in load(folder).trials}


def test_states_values_and_attributes(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    run_to_end(sweep, "p00")
    sweep.started("p01", attempt=2)
    sweep.evaluation("p01", result("p01", 1, value=-1.0))
    run_to_end(sweep, "p02", 1)
    sweep.failed("p02", "out of memory")
    sweep.started("p03", attempt=1)
    found, states = by_id(sweep.path), optuna.trial.TrialState
    wanted = {"p00": "COMPLETE", "p01": "PRUNED", "p02": "FAIL", "p03": "RUNNING", "ft": "WAITING"}
    assert {name: trial.state.name for name, trial in found.items()} == wanted
    assert list(found) == [point["id"] for point in sweep.record.plan["points"]]
    p00 = found["p00"]
    assert p00.intermediate_values == {n: result("p00", n)["value"] for n in (1, 2, 3, 4)}
    assert p00.value == sweep.record.trials["p00"].score
    assert p00.params == sweep.record.trials["p00"].params
    assert (p00.user_attrs["best_evaluation"], p00.user_attrs["device_seconds"]) == (4, 8.0)
    assert found["p01"].value == -1.0
    assert found["p01"].user_attrs["attempts"] == 2
    assert found["p01"].user_attrs["stop"]["rung"] == 1.0
    assert found["p02"].state == states.FAIL
    assert found["p02"].user_attrs["failure"] == "out of memory"
    assert load(sweep.path).user_attrs["method"] == "emd"


def test_score_is_the_best_and_not_the_last(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", scheduler="none", epochs=3)
    sweep.started("p00", attempt=1)
    for number, value in ((1, 0.2), (2, 0.9), (3, 0.6)):
        sweep.evaluation("p00", result("p00", number, value=value))
    trial = by_id(sweep.path)["p00"]
    assert (trial.value, trial.user_attrs["last_value"], trial.user_attrs["best_evaluation"]) == (0.9, 0.6, 2)


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    run_to_end(sweep, "p00", 1)
    sweep.started("p01", attempt=1)
    sweep.evaluation("p01", result("p01", 1, value=math.nan))
    trial = by_id(sweep.path)["p01"]
    assert math.isnan(trial.intermediate_values[1])
    assert (trial.state.name, trial.values) == ("FAIL", None)
    sweep.close()
    Recorder(sweep.path).close()
    assert len(load(sweep.path).trials) == 5


def test_journal_that_lags_or_is_missing_catches_up(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    run_to_end(sweep, "p00")
    run_to_end(sweep, "p01", 1)
    sweep.close()
    wanted = [(t.state, t.values, t.intermediate_values) for t in load(sweep.path).trials]
    lines = (sweep.path / JOURNAL).read_bytes().splitlines(keepends=True)
    for keep in (0, 1, 4, len(lines) // 2, len(lines) - 1):
        (sweep.path / JOURNAL).write_bytes(b"".join(lines[:keep]) + b'{"op_code": 5, "tri')
        Recorder(sweep.path).close()
        assert [(t.state, t.values, t.intermediate_values) for t in load(sweep.path).trials] == wanted


def test_declared_hyperparameters_get_wide_bounds_of_their_type(tmp_path: Path) -> None:
    made = header(points=2)
    made["plan"]["distributions"] = {name: distributions(methods.get(name)) for name in ("emd", "ft")}
    for point in made["plan"]["points"]:
        point["params"] = methods.get(point["method"]).resolve(point["params"], "modern")
    sweep = Recorder.create(tmp_path / "s", made)
    found = by_id(sweep.path)["p00"].distributions
    lr, alpha, beta = found["lr"], found["alpha"], found["beta"]
    assert isinstance(lr, optuna.distributions.FloatDistribution)
    assert lr.log
    assert lr.low < 1e-6
    assert lr.high >= 0.1
    assert (alpha.low, alpha.high, alpha.log) == (0.0, 1.0, False)
    assert not beta.log  # it may be 0
    assert found["update"].choices == ("current", "v2020", "frozen")
    assert found["hidden"].choices == (False, True)


@pytest.fixture
def finished(tmp_path: Path) -> optuna.Study:
    sweep = create(tmp_path / "s", points=8, epochs=3, scheduler="none", baseline=False)
    for point in sweep.record.trials:
        run_to_end(sweep, point)
    return load(sweep.path)


def test_importances(finished: optuna.Study) -> None:
    found = optuna.importance.get_param_importances(finished)
    assert set(found) <= {"alpha", "beta", "theta", "T", "lr"}
    assert sum(found.values()) == pytest.approx(1.0)


def test_visualisations(finished: optuna.Study) -> None:
    from optuna import visualization

    curves = visualization.plot_intermediate_values(finished)
    assert len(curves.data) == 8
    assert visualization.plot_optimization_history(finished).data
    assert visualization.plot_parallel_coordinate(finished).data


def test_a_trial_stopped_by_hand(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4, scheduler="none")
    run_to_end(sweep, "p00", 2)
    for point in ("p00", "p01"):
        sweep.stopped(point)
    found = by_id(sweep.path)
    assert [found[p].state.name for p in ("p00", "p01", "p02")] == ["PRUNED", "PRUNED", "WAITING"]
    assert [found[p].values for p in ("p00", "p01")] == [[result("p00", 2)["value"]], None]
    assert all(found[p].user_attrs["stop"] == "stopped by hand" for p in ("p00", "p01"))
    assert "failure" not in found["p00"].user_attrs
    assert found["p01"].datetime_start is not None


def test_what_people_do_in_a_dashboard_ends_no_sweep(tmp_path: Path) -> None:
    """A running trial failed and a trial added from outside, as optuna-dashboard's buttons and scripts do."""
    sweep = create(tmp_path / "s", epochs=4, scheduler="none")
    run_to_end(sweep, "p00", 1)
    study = load(sweep.path)
    study._storage.set_trial_state_values(study.trials[0]._trial_id, optuna.trial.TrialState.FAIL)
    study.enqueue_trial({"lr": 1.0})
    run_to_end(sweep, "p00")
    run_to_end(sweep, "p01")
    sweep.close()
    again = Recorder(sweep.path)
    assert [again.record.trials[point].state for point in ("p00", "p01")] == ["COMPLETE", "COMPLETE"]
    run_to_end(again, "p02")
    assert load(sweep.path).trials[3].user_attrs["id"] == "p02"
    assert load(sweep.path).trials[3].state.name == "COMPLETE"
