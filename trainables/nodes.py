"""Every node of a cluster is looked at before the first trial, so that none fails trials one after the other."""

from __future__ import annotations

import os
import platform
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distill import artifacts
from distill.errors import UserError
from distill.training.settings import multiplies_in_bfloat16
from trainables import cluster
from trainables.cluster import Cluster, Node
from trainables.node_store import NODE_DIR, node_place
from trainables.storage import Place, StorageFailure

# Seconds within which a node must have answered; loading torch from a network folder takes its time.
PATIENCE = 180.0
# A trial's process on a GPU needs a share of it to see it; this one is the smallest that Ray keeps books of.
_GLANCE = 0.01


@dataclass(frozen=True)
class Look:
    """What a node is asked.

    Attributes:
        probes: Files that the driver has written into folders that trials use, by what the folder is called.
        storage: Address of the storage; None without one.
        gpu: Whether a trial will use a GPU.
        encoders: Folders of teacher and student.
    """

    probes: dict[str, str]
    storage: str | None
    gpu: bool
    encoders: tuple[str, ...] = ()


def look(asked: Look) -> dict[str, Any]:
    """What this node has, as plain data; runs in a process of the node.

    Returns:
        versions, code; bfloat16; `missing`: encoders that are not there; `unseen`: names of folders without the
        driver's file, `unwritable`: of those that take no file, each with the reason; `place`: the node's own folder,
        `own` why it takes no file, `free` its bytes; `storage`: what failed there, or None; `gpu`: what is wrong with
        the GPU, or None.
    """
    unseen, unwritable = [], {}
    for name, probe in asked.probes.items():
        if not Path(probe).is_file():
            unseen.append(name)
        elif reason := _unwritable(Path(probe).parent):
            unwritable[name] = reason
    own, problem, free = node_place(), None, None
    if asked.storage or os.environ.get(NODE_DIR):
        problem = _unwritable(own)
        free = None if problem else shutil.disk_usage(own).free
    return {
        **identity(),
        "bfloat16": multiplies_in_bfloat16(),
        "missing": [folder for folder in asked.encoders if not Path(folder).is_dir()],
        "unseen": unseen,
        "unwritable": unwritable,
        "place": str(own),
        "own": problem,
        "free": free,
        "storage": _storage(asked.storage),
        "gpu": _gpu() if asked.gpu else None,
    }


def identity() -> dict[str, Any]:
    """Versions and code that decide values and must be the same everywhere."""
    import trainables
    from trainables.plan import code_hash, versions

    root = Path(trainables.__path__[0])
    code = {file.name: artifacts.hash_file(file) for file in sorted(root.glob("*.py"))}
    found = versions()
    # Pickled functions travel between minor versions of Python at most by luck.
    found["python"] = ".".join(platform.python_version_tuple()[:2])
    return {"versions": found, "code": artifacts.key_of({"values": code_hash(), "trainables": code})}


