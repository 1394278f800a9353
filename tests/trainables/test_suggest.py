"""What a sampler suggests, from which trials, under which names; no Ray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from search_spaces.ranges import Range
from tests.trainables.sweeps import result
from trainables import plan
from trainables import suggest as module
from trainables.config import from_namespace
from trainables.draws import suggestion_seed
from trainables.record import COMPLETE, FAIL, PRUNED, RUNNING, Record, read
from trainables.recorder import Recorder
from trainables.resources import Machine
from trainables.suggest import ask, suggest

STATES = optuna.trial.TrialState


@pytest.fixture
def sweep(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> Any:
    def make(**asked: Any) -> Recorder:
        shared = {"layers": 4, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "epochs": 3}
        values = {**shared, "search": "tpe", "scheduler": "none", "trials": 6, **asked}
        return Recorder.create(tmp_path / "s", plan.make(from_namespace(values, []), Machine(2, 0, False)))

    return make


def told(record: Record, monkeypatch: pytest.MonkeyPatch) -> list[optuna.trial.FrozenTrial]:
    """The trials that the sampler is shown."""
    seen: list[optuna.trial.FrozenTrial] = []
    original = optuna.study.Study.ask

    def look(study: optuna.Study, *given: Any, **named: Any) -> optuna.Trial:
        seen.extend(study.get_trials())
        return original(study, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(optuna.study.Study, "ask", look)
        suggest(record)
    return seen


def add(recorder: Recorder) -> str:
    points, k = suggest(recorder.record)
    recorder.suggested(points, k)
    return str(points[0]["id"])


def finish(recorder: Recorder, point: str, *values: float) -> None:
    recorder.started(point, attempt=1)
    for number, value in enumerate(values, 1):
        recorder.evaluation(point, result(point, number, value=value))


def test_every_state_is_told_as_what_it_is(sweep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = sweep(trials=12, scheduler="asha")
    ids = ["p00", *(add(recorder) for _ in range(6))]
    complete, pruned, running, waiting, diverged, nan, broken = ids
    finish(recorder, complete, 0.3, 0.9, 0.6)
    finish(recorder, pruned, 0.1)
    finish(recorder, running, 0.8)
    recorder.failed(diverged, "diverged: loss is not finite")
    finish(recorder, nan, 0.7, float("nan"))
    recorder.failed(broken, "OSError: no such file")
    finish(recorder, "ft", 0.99, 0.99, 0.99)
    record = recorder.record
    wanted = {complete: COMPLETE, pruned: PRUNED, running: RUNNING, diverged: FAIL, nan: FAIL, broken: FAIL}
    assert {id: record.trials[id].state for id in wanted} == wanted
    seen = told(record, monkeypatch)
    assert [(trial.state, trial.value) for trial in seen] == [
        (STATES.COMPLETE, 0.9),
        (STATES.PRUNED, None),
        (STATES.RUNNING, None),
        (STATES.RUNNING, None),
        (STATES.PRUNED, None),
        (STATES.PRUNED, None),
    ]
    assert [trial.intermediate_values for trial in seen] == [{1: 0.3, 2: 0.9, 3: 0.6}, {1: 0.1}, {1: 0.8}, {}, {}, {}]
    # Neither the baseline, whose learning rate has the same name, nor what failed for a reason of its own.
    rates = [trial.params["lr"] for trial in seen]
    shown = [complete, pruned, running, waiting, diverged, nan]
    assert rates == [record.trials[id].params["lr"] for id in shown]
    assert record.trials["ft"].params["lr"] not in rates


def test_what_diverged_is_behind_every_pruned_trial() -> None:
    """As Optuna's own sampler ranks it, which splits by this order into good and bad."""
    from optuna.samplers._tpe.sampler import _split_trials

    study = optuna.create_study(direction="maximize")
    make = optuna.trial.create_trial
    trials = [
        make(state=STATES.PRUNED),
        make(state=STATES.PRUNED, intermediate_values={1: -1e9}),
        make(state=STATES.PRUNED, intermediate_values={1: 0.2}),
        make(state=STATES.COMPLETE, value=-5.0),
    ]
    study.add_trials(trials)
    shown = study.get_trials()
    below = [sorted(t.number for t in _split_trials(study, shown, n)[0]) for n in (1, 2, 3, 4)]
    assert below == [[3], [2, 3], [1, 2, 3], [0, 1, 2, 3]]


def test_a_suggestion_follows_from_the_rows_before_it(sweep: Any, tmp_path: Path) -> None:
    recorder = sweep()
    for number in range(5):
        finish(recorder, add(recorder), 0.1 * number, 0.2, 0.3)
    recorder.close()
    lines = (recorder.path / "rows.jsonl").read_text().splitlines(keepends=True)
    asked = [number for number, line in enumerate(lines) if json.loads(line)["kind"] == "suggest"]
    assert len(asked) == 5
    for number in asked:
        (recorder.path / "rows.jsonl").write_text("".join(lines[:number]))
        points, k = suggest(read(recorder.path))
        row = json.loads(lines[number])
        assert (json.loads(json.dumps(points)), k) == (row["points"], row["k"])


