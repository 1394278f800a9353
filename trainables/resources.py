"""What the machine has and what a trial takes of it. Imports without torch and Ray."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from distill.errors import UserError
from distill.training.settings import Numerics, multiplies_in_bfloat16

# Ray keeps books to four decimals; smaller shares than this are mistakes long before.
_LEAST = 0.01


@dataclass(frozen=True)
class Machine:
    """Cores and GPUs of this machine, and whether its processor multiplies in bfloat16."""

    cpus: int
    gpus: int
    bfloat16: bool

    def slots(self, cpus: float, gpus: float) -> int:
        """Trials that fit at once, each with so many cores and at most one GPU."""
        slots = math.floor(self.cpus / cpus + 1e-9)
        return min(slots, self.gpus * math.floor(1 / gpus + 1e-9)) if gpus else slots

    def misfit(self, cpus: float, gpus: float) -> str | None:
        """Why not even one trial fits, with the arithmetic; None where one does."""
        if cpus > self.cpus:
            return f"--cpus-per-trial {cpus:g} does not fit: this machine has {self.cpus} cores, {cpus:g} > {self.cpus}"
        if gpus > self.gpus:
            return f"--gpus-per-trial {gpus:g} does not fit: this machine has {self.gpus} GPUs, {gpus:g} > {self.gpus}"
        return None


def detect() -> Machine:
    """Look at this machine without touching a GPU driver."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    if (quota := _quota()) is not None:
        cpus = min(cpus, max(1, math.floor(quota)))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    folder = Path("/proc/driver/nvidia/gpus")
    present = len(list(folder.iterdir())) if folder.is_dir() else 0
    gpus = present
    if visible is not None:
        gpus = min(present, sum(entry.strip() not in ("", "-1") for entry in visible.split(",")))
    return Machine(cpus, gpus, multiplies_in_bfloat16())


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores that a container may use, which the affinity does not tell; None without a limit."""
    try:
        if (root / "cpu.max").exists():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 and float(period) > 0 else None
    except (OSError, ValueError):
        # No control groups here, or "max": no limit.
        return None


@dataclass(frozen=True)
class Resources:
    """What one trial is given, and how many run at once."""

    cpus_per_trial: float
    gpus_per_trial: float
    max_concurrent: int
    threads: int


def allot(
    machine: Machine, cpus_per_trial: float, gpus_per_trial: float | None, max_concurrent: int | None
) -> Resources:
    """Pack trials onto the machine.

    Raises:
        UserError: One trial does not fit, with the arithmetic.
    """
    gpus = (1.0 if machine.gpus else 0.0) if gpus_per_trial is None else gpus_per_trial
    for flag, share in (("--cpus-per-trial", cpus_per_trial), ("--gpus-per-trial", gpus)):
        if not math.isfinite(share) or share < 0 or (share < _LEAST and (share > 0 or "cpus" in flag)):
            raise UserError(f"{flag} {share:g} is no share of this machine; the least is {_LEAST:g}.")
    if problem := machine.misfit(cpus_per_trial, gpus):
        raise UserError(f"{problem}.")
    if gpus > 1:
        raise UserError(f"--gpus-per-trial {gpus:g}: a trial trains on one GPU at most; choose 1 or a fraction.")
    slots = machine.slots(cpus_per_trial, gpus)
    if max_concurrent is not None:
        slots = min(slots, max_concurrent)
    return Resources(cpus_per_trial, gpus, max(1, slots), max(1, math.floor(cpus_per_trial)))


def notices(asked: float | str | None, allotted: Resources, gpus: int) -> list[str]:
    """What a person should know about `--gpus-per-trial` before anything starts.

    Args:
        asked: As typed.
        gpus: Of the machine.
    """
    if asked == "auto":
        if not gpus:
            return ["--gpus-per-trial auto: there is no GPU here, so trials take none."]
        return [
            "--gpus-per-trial auto: one step is measured before the first trial; until then a whole GPU is planned."
        ]
    share = allotted.gpus_per_trial
    parts = math.floor(1 / share + 1e-9) if share else 1
    # A ten-thousandth, in which Ray counts, is not worth a word.
    if (idle := 1 - parts * share) <= 1e-3 or not share:
        return []
    return [
        f"--gpus-per-trial {share:g} leaves {idle:.0%} of each GPU idle: {parts} fit{'s' if parts == 1 else ''}, "
        f"as with {math.floor(10_000 / parts) / 10_000:g}."
    ]


def numerics(machine: Machine, resources: Resources) -> Numerics:
    """bfloat16 autocast on a GPU and on processors that have it; one decision for the whole sweep."""
    cuda = resources.gpus_per_trial > 0
    return Numerics("cuda" if cuda else "cpu", "bfloat16" if cuda or machine.bfloat16 else None, resources.threads)


def check_disk(flag: str, folder: Path, needed: int) -> int:
    """Free bytes where `folder` is or will be.

    Args:
        flag: The option that names the folder, for messages.
        folder: Need not exist yet.
        needed: Bytes.

    Raises:
        UserError: Fewer than `needed`.
    """
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{flag} {folder} has too little disk: about {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are "
            f"free; make room, or name another {flag}."
        )
    return free
