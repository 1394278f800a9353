"""TensorBoard's event files: one curve a trial whatever happened, hyper-parameters of every trial, no harm done."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboardX.proto.api_pb2 import DATA_TYPE_BOOL, DATA_TYPE_FLOAT64, DATA_TYPE_STRING
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from tests.trainables.sweeps import create, result, run_to_end, value
from tests.trainables.test_engine import CPUS, proven, run
from trainables import tensorboard
from trainables.record import COMPLETE, FAIL, PRUNED, TENSORBOARD, read
from trainables.recorder import Recorder
from trainables.tensorboard import Curve, CurveCallback


def events(folder: Path) -> list[Event]:
    """All events of a folder, file after file, as TensorBoard reads them."""
    found = []
    for file in sorted(folder.glob("events.*")):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            found.append(Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    return found


def curves(sweep: Path, point: str) -> dict[str, dict[int, float]]:
    """Tag to step to value; a step that comes twice is a fault."""
    found: dict[str, dict[int, float]] = {}
    for event in events(sweep / TENSORBOARD / point):
        for entry in event.summary.value:
            if not entry.tag.startswith("_hparams_"):
                steps = found.setdefault(entry.tag, {})
                assert event.step not in steps
                steps[event.step] = entry.simple_value
    return found


def hparams(sweep: Path, point: str) -> dict[str, HParamsPluginData]:
    found = {}
    for event in events(sweep / TENSORBOARD / point):
        for entry in event.summary.value:
            if entry.tag.startswith("_hparams_"):
                assert entry.metadata.plugin_data.plugin_name == "hparams"
                found[entry.tag.partition("/")[2]] = HParamsPluginData.FromString(entry.metadata.plugin_data.content)
    return found


def close(numbers: dict[int, float]) -> Any:
    """TensorBoard keeps single precision."""
    return pytest.approx(numbers, rel=1e-6)


class Trial:
    """What a callback sees of Ray's trial."""

    def __init__(self, sweep: Path, point: str) -> None:
        self.config = {"sweep": str(sweep), "point": point}


def test_every_number_of_an_evaluation_is_a_curve(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=3, scheduler="none")
    sweep.session([])
    sweep.started("p00", attempt=1)
    for number, score in ((1, 0.25), (2, 0.125), (3, float("nan"))):
        terms = {"soft": 1.0 / number, "total": float("inf")}
        sweep.evaluation(
            "p00", result("p00", number, value=score, epoch=number / 2, metrics={"mcc": score}, terms=terms)
        )
    Curve(sweep.record, sweep.record.trials["p00"]).end()
    found = curves(sweep.path, "p00")
    assert set(found) == {"value", "best", "epoch", "lr", "seconds", "metrics/mcc", "terms/soft"}
    assert found["value"] == found["metrics/mcc"] == {1: 0.25, 2: 0.125}
    assert found["best"] == {1: 0.25, 2: 0.25, 3: 0.25}
    assert found["epoch"] == {1: 0.5, 2: 1.0, 3: 1.5}
    assert found["terms/soft"] == close({1: 1.0, 2: 0.5, 3: 1 / 3})
    times = {event.wall_time for event in events(sweep.path / TENSORBOARD / "p00")}
    assert all(abs(time - (sweep.path / "rows.jsonl").stat().st_mtime) < 60 for time in times)


def test_hyper_parameters_are_there_from_the_start_and_all_columns_in_every_trial(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=3)
    sweep.session([])
    odd = {
        "lr": np.float64(0.5),
        "steps": np.int64(3),
        "flag": np.bool_(True),
        "none": None,
        "layers": (1, 2),
        "on": True,
    }
    sweep.record.trials["p01"].point["params"] = odd
    for point in ("p01", "ft"):
        sweep.started(point, attempt=1)
        Curve(sweep.record, sweep.record.trials[point])
    start = hparams(sweep.path, "p01")["session_start_info"].session_start_info
    shown = {name: getattr(entry, str(entry.WhichOneof("kind"))) for name, entry in start.hparams.items()}
    assert shown == {
        **{"method": "emd", "seed": 0.0, "lr": 0.5, "steps": 3.0, "flag": True, "none": "None"},
        **{"layers": "1,2", "on": True},
    }
    assert start.group_name == "p01"
    assert "session_end_info" not in hparams(sweep.path, "p01")
    columns = [hparams(sweep.path, point)["experiment"].experiment for point in ("p01", "ft")]
    assert columns[0] == columns[1]
    types = {info.name: info.type for info in columns[0].hparam_infos}
    assert {"alpha", "beta", "T", "lr", "flag", "none", "method", "seed"} <= set(types)
    assert (types["lr"], types["flag"], types["none"]) == (DATA_TYPE_FLOAT64, DATA_TYPE_BOOL, DATA_TYPE_STRING)
    # A metric is the last value of the curve of its name.
    assert {info.name.tag for info in columns[0].metric_infos} == {"best", "value", "epoch"}


def test_how_a_trial_ended(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=4, epochs=1, scheduler="none", baseline=False)
    sweep.session([])
    run_to_end(sweep, "p00")
    sweep.failed("p01", "out of memory")
    sweep.stopped("p02")
    run_to_end(sweep, "p03", 0)
    for trial in sweep.record.trials.values():
        Curve(sweep.record, trial).end()
    ends = {
        point: hparams(sweep.path, point)["session_end_info"].session_end_info.status if point != "p03" else None
        for point in sweep.record.trials
    }
    success, failure = 1, 2
    assert ends == {"p00": success, "p01": failure, "p02": success, "p03": None}
    assert "session_end_info" not in hparams(sweep.path, "p03")


