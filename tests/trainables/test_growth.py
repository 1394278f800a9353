"""Further points of a sweep that exists: which, in which order, under which names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from trainables import plan
from trainables.config import from_namespace
from trainables.growth import grow, parse_seeds, recorded_config
from trainables.record import Record, read
from trainables.recorder import Recorder
from trainables.resources import Machine

MACHINE = Machine(2, 0, False)


@pytest.fixture
def header(tiny_encoder: Path, tiny_data: Path) -> Any:
    def make(**more: Any) -> dict[str, Any]:
        values = {"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), **more}
        return plan.make(from_namespace(values, []), MACHINE)

    return make


@pytest.fixture
def sweep(header: Any, tmp_path: Path) -> Any:
    """A sweep of so many points, in the folder `s`."""

    def make(**more: Any) -> Recorder:
        return Recorder.create(tmp_path / "s", header(**{"trials": 3, **more}))

    return make


def ids(points: list[dict[str, Any]]) -> list[str]:
    return [point["id"] for point in points]


def params(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [point["params"] for point in points if point["origin"] != "baseline"]


def test_more_of_the_grid_is_what_a_larger_sweep_would_have_run(sweep: Any, header: Any) -> None:
    small, large = sweep(), header(trials=6)["plan"]["points"]
    added = grow(small.record, trials=6)
    assert params(small.record.plan["points"]) + params(added) == params(large)
    mine = {point["hash"]: point["label"] for point in [*small.record.plan["points"], *added]}
    assert set(mine) == {point["hash"] for point in large}
    assert ids(small.record.plan["points"]) == ["p00", "ft", "p02", "p03"]
    assert ids(added) == ["p04", "p05", "p06"]
    assert [point["number"] for point in added] == [4, 5, 6]
    assert all(set(point) == set(large[0]) for point in added)


def test_the_whole_grid_and_no_further(sweep: Any, header: Any) -> None:
    small = sweep()
    whole = params(header(trials=10_000)["plan"]["points"])
    added = grow(small.record, trials=10_000)
    assert len(added) == len(whole) - 3
    small.extend(added, [])
    with pytest.raises(UserError, match="Nothing is new"):
        grow(small.record, trials=20_000)


def test_too_few_trials_are_refused(sweep: Any) -> None:
    with pytest.raises(UserError, match=r"--trials 3: .* has 3 distilled points already; name a larger number"):
        grow(sweep().record, trials=3)


def test_seeds_repeat_every_point_and_the_baseline(sweep: Any, header: Any) -> None:
    record = sweep(max_train_rows=100).record
    added = grow(record, seeds=[1, 7])
    assert ids(added) == [f"{point}-s{seed}" for seed in (1, 7) for point in ("p00", "ft", "p02", "p03")]
    for point in added:
        base = next(p for p in record.plan["points"] if p["id"] == point["id"].partition("-")[0])
        assert point["params"] == base["params"]
        assert point["origin"] == base["origin"]
        assert point["hash"] != base["hash"]
        assert point["label"] == f"{base['label']} · seed {point['seed']}"
    assert len({point["hash"] for point in added}) == 8


def test_the_hash_of_a_further_seed_is_that_of_a_sweep_with_this_seed(sweep: Any, header: Any) -> None:
    added = grow(sweep().record, seeds=[5])
    other = header(seed=5, trials=10_000)["plan"]["points"]
    assert {point["hash"] for point in added} <= {point["hash"] for point in other}


def test_only_some_points_get_further_seeds(sweep: Any) -> None:
    small = sweep()
    assert ids(grow(small.record, seeds=[1], only=["p03", "ft"])) == ["p03-s1", "ft-s1"]
    with pytest.raises(UserError, match=r"--points p3 is no point .*; did you mean p03"):
        grow(small.record, seeds=[1], only=["p3"])
    small.extend(grow(small.record, seeds=[1]), [])
    with pytest.raises(UserError, match="--points p03-s1 is no point with the sweep's own seed"):
        grow(small.record, seeds=[2], only=["p03-s1"])
    with pytest.raises(UserError, match="Nothing is new"):
        grow(small.record, seeds=[1, 0])
    assert ids(grow(small.record, seeds=[1, 2], only=["p00"])) == ["p00-s2"]


def test_more_values_are_laid_over_the_points_that_are_there(sweep: Any) -> None:
    record = sweep(set=["alpha=1"]).record
    bases = params(record.plan["points"])
    added = grow(record, settings={"lr": ["0.0007", "0.0009"]})
    expected = []
    for base in bases:
        for rate in (7e-4, 9e-4):
            point = {**base, "lr": rate}
            if point not in expected:
                expected.append(point)
    assert sorted(map(repr, params(added))) == sorted(map(repr, expected))
    assert all(point["origin"] == "given" and point["grades"]["lr"] == "given" for point in added)
    assert all("lr 0.000" in point["label"] for point in added)


def test_a_value_that_is_there_adds_nothing(sweep: Any) -> None:
    record = sweep(set=["lr=0.001,0.0003"], trials=10_000).record
    with pytest.raises(UserError, match="Nothing is new"):
        grow(record, settings={"lr": ["1e-3"]})


def test_values_of_a_training_number_that_all_points_shared(sweep: Any) -> None:
    record = sweep(set=["batch_size=8"]).record
    added = grow(record, settings={"batch_size": ["16", "8"]})
    assert [(p["params"]["batch_size"]) for p in added] == [16, 16, 16]
    assert params(
        [{**p, "params": {n: v for n, v in p["params"].items() if n != "batch_size"}} for p in added]
    ) == params(record.plan["points"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alfa": ["1"]}, "--set alfa is unknown; did you mean alpha"),
        ({"lr": ["fast"]}, "lr=fast is not a number"),
        ({"max_length": ["32"]}, "--set max_length: all trials of a sweep share it"),
        ({"evaluations_per_epoch": ["2"]}, "all trials of a sweep share it|would be evaluated"),
    ],
)
def test_values_that_cannot_be_added(sweep: Any, settings: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        grow(sweep().record, settings=settings)


def test_one_extension_builds_on_another(sweep: Any) -> None:
    small = sweep()
    small.extend(grow(small.record, settings={"lr": ["0.0007"]}), ["--set", "lr=0.0007"])
    count = len(params(small.record.plan["points"]))
    added = grow(small.record, settings={"alpha": ["0.3"]})
    assert {point["params"]["lr"] for point in added} == {p["lr"] for p in params(small.record.plan["points"])}
    assert all(point["params"]["alpha"] == 0.3 for point in added)
    assert ids(added)[0] == f"p{count + 1:02d}"
    small.extend(added, [])
    (more,) = grow(small.record, trials=len(params(small.record.plan["points"])) + 1)
    assert more["origin"] == "grid"


def test_all_at_once(sweep: Any) -> None:
    """Two points become four of the grid, all of them get a value, and everything with the baseline gets a seed."""
    record = sweep(trials=2, set=["lr=0.001"]).record
    added = grow(record, trials=4, settings={"lr": ["0.0007"]}, seeds=[1])
    kinds = [(point["seed"], point["params"]["lr"]) for point in added if point["origin"] != "baseline"]
    assert kinds == [(0, 1e-3)] * 2 + [(0, 7e-4)] * 4 + [(1, 1e-3)] * 4 + [(1, 7e-4)] * 4
    assert [point["id"] for point in added if point["origin"] == "baseline"] == ["ft-s1"]


def test_the_reader_merges_and_the_file_stays(sweep: Any) -> None:
    small = sweep()
    before = (small.path / "sweep.json").read_bytes()
    added = grow(small.record, seeds=[1])
    small.extend(added, ["--seeds", "1"])
    small.close()
    record: Record = read(small.path)
    assert (small.path / "sweep.json").read_bytes() == before
    assert list(record.trials) == ids(record.plan["points"]) == ["p00", "ft", "p02", "p03", *ids(added)]
    row = record.rows[-1]
    assert (row["kind"], row["points"], row["argv"]) == ("extend", added, ["--seeds", "1"])
    assert record.trials["ft-s1"].is_baseline


def test_a_sweep_of_an_earlier_version_is_refused(sweep: Any) -> None:
    record = sweep().record
    for point in record.plan["points"]:
        del point["head"]
    with pytest.raises(UserError, match="earlier version"):
        grow(record, seeds=[1])


def test_what_was_asked_comes_back_from_the_record(header: Any) -> None:
    made = header(student_layers="1,3", set=["lr=1e-3"], layers=None)
    config = recorded_config({**made["config"], "an_option_of_another_version": 1})
    assert dataclasses.replace(config, command=()) == config
    assert config.student_layers == (1, 3)
    assert plan.make(config, MACHINE)["plan"]["points"] == made["plan"]["points"]


@pytest.mark.parametrize("text", ["", "x", "1,,2", "-1", "1.5", str(2**32)])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        parse_seeds(text)


def test_seeds_in_their_order_once() -> None:
    assert parse_seeds("3, 1,3") == [3, 1]


def test_points_stopped_by_hand_get_no_further_seed_unless_they_are_named(sweep: Any) -> None:
    recorder = sweep()
    recorder.stopped("p02")
    assert ids(grow(recorder.record, seeds=[1])) == ["p00-s1", "ft-s1", "p03-s1"]
    assert ids(grow(recorder.record, seeds=[1], only=["p02"])) == ["p02-s1"]


def test_a_grid_file_that_has_changed_is_refused(sweep: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("method: emd\naxes: {lr: [1e-4, 2e-4, 3e-4], batch_size: [8, 16]}\n")
    record = sweep(space=str(file), trials=2).record
    assert len(grow(record, trials=6)) == 4
    file.write_text("method: emd\naxes: {lr: [1e-4, 2e-4, 5e-4], batch_size: [8, 16]}\n")
    with pytest.raises(UserError, match=r"mine.yaml has changed since .* began"):
        grow(record, trials=6)
