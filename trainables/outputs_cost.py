"""What reading the teacher once for all trials takes of the devices. Imports without torch and Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.artifacts import Store


def outputs_seconds(plan: dict[str, Any], outputs: Path | None, alone: bool) -> float | None:
    """Device-seconds of the pass for the teacher's outputs, whenever and by whomever it was made; None without one.

    Args:
        outputs: Their artifact.
        alone: Whether nothing else is made beside them, so that they are given all cores, or a whole GPU.
    """
    if outputs is None:
        return None
    devices = float(plan["cpus"] if alone else plan["numerics"]["threads"])
    if plan["numerics"]["device"] == "cuda":
        devices = 1.0 if alone else float(plan["resources"]["gpus_per_trial"])
    return float(Store(plan["artifacts"]).facts(outputs)["seconds"]) * devices
