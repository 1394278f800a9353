"""Every search with every scheduler on real Ray workers, on tabulated curves; a sampler's sweep cut and resumed."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

import search_spaces
from analysis.verify import verify
from tests.trainables.curves import FAULTS, curve
from tests.trainables.sweeps import value
from trainables import plan
from trainables.config import SCHEDULERS, SEARCHES, from_namespace
from trainables.record import COMPLETE, FAIL, PRUNED, Record, read
from trainables.recorder import Recorder
from trainables.resources import Machine

CPUS, TRIALS, EPOCHS = 2, 5, 3
ALL = list(itertools.product(SEARCHES, SCHEDULERS))


@pytest.fixture(scope="module")
def create(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def make(**asked: Any) -> Recorder:
        shared = {"layers": 4, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "epochs": EPOCHS}
        config = from_namespace({**shared, "trials": TRIALS, "baseline": False, **asked}, [])
        folder = tmp_path_factory.mktemp("sweep") / "s"
        recorder = Recorder.create(folder, plan.make(config, Machine(CPUS, 0, False)))
        (folder / FAULTS).write_text("{}")
        return recorder

    return make


def run(*sweeps: Recorder) -> None:
    from trainables import engine

    engine.catch_signals(lambda line: None)
    for sweep in sweeps:
        sweep.session([])
    engine.run(sweeps, curve)


def proven(folder: Path) -> None:
    assert [fault for check in verify(folder) for fault in check.faults] == []


@pytest.fixture(scope="module")
def ran(ray: None, create: Any) -> dict[tuple[str, str], Record]:
    """All twelve at once, in one session of Ray; one point of each reports a value that is not finite."""
    sweeps = {(search, scheduler): create(search=search, scheduler=scheduler) for search, scheduler in ALL}
    for sweep in sweeps.values():
        (sweep.path / FAULTS).write_text(json.dumps({"p03": ("nan", 2)}))
    run(*sweeps.values())
    for sweep in sweeps.values():
        sweep.close()
    return {key: read(sweep.path) for key, sweep in sweeps.items()}


def params(record: Record) -> list[dict[str, Any]]:
    return [trial.params for trial in record.trials.values()]


@pytest.mark.parametrize(("search", "scheduler"), ALL)
def test_every_search_with_every_scheduler(ran: Any, search: str, scheduler: str) -> None:
    record = ran[search, scheduler]
    assert len(record.trials) == TRIALS
    assert len({json.dumps(p, sort_keys=True) for p in params(record)}) == TRIALS
    states = {id: trial.state for id, trial in record.trials.items()}
    lost = record.trials["p03"]
    if len(lost.evaluations) == 2:
        assert (lost.state, lost.cause) == (FAIL, "diverged: not finite at epoch 2")
        assert lost.evaluations[2]["value"] is None
    else:
        assert (lost.state, len(lost.evaluations)) == (PRUNED, 1)
    del states["p03"]
    assert set(states.values()) <= {COMPLETE, PRUNED}
    if scheduler == "none":
        assert set(states.values()) == {COMPLETE}
        assert not any(row.get("decision") for row in record.rows)
    else:
        assert any(row.get("decision") for row in record.rows)
    assert record.trials["p00"].point["origin"] == "published"
    assert record.left == 0
    proven(record.path)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_grid_and_published_settings_are_those_of_the_table(ran: Any, scheduler: str) -> None:
    file = Path(search_spaces.__file__).with_name("emd.yaml")
    # The plain parser takes 2e-5 for a text.
    table = yaml.safe_load(file.read_text(encoding="utf-8").replace("e-", ".0e-"))
    rows = {(row["task"], row["layers"]): row["values"] for row in table["rows"]}
    axes = {name: {v["value"] for v in axis["values"]} for name, axis in table["axes"].items() if name != "T_emd"}
    # Without T_emd, which the modern recipe does not read, and each once: this task, this size, the rest.
    order = sorted(rows, key=lambda row: (row[0] != "cola", row[1] != 4))
    distinct: list[dict[str, Any]] = []
    for row in order:
        if (found := {name: rows[row][name] for name in ("alpha", "beta", "T", "lr")}) not in distinct:
            distinct.append(found)
    published = [{n: p[n] for n in ("alpha", "beta", "T", "lr")} for p in params(ran["published", scheduler])]
    assert published == distinct[:TRIALS]
    grid = params(ran["grid", scheduler])
    assert {name: grid[0][name] for name in distinct[0]} == distinct[0]
    assert all(point[name] in values for point in grid for name, values in axes.items())


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_samplers_points_stand_in_the_record_before_they_run(ran: Any, scheduler: str) -> None:
    record = ran["tpe", scheduler]
    asked = [row for row in record.rows if row["kind"] == "suggest"]
    assert [len(row["points"]) for row in asked] == [1] * (TRIALS - 1)
    numbers = [row["k"] for row in asked]
    assert numbers == sorted(set(numbers))
    begun = {row["point"]: row["seq"] for row in reversed(record.rows) if "point" in row}
    assert all(row["seq"] < begun[row["points"][0]["id"]] for row in asked)
    planned = json.loads((record.path / "sweep.json").read_text())["plan"]["points"]
    assert [point["id"] for point in planned] == ["p00"]
    assert ran["random", scheduler].plan["points"][0]["params"] == planned[0]["params"]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_study_has_the_states_of_the_record(ran: Any, scheduler: str) -> None:
    """Stopped trials are PRUNED and lost ones FAIL, where Ray's own searcher for Optuna says COMPLETE and RUNNING."""
    import optuna

    record = ran["tpe", scheduler]
    journal = optuna.storages.journal.JournalFileBackend(str(record.path / "study.journal"))
    study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(journal))
    mirrored = {trial.user_attrs["id"]: (trial.state.name, trial.params) for trial in study.trials}
    assert mirrored == {trial.id: (trial.state, trial.params) for trial in record.trials.values()}
    wanted = {"asha": "PRUNED", "median": "COMPLETE", "none": "FAIL"}[scheduler]
    assert wanted in {state for state, _ in mirrored.values()}


