"""A stand-in for the trial: tabulated curves and faults on demand, run by real Ray workers without torch."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.trainables.sweeps import result
from trainables import retry
from trainables.lock import FolderLock
from trainables.record import TRIALS, read

FAULTS = "faults.json"


def curve(config: dict[str, Any]) -> None:
    """Report the curve of a point; what goes wrong, and at which evaluation, stands in the sweep's `faults.json`.

    Like the real trial it keeps its state before it reports, continues from it, and reports again what the driver
    may not have heard.
    """
    from ray import tune

    sweep, point = Path(config["sweep"]), str(config["point"])
    folder = sweep / TRIALS / point
    folder.mkdir(parents=True, exist_ok=True)
    kind, at = json.loads((sweep / FAULTS).read_text()).get(point, ("", 0))
    state = folder / "state-1.json"
    rows = json.loads(state.read_text()) if state.exists() else []
    epochs = json.loads((sweep / "sweep.json").read_text())["plan"]["evaluations"]
    lock = FolderLock(folder)
    lock.acquire(10)
    try:
        with (folder / "starts.txt").open("a") as stream:
            stream.write(f"{len(rows) + 1}\n")
        for row in rows[config["recorded"] :]:
            tune.report(row)
        for number in range(len(rows) + 1, epochs + 1):
            if number == at and kind == "return":
                return
            if number == at and kind == "fail":
                tune.report(_failure(number, "ValueError: by plan"))
                return
            if number == at and kind == "oom" and config["resources"]["GPU"] < 1:
                tune.report(_failure(number, "out of memory: tried to allocate 3 GiB"))
                return
            if number == at and kind == "large" and micro(sweep, point) < 4:
                tune.report(_failure(number, "out of memory: tried to allocate 3 GiB"))
                return
            if number == at and kind == "diverge":
                tune.report(_failure(number, "diverged: not finite by epoch 1: total"))
                return
            if number == at and kind == "full":
                tune.report({"evaluation": number, "epoch": number, "value": -1e30, "halt": "No space left"})
                return
            once = folder / "killed"
            if number == at and (kind == "die" or (kind == "die once" and not once.exists())):
                once.write_text("")
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "slow":
                time.sleep(at)
            row = result(point, number)
            if number == at and kind == "ahead":
                # As if the worker had been killed between the files of an evaluation and its row.
                row["value"] = row["metrics"]["mcc"] = 1.0
                np.savez(folder / "predictions-last.npz", logits=[[1.0, 0.0], [0.0, 1.0]], labels=[0, 1])
                state.write_text(json.dumps([*rows, row]))
                time.sleep(600)
            if number == at and kind == "silent":
                tune.report({"note": "neither metric nor number"})
                del row["value"]
            if kind == "pace":
                row["seconds"] = at
            if kind == "peak":
                row["value"] = row["metrics"]["mcc"] = 0.9 if number == at else 0.6
            if number == at and kind == "nan":
                row["value"] = row["metrics"]["mcc"] = float("nan")
            rows.append(row)
            state.write_text(json.dumps(rows))
            tune.report(row)
    finally:
        lock.release()


def micro(sweep: Path, point: str) -> int:
    """Parts of a batch that the record asks of a point."""
    return retry.micro(read(sweep).trial(point))


def _failure(number: int, cause: str) -> dict[str, Any]:
    return {"evaluation": number, "epoch": number, "value": -1e30, "failure": cause}