def test_suggested_points_are_like_planned_ones(sweep: Any) -> None:
    recorder = sweep(trials=3)
    assert [add(recorder), add(recorder)] == ["p02", "p03"]
    first, baseline, second, third = recorder.record.plan["points"]
    assert set(second) == set(first)
    assert (second["number"], third["number"]) == (2, 3)
    assert second["origin"] == "suggested"
    assert {name: second["grades"][name] for name in ("lr", "theta")} == {"lr": "searched", "theta": "code default"}
    assert second["label"].startswith("alpha ")
    assert len({point["hash"] for point in (first, baseline, second, third)}) == 4
    assert all(found["low"] <= second["params"][found["name"]] <= found["high"] for found in _free(recorder))
    assert recorder.record.to_suggest == 0


def _free(recorder: Recorder) -> list[dict[str, Any]]:
    return [found for found in recorder.record.plan["search"]["ranges"] if "low" in found]


def test_a_known_point_is_drawn_again_and_the_search_ends_when_nothing_is_new(sweep: Any) -> None:
    recorder = sweep(trials=9, set=["alpha=1", "beta=0.001,0.01", "T=1,3", "lr=2e-5", "theta=1"], baseline=False)
    while recorder.record.to_suggest:
        points, k = suggest(recorder.record)
        recorder.suggested(points, k)
    found = [(t.params["beta"], t.params["T"]) for t in recorder.record.trials.values()]
    assert sorted(found) == [(0.001, 1), (0.001, 3), (0.01, 1), (0.01, 3)]
    rows = [row for row in recorder.record.rows if row["kind"] == "suggest"]
    assert [len(row["points"]) for row in rows] == [1, 1, 1, 0]
    assert rows[-1]["k"] == rows[-2]["k"] + module.PATIENCE
    assert {t.point["grades"]["beta"] for t in recorder.record.trials.values()} == {"given", "published"}
    recorder.extend([], ["--trials", "12"], trials=12)
    assert recorder.record.to_suggest == 8


def test_the_sampler_finds_the_better_half(sweep: Any) -> None:
    """With a score that falls with the distance from lr 1e-4, later suggestions lie closer to it than chance."""
    recorder = sweep(trials=40, baseline=False)
    import math

    def score(point: str) -> float:
        return -abs(math.log(recorder.record.trials[point].params["lr"] / 1e-4))

    for point in ["p00", *(None for _ in range(39))]:
        id = point or add(recorder)
        finish(recorder, id, score(id), score(id), score(id))
    scores = [score(id) for id in recorder.record.trials]
    # Evenly drawn logarithms of this range are 1.2 away on average.
    assert sum(scores[20:]) / 20 > -0.75


def test_workers_that_ask_at_once_get_different_points(sweep: Any) -> None:
    recorder = sweep(trials=12, baseline=False)
    for id in ("p00", *(add(recorder) for _ in range(4))):
        finish(recorder, id, recorder.record.trials[id].params["lr"], 0.0, 0.0)
    ranges = [Range("lr", 6.67e-6, 3e-4, log=True)]
    seeds = range(12)
    alone = [ask(recorder.record, ranges, seed, 3)["lr"] for seed in seeds]
    # One that waits and one that runs push the next ones away, though neither has a value yet.
    add(recorder)
    waiting = [ask(recorder.record, ranges, seed, 3)["lr"] for seed in seeds]
    recorder.started(add(recorder), attempt=1)
    running = [ask(recorder.record, ranges, seed, 3)["lr"] for seed in seeds]
    assert alone != waiting != running


def test_a_value_beyond_the_range_is_passed_over_alone(sweep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = sweep(baseline=False)
    base = recorder.record.plan["points"][0]
    point = {**base, "id": "p01", "number": 1, "params": {**base["params"], "lr": 0.05}, "origin": "given"}
    recorder.extend([point], [])
    assert "lr" not in (seen := told(recorder.record, monkeypatch))[1].params
    assert seen[1].params["beta"] == base["params"]["beta"]


def test_seeds_of_suggestions() -> None:
    found = {suggestion_seed(seed, k) for seed in range(20) for k in range(1, 50)}
    assert len(found) == 20 * 49
    assert all(0 <= seed < 2**32 for seed in found)
    assert suggestion_seed(0, 1) == suggestion_seed(0, 1)


def test_one_seed_gives_one_suggestion(sweep: Any) -> None:
    record = sweep().record
    ranges = [Range("lr", 1e-6, 1e-3, log=True), Range("kind", values=("a", "b"), grades=("ours", "ours"))]
    assert ask(record, ranges, 7, 3) == ask(record, ranges, 7, 3)
    assert len({ask(record, ranges, seed, 3)["lr"] for seed in range(10)}) == 10
