"""Whether a sweep may go on: the same data, models, code and versions as at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill import artifacts
from distill.errors import UserError
from distill.tasks.base import TaskData
from trainables import windows
from trainables.cluster import LOCAL
from trainables.models import ensure
from trainables.plan import code_hash, versions
from trainables.resources import detect


def differences(header: dict[str, Any], data: TaskData, address: str | None = None) -> tuple[list[str], list[str]]:
    """What changed since the plan was made: (never allowed, allowed on demand), as readable parts.

    Args:
        address: Of the cluster as typed now; that of the sweep's start when None.
    """
    plan, old = header["plan"], header["fingerprint"]
    fatal = []
    if windows.fingerprint(data, plan["training"]) != old["data"]:
        augmented = plan["data"].get("augmented")
        fatal.append(f"the rows of {plan['task']}" + (f" or of {augmented['file']}" if augmented else ""))
    for part, name in (("teacher", "encoder"), ("student", "student")):
        path = plan[part].get("path")
        if path and old[name] and (not Path(path).is_dir() or artifacts.hash_encoder(Path(path)) != old[name]):
            fatal.append(f"the {part}'s encoder in {path}")
    # A cluster's nodes are looked at before the first trial.
    here = (address or header["config"].get("address")) in (None, LOCAL)
    if plan["resources"]["gpus_per_trial"] and here and not detect().gpus:
        fatal.append("the machine, which has no GPU now")
    soft = [
        f"{name} {before} → {now}"
        for name, now in versions().items()
        if (before := header["versions"].get(name)) != now
    ]
    if code_hash() != old["code"]:
        soft.append("the code of distill or of the search spaces")
    return fatal, soft


def refuse_changed(
    header: dict[str, Any], data: TaskData, allowed: bool, command: str = "--resume", address: str | None = None
) -> None:
    """Raise UserError when going on would mix values of two kinds in one table.

    What came from the hub and the cache has lost is fetched again before.

    Args:
        allowed: Whether changed code or versions are accepted (`--allow-changed`); other data or models never are.
        command: What a person wanted, for messages.
        address: As in `differences`.
    """
    ensure(header["plan"])
    fatal, soft = differences(header, data, address)
    if fatal:
        raise UserError(f"{command}: changed since the sweep began: {', '.join(fatal)}; start a new sweep.")
    if soft and not allowed:
        raise UserError(
            f"{command}: changed since the sweep began: {', '.join(soft)}; go back, start a new sweep, "
            "or accept mixed results with --allow-changed."
        )
