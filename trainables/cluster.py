"""A running Ray cluster: finding it, and what its nodes have together. Imports Ray only where it is used."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill.errors import UserError
from trainables.resources import Machine

LOCAL = "local"
# Resource by which the Ray of a sweep without a cluster is known: it ends with that sweep.
PRIVATE = "distill_tune_private"
# Seconds within which the cluster's port must answer.
_PATIENCE = 10.0


@dataclass(frozen=True)
class Node:
    """An alive node as Ray's books have it.

    Attributes:
        id: Ray's name of it, hexadecimal.
        name: Host and the first digits of the id, for people.
    """

    id: str
    name: str
    cpus: int
    gpus: int

    def slots(self, cpus: float, gpus: float) -> int:
        """Trials that fit on it at once; a trial has at most one GPU, and not parts of two."""
        slots = math.floor(self.cpus / cpus + 1e-9)
        return min(slots, self.gpus * math.floor(1 / gpus + 1e-9)) if gpus else slots


@dataclass(frozen=True)
class Cluster(Machine):
    """Nodes as one machine, for the plan.

    Attributes:
        cpus: Cores of the smallest node on which trials can run, since the teacher is made on one node.
        gpus: Of all nodes.
        bfloat16: Whether the processors of all nodes multiply in it.
    """

    nodes: tuple[Node, ...] = ()

    def slots(self, cpus: float, gpus: float) -> int:
        """Trials that fit at once, the sum over the nodes."""
        return sum(node.slots(cpus, gpus) for node in self.nodes)

    def misfit(self, cpus: float, gpus: float) -> str | None:
        """Why no node can hold one trial, with the arithmetic; None where one can."""
        # More than one GPU is refused for another reason.
        if gpus > 1 or self.slots(cpus, gpus):
            return None
        wanted = f"{cpus:g} cores" + (f" and {gpus:g} GPU" if gpus else "")
        return f"a trial of {wanted} fits on no node of the cluster, which has {self.words()}"

    def words(self) -> str:
        """Such as "3 nodes: a 2 cores, b 2 cores, c 4 cores and 1 GPU"."""
        each = [f"{n.name} {n.cpus} cores" + (f" and {n.gpus} GPUs" if n.gpus else "") for n in self.nodes]
        return f"{len(each)} node{'s' if len(each) != 1 else ''}: {', '.join(each)}"


@dataclass
class _Joined:
    dashboard: str | None = None


_JOINED = _Joined()


def connect(address: str) -> str | None:
    """Join a running cluster as a driver, unless this process did; the dashboard's address, if it runs.

    Args:
        address: `HOST:PORT`, or "auto": what `RAY_ADDRESS` says, else the cluster that this machine belongs to.

    Raises:
        UserError: It cannot be reached, is of another version, or ends with another sweep.
    """
    import ray

    if not ray.is_initialized():
        named = os.environ.get("RAY_ADDRESS") if address == "auto" else None
        asked = f"--address auto (RAY_ADDRESS is {named})" if named else f"--address {address}"
        _answers(named or address, asked)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            context = ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True
            )
        except Exception as error:
            # Ray raises ConnectionError, ValueError, RuntimeError and kinds of its own.
            what = " ".join(str(error).split())[:200]
            raise UserError(
                f"{asked}: no Ray cluster could be joined ({type(error).__name__}: {what}); start one with "
                "`ray start --head`, set RAY_AUTH_MODE=token where it asks for the token of ~/.ray, or leave --address "
                "out to use this machine."
            ) from error
        if any(PRIVATE in node["Resources"] for node in ray.nodes()):
            ray.shutdown()
            raise UserError(
                f"{asked}: the Ray found there belongs to another sweep and ends with it; start a cluster with `ray "
                "start --head` and name its HOST:PORT, or leave --address out to use this machine."
            )
        _JOINED.dashboard = f"http://{context.dashboard_url}" if context.dashboard_url else None
    return _JOINED.dashboard


def _answers(address: str, asked: str) -> None:
    """Raise UserError where nothing listens: Ray itself would try for a minute and end the process.

    Args:
        asked: The option as typed, and where its address comes from.
    """
    if address.startswith("ray://"):
        raise UserError(
            f"{asked}: a driver far from its cluster cannot keep the record; run the command on a node "
            "with --address auto, or send it there with `ray job submit`."
        )
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise UserError(f"{asked} is neither HOST:PORT nor auto; `ray start --head` prints the address.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"{asked}: nothing answers there ({error}); start a cluster with `ray start --head`, or leave "
            "--address out to use this machine."
        ) from error


def alive() -> tuple[Node, ...]:
    """Nodes of the cluster that this process belongs to, those without cores included."""
    import ray

    found = [
        Node(
            id=node["NodeID"],
            name=f"{node['NodeManagerHostname']} ({node['NodeID'][:6]})",
            cpus=int(node["Resources"].get("CPU", 0)),
            gpus=int(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    return tuple(sorted(found, key=lambda node: node.id))


def view(address: str, bfloat16: Callable[[tuple[Node, ...]], bool]) -> Cluster:
    """Join a cluster and see what it has.

    Args:
        bfloat16: Whether the processors of nodes multiply in it; `trainables.nodes.bfloat16`.

    Raises:
        UserError: It cannot be joined, or has no node with a core.
    """
    connect(address)
    nodes = tuple(node for node in alive() if node.cpus)
    if not nodes:
        raise UserError(f"--address {address}: no node of the cluster has a core for trials; add one with `ray start`.")
    least = min(node.cpus for node in nodes)
    return Cluster(least, sum(node.gpus for node in nodes), bfloat16(nodes), nodes)


def whole() -> Cluster:
    """What trials can be packed onto now, when Ray runs: this machine alone, or all nodes of a cluster."""
    nodes = tuple(node for node in alive() if node.cpus)
    return Cluster(min(node.cpus for node in nodes), sum(node.gpus for node in nodes), False, nodes)


@dataclass
class _Where:
    pinned: bool = False


_WHERE = _Where()


def keep_tasks_here(pinned: bool) -> None:
    """Let what the trials share be made on the driver's node, whose folders other nodes do not see."""
    _WHERE.pinned = pinned


def where() -> Any:
    """Scheduling strategy of a task that writes into the store."""
    import ray

    return pinned(ray.get_runtime_context().get_node_id()) if _WHERE.pinned else "DEFAULT"


def pinned(node: str) -> Any:
    """Scheduling strategy that runs a task on one node or not at all."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def leave() -> None:
    """Let go of Ray, if this process has it; a cluster goes on without it."""
    import ray

    with contextlib.suppress(Exception):
        ray.shutdown()
