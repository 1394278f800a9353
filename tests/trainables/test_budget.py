"""Limits of a session: times, failures in all and in a row, and what the next session is told."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from tests.trainables.sweeps import create, run_to_end
from trainables import budget, interrupt
from trainables.budget import Limits, Watch
from trainables.record import read
from trainables.recorder import Recorder


@pytest.fixture(autouse=True)
def nothing_stopped() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interrupt.catch_signals(lambda text: None)
    yield
    interrupt.catch_signals(lambda text: None)
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Recorder]:
    recorder = create(tmp_path / "s", points=8, epochs=2, scheduler="none")
    yield recorder
    recorder.close()


def fail(recorder: Recorder, point: str, cause: str = "ValueError: broken") -> None:
    recorder.started(point, attempt=1)
    recorder.failed(point, cause)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("45s", 45), ("90m", 5400), ("8h", 28800), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400), ("1d2h3m4s", 93784)],
)
def test_times(text: str, wanted: float) -> None:
    assert budget.seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "90", "m", "30m1h", "1h 30m", "-1h", "0h", "0m0s", "1w", "nan", "1e3s", "٣h"])
def test_what_is_no_time_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=f"--time-budget {text} is not a time; write it like 45s, 90m, 8h"):
        budget.seconds(text)


def test_the_budget_ends_the_session_by_a_clock_that_does_not_jump(
    sweep: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    # A clock that was set: three years on, then back to the beginning.
    monkeypatch.setattr(time, "time", lambda: now * 1e5)
    watch = Watch([sweep], Limits("1h30m", begun=990.0))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    now = 990.0 + 5399.9
    assert not interrupt.stop_requested()
    now = 990.0 + 5400.0
    assert interrupt.stop_requested()
    assert interrupt.halted() == "the time budget of 1h30m is used up"
    assert budget.exit_code(130) == 3
    watch.close()


def test_without_limits_nothing_ends(sweep: Recorder) -> None:
    Watch([sweep], Limits(consecutive=99))
    for point in ("p00", "p01", "p02", "p03", "p04", "p05"):
        fail(sweep, point)
    assert not interrupt.stop_requested()
    assert budget.exit_code(130) == 130


def test_failures_in_a_row_end_the_sweep_with_the_commonest_cause(sweep: Recorder) -> None:
    watch = Watch([sweep], Limits(consecutive=3))
    fail(sweep, "p00")
    fail(sweep, "p01")
    run_to_end(sweep, "p02")
    # The row began anew; the undistilled baseline counts as any other.
    fail(sweep, "p03", "RuntimeError: no kernel at 0x7f01")
    fail(sweep, "ft", "ValueError: other")
    assert not interrupt.stop_requested()
    fail(sweep, "p04", "RuntimeError: no kernel at 0x7f02")
    reason = interrupt.halted()
    assert reason == (
        "3 points failed one after the other (--max-consecutive-failures); most often: "
        "RuntimeError: no kernel at 0x7f02 (p03, p04)"
    )
    assert budget.exit_code(130) == 1
    watch.close()
    assert sweep.listeners == []


def test_a_diverged_point_tells_nothing_of_the_machine_but_counts_as_failed(sweep: Recorder) -> None:
    Watch([sweep], Limits(failures=4, consecutive=2))
    fail(sweep, "p00", "diverged: not finite by epoch 1: total")
    fail(sweep, "p01", "diverged: not finite by epoch 1: total")
    fail(sweep, "p02")
    assert not interrupt.stop_requested()
    fail(sweep, "p03", "diverged: not finite by epoch 1: total")
    assert interrupt.limit_reached() == "max_failures"
    assert "4 points failed, as many as --max-failures 4 allows; most often: diverged" in str(interrupt.halted())


def test_a_divergence_does_not_end_a_row_of_failures(sweep: Recorder) -> None:
    Watch([sweep], Limits(consecutive=2))
    fail(sweep, "p00")
    fail(sweep, "p01", "diverged: not finite by epoch 1: total")
    sweep.stopped("p02")
    assert not interrupt.stop_requested()
    fail(sweep, "p03")
    assert interrupt.limit_reached() == "max_consecutive_failures"


def test_several_sweeps_of_one_session_have_their_limits_in_common(tmp_path: Path) -> None:
    both = [create(tmp_path / name, points=2, scheduler="none") for name in ("a", "b")]
    Watch(both, Limits(failures=3))
    fail(both[0], "p00")
    fail(both[1], "p00")
    assert not interrupt.stop_requested()
    fail(both[1], "p01")
    assert interrupt.limit_reached() == "max_failures"
    for recorder in both:
        recorder.close()


def test_the_reason_is_recorded_until_the_next_session(sweep: Recorder) -> None:
    said: list[str] = []
    budget.tell_halt([sweep], said.append)
    assert said == []
    sweep.session([], Limits("90m").as_dict())
    interrupt.halt("the time budget of 90m is used up", limit=budget.TIME)
    interrupt.halt("something later")
    budget.tell_halt([sweep], said.append)
    assert said == ["Stopped: the time budget of 90m is used up."]
    halt = read(sweep.path).halt
    assert halt is not None
    assert (halt["reason"], halt["limit"]) == ("the time budget of 90m is used up", "time_budget")
    sweep.session([])
    assert read(sweep.path).halt is None


def test_points_not_run_and_not_finished_are_named(sweep: Recorder) -> None:
    run_to_end(sweep, "p00")
    run_to_end(sweep, "ft", evaluations=1)
    sweep.started("p01", attempt=1)
    sweep.stopped("p02")
    assert budget.left(sweep.record) == [
        "Not run: p03, p04, p05, p06, p07.",
        "Not finished: ft (1 of 2 evaluations), p01 (0 of 2 evaluations).",
    ]


def test_a_resumed_session_has_no_time_unless_it_is_given_and_the_failures_of_the_one_before(sweep: Recorder) -> None:
    sweep.session([], Limits("90m", failures=3, consecutive=4).as_dict())
    again = Limits.again([sweep.record], {})
    assert (again.budget, again.failures, again.consecutive) == (None, 3, 4)
    again = Limits.again([sweep.record], {"time_budget": "2h", "max_failures": 9, "max_consecutive_failures": 2})
    assert (again.budget, again.failures, again.consecutive) == ("2h", 9, 2)
    assert again.options([sweep.record]) == " --time-budget 2h --max-failures 9 --max-consecutive-failures 2"
    assert Limits().options([sweep.record]) == ""


def test_failures_of_all_sessions_count_and_a_reached_limit_is_refused(sweep: Recorder) -> None:
    sweep.session([], Limits(failures=2).as_dict())
    fail(sweep, "p00")
    assert Limits.again([sweep.record], {}).failures == 2
    fail(sweep, "p01")
    with pytest.raises(UserError, match=r"--max-failures 2 is reached already: 2 points failed \(p00, p01\); .*4\."):
        Limits.again([sweep.record], {})
    assert Limits(failures=2).options([sweep.record]) == " --max-failures 4"
    watch = Watch([sweep], Limits.again([sweep.record], {"max_failures": 3, "max_consecutive_failures": 2}))
    # In a row only this session's points count: somebody may have mended the cause of the earlier ones.
    run_to_end(sweep, "p02")
    assert not interrupt.stop_requested()
    fail(sweep, "p03")
    assert interrupt.limit_reached() == "max_failures"
    watch.close()


def test_a_finished_sweep_may_be_reported_again_whatever_failed(tmp_path: Path) -> None:
    recorder = create(tmp_path / "s", points=1, baseline=False, scheduler="none")
    recorder.session([], Limits(failures=1).as_dict())
    fail(recorder, "p00")
    assert Limits.again([recorder.record], {}).failures == 1
    recorder.close()


@pytest.mark.parametrize(("values", "flag"), [({"failures": 0}, "max-failures"), ({"consecutive": 0}, "consecutive")])
def test_limits_that_are_none(values: dict[str, Any], flag: str) -> None:
    with pytest.raises(UserError, match=f"{flag}.* 0 is too small"):
        Limits(**values)
