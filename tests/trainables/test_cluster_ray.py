"""A cluster of three nodes on this machine: nothing but the storage is shared, and a node is lost in mid-trial."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from analysis.verify import verify
from tests.trainables.commands import ROOT
from tests.trainables.node_curves import STARTS
from tests.trainables.sweeps import create, value
from trainables.record import COMPLETE, read
from trainables.storage import Place

pytestmark = pytest.mark.slow
FAST = {
    "health_check_initial_delay_ms": 0,
    # Seconds, not the half minute that Ray takes; less, and a node that is merely slow counts as lost.
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 4,
    "health_check_timeout_ms": 2000,
}
SMALL = 100 * 1024 * 1024


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    environment = dict(os.environ)
    # Nodes hand their environment to their workers.
    os.environ.update(PYTHONPATH=str(ROOT), DISTILL_TUNE_NODE_DIR=str(tmp_path / "nodes"))
    head = {"num_cpus": 1, "object_store_memory": SMALL, "include_dashboard": False, "_system_config": FAST}
    found = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        found.add_node(num_cpus=1, object_store_memory=SMALL)
    yield found
    found.shutdown()
    os.environ.clear()
    os.environ.update(environment)


def test_a_lost_node_costs_one_evaluation(cluster: Any, tmp_path: Path) -> None:
    sweep = create(tmp_path / "s", points=3, epochs=3, scheduler="none", concurrent=3)
    sweep.close()
    content = json.loads((sweep.path / "sweep.json").read_text())
    content["plan"].update(artifacts=str(tmp_path / "store"), estimate={"disk_bytes": 0, "artifact_bytes": 0})
    content["plan"]["numerics"] = {"device": "cpu", "autocast": None, "threads": 1}
    (sweep.path / "sweep.json").write_text(json.dumps(content))
    gate = tmp_path / "gate"
    storage, head = Place(str(tmp_path / "storage")), cluster.head_node
    others = {node.node_id: node for node in cluster.list_all_nodes() if node is not head}
    driver = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.trainables.node_curves",
            cluster.address,
            str(sweep.path),
            storage.uri,
            str(gate),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    watchdog = threading.Timer(300, driver.kill)
    watchdog.start()
    lines, lost = [], None
    try:
        assert driver.stdout is not None
        for line in driver.stdout:
            lines.append(line)
            word, point, number = (*line.split(), "", "", "")[:3]
            if lost is None and word == "evaluation" and number == "1":
                begun = (storage.read(f"s/trials/{point}/{STARTS}") or b"").decode().splitlines()
                place = json.loads(begun[-1])["node"]
                if place in others:
                    lost = point, place
                    cluster.remove_node(others[place], allow_graceful=False)
                    # With the node of another machine its processes are gone at once.
                    with suppress(ProcessLookupError):
                        os.kill(json.loads(begun[-1])["process"], signal.SIGKILL)
                    gate.touch()
        assert driver.wait(30) == 0, "".join(lines)
    finally:
        watchdog.cancel()
        driver.kill()
        assert driver.stdout is not None
        driver.stdout.close()
    assert lost is not None, "".join(lines)
    trials = read(sweep.path).trials
    causes = {point: trial.cause for point, trial in trials.items()}
    assert {trial.state for trial in trials.values()} == {COMPLETE}, f"{causes}\n{''.join(lines)}"
    for point, trial in trials.items():
        assert {n: row["value"] for n, row in trial.evaluations.items()} == {n: value(point, n) for n in (1, 2, 3)}
    starts = {p: [json.loads(line) for line in (t.folder / STARTS).read_text().splitlines()] for p, t in trials.items()}
    point, place = lost
    # Its worker may live to see the next evaluation, which then is in the storage, and not trained again either.
    assert [(start["from"] > 1, start["node"] == place) for start in starts[point]] == [(False, True), (True, False)]
    assert trials[point].attempts == 2
    assert len({start["node"] for found in starts.values() for start in found}) >= 2
    assert [fault for check in verify(sweep.path) for fault in check.faults] == []
    # What is kept, here and there, and nothing else.
    kept = {point for point, trial in trials.items() if (trial.folder / "student").exists()}
    assert len(kept) == 1 + read(sweep.path).plan["keep_students"]
    assert "ft" in kept
    for point in trials:
        there = storage.names(f"s/trials/{point}")
        assert ("student/weights" in there) == (point in kept)
        assert not any(name.startswith("state-") for name in there)
    for name in ("sweep.json", "prepared.json", "rows.jsonl", "study.journal"):
        assert storage.read(f"s/{name}") == (sweep.path / name).read_bytes()
