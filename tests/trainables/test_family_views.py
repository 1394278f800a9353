"""How several sweeps at once are told: status of the parent, plain lines, the live table."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.fake_family import build_family
from tests.trainables.sweeps import create, result, run_to_end
from trainables import preparing, progress, status
from trainables.lock import FolderLock
from trainables.progress_family import LiveFamily, PlainFamily, seconds_left
from trainables.recorder import Recorder


@pytest.fixture
def sweeps(tmp_path: Path) -> list[Recorder]:
    """Two sweeps of 4 points and a baseline each, of 4 epochs; the second trains slower."""
    return [create(tmp_path / name, points=4, epochs=4, scheduler="none", concurrent=2) for name in ("2L", "4L")]


def test_status_of_a_parent_is_a_line_a_sweep_and_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parent = build_family(tmp_path / "p", (2, 4, 6), {4: {"events": 12}, 6: None}, dev_rows=60, points=4)
    found = status.status(parent)
    one, two = (status.status(parent / name) for name in ("2L", "4L"))
    assert found["sweeps"] == {"2L": one, "4L": two}
    assert found["missing"] == ["6L"]
    assert (found["state"], found["driver"]) == ("interrupted", None)
    assert found["trials"] == {name: one["trials"][name] + two["trials"][name] for name in one["trials"]}
    assert found["evaluations"]["done"] == one["evaluations"]["done"] + two["evaluations"]["done"]
    assert found["resume"] == f"python -m trainables.sweep --resume {parent}"
    assert status.main([str(parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sweeps"].keys() == {"2L", "4L"}
    assert status.main([str(parent)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"BERT-EMD on cola-made-up, 2 and 4 layers: {parent}"
    assert lines[1] == "State: interrupted, no driver holds it."
    assert lines[2].startswith("  2L  finished, 5 of 5 trials finished; best mcc 0.")
    assert lines[3].startswith("  4L  interrupted, ")
    assert lines[4] == "Not written yet: 6L."
    assert lines[5].startswith("Together: 10 trials, evaluations ")
    assert lines[-1].startswith("Continue with: python -m trainables.sweep --resume ")


def test_status_names_the_driver_of_the_parent(tmp_path: Path) -> None:
    parent = build_family(tmp_path / "p", (2, 4), {2: {"events": 0}, 4: {"events": 0}}, dev_rows=60, points=2)
    lock = FolderLock(parent)
    lock.acquire()
    found = status.status(parent)
    assert (found["state"], found["driver"]["pid"], found["resume"]) == ("preparing", os.getpid(), None)
    assert f"driver {os.getpid()} on " in status.describe(found)[1]
    with preparing.noted(parent, lambda line: None) as note:
        note("Teacher: epoch 1 of 3.")
        assert status.describe(status.status(parent))[2].endswith("Z: Teacher: epoch 1 of 3.")
    assert not (parent / preparing.FILE).exists()
    lock.release()


def test_a_finished_parent_offers_nothing(tmp_path: Path) -> None:
    parent = build_family(tmp_path / "p", (2, 4), dev_rows=60, points=2)
    found = status.status(parent)
    assert (found["state"], found["resume"], found["seconds_left"]) == ("finished", None, 0.0)


def test_plain_lines_name_the_sweep(sweeps: list[Recorder]) -> None:
    stream = io.StringIO()
    view = PlainFamily([sweep.record for sweep in sweeps], stream)
    for sweep in sweeps:
        sweep.listeners.append(view)
        run_to_end(sweep, "p00", 1)
    sweeps[1].failed("p00", "by plan")
    told = [line[9:].partition(" (")[0] for line in stream.getvalue().splitlines()]
    assert told == ["2L p00", "2L p00", "4L p00", "4L p00", "4L p00"]
    assert stream.getvalue().splitlines()[-1].endswith(": failed, by plan. [at most 1 min left]")


def test_time_left_lays_all_sweeps_onto_the_same_slots(sweeps: list[Recorder]) -> None:
    records = [sweep.record for sweep in sweeps]
    assert seconds_left(records) is None
    run_to_end(sweeps[0], "p00")
    # The other sweep has no evaluation yet, so nobody knows how long its trials take.
    assert seconds_left(records) is None
    sweeps[1].started("p00", attempt=1)
    sweeps[1].evaluation("p00", result("p00", 1, seconds=5.0))
    # Two slots. The running trial has 3 evaluations of 5 s left; of the others four take 4 × 2 s, four 4 × 5 s.
    waiting = [8.0] * 4 + [20.0] * 4
    slots = [15.0, 0.0]
    for seconds in waiting:
        slots[slots.index(min(slots))] += seconds
    assert seconds_left(records) == pytest.approx(max(slots))


def test_the_live_table_counts_device_seconds_where_they_are_shared(sweeps: list[Recorder]) -> None:
    from rich.console import Console

    for sweep in sweeps:
        sweep.record.header["plan"]["device_seconds"] = {"rule": "seconds", "seconds": 60.0}
        run_to_end(sweep, "p00")
    stream = io.StringIO()
    with LiveFamily([sweep.record for sweep in sweeps], Console(file=io.StringIO(), width=110)) as view:
        Console(file=stream, width=110).print(view._render())
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert next(line for line in lines if line[:1] == ["sweep"])[5] == "device-s"
    # Four evaluations of 2 s; the slower sweep's are set by the same stand-in.
    assert next(line for line in lines if line[:1] == ["2L"])[7] == "8"


def test_the_live_table_has_a_row_a_sweep(sweeps: list[Recorder]) -> None:
    from rich.console import Console

    def screen() -> tuple[Console, io.StringIO]:
        stream = io.StringIO()
        return Console(file=stream, width=110, force_terminal=True, color_system=None, legacy_windows=False), stream

    with LiveFamily([sweep.record for sweep in sweeps], screen()[0]) as view:
        for sweep in sweeps:
            sweep.listeners.append(view)
            run_to_end(sweep, "p00")
            run_to_end(sweep, "p01", 2)
        sweeps[1].failed("p01", "by plan")
        # On a screen of its own, apart from the frames that the view draws by itself.
        console, stream = screen()
        console.print(view._render())
        text = stream.getvalue()
    rows = [line.split() for line in text.splitlines() if line.strip().startswith(("2L", "4L"))]
    assert rows[0][:7] == ["2L", "1", "of", "5", "1", "0", "0"]
    assert rows[1][:7] == ["4L", "2", "of", "5", "0", "0", "1"]
    assert rows[2][:2] == ["2L", "p01"]
    assert "2/4" in rows[2]
    assert len(rows) == 3
    for name in ("BERT-EMD on ", "4 layers", "time left: at most 1 min"):
        assert name in text


def test_one_sweep_is_told_as_ever_and_several_by_name(
    sweeps: list[Recorder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def kind(*some: Recorder) -> Any:
        with progress.make([sweep.record for sweep in some]) as view:
            return type(view)

    assert kind(sweeps[0]) is progress.PlainProgress
    assert kind(*sweeps) is PlainFamily
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert kind(sweeps[0]) is progress.LiveProgress
    assert kind(*sweeps) is LiveFamily


def test_what_sweeps_say_alike_is_told_once() -> None:
    told: list[str] = []
    tell = progress.once(told.append)
    for line in ("Teacher: found.", "a", "Teacher: found.", "b", "a"):
        tell(line)
    assert told == ["Teacher: found.", "a", "b"]
