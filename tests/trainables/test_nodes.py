"""What is refused before the first trial: clusters that nobody can join, nodes that differ, trials that fit nowhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from trainables import cluster, nodes
from trainables.cluster import Cluster, Node, connect
from trainables.nodes import Look, fault, look
from trainables.resources import allot


def a_cluster(*each: tuple[int, int]) -> Cluster:
    found = tuple(Node(f"{n:040d}", f"host{n}", cpus, gpus) for n, (cpus, gpus) in enumerate(each))
    return Cluster(min(node.cpus for node in found), sum(node.gpus for node in found), False, found)


@pytest.mark.parametrize(
    ("each", "cpus", "gpus", "slots"),
    [
        (((4, 0), (2, 0)), 1.0, None, 6),
        # Each node by itself: 3 + 1, not 10 / 3 = 3.
        (((9, 0), (3, 0)), 3.0, None, 4),
        (((4, 0), (2, 0)), 3.0, None, 1),
        (((0, 0), (4, 0)), 0.5, None, 8),
        (((8, 1), (8, 1), (8, 0)), 1.0, None, 2),
        (((8, 1), (2, 1), (8, 0)), 1.0, 0.25, 6),
        (((8, 2),), 1.0, 0.4, 4),
    ],
)
def test_slots_are_those_of_each_node(each: Any, cpus: float, gpus: float | None, slots: int) -> None:
    assert allot(a_cluster(*each), cpus, gpus, None).max_concurrent == slots
    assert allot(a_cluster(*each), cpus, gpus, 1).max_concurrent == 1


@pytest.mark.parametrize(
    ("each", "cpus", "gpus", "message"),
    [
        (
            ((4, 0), (2, 0)),
            5.0,
            None,
            "5 cores fits on no node of the cluster, which has 2 nodes: host0 4 cores, host1 2",
        ),
        # Together they would do, and no node has both.
        (((1, 1), (8, 0)), 2.0, 1.0, "2 cores and 1 GPU fits on no node .*: host0 1 cores and 1 GPUs, host1 8 cores"),
        (((8, 2),), 1.0, 2.0, "a trial trains on one GPU at most"),
    ],
)
def test_what_fits_on_no_node_is_refused_with_the_arithmetic(each: Any, cpus: float, gpus: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        allot(a_cluster(*each), cpus, gpus, None)


def test_addresses_that_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"no-such-host.invalid:{port}"):
            with pytest.raises(UserError, match=f"--address {address}: nothing answers there"):
                connect(address)
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        with pytest.raises(UserError, match=rf"--address auto \(RAY_ADDRESS is 127.0.0.1:{port}\): nothing ans"):
            connect("auto")
    for address, message in (("somewhere", "neither HOST:PORT nor auto"), ("ray://a:10001", "ray job submit")):
        with pytest.raises(UserError, match=message):
            connect(address)


def test_a_look_at_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_TUNE_NODE_DIR", str(tmp_path / "own"))
    seen = tmp_path / "seen"
    seen.write_text("")
    facts = look(Look({"a": str(seen), "b": str(tmp_path / "gone")}, str(tmp_path / "storage"), False))
    assert (facts["unseen"], facts["unwritable"], facts["own"]) == (["b"], {}, None)
    assert (facts["storage"], facts["gpu"]) == (None, None)
    assert facts["free"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "seen", "storage"]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DISTILL_TUNE_NODE_DIR", str(tmp_path / "file" / "own"))
    facts = look(Look({"a": str(seen)}, str(tmp_path / "file" / "storage"), False))
    assert facts["own"]
    assert "storage/probe" in facts["storage"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_takes_no_files(tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("")
    tmp_path.chmod(0o555)
    assert look(Look({"a": str(tmp_path / "seen")}, None, False))["unwritable"] == {"a": "Permission denied"}
    tmp_path.chmod(0o755)


GOOD: dict[str, Any] = {
    "versions": {"python": "3.11", "torch": "2.13.0"},
    "code": "c",
    "bfloat16": False,
    "missing": [],
    "unseen": [],
    "unwritable": {},
    "place": "/fast",
    "own": None,
    "free": 10**9,
    "storage": None,
    "gpu": None,
}


@pytest.mark.parametrize(
    ("changes", "storage", "bf16", "message"),
    [
        ({}, False, False, None),
        ({}, True, False, None),
        ({"bfloat16": True}, False, True, None),
        (
            {"versions": {"python": "3.11", "torch": "2.12.0"}},
            False,
            False,
            r"torch 2.12.0 \(the driver 2.13.0\); install",
        ),
        ({"code": "d"}, False, False, "other code of distill-tune than the driver"),
        ({}, False, True, "does not multiply in bfloat16"),
        ({"gpu": "torch sees no GPU there"}, False, False, "torch sees no GPU there; leave it out"),
        (
            {"storage": "s3://x failed: denied"},
            True,
            False,
            "cannot use --storage: s3://x failed: denied; give it access",
        ),
        ({"unseen": ["/sweeps/a"]}, False, False, "does not see /sweeps/a; put --out on a folder that all nodes share"),
        ({"unseen": ["/store"]}, False, False, "does not see /store; put --artifacts on a folder"),
        ({"unseen": ["/sweeps/a", "/store"]}, True, False, None),
        ({"missing": ["/hub/bert"]}, False, False, r"does not see the encoder /hub/bert; .*HF_HOME"),
        ({"missing": ["/hub/bert"]}, True, False, None),
        (
            {"unwritable": {"/sweeps/a": "Read-only file system"}},
            False,
            False,
            r"write /sweeps/a \(Read-only file system\)",
        ),
        ({"unwritable": {"/store": "Read-only file system"}}, True, False, None),
        ({"own": "Permission denied"}, True, False, r"write /fast \(Permission denied\); set DISTILL_TUNE_NODE_DIR"),
        ({"free": 10**6}, True, False, "0.0 GB free in /fast, and about 0.5 GB are needed"),
        ({"free": 10**6}, False, False, None),
    ],
)
def test_a_node_is_refused_by_name(changes: Any, storage: bool, bf16: bool, message: str | None) -> None:
    import re

    own = {"versions": GOOD["versions"], "code": "c"}
    said = fault(Node("1", "host1 (abc)", 2, 0), {**GOOD, **changes}, own, storage, bf16, 5 * 10**8, "/store")
    if message is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith("Node host1 (abc) ")
        assert said.endswith(".")
        assert re.search(message, said)


def facts_of(asked: Look, **changes: Any) -> dict[str, Any]:
    return {**GOOD, **nodes.identity(), **changes}


def checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    storage: str | None,
    here: int = 0,
    found: Cluster | None = None,
    store: Path | None = None,
    **changes: Any,
) -> tuple[list[list[str]], bool]:
    """Nodes that were asked, and whether what is shared is made on the driver's node, on a cluster of two."""
    import ray

    asked: list[list[str]] = []
    found, store = found or a_cluster((2, 0), (2, 0)), store or tmp_path / "store"
    plan = {
        "artifacts": str(store),
        "cpus": 2,
        "teacher": {"path": "/hub/bert"},
        "student": {"path": None},
        "numerics": {"device": "cpu", "autocast": None},
        "estimate": {"disk_bytes": 0, "artifact_bytes": 0},
    }

    def ask(used: tuple[Node, ...], wanted: Look, gpus: float = 0.0) -> dict[Node, dict[str, Any]]:
        asked.append([node.name for node in used])
        assert all(Path(probe).is_file() for probe in wanted.probes.values())
        return {node: facts_of(wanted, **(changes if node.name == "host1" else {})) for node in used}

    class Context:
        def get_node_id(self) -> str:
            return f"{here:040d}"

    monkeypatch.setattr(nodes, "_ask", ask)
    monkeypatch.setattr(cluster, "alive", lambda: found.nodes)
    monkeypatch.setattr(ray, "get_runtime_context", Context)
    monkeypatch.setattr(cluster, "_WHERE", cluster._Where())
    (tmp_path / "s").mkdir(exist_ok=True)
    resources = {"cpus_per_trial": 1.0, "gpus_per_trial": 0.0}
    try:
        nodes.check([tmp_path / "s"], plan, resources, storage)
    finally:
        assert not any(path.is_file() for path in tmp_path.rglob("*"))
    return asked, cluster._WHERE.pinned


