"""Limits and want of memory under real Ray, on a made-up GPU, with a stand-in for training."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.verify import verify
from distill.errors import UserError
from tests.trainables.commands import as_before
from tests.trainables.curves import FAULTS, curve
from tests.trainables.sweeps import create, value
from trainables import budget, interrupt, memory
from trainables.budget import Limits, Watch
from trainables.prepare import Interrupted
from trainables.record import COMPLETE, FAIL, FINISHED, WAITING, read
from trainables.recorder import Recorder

# On one GPU of which a trial takes half.
HALF = {"cpus_per_trial": 1.0, "gpus_per_trial": 0.5, "max_concurrent": 2, "threads": 1, "gpus": 1}


@pytest.fixture(scope="module", autouse=True)
def ray_with_a_gpu() -> Iterator[None]:
    import ray

    with as_before():
        ray.init(
            address="local",
            num_cpus=4,
            num_gpus=1,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=100 * 1024 * 1024,
        )
        yield
        ray.shutdown()


def run(sweep: Recorder, limits: Limits | None = None, **faults: tuple[str, float]) -> list[str]:
    """Run what is unfinished, as a session does; what was said at its end."""
    from trainables import engine

    said: list[str] = []
    (sweep.path / FAULTS).write_text(json.dumps(faults))
    limits = limits or Limits()
    interrupt.catch_signals(said.append)
    sweep.session([], limits.as_dict())
    watch = Watch([sweep], limits)
    engine.run([sweep], curve)
    watch.close()
    budget.tell_halt([sweep], said.append)
    return said


def kinds(sweep: Recorder, point: str) -> list[str]:
    return [row.get("state", row["kind"]) for row in read(sweep.path).rows if row.get("point") == point]


def proven(sweep: Recorder) -> None:
    sweep.close()
    checks = verify(sweep.path)
    assert [fault for check in checks for fault in check.faults] == []


def on_a_gpu(folder: Path, **plan: int) -> Recorder:
    recorder = create(folder, scheduler="none", baseline=False, **plan)
    header = recorder.record.header
    recorder.close()
    header["plan"]["resources"] = HALF
    (folder / "sweep.json").write_text(json.dumps(header))
    return Recorder(folder)


def test_a_budget_that_expires_in_the_middle_of_trials_and_a_further_one(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=5, epochs=2, scheduler="none", concurrent=2)
    limits = Limits("6s")
    said = run(sweep, limits, **{f"p{n:02d}": ("slow", 60.0) for n in range(1, 5)})
    assert time.monotonic() - limits.begun < 40
    assert said == ["Stopped: the time budget of 6s is used up."]
    record = read(sweep.path)
    assert record.halt is not None
    open_ones = {trial.id for trial in record.unfinished()}
    assert {"p01", "p02", "p03", "p04"} <= open_ones
    assert FAIL not in {trial.state for trial in record.trials.values()}
    named = budget.left(record)
    assert all(sum(point in line for line in named) == 1 for point in open_ones)
    assert any(line.startswith("Not run: ") and "p04" in line for line in named)
    proven(sweep)

    again = Recorder(sweep.path)
    assert run(again, Limits("1h")) == []
    record = read(again.path)
    assert {trial.state for trial in record.trials.values()} == {COMPLETE}
    assert record.halt is None
    proven(again)


def test_failures_in_a_row_stop_the_sweep_and_resume_runs_the_rest_but_not_them(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=6, epochs=2, scheduler="none", concurrent=1, baseline=False)
    said = run(sweep, Limits(consecutive=2), p00=("diverge", 2), p01=("fail", 1), p02=("fail", 2))
    assert len(said) == 1
    assert "2 points failed one after the other" in said[0]
    assert "ValueError: by plan (p01, p02)" in said[0]
    record = read(sweep.path)
    assert [trial.state for trial in record.trials.values()][:3] == [FAIL, FAIL, FAIL]
    assert len(record.unfinished()) >= 2
    proven(sweep)
    again = Recorder(sweep.path)
    run(again)
    record = read(again.path)
    assert [t.state for t in record.trials.values()] == [FAIL, FAIL, FAIL, COMPLETE, COMPLETE, COMPLETE]
    assert len((record.trials["p01"].folder / "starts.txt").read_text().split()) == 1
    proven(again)


def test_a_step_that_cannot_be_measured_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    # The GPU is made up, so that torch finds none in the worker.
    plan = {"resources": {"cpus_per_trial": 1.0}}
    with pytest.raises(
        UserError, match=r"auto: a step of p00 could not be measured \(.*\); give the share as a number"
    ):
        memory.measure_remotely(plan, {}, {"id": "p00"})
    interrupt.halt("enough")
    with pytest.raises(Interrupted):
        memory.measure_remotely(plan, {}, {"id": "p00"})


def test_out_of_memory_on_a_share_is_tried_again_on_a_whole_gpu_and_ends_there_where_no_batch_may_be_cut(
    tmp_path: Path,
) -> None:
    sweep = on_a_gpu(tmp_path / "s", points=4, epochs=2)
    run(sweep, p00=("oom", 2), p01=("large", 1))
    record = read(sweep.path)
    trial = record.trials["p00"]
    assert [t.state for t in record.trials.values()] == [COMPLETE, FAIL, COMPLETE, COMPLETE]
    assert kinds(sweep, "p00") == ["RUNNING", "evaluation", "retry", "RUNNING", "evaluation", "COMPLETE"]
    assert trial.retry is not None
    assert (trial.retry["resources"], trial.retry["micro"]) == ({"CPU": 1.0, "GPU": 1.0}, 1)
    # It went on from its checkpoint, and the row that came of the whole GPU says so; others say nothing.
    assert (trial.folder / "starts.txt").read_text().split() == ["1", "2"]
    assert [row.get("resources") for row in trial.evaluations.values()] == [None, {"CPU": 1.0, "GPU": 1.0}]
    assert {n: row["value"] for n, row in trial.evaluations.items()} == {n: value("p00", n) for n in (1, 2)}
    # Behind those that waited.
    order = [row["point"] for row in record.rows if row.get("state") == "RUNNING"]
    assert set(order[-2:]) == {"p00", "p01"}
    # Parts of a batch would be another loss of BERT-EMD.
    cause = str(record.trials["p01"].cause)
    assert "out of memory: tried to allocate 3 GiB; begin a sweep with a smaller --set batch_size" in cause
    assert kinds(sweep, "p01") == ["RUNNING", "retry", "RUNNING", "FAIL"]
    proven(sweep)


def test_batches_are_cut_where_the_method_allows_it_also_across_sessions(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=2, scheduler="none", concurrent=2)

    def interrupted(kind: str, trial: object, row: dict[str, object]) -> None:
        if kind == "retry":
            os.kill(os.getpid(), signal.SIGINT)

    sweep.listeners.append(interrupted)
    run(sweep, ft=("large", 2))
    trial = read(sweep.path).trials["ft"]
    assert trial.state == WAITING
    assert trial.retry is not None
    assert trial.retry["micro"] == 2
    proven(sweep)
    again = Recorder(sweep.path)
    run(again, ft=("large", 2))
    record = read(again.path)
    assert {t.state for t in record.trials.values()} <= set(FINISHED)
    trial = record.trials["ft"]
    assert trial.state == COMPLETE
    assert [row["micro"] for row in record.rows if row["kind"] == "retry"] == [2, 4]
    assert [row.get("micro") for row in trial.evaluations.values()] == [None, 4]
    proven(again)
