"""What reading the teacher once for all trials takes of the devices. Imports without torch and Ray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.artifacts import Store


def outputs_seconds(plan: dict[str, Any], outputs: Sequence[Path | None], as_trained: bool) -> float | None:
    """Device-seconds of the passes for the teacher's outputs, whenever and by whomever they were made; None without.

    Args:
        outputs: Artifacts, those that there are.
        as_trained: Whether the trials read the teacher as it was trained, so that nothing else is made beside them:
            one alone is given all cores, or a whole GPU.
    """
    found = [path for path in outputs if path is not None]
    if not found:
        return None
    alone = as_trained and len(found) == 1
    devices = float(plan["cpus"] if alone else plan["numerics"]["threads"])
    if plan["numerics"]["device"] == "cuda":
        devices = 1.0 if alone else float(plan["resources"]["gpus_per_trial"])
    store = Store(plan["artifacts"])
    return sum(float(store.facts(path)["seconds"]) for path in found) * devices
