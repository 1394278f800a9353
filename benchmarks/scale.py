"""Hundreds of fake trials: wall time against the ideal, memory of the driver, sizes of record and journal.

    python benchmarks/scale.py
    python benchmarks/scale.py --kill-every 60

Trials are the tabulated curves of the tests, run by real Ray workers: each sleeps before every report, so the ideal is
trials x evaluations x seconds / slots. With `--kill-every` the driver gets a kill -9 that often and is started again;
then the ideal is still that of an undisturbed sweep. No torch is imported by the workers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--evaluations", type=int, default=4, help="reports of a trial")
    parser.add_argument("--seconds", type=float, default=0.25, help="what a trial sleeps before each report")
    parser.add_argument("--slots", type=int, default=2, help="trials at once")
    parser.add_argument("--scheduler", choices=("none", "asha"), default="none")
    parser.add_argument("--kill-every", type=float, default=0.0, metavar="SECONDS", help="kill -9 the driver; 0: never")
    parser.add_argument("--driver", metavar="DIR", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.driver:
        drive(Path(asked.driver))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="scale-"))
    try:
        measure(asked, folder / "sweep")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def measure(asked: argparse.Namespace, folder: Path) -> None:
    from tests.trainables.curves import FAULTS
    from tests.trainables.sweeps import create
    from trainables.record import FINISHED, JOURNAL, ROWS, read

    recorder = create(
        folder, points=asked.trials, epochs=asked.evaluations, scheduler=asked.scheduler, concurrent=asked.slots
    )
    points = list(recorder.record.trials)
    recorder.close()
    (folder / FAULTS).write_text(json.dumps(dict.fromkeys(points, ("slow", asked.seconds))))
    memory: list[int] = []
    kills, started = 0, time.monotonic()
    while True:
        session = time.monotonic()
        driver = subprocess.Popen([sys.executable, __file__, "--driver", str(folder)], start_new_session=True)
        while driver.poll() is None:
            time.sleep(0.5)
            memory.append(resident(driver.pid))
            if asked.kill_every and time.monotonic() - session > asked.kill_every:
                driver.send_signal(signal.SIGKILL)
                driver.wait()
                kills += 1
        record = read(folder)
        done = sum(trial.state in FINISHED for trial in record.trials.values())
        print(f"{time.monotonic() - started:6.0f} s  {done:4} of {len(points)} finished, {kills} kills", flush=True)
        if not record.unfinished():
            break
    wall = time.monotonic() - started
    reports = sum(len(trial.evaluations) for trial in record.trials.values())
    replays = sum(bool(row.get("replay")) for row in record.rows)
    ideal = reports * asked.seconds / asked.slots
    print(
        f"\n{len(points)} trials, {reports} reports, {asked.slots} at once, scheduler {asked.scheduler}, {kills} kills"
    )
    print(f"wall {wall:.0f} s, ideal {ideal:.0f} s, ratio {wall / ideal:.2f}, {wall / len(points):.2f} s a trial")
    print(f"driver's memory: first {memory[2] / 1e6:.0f} MB, largest {max(memory) / 1e6:.0f} MB")
    for name in (ROWS, JOURNAL):
        size = (folder / name).stat().st_size
        print(f"{name}: {size / 1e6:.2f} MB, {size / len(points) / 1e3:.2f} kB a trial")
    print(
        f"determinism faults {sum(len(t.faults) for t in record.trials.values())}, replayed rows that differ {replays}"
    )


def drive(folder: Path) -> None:
    """One session, as the command has it."""
    from tests.trainables.curves import curve
    from trainables import engine
    from trainables.recorder import Recorder

    recorder = Recorder(folder)
    recorder.session(["--resume"])
    engine.start_ray(recorder.record.plan, dashboard=False)
    engine.run([recorder], curve)
    recorder.close()


def resident(process: int) -> int:
    """Resident memory of a process in bytes; 0 when it is gone."""
    try:
        words = Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0
    return int(words[1]) * 4096


if __name__ == "__main__":
    sys.exit(main())