def _unwritable(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f".probe-{uuid.uuid4().hex}"
        file.write_bytes(b"probe")
        file.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _storage(uri: str | None) -> str | None:
    if uri is None:
        return None
    try:
        Place(uri).probe()
    except (StorageFailure, UserError) as error:
        return str(error)
    return None


def _gpu() -> str | None:
    import torch

    if not torch.cuda.is_available():
        return "torch sees no GPU there"
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return f"its {torch.cuda.get_device_name()} does not compute in bfloat16"
    return None


def bfloat16(nodes: tuple[Node, ...]) -> bool:
    """Whether the processors of all nodes multiply in it."""
    return all(facts["bfloat16"] for facts in _ask(nodes, Look({}, None, False)).values())


def check(folders: Sequence[Path], plan: dict[str, Any], resources: dict[str, Any], storage: str | None) -> None:
    """Refuse to begin where a trial could not run, or would compute something else, on one of the nodes.

    Where the nodes do not see the store, what the trials share is made on the driver's own node.

    Args:
        folders: Of the sweeps.
        plan: Of the first of them.
        resources: What a trial takes: `cpus_per_trial`, `gpus_per_trial`.
        storage: Address of the storage; None without one.

    Raises:
        UserError: One sentence that names the node and the remedy.
    """
    import ray

    store = Path(plan["artifacts"])
    cpus, gpus = resources["cpus_per_trial"], resources["gpus_per_trial"]
    everyone = Cluster(0, 0, False, tuple(node for node in cluster.alive() if node.cpus))
    if problem := everyone.misfit(cpus, gpus):
        raise UserError(f"{problem[0].upper()}{problem[1:]}; add nodes, or name another cluster with --address.")
    used = tuple(node for node in everyone.nodes if node.slots(cpus, gpus))
    here = ray.get_runtime_context().get_node_id()
    alone = [node.id for node in used] == [here]
    # A store that the driver may only read is as good as one that it may write, when everything is there.
    probes = {} if alone else {str(folder): file for folder in {*folders, store} if (file := _probe(folder))}
    encoders = tuple(dict.fromkeys(path for who in ("teacher", "student") if (path := plan[who].get("path"))))
    asked = Look({name: str(file) for name, file in probes.items()}, storage, bool(gpus), encoders)
    try:
        if alone:
            found = {used[0]: look(replace(asked, gpu=False))}
        else:
            found = _ask(used, asked, gpus)
    finally:
        for file in probes.values():
            file.unlink(missing_ok=True)
    own, bf16 = identity(), plan["numerics"]["autocast"] is not None and plan["numerics"]["device"] == "cpu"
    needed = plan["estimate"]["disk_bytes"] + plan["estimate"]["artifact_bytes"]
    for node, facts in found.items():
        if problem := fault(node, facts, own, storage is not None, bf16, needed, str(store)):
            raise UserError(problem)
    blind = any(facts["missing"] or str(store) in (*facts["unseen"], *facts["unwritable"]) for facts in found.values())
    cluster.keep_tasks_here(blind)
    if blind and not next((n.slots(plan["cpus"], min(gpus, 1)) for n in everyone.nodes if n.id == here), 0):
        raise UserError(
            f"The teacher is made on the driver's node, because others do not see {store} or the encoder, and that "
            f"node has no {plan['cpus']} cores{' and a GPU' if gpus else ''} for it: start the driver on a node of the "
            "trials (`ray job submit --entrypoint-num-cpus`), or put --artifacts on a folder that all nodes share."
        )


def fault(
    node: Node, facts: dict[str, Any], own: dict[str, Any], storage: bool, bf16: bool, needed: int, store: str
) -> str | None:
    """What keeps a node from running trials, in one sentence with its remedy; None where nothing does.

    Args:
        facts: What `look` found there.
        own: `identity()` of the driver.
        storage: Whether nodes need not see the driver's folders.
        bf16: Whether the plan computes in bfloat16 on processors.
        needed: Bytes on the node's own disk, with a storage.
        store: Name of the store among the probed folders.
    """
    name = f"Node {node.name}"
    versions = [
        f"{what} {there} (the driver {own['versions'][what]})"
        for what, there in facts["versions"].items()
        if there != own["versions"][what]
    ]
    if versions:
        return f"{name} has {', '.join(versions)}; install the same versions on every node."
    if facts["code"] != own["code"]:
        return f"{name} has other code of distill-tune than the driver; install the same on every node."
    if bf16 and not facts["bfloat16"]:
        return f"{name} does not multiply in bfloat16, as the plan does; leave it out, or start a new sweep."
    if facts["gpu"]:
        return f"{name} cannot run the plan's trials: {facts['gpu']}; leave it out of the cluster."
    if facts["storage"]:
        return f"{name} cannot use --storage: {facts['storage']}; give it access (credentials, package, mount)."
    if facts["own"]:
        return f"{name} cannot write {facts['place']} ({facts['own']}); set {NODE_DIR} to a folder of its own disk."
    if not storage:
        for folder in facts["unseen"]:
            flag = "--artifacts" if folder == store else "--out"
            return f"{name} does not see {folder}; put {flag} on a folder that all nodes share, or give --storage URI."
        for folder in facts["missing"]:
            return (
                f"{name} does not see the encoder {folder}; put it on a folder that all nodes share (HF_HOME for the "
                "hub's cache), or give --storage URI."
            )
        for folder, problem in facts["unwritable"].items():
            return f"{name} cannot write {folder} ({problem}); make it writable there, or give --storage URI."
    elif facts["free"] is not None and facts["free"] < needed:
        return (
            f"{name} has {facts['free'] / 1e9:.1f} GB free in {facts['place']}, and about {needed / 1e9:.1f} GB are "
            f"needed; make room, or set {NODE_DIR} there."
        )
    return None


def _ask(nodes: tuple[Node, ...], asked: Look, gpus: float = 0.0) -> dict[Node, dict[str, Any]]:
    """`look` on each node, at the same time."""
    import ray

    task = ray.remote(num_cpus=0, max_retries=0)(look)
    share = min(gpus, _GLANCE) if asked.gpu else 0.0
    pending = {
        node: task.options(num_gpus=share, scheduling_strategy=cluster.pinned(node.id)).remote(asked) for node in nodes
    }
    ray.wait(list(pending.values()), num_returns=len(pending), timeout=PATIENCE)
    found = {}
    for node, reference in pending.items():
        try:
            found[node] = ray.get(reference, timeout=0.1)
        except ray.exceptions.GetTimeoutError:
            raise UserError(
                f"Node {node.name} did not answer within {PATIENCE:.0f} s; leave it out of the cluster."
            ) from None
        except ray.exceptions.RayError as error:
            lines = str(getattr(error, "cause", None) or error).strip().splitlines() or [type(error).__name__]
            raise UserError(
                f"Node {node.name} cannot run this program ({lines[-1][:200]}); install distill-tune there as here."
            ) from error
    return found


def _probe(folder: Path) -> Path | None:
    """A file by which another node knows that it sees this very folder; None where this one may not write there."""
    file = folder / f".seen-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    except OSError:
        return None
    return file
