"""What a sweep costs beyond its trials' own steps.

    python benchmarks/cost.py
    python benchmarks/cost.py --teacher DIR --data-dir DIR --rows 2000 --trials 8

Runs a sweep without early stopping as the command does it, its teacher made before, and sets its wall time against

    steps of all trials / slots  +  one pass of the teacher  +  start-up

where the steps are those of the same points again, as many plain processes at once as the sweep has slots, with the
teacher's outputs in memory and without evaluations, checkpoints, record or Ray. Start-up is the time from the command
to the first trial, less the pass. What is left over is evaluation on dev, checkpoints, the record, Ray and the report.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.sweep import add_options, named, run, student  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parse(arguments)
    if asked.alone:
        alone(Path(asked.alone[0]), asked.alone[1].split(","))
        return 0
    work = Path(asked.work or tempfile.mkdtemp(prefix="cost-")).absolute()
    try:
        measure(asked, work)
    finally:
        if not asked.work:
            shutil.rmtree(work, ignore_errors=True)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    add_options(parser, rows=2000)
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def measure(asked: argparse.Namespace, work: Path) -> None:
    """Run the sweep, run its steps alone, print the sum."""
    from distill.artifacts import Store
    from trainables.record import read

    work.mkdir(parents=True, exist_ok=True)
    common = [*named(asked), "--teacher-epochs", "1", "--artifacts", str(work / "store")]
    common += ["--max-train-rows", str(asked.rows), "--allow-weak-teacher"]
    run([sys.executable, "-m", "trainables.teacher", *common], work / "teacher.log")
    out = work / "sweep"
    started = dt.datetime.now(dt.timezone.utc)
    wall = run(
        [
            *(sys.executable, "-m", "trainables.sweep", "--method", "emd", *common, *student(asked), "--no-baseline"),
            *("--epochs", str(asked.epochs), "--trials", str(asked.trials), "--scheduler", "none", "--out", str(out)),
        ],
        work / "sweep.log",
    )
    record = read(out)
    assert record.prepared is not None
    outputs = record.prepared["teacher"]["outputs"]
    taken = float(Store(Path(outputs).parent).facts(Path(outputs))["seconds"])
    first = next(row for row in record.rows if row["kind"] == "state")
    start = (dt.datetime.fromisoformat(first["time"].replace("Z", "+00:00")) - started).total_seconds() - taken
    slots = int(record.plan["resources"]["max_concurrent"])
    points = list(record.trials)
    groups = [points[i::slots] for i in range(slots)]
    began = time.monotonic()
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "--alone", str(out), ",".join(group)], stdout=subprocess.PIPE, text=True
        )
        for group in groups
    ]
    alone_each = [float(worker.communicate()[0].split()[-1]) for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit("the steps alone could not be run")
    steps = max(alone_each)
    looks = sum(t.seconds for t in record.trials.values()) / slots
    print(f"{len(points)} trials of {asked.epochs} epochs on {asked.rows} rows, {slots} at once, one core each")
    print(f"sweep, wall                         {wall:8.1f} s")
    print(f"steps alone, outputs in memory      {steps:8.1f} s  (both groups: {min(alone_each):.1f} to {steps:.1f})")
    print(f"one pass of the teacher             {taken:8.1f} s")
    print(f"start-up                            {start:8.1f} s")
    print(f"sweep over their sum                {wall / (steps + taken + start):8.2f}")
    print(f"(steps and evaluations in the sweep {looks:8.1f} s; the steps alone took {time.monotonic() - began:.1f} s)")


def alone(sweep: Path, points: list[str]) -> None:
    """Train some points of a sweep without anything around them; prints the seconds of their steps."""
    from distill import methods
    from distill.tasks import registry
    from distill.teacher.cached import CachedTeacher
    from distill.training.assemble import assemble
    from distill.training.batching import Tokens
    from distill.training.settings import Numerics, Training
    from trainables.record import read

    record = read(sweep)
    plan, prepared = record.plan, record.prepared
    assert prepared is not None
    source: Any = CachedTeacher(Path(prepared["teacher"]["outputs"]))
    source._parts = {part: np.array(values) for part, values in source._parts.items()}
    train, dev = (Tokens.load(Path(prepared["data"]["path"]) / f"{name}.npz") for name in ("train", "dev"))
    few = Tokens(dev.ids[: dev.offsets[2]], dev.types[: dev.offsets[2]], dev.offsets[:3], dev.labels[:2], dev.pad)
    seconds = 0.0
    for point in points:
        spec = record.trial(point).point
        training = Training(**{**plan["training"], **spec["training"]})
        made = assemble(
            methods.get(spec["method"]),
            registry.get(plan["task"]),
            prepared["student"]["path"],
            tuple(prepared["student"]["kept"]) if prepared["student"]["kept"] else None,
            (train, few),
            params=spec["params"],
            training=training,
            numerics=Numerics(**plan["numerics"]),
            recipe=spec["recipe"],
            head=spec["head"],
            seed=spec["seed"],
            source=source,
        )
        began = time.monotonic()
        for _ in made:
            pass
        seconds += time.monotonic() - began
    print(seconds)


if __name__ == "__main__":
    sys.exit(main())
