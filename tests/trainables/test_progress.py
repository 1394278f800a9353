from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests.trainables.sweeps import create, result, run_to_end
from trainables import progress
from trainables.recorder import Recorder


@pytest.fixture
def sweep(tmp_path: Path) -> Recorder:
    return create(tmp_path / "s", epochs=4)


def listening(sweep: Recorder) -> io.StringIO:
    stream = io.StringIO()
    sweep.listeners.append(progress.PlainProgress(sweep.record, stream))
    return stream


def test_one_plain_line_per_event(sweep: Recorder) -> None:
    stream = listening(sweep)
    sweep.started("p00", attempt=1)
    sweep.started("p01", attempt=2)
    for number in (1, 2, 3, 4):
        sweep.evaluation("p00", result("p00", number, value=number / 10))
    sweep.evaluation("p01", result("p01", 1, value=0.05))
    sweep.started("p02", attempt=1)
    sweep.failed("p02", "out of memory: 2 GiB")
    lines = stream.getvalue().splitlines()
    label = {t.id: t.point["label"] for t in sweep.record.trials.values()}
    told = [line[9:].replace(f" ({label[line[9:12]]})", "") for line in lines]
    assert told[:4] == ["p00: started.", "p01: started, attempt 2.", *told[2:4]]
    assert told[2] == "p00: epoch 1 of 4, mcc 0.100, 2 s."
    assert told[6].startswith("p00: complete, best mcc 0.400 at epoch 4. [at most 1 min left]")
    assert told[8].startswith("p01: stopped at rung 1, mcc 0.050 below 0.100.")
    assert told[10].startswith("p02: failed, out of memory: 2 GiB.")
    assert len(lines) == 11


def test_values_that_are_not_finite_are_told_in_words(sweep: Recorder) -> None:
    stream = listening(sweep)
    for point, value in (("p01", 0.5), ("p02", None)):
        sweep.started(point, attempt=1)
        sweep.evaluation(point, result(point, 1, value=value))
    text = stream.getvalue()
    assert "mcc not finite, 2 s." in text
    assert "failed, diverged: not finite at epoch 1." in text
    assert max(map(len, text.splitlines())) < 200


def test_another_try_after_want_of_memory_is_told_with_what_it_gets(sweep: Recorder) -> None:
    stream = listening(sweep)
    sweep.started("p00", attempt=1)
    sweep.retry("p00", "out of memory: 2 GiB", {"CPU": 1.0, "GPU": 1.0}, 1)
    sweep.started("p00", attempt=1)
    sweep.retry("p00", "out of memory: 2 GiB", {"CPU": 1.0, "GPU": 0.0}, 4)
    text = stream.getvalue()
    assert ": out of memory, goes on with 1 GPU.\n" in text
    assert ": out of memory, goes on without a GPU, each batch in 4 parts.\n" in text


def test_a_determinism_fault_is_told(sweep: Recorder) -> None:
    stream = listening(sweep)
    run_to_end(sweep, "p00", 1)
    sweep.evaluation("p00", result("p00", 1, value=0.7))
    assert "determinism fault, evaluation 1 gave another value" in stream.getvalue()


def test_summary_and_time_left(sweep: Recorder) -> None:
    assert progress.seconds_left(sweep.record) is None
    assert progress.summary(sweep.record)["trials"].startswith("0 of 5 finished · 0 running")
    run_to_end(sweep, "p00")
    sweep.started("p01", attempt=1)
    sweep.evaluation("p01", result("p01", 1, value=-1.0))
    sweep.started("ft", attempt=1)
    facts = progress.summary(sweep.record)
    assert facts["trials"] == "2 of 5 finished · 1 running · 1 stopped early · 0 failed"
    assert facts["best"].startswith("mcc ")
    assert "by p00" in facts["best"]
    assert facts["rungs"] == "epoch 1: 2 judged · epoch 2: 1 judged"
    # Two seconds an evaluation, three trials of four left, two at once: two rounds of eight seconds.
    assert progress.seconds_left(sweep.record) == pytest.approx(16.0)
    assert facts["time left"] == "at most 1 min"


def test_time_left_follows_the_trials_at_work_first(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=3, epochs=4, scheduler="none", baseline=False)
    run_to_end(sweep, "p02", 3)
    # p02 needs one evaluation, p00 four, and p01 four after p02: five in all, of two seconds.
    assert progress.seconds_left(sweep.record) == pytest.approx(10.0)


def test_a_stop_by_hand_is_told_and_counted(sweep: Recorder) -> None:
    stream = listening(sweep)
    run_to_end(sweep, "p00", 1)
    sweep.stopped("p00")
    sweep.stopped("p01")
    text = stream.getvalue()
    assert "p00" in text
    assert "stopped by hand after 1 evaluation." in text
    assert "stopped by hand after 0 evaluations." in text
    trials = progress.summary(sweep.record)["trials"]
    assert trials == "2 of 5 finished · 0 running · 0 stopped early · 2 stopped by hand · 0 failed"


def console(width: int = 100) -> tuple[Any, io.StringIO]:
    from rich.console import Console

    stream = io.StringIO()
    return Console(file=stream, width=width, force_terminal=True, color_system=None, legacy_windows=False), stream


def test_live_view_shows_counts_best_rungs_and_trials_at_work(sweep: Recorder) -> None:
    screen, stream = console()
    run_to_end(sweep, "p00")
    run_to_end(sweep, "p01", 1)
    with progress.LiveProgress(sweep.record, screen) as view:
        sweep.listeners.append(view)
        sweep.started("p02", attempt=1)
        sweep.failed("p02", "[red]out of memory[/red]")
        view.say("a note")
        screen.print(view._render())
    text = stream.getvalue()
    for word in ("BERT-EMD on cola", "finished", "best", "rungs", "time left", "4/4", "p01", "a note"):
        assert word in text
    assert "failed, [red]out of memory[/red]." in text


def test_live_view_keeps_to_a_dozen_rows_and_the_width(tmp_path: Path) -> None:
    sweep = create(tmp_path / "many", points=30, epochs=2, scheduler="none")
    for point in sweep.record.trials:
        run_to_end(sweep, point)
    screen, stream = console(80)
    view = progress.LiveProgress(sweep.record, screen)
    view.__exit__()
    stream.truncate(0)
    stream.seek(0)
    screen.print(view._render())
    lines = stream.getvalue().splitlines()
    assert len([line for line in lines if line.rstrip().endswith("complete")]) <= 12
    assert all(len(line) <= 80 for line in lines)


def test_live_view_outlives_a_row_that_comes_while_it_draws(sweep: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    screen, _ = console()
    with progress.LiveProgress(sweep.record, screen) as view:
        before = view._render()

        def torn(record: Any) -> dict[str, str]:
            raise RuntimeError("dictionary changed size during iteration")

        monkeypatch.setattr(progress, "summary", torn)
        assert view._render() is before


def test_plain_lines_where_there_is_no_terminal(sweep: Recorder) -> None:
    assert isinstance(progress.make([sweep.record]), progress.PlainProgress)