def test_traps_of_one_report(ray: None, create: Any) -> None:
    """A report without the metric, a peak before the end, a death after a report, in one sweep that goes on."""
    sweep = create(search="random", scheduler="none", trials=4)
    faults = {"p00": ("silent", 2), "p01": ("peak", 2), "p02": ("die once", 3)}
    (sweep.path / FAULTS).write_text(json.dumps(faults))
    run(sweep)
    sweep.close()
    trials = read(sweep.path).trials
    assert (trials["p00"].state, trials["p00"].evaluations[2]["value"]) == (FAIL, None)
    peak = trials["p01"]
    assert (peak.state, peak.score, (peak.best or {})["evaluation"], (peak.last or {})["value"]) == (
        COMPLETE,
        0.9,
        2,
        0.6,
    )
    died = [row["evaluation"] for row in read(sweep.path).rows if row["kind"] == "evaluation" and row["point"] == "p02"]
    assert (trials["p02"].state, trials["p02"].attempts, died) == (COMPLETE, 2, [1, 2, 3])
    assert trials["p03"].state == COMPLETE
    proven(sweep.path)


def test_a_samplers_sweep_that_was_cut_does_not_repeat_itself(ray: None, create: Any) -> None:
    sweep = create(search="tpe", scheduler="asha", trials=6, baseline=True)
    slow = {f"p{n:02d}": ("slow", 0.2) for n in range(8)}
    (sweep.path / FAULTS).write_text(json.dumps(slow))

    def interrupt(kind: str, trial: Any, row: dict[str, Any]) -> None:
        if kind == "evaluation" and any(row["kind"] == "suggest" for row in sweep.record.rows[:-4]):
            sweep.listeners.clear()
            os.kill(os.getpid(), signal.SIGINT)

    sweep.listeners.append(interrupt)
    run(sweep)
    before = read(sweep.path)
    assert 0 < before.to_suggest < 5
    sweep.close()
    proven(sweep.path)

    # Ray's own account of the session is damaged and then gone; nothing of the sweep depends on it.
    for state in (sweep.path / "ray").rglob("experiment_state-*.json"):
        state.write_text('{"trial_data": [')
    again = Recorder(sweep.path)
    (sweep.path / FAULTS).write_text("{}")
    run(again)
    again.close()
    after = read(sweep.path)
    assert list(after.trials)[: len(before.trials)] == list(before.trials)
    assert {trial.state for trial in after.trials.values()} <= {COMPLETE, PRUNED}
    assert (len(after.trials), after.left) == (7, 0)
    assert len({json.dumps(trial.params, sort_keys=True) for trial in after.trials.values()}) == 7
    numbers = [row["k"] for row in after.rows if row["kind"] == "suggest"]
    assert numbers == sorted(set(numbers))
    assert all(row["value"] == value(t.id, n) for t in after.trials.values() for n, row in t.evaluations.items())
    proven(sweep.path)
