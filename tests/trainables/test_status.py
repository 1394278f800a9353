"""How a sweep stands: waiting, held by a driver, cut, finished; as words and as JSON."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.trainables.commands import ROOT
from tests.trainables.sweeps import create, result, run_to_end, value
from trainables import disk, status
from trainables.record import LOCK


def printed(folder: Path, *more: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "trainables.status", str(folder), *more],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_sweep_that_waits_runs_is_cut_and_ends(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=3, epochs=2, scheduler="none")
    assert status.status(sweep.path)["state"] == "preparing"
    sweep.session([])
    run_to_end(sweep, "p00")
    run_to_end(sweep, "p01", 1)
    found = status.status(sweep.path)
    assert (found["state"], found["driver"]) == ("running", {"host": socket.gethostname(), "pid": os.getpid()})
    assert found["resume"] is None
    assert found["trials"] == {
        "total": 4,
        "waiting": 2,
        "running": 1,
        "complete": 1,
        "stopped_early": 0,
        "stopped_by_hand": 0,
        "failed": 0,
        "to_suggest": 0,
    }
    assert found["evaluations"] == {"done": 3, "possible": 8, "open": 5}
    # Two slots, two seconds an evaluation: one takes p01 (1) and p02 (2), the other the baseline (2).
    assert found["seconds_left"] == pytest.approx(6.0)
    (running,) = found["open"]
    assert (running["id"], running["evaluation"], running["value"]) == ("p01", 1, value("p01", 1))
    sweep.close()
    found = status.status(sweep.path)
    assert (found["state"], found["driver"]) == ("interrupted", None)
    assert found["resume"] == f"python -m trainables.sweep --resume {sweep.path}"
    text = "\n".join(status.describe(found))
    assert "1 cut while running" in text
    assert f"Continue with: {found['resume']}" in text


def test_finished_with_baseline_failures_and_stops(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=8, epochs=2, scheduler="none")
    sweep.session([])
    for point, score in (("p00", 0.5), ("ft", 0.375)):
        sweep.started(point, attempt=1)
        for number in (1, 2):
            sweep.evaluation(point, result(point, number, value=score * number / 2))
    for number in (1, 2, 3):
        sweep.started(f"p0{number}", attempt=1)
        sweep.failed(f"p0{number}", "out of memory: 2 GiB" if number < 3 else "diverged: loss is nan")
    sweep.stopped("p04")
    for point in ("p05", "p06", "p07"):
        sweep.stopped(point)
    sweep.close()
    found = status.status(sweep.path)
    assert (found["state"], found["seconds_left"], found["resume"]) == ("finished", 0.0, None)
    assert found["failures"] == {"out of memory: 2 GiB": ["p01", "p02"], "diverged: loss is nan": ["p03"]}
    assert found["trials"]["stopped_by_hand"] == 4
    text = "\n".join(status.describe(found))
    assert "Trials: 9, 2 complete, 4 stopped by hand, 3 failed." in text
    assert "mcc 0.500 by p00 at epoch 2" in text
    assert "+0.125 against the baseline." in text
    assert "Failed: p01, p02: out of memory: 2 GiB." in text


def test_the_published_point_stands_beside_the_best(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=2)
    sweep.record.header["plan"]["points"][0]["origin"] = "published"
    (sweep.path / "sweep.json").write_text(json.dumps(sweep.record.header))
    run_to_end(sweep, "p00", 1)
    found = status.status(sweep.path)
    assert found["published"]["score"] == value("p00", 1)
    assert any(line.startswith("Published point: mcc") for line in status.describe(found))


def test_values_that_are_not_finite_are_null(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", epochs=4)
    sweep.started("p00", attempt=2)
    sweep.evaluation("p00", result("p00", 1, value=float("nan")))
    found = status.status(sweep.path)
    json.dumps(found, allow_nan=False)
    assert found["open"] == []
    assert found["failures"] == {"diverged: not finite at epoch 1": ["p00"]}
    text = "\n".join(status.describe(found))
    assert "Failed: p00: diverged: not finite at epoch 1." in text
    assert "Best: none yet." in text


def test_looking_changes_nothing_and_keeps_nobody_out(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s")
    sweep.close()
    before = {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in sweep.path.rglob("*")}
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            status.status(sweep.path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in sweep.path.rglob("*")} == before
        for _ in range(20):
            type(sweep)(sweep.path).close()
    finally:
        stop.set()
        looking.join()


def test_a_lock_whose_holder_has_not_signed_yet(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s")
    (sweep.path / LOCK).write_text("")
    found = status.status(sweep.path)
    assert found["driver"] == {"host": None, "pid": None}
    assert "a process that has just started" in "\n".join(status.describe(found))


def test_disk_is_counted_by_kind(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s")
    sweep.close()
    trial = sweep.path / "trials" / "p00"
    for name, size in (
        ("student/model.safetensors", 1000),
        (".student/model.safetensors", 200),
        ("state-00001.pt", 70),
    ):
        (trial / name).parent.mkdir(parents=True, exist_ok=True)
        (trial / name).write_bytes(b"x" * size)
    (trial / "seen.jsonl").write_bytes(b"x" * 9)
    (sweep.path / "student").mkdir()
    (sweep.path / "student" / "model.safetensors").write_bytes(b"x" * 3)
    rest = sum(f.stat().st_size for f in sweep.path.iterdir() if f.is_file()) + 9
    found = disk.usage(sweep.path)
    assert found == {"folder": 1273 + rest, "students": 1203, "states": 70, "rest": rest}


def test_the_command_answers_in_words_in_json_and_with_one_sentence(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s")
    run_to_end(sweep, "p00", 1)
    code, out, err = printed(sweep.path)
    assert (code, err) == (0, "")
    assert out.splitlines()[1].startswith(f"State: running, driver {os.getpid()} on ")
    code, out, err = printed(sweep.path, "--json")
    assert json.loads(out) == status.status(sweep.path)
    for folder in (tmp_path, tmp_path / "nowhere"):
        code, out, err = printed(folder)
        assert (code, out) == (2, "")
        assert err == f"error: {folder} holds no sweep (sweep.json is missing); name the folder a sweep wrote.\n"
    assert printed(sweep.path, "--watch", "--every", "0")[0] == 2


def test_watching_ends_with_the_driver(tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=2)
    process = subprocess.Popen(
        [sys.executable, "-m", "trainables.status", str(sweep.path), "--json", "--watch", "--every", "0.1"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    run_to_end(sweep, "p00", 1)
    time.sleep(0.3)
    sweep.close()
    rest = [json.loads(line) for line in process.stdout]
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert (first["state"], rest[-1]["state"]) == ("preparing", "interrupted")
    assert "running" in {found["state"] for found in rest}


def test_the_live_view_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rich.console
    import rich.live

    sweep = create(tmp_path / "s")
    run_to_end(sweep, "p00", 1)
    stream = io.StringIO()
    console = rich.console.Console(file=stream, width=100, force_terminal=True, color_system=None)
    make: Any = rich.live.Live
    monkeypatch.setattr(rich.live, "Live", lambda *a, **k: make(*a, console=console, **k))
    threading.Timer(0.3, sweep.close).start()
    status._live(sweep.path, 0.1)
    assert "State: running" in stream.getvalue()
    assert "State: interrupted" in stream.getvalue()


def test_status_loads_neither_torch_nor_ray() -> None:
    heavy = ("torch", "ray", "transformers", "pandas")
    code = f"import sys, trainables.status; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12000, "3 h 20 min")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert status.duration(seconds) == words


def test_a_reader_that_is_gone_ends_it_quietly(tmp_path: Path) -> None:
    folder = create(tmp_path / "s", points=3, epochs=2, scheduler="none").path
    for more in ([], ["--json"], ["--watch", "--every", "0.1"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "trainables.status", str(folder), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (141, b"")
