"""Device-seconds of several sweeps: who is next, who has had its share, and what the record says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.verify import verify
from tests.trainables.sweeps import header, result
from trainables import spending
from trainables.budget import left
from trainables.families import FAMILY
from trainables.progress_family import seconds_left
from trainables.record import ROWS, read
from trainables.recorder import Recorder
from trainables.shares import Shares, settle
from trainables.status import describe, status


def create(
    folder: Path, rule: dict[str, Any] | None, points: int = 6, baseline: bool = False, cpus: float = 1.0
) -> Any:
    made = header(points=points, epochs=2, scheduler="none", baseline=baseline)
    made["plan"]["device_seconds"] = rule
    made["plan"]["resources"]["cpus_per_trial"] = cpus
    return Recorder.create(folder, made)


def run(recorder: Recorder, point: str, seconds: float, evaluations: int = 2, **changes: Any) -> None:
    """Each evaluation takes so long."""
    recorder.started(point, attempt=1)
    for number in range(1, evaluations + 1):
        recorder.evaluation(point, result(point, number, seconds=seconds, **changes))


DEAREST = {"rule": "dearest", "trials": 2}


def family(folder: Path, **rules: Any) -> list[Recorder]:
    """A parent with its sweeps."""
    children = [{"name": name, "changes": {"method": name}} for name in rules]
    folder.mkdir()
    content = {"schema": 1, "tool": "", "created": "", "command": [], "config": {}, "children": children}
    (folder / FAMILY).write_text(json.dumps(content))
    return [create(folder / name, rule) for name, rule in rules.items()]


def test_what_a_trial_uses_of_the_devices(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", None, baseline=True, cpus=3.0)
    run(sweep, "p00", 10.0)
    run(sweep, "p01", 5.0, evaluations=1, stage_seconds=40.0)
    # The undistilled baseline is no part of a method's search.
    run(sweep, "ft", 100.0)
    record = sweep.record
    assert spending.of_trial(record, record.trials["p00"]) == 60.0
    assert spending.of_trial(record, record.trials["p01"]) == 3 * 45.0
    assert spending.used(record) == 195.0
    assert spending.used(record, 1) == 60.0
    assert spending.used(read(sweep.path)) == 195.0
    # After a retry with a whole GPU, that is what an evaluation takes.
    sweep.started("p02", attempt=1)
    sweep.retry("p02", "out of memory", {"CPU": 3.0, "GPU": 1.0}, 1)
    sweep.started("p02", attempt=2)
    sweep.evaluation("p02", result("p02", 1, seconds=7.0))
    assert spending.of_trial(record, record.trials["p02"]) == 7.0


def test_a_share_of_a_gpu_is_a_share_of_a_second(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", None)
    run(sweep, "p00", 10.0)
    for gpus, wanted in ((0.25, 5.0), (1.0, 20.0)):
        sweep.record.prepared = {"resources": {"gpus_per_trial": gpus}}
        assert spending.used(sweep.record) == wanted


def test_stages_and_answers_of_the_teacher_are_charged_and_the_teacher_is_not(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", None, cpus=2.0)
    stages = {"a": {"seconds": 10.0}, "b": {"seconds": 5.0, "seed": 0}, "confirming": {"seconds": 99.0, "seed": 3}}
    sweep.record.prepared = {"teacher": {"seconds": 1000.0, "outputs_seconds": 8.0}, "stages": stages}
    assert spending.used(sweep.record) == 2 * 15.0 + 8.0
    # A seed that the search is extended by: its trials are charged, and so is what they share.
    point = sweep.record.trials["p00"].point
    sweep.record.add([{**point, "id": "p00-s3", "seed": 3}])
    assert spending.used(sweep.record) == 2 * (15.0 + 99.0) + 8.0
    sweep.record.prepared = {"teacher": {"seconds": 1000.0, "outputs_seconds": None}}
    assert spending.used(sweep.record) == 0.0


def test_the_next_slot_goes_to_the_sweep_that_has_used_least(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("trainables.shares.time.monotonic", lambda: now[0])
    one, two = family(tmp_path / "p", one=DEAREST, two=DEAREST)
    found = Shares([one, two])
    assert found.order() == [0, 1]
    found.starts(one.record, "p00")
    assert found.order() == [1, 0]
    found.starts(two.record, "p00")
    now[0] += 10
    assert found.used(one.record) == found.used(two.record) == 10.0
    run(two, "p00", 5.0)
    found.ends(two.record, "p00")
    now[0] += 1
    # 11 seconds at work beside 10 recorded ones; then what is recorded is no longer counted by the clock.
    assert found.order() == [1, 0]
    one.started("p00", attempt=1)
    one.evaluation("p00", result("p00", 1, seconds=8.0))
    assert found.used(one.record) == 11.0
    found.ends(one.record, "p00")
    assert found.order() == [0, 1]


def test_a_number_of_device_seconds_ends_a_sweep_alone(tmp_path: Path) -> None:
    one, two = family(tmp_path / "p", one={"rule": "seconds", "seconds": 25.0}, two=None)
    found = Shares([one, two])
    run(one, "p00", 10.0)
    assert found.may_start(one.record)
    run(one, "p01", 3.0)
    assert not found.may_start(one.record)
    assert found.may_start(two.record)
    one.started("p02", attempt=1)
    assert not found.settled(one.record)
    run(one, "p02", 1.0)
    assert found.settled(one.record)


def test_cheap_points_are_run_until_they_cost_what_the_dear_ones_do(tmp_path: Path) -> None:
    cheap, dear = family(tmp_path / "p", cheap=DEAREST, dear=DEAREST)
    found = Shares([cheap, dear])
    for point in ("p00", "p01"):
        assert found.may_start(cheap.record)
        run(cheap, point, 1.0)
    # What the others will take is not known before they ran.
    assert not found.may_start(cheap.record)
    run(dear, "p00", 3.0)
    assert found.limit(cheap.record) == 6.0
    assert found.may_start(cheap.record)
    run(cheap, "p02", 1.0)
    assert not found.may_start(cheap.record)
    assert not found.settled(cheap.record)
    run(dear, "p01", 3.0)
    # The dearest has run its two and starts no third, whatever the others come to.
    assert not found.may_start(dear.record)
    for point in ("p03", "p04", "p05"):
        assert found.may_start(cheap.record)
        run(cheap, point, 1.1)
    assert not found.may_start(cheap.record)
    assert found.limit(dear.record) == 12.0
    assert not found.may_start(dear.record)


def test_points_that_are_not_run_leave_the_plan_and_the_record_says_so(tmp_path: Path) -> None:
    cheap, dear = family(tmp_path / "p", cheap=DEAREST, dear=DEAREST)
    said: list[str] = []
    for point in ("p00", "p01"):
        run(cheap, point, 1.0)
        run(dear, point, 1.5)
    run(cheap, "p02", 1.0)
    settle([cheap, dear], said.append)
    assert said == [
        "cheap: 6 of 6 device-seconds are used, 3 points not run.",
        "dear: 6 of 6 device-seconds are used, 4 points not run.",
    ]
    for record in (cheap.record, read(cheap.path)):
        assert [point["id"] for point in record.left_out] == ["p03", "p04", "p05"]
        assert (list(record.trials), record.left, left(record)) == (["p00", "p01", "p02"], 0, [])
        assert [point["id"] for point in record.plan["points"]] == ["p00", "p01", "p02"]
    row = json.loads((cheap.path / ROWS).read_text().splitlines()[-1])
    assert {name: row[name] for name in ("kind", "limit", "used", "not_run")} == {
        "kind": "spent",
        "limit": 6.0,
        "used": 6.0,
        "not_run": ["p03", "p04", "p05"],
    }
    assert [fault for check in verify(cheap.path) for fault in check.faults] == []
    found = status(cheap.path.parent)
    assert "Device-seconds: 6 of 6, 3 points not run." in "\n".join(describe(found))
    assert found["sweeps"]["cheap"]["left_out"] == ["p03", "p04", "p05"]
    # Once more changes nothing, and a reopened sweep has nothing to run.
    settle([cheap, dear], said.append)
    assert len(said) == 2
    cheap.close()
    again = Recorder(cheap.path)
    assert again.record.left == 0
    again.close()


def test_nothing_is_settled_while_a_limit_may_grow(tmp_path: Path) -> None:
    cheap, dear = family(tmp_path / "p", cheap=DEAREST, dear=DEAREST)
    for point in ("p00", "p01"):
        run(cheap, point, 1.0)
    run(dear, "p00", 1.0)
    settle([cheap, dear], lambda line: None)
    assert (cheap.record.left_out, dear.record.left_out) == ([], [])
    # A sweep that is resumed alone looks at those beside it.
    settle([cheap], lambda line: None)
    assert cheap.record.left_out == []
    run(dear, "p01", 5.0)
    assert Shares([cheap]).limit(cheap.record) == 12.0
    assert Shares([cheap]).may_start(cheap.record)


def test_sizes_have_shares_of_their_own(tmp_path: Path) -> None:
    small, large = family(tmp_path / "p", small=DEAREST, large=DEAREST)
    large.record.header["plan"]["layers"] = 12
    for point in ("p00", "p01"):
        run(small, point, 1.0)
        run(large, point, 9.0)
    found = Shares([small, large])
    assert (found.limit(small.record), found.limit(large.record)) == (4.0, 36.0)


def test_trials_that_are_handed_out_count_as_begun(tmp_path: Path) -> None:
    one, _ = family(tmp_path / "p", one=DEAREST, two=DEAREST)
    found = Shares([one])
    for point in ("p00", "p01"):
        assert found.may_start(one.record)
        found.starts(one.record, point)
    assert not found.may_start(one.record)


def test_a_point_that_a_person_added_is_run_all_the_same(tmp_path: Path) -> None:
    (one,) = family(tmp_path / "p", one={"rule": "seconds", "seconds": 1.0})
    run(one, "p00", 1.0)
    settle([one], lambda line: None)
    point = {**one.record.trials["p00"].point, "id": "p00-s1", "number": 6, "seed": 1, "hash": "", "label": "again"}
    one.extend([point], ["--seeds", "1"])
    assert spending.charged(one.record) == []
    settle([one], lambda line: None)
    assert one.record.left == 1


def test_time_left_counts_what_is_sure_and_what_a_number_still_buys(tmp_path: Path) -> None:
    one, two = family(tmp_path / "p", one=DEAREST, two=DEAREST)
    run(one, "p00", 4.0)
    run(two, "p00", 5.0)
    # One more point of each in any case, on two slots.
    assert seconds_left([one.record, two.record]) == 10.0
    three, four = family(tmp_path / "q", three={"rule": "seconds", "seconds": 50.0}, four=DEAREST)
    run(three, "p00", 4.0)
    run(four, "p00", 5.0)
    assert seconds_left([three.record, four.record]) == 42.0
