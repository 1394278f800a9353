"""Headers of small sweeps, and the curves of their points, for tests of the record and of the engine without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tests.fake_sweep import Fake
from trainables.recorder import Recorder
from trainables.rungs import milestones

FLOAT = {"type": "float", "low": -1e6, "high": 1e6, "log": False, "choices": []}


def header(
    points: int = 4,
    epochs: int = 4,
    scheduler: str = "asha",
    factor: int = 2,
    grace: int = 1,
    baseline: bool = True,
    concurrent: int = 2,
    keep: int = 2,
) -> dict[str, Any]:
    """The content of `sweep.json`, as the command writes it, for points that only tests can run."""
    fake = Fake(Path("unused"), points=min(points, 8), epochs=epochs, scheduler=scheduler, baseline=baseline)
    made = fake.plan_points()
    for number in range(8, points):
        made.append({**made[-1], "id": f"p{number:02d}", "number": number, "params": {"lr": 1e-5 * number}})
    found = fake.header(made)
    names = {name for point in made for name in point["params"]}
    rungs = list(milestones(epochs, grace, factor)) if scheduler == "asha" else []
    asked = {"name": scheduler, "grace": grace, "reduction_factor": factor, "rungs": rungs}
    plan = found["plan"]
    plan.update(
        scheduler=asked if scheduler == "asha" else {**asked, "grace": None, "reduction_factor": None},
        distributions={"emd": dict.fromkeys(names, FLOAT), "ft": {"lr": FLOAT}},
        keep_students=keep,
        cpus=concurrent,
        resources={
            "cpus_per_trial": 1.0,
            "gpus_per_trial": 0.0,
            "max_concurrent": concurrent,
            "threads": 1,
            "gpus": 0,
        },
    )
    return found


def value(point: str, evaluation: int) -> float:
    """The tabulated curve of a point: rising, and different from every other one."""
    level = int(hashlib.sha256(point.encode()).hexdigest()[:6], 16) / 0xFFFFFF
    return round(level * (1 - 0.5**evaluation), 9)


def result(point: str, evaluation: int, **changes: Any) -> dict[str, Any]:
    """What a worker reports of one evaluation."""
    got = value(point, evaluation)
    return {
        "evaluation": evaluation,
        "epoch": float(evaluation),
        "value": got,
        "metrics": {"mcc": got, "accuracy": 0.5},
        "terms": {"total": 1.0 / evaluation},
        "seconds": 2.0,
        "steps": 7,
        "lr": 1e-4,
        **changes,
    }


def create(folder: Path, **plan: Any) -> Recorder:
    """A new sweep, opened for writing."""
    return Recorder.create(folder, header(**plan))


def run_to_end(recorder: Recorder, point: str, evaluations: int = 99) -> None:
    """Start a point and report its curve until the recorder stops it, or for so many evaluations."""
    recorder.started(point, attempt=1)
    for number in range(1, 1 + min(evaluations, recorder.evaluations)):
        if recorder.evaluation(point, result(point, number)):
            return