def test_all_nodes_are_asked_and_the_probes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(tmp_path, monkeypatch, None) == ([["host0", "host1"]], False)
    with pytest.raises(UserError, match=r"Node host1 does not see .*/s; put --out"):
        checked(tmp_path, monkeypatch, None, unseen=[str(tmp_path / "s")])


def test_one_node_alone_is_looked_at_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = a_cluster((2, 0))
    looked: list[Look] = []

    def looking(asked: Look) -> dict[str, Any]:
        looked.append(asked)
        return facts_of(asked)

    monkeypatch.setattr(nodes, "look", looking)
    # A store that cannot even be made is no matter of the nodes.
    asked, pinned = checked(tmp_path, monkeypatch, None, found=alone, store=Path("/dev/null/store"))
    assert (asked, pinned) == ([], False)
    assert [look.probes for look in looked] == [{}]


def test_a_store_that_a_node_does_not_see_keeps_the_teacher_on_the_drivers_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "store")
    assert checked(tmp_path, monkeypatch, "file:///x", unseen=[store]) == ([["host0", "host1"]], True)
    assert checked(tmp_path, monkeypatch, "file:///x", missing=["/hub/bert"]) == ([["host0", "host1"]], True)
    assert checked(tmp_path, monkeypatch, "file:///x") == ([["host0", "host1"]], False)
    with pytest.raises(UserError, match="has no 2 cores for it: start the driver on a node"):
        checked(tmp_path, monkeypatch, "file:///x", here=7, unseen=[store])