def test_a_retry_goes_on_and_a_new_session_begins_anew(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=4, scheduler="none")
    sweep.session([])
    board, trial = CurveCallback(sweep), Trial(sweep.path, "p00")
    sweep.started("p00", attempt=1)
    board.log_trial_start(trial)
    for number in (1, 2):
        sweep.evaluation("p00", result("p00", number))
        board.log_trial_result(number, trial, {})
    sweep.started("p00", attempt=2)
    board.log_trial_start(trial)
    # The retry tells the second again, and the callback hears of it.
    sweep.evaluation("p00", result("p00", 2))
    board.log_trial_result(3, trial, {})
    assert curves(sweep.path, "p00")["value"] == close({n: value("p00", n) for n in (1, 2)})
    # The driver is killed after a row whose event was not written.
    sweep.evaluation("p00", result("p00", 3))
    sweep.close()
    again = Recorder(sweep.path)
    board, trial = CurveCallback(again), Trial(sweep.path, "p00")
    board.log_trial_start(trial)
    assert curves(sweep.path, "p00")["value"] == close({n: value("p00", n) for n in (1, 2, 3)})
    again.evaluation("p00", result("p00", 4))
    board.log_trial_result(4, trial, {})
    board.log_trial_end(trial)
    assert curves(sweep.path, "p00")["value"] == close({n: value("p00", n) for n in (1, 2, 3, 4)})
    assert len(list((sweep.path / TENSORBOARD / "p00").iterdir())) == 1


def test_finished_trials_whose_files_are_missing_or_behind_get_them(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=3, epochs=2, scheduler="none")
    sweep.session([])
    run_to_end(sweep, "p00")
    run_to_end(sweep, "p01", 1)
    run_to_end(sweep, "p02", 1)
    board = sweep.path / TENSORBOARD
    CurveCallback(sweep).setup()
    assert curves(sweep.path, "p00")["value"] == close({n: value("p00", n) for n in (1, 2)})
    assert not (board / "p01").exists()
    # Nothing is behind: nothing is written.
    (written,) = (board / "p00").iterdir()
    before = written.stat().st_ino, written.stat().st_mtime_ns
    CurveCallback(sweep).setup()
    assert (written.stat().st_ino, written.stat().st_mtime_ns) == before
    # One that was at work in a killed session and was closed without Ray.
    Curve(sweep.record, sweep.record.trials["p02"])
    sweep.stopped("p02")
    # And an extension whose points have a further hyper-parameter.
    base = sweep.record.plan["points"][0]
    floats = sweep.record.plan["distributions"]["emd"]
    floats["batch_size"] = floats["lr"]
    sweep.extend([{**base, "id": "p04", "params": {**base["params"], "batch_size": 8}}], [])
    CurveCallback(sweep).setup()
    assert hparams(sweep.path, "p02")["session_end_info"].session_end_info.status == 1
    for point in ("p00", "p02"):
        columns = hparams(sweep.path, point)["experiment"].experiment.hparam_infos
        assert "batch_size" in {info.name for info in columns}
    assert curves(sweep.path, "p00")["value"] == close({n: value("p00", n) for n in (1, 2)})


@pytest.mark.parametrize("when", ["start", "later"])
def test_a_full_disk_is_told_once_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=2, scheduler="none")
    sweep.session([])
    board, trial = CurveCallback(sweep), Trial(sweep.path, "p00")

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sweep.started("p00", attempt=1)
    if when == "start":
        monkeypatch.setattr(tensorboard.EventsWriter, "write_event", full)
    board.log_trial_start(trial)
    monkeypatch.setattr(tensorboard.EventsWriter, "write_event", full)
    for number in (1, 2):
        sweep.evaluation("p00", result("p00", number))
        board.log_trial_result(number, trial, {})
    board.log_trial_end(trial)
    assert capsys.readouterr().out.count("cannot be written (No space left on device)") == 1


def test_a_sweep_with_faults_under_real_ray(ray: None, tmp_path: Path) -> None:
    """A worker dies once, a trial fails, one ends without a word."""
    sweep = create(tmp_path / "s", points=4, epochs=3, scheduler="none", concurrent=CPUS, baseline=False)
    run(sweep, p00=("die once", 3), p01=("fail", 2), p02=("return", 1))
    trials = read(sweep.path).trials
    assert [t.state for t in trials.values()] == [COMPLETE, FAIL, FAIL, COMPLETE]
    for point, count in (("p00", 3), ("p01", 1), ("p03", 3)):
        assert curves(sweep.path, point)["value"] == close({n: value(point, n) for n in range(1, count + 1)})
    for point, status in (("p00", 1), ("p01", 2), ("p02", 2)):
        assert hparams(sweep.path, point)["session_end_info"].session_end_info.status == status
        assert hparams(sweep.path, point)["session_start_info"].session_start_info.hparams["lr"].number_value > 0
    proven(sweep)


def test_an_unwritable_folder_under_real_ray(ray: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=2, concurrent=CPUS)
    (sweep.path / TENSORBOARD).write_text("in the way")
    run(sweep)
    assert {t.state for t in read(sweep.path).trials.values()} <= {COMPLETE, PRUNED}
    assert capsys.readouterr().out.count("tensorboard cannot be written") == 1
    proven(sweep)
