"""A stand-in for training on a node that shares no folder with the driver, and a driver of it.

`python -m tests.trainables.node_curves ADDRESS FOLDER STORAGE GATE` runs the unfinished points of a sweep on a cluster.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.trainables.sweeps import result
from trainables.record import TRIALS, read
from trainables.waiting import until

STARTS = "starts.jsonl"
_GATE = "gate.txt"


def train(
    config: dict[str, Any], sweep: Path, report: Callable[[dict[str, Any]], None], written: Callable[[], object]
) -> None:
    """As `trainables.trial.train_in`, with a tabulated curve.

    No trial goes beyond its first evaluation before the test has opened the gate, so that each node gets one.
    """
    record, point = read(sweep), str(config["point"])
    folder = sweep / TRIALS / point
    assert str(sweep) != config["sweep"]
    assert record.prepared is not None
    shared = Path(record.prepared["data"]["path"])
    assert config["sweep"] not in shared.parents
    gate = Path((shared / _GATE).read_text())
    states = sorted(folder.glob("state-*"))
    rows = json.loads(states[-1].read_text()) if states else []
    with (folder / STARTS).open("a") as stream:
        stream.write(json.dumps({"from": len(rows) + 1, "node": node(), "process": os.getpid()}) + "\n")
    for row in rows[int(config["recorded"]) :]:
        report(row)
    for number in range(len(rows) + 1, int(record.plan["evaluations"]) + 1):
        assert number == 1 or until(gate.exists, patience=90, every=0.2)
        rows.append(result(point, number))
        (folder / "student").mkdir(exist_ok=True)
        (folder / "student" / "weights").write_text(f"{point} {number}")
        (folder / f"state-{number:05d}").write_text(json.dumps(rows))
        for old in sorted(folder.glob("state-*"))[:-2]:
            old.unlink()
        report(rows[-1])


def node() -> str:
    """The node that this process runs on; empty where none does."""
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def prepared(store: Path, gate: str) -> dict[str, Any]:
    """What the trials share: an artifact that says which file lets them go on."""
    from distill.artifacts import Store

    def fill(folder: Path) -> None:
        (folder / _GATE).write_text(gate)

    path = str(Store(store).build("tokens", {"gate": gate}, fill))
    return {"teacher": {"content": "none", "path": None}, "data": {"path": path}}


def main(address: str, folder: str, storage: str, gate: str) -> None:
    from trainables import engine, nodes
    from trainables.mirror import Mirror
    from trainables.recorder import Recorder

    sweep = Recorder(Path(folder))
    sweep.session([])
    engine.catch_signals(print)
    engine.start_ray(sweep.record.plan, address=address)
    nodes.check([sweep.path], sweep.record.plan, sweep.record.resources, storage)
    sweep.prepared(prepared(Path(sweep.record.plan["artifacts"]), gate))
    mirror = Mirror(storage, [sweep])
    mirror.begin()
    function = mirror.share(train)
    sweep.listeners.append(lambda kind, trial, row: print(kind, trial.id, row.get("evaluation"), flush=True))
    engine.run([sweep], function)
    mirror.end()
    mirror.publish()
    sweep.close()
    print("halted", engine.halted(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
