"""How a session ends that a limit cuts between a search and its confirmation; real rows, stand-ins for Ray."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from tests.trainables.sweeps import create, result, run_to_end
from trainables import (
    budget,
    confirm,
    engine,
    finish,
    interrupt,
    memory,
    places,
    plan,
    prepare,
    preparing,
    status,
    sweep,
)
from trainables.budget import Limits
from trainables.config import from_namespace
from trainables.record import FAIL, read
from trainables.recorder import Recorder
from trainables.resources import Machine


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray, no teacher, no report."""
    monkeypatch.setattr(interrupt, "_STOP", type(interrupt._STOP)())
    monkeypatch.setattr(engine, "start_ray", lambda plan, dashboard, address: None)
    monkeypatch.setattr(engine, "catch_signals", lambda say: None)
    monkeypatch.setattr(places.Places, "check", lambda self: None)
    monkeypatch.setattr(prepare, "prepare", lambda *arguments: {"teacher": {"content": "same"}})
    monkeypatch.setattr(memory, "packed", lambda *arguments: {})
    monkeypatch.setattr(finish, "finish", lambda recorder: [])


@pytest.fixture
def confirmed(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> Iterator[Recorder]:
    values = {"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "trials": 1, "epochs": 1}
    asked = from_namespace({**values, "scheduler": "none", "confirm": "1x2"}, [])
    found = Recorder.create(tmp_path / "s", plan.make(asked, Machine(2, 0, False)))
    yield found
    found.close()


def test_the_confirmation_that_a_limit_keeps_from_beginning_is_left_to_run(
    confirmed: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = []

    def search(recorders: Sequence[Recorder], function: Any) -> None:
        sessions.append(len(recorders[0].record.unfinished()))
        for point in ("p00", "ft"):
            recorders[0].started(point, attempt=1)
            recorders[0].evaluation(point, result(point, 1, value=0.5))
        interrupt.halt("the time budget of 1h is used up", limit=budget.TIME)

    monkeypatch.setattr(engine, "run", search)
    data: Any = None
    assert sweep.drive([confirmed], data, [], limits=Limits("1h")) == 3
    # Two runs of ft, kd and the one point, none of which began.
    assert sessions == [2]
    said = capsys.readouterr().out
    assert "Nothing was trained" not in said
    assert said.endswith(" --time-budget 1h\n")
    assert "Not run: ft-c1, kd-c1, p00-c1, ft-c2, kd-c2, p00-c2." in said
    assert "6 trials are unfinished. Continue with:" in said
    assert read(confirmed.path).left == 6


def test_the_newest_line_of_a_preparation_is_for_all_to_see_until_it_ends(
    confirmed: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    (confirmed.path / preparing.FILE).write_text('{"line": "of a killed session", "time": "then"}')

    def make(header: Any, data: Any, say: Any, stopped: Any) -> None:
        seen.append(status.status(confirmed.path)["preparing"])
        for line in ("Teacher: epoch 1 of 3.", "Teacher: epoch 2 of 3."):
            say(line)
        found = status.status(confirmed.path)
        seen.append(found["preparing"]["line"])
        assert status.describe(found)[2] == f"Preparing, {found['preparing']['time']}: Teacher: epoch 2 of 3."
        raise UserError("The teacher cannot teach.")

    monkeypatch.setattr(prepare, "prepare", make)
    data: Any = None
    with pytest.raises(UserError):
        sweep.drive([confirmed], data, [])
    assert seen == [None, "Teacher: epoch 2 of 3."]
    assert not (confirmed.path / preparing.FILE).exists()
    assert status.status(confirmed.path)["preparing"] is None


def test_a_store_that_is_too_small_is_told_before_ray_starts(
    tiny_encoder: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "start_ray", lambda plan, dashboard, address: pytest.fail("Ray was started"))
    values = {"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "trials": 1}
    values |= {"artifacts": str(tmp_path / "store"), "artifacts_gb": 1e-6}
    header, data = plan.make_with_rows(from_namespace(values, []), Machine(2, 0, False))
    recorder = Recorder.create(tmp_path / "s", header)
    with pytest.raises(UserError, match=r"--artifacts-gb 1e-06: about .* are needed in the store"):
        sweep.drive([recorder], data, [])


def test_a_time_too_short_for_any_evaluation_is_not_the_one_to_go_on_with(
    confirmed: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out_of_time(*arguments: Any) -> None:
        interrupt.halt("the time budget of 90s is used up", limit=budget.TIME)

    monkeypatch.setattr(engine, "run", out_of_time)
    data: Any = None
    begun = time.monotonic() - 80
    assert sweep.drive([confirmed], data, [], limits=Limits("90s", failures=7, begun=begun)) == 3
    said = capsys.readouterr().out
    assert "Nothing was trained in these 90s: starting took 80 s; give a larger --time-budget." in said
    assert said.endswith(f"  python -m trainables.sweep --resume {confirmed.path} --max-failures 7\n")

    def interrupted(*arguments: Any) -> Any:
        out_of_time()
        raise prepare.Interrupted

    monkeypatch.setattr(interrupt, "_STOP", type(interrupt._STOP)())
    monkeypatch.setattr(prepare, "prepare", interrupted)
    again = Recorder(confirmed.path)
    assert sweep.drive([again], data, [], limits=Limits("90s", begun=time.monotonic() - 95)) == 3
    said = capsys.readouterr().out
    assert "Nothing was trained in these 90s: starting was not done after 95 s; give a larger --time-budget." in said
    assert said.endswith(f"--resume {confirmed.path}\n")


def test_a_sweep_of_several_that_came_to_its_end_was_not_cut(tmp_path: Path) -> None:
    both = [create(tmp_path / name, points=1, baseline=False, scheduler="none") for name in ("a", "b")]
    run_to_end(both[0], "p00")
    for recorder in both:
        recorder.session([])
    interrupt.halt("the time budget of 1h is used up", limit=budget.TIME)
    budget.tell_halt(both, lambda line: None)
    assert [read(recorder.path).halt is None for recorder in both] == [True, False]
    for recorder in both:
        recorder.close()


def test_confirm_goes_on_where_a_limit_of_failures_was_reached_by_the_last_point(
    confirmed: Recorder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit ends a session, not the sweep: another failure would end this one too, none need come."""
    confirmed.session([], Limits(failures=1).as_dict())
    confirmed.started("p00", attempt=1)
    confirmed.evaluation("p00", result("p00", 1, value=0.5))
    confirmed.failed("ft", "RuntimeError: no kernel")
    confirmed.close()
    ran = []
    monkeypatch.setattr(engine, "run", lambda recorders, function: ran.append(recorders[0].record.left))
    assert confirm.main([str(confirmed.path), "--top", "1", "--seeds", "2"]) == 130
    assert "reached already" not in capsys.readouterr().err
    assert ran == [6]
    assert read(confirmed.path).trials["ft"].state == FAIL
