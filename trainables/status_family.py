"""How several sweeps in one parent folder stand: a line for each, and totals. Imports neither Ray nor torch."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from trainables import preparing
from trainables import status as single
from trainables.families import read_family, title
from trainables.lock import holder
from trainables.progress import plural
from trainables.progress_family import seconds_left

_COUNTED = ("trials", "evaluations")


def status(folder: Path | str) -> dict[str, Any]:
    """How the sweeps of a parent stand: each as `trainables.status` tells it under `sweeps`, and their totals.

    Raises:
        UserError: The folder is no parent of sweeps, or a child cannot be read.
    """
    family = read_family(folder)
    records = list(family.records().values())
    sweeps = {record.path.name: single.status(record.path) for record in records}
    driver = holder(family.path) or next((one["driver"] for one in sweeps.values() if one["driver"]), None)
    missing = [name for name in family.names if name not in sweeps]
    totals = {
        group: {name: sum(one[group][name] for one in sweeps.values()) for name in next(iter(sweeps.values()))[group]}
        for group in _COUNTED
        if sweeps
    }
    place = family.path.absolute()
    left = missing or any(record.left for record in records)
    return {
        "folder": str(place),
        "title": title([record.plan for record in records]) if records else f"{len(family.names)} sweeps",
        "state": _state(list(sweeps.values()), missing, driver),
        "preparing": preparing.newest(family.path) if driver else None,
        "driver": driver,
        "created": family.content["created"],
        "sweeps": sweeps,
        "missing": missing,
        **totals,
        "seconds_left": seconds_left(records) if records else None,
        "disk": sum(one["disk"]["folder"] for one in sweeps.values()),
        "resume": f"python -m trainables.sweep --resume {shlex.quote(str(place))}" if left and not driver else None,
    }


def _state(sweeps: list[dict[str, Any]], missing: list[str], driver: dict[str, Any] | None) -> str:
    states = {sweep["state"] for sweep in sweeps}
    for word in ("running", "preparing", "finishing"):
        if word in states:
            return word
    if driver is not None:
        return "preparing"
    if states == {"finished"} and not missing:
        return "finished"
    return "not started" if states <= {"not started"} else "interrupted"


def describe(found: dict[str, Any]) -> list[str]:
    """The same for people: one line a sweep."""
    driver = found["driver"]
    who = "no driver holds it"
    if driver is not None:
        pid = driver["pid"]
        who = "driver " + ("a process that has just started" if pid is None else f"{pid} on {driver['host']}")
    lines = [f"{found['title']}: {found['folder']}", f"State: {found['state']}, {who}."]
    lines += preparing.words(found["preparing"])
    for name, sweep in found["sweeps"].items():
        trials = sweep["trials"]
        done = sum(trials[key] for key in ("complete", "stopped_early", "stopped_by_hand", "failed"))
        counts = [f"{done} of {plural(trials['total'], 'trial')} finished"]
        counts += [f"{trials[key]} {key}" for key in ("running", "failed") if trials[key]]
        devices = f" {single.devices_words(sweep)}." if sweep["device_seconds"] else ""
        lines.append(f"  {name}  {sweep['state']}, {', '.join(counts)}; best {_best(sweep)}.{devices}")
    if found["missing"]:
        lines.append(f"Not written yet: {', '.join(found['missing'])}.")
    if "trials" in found:
        trials, evaluations = found["trials"], found["evaluations"]
        left = found["seconds_left"]
        time = f", about {single.duration(left)} if no more trials are stopped early" if left else ""
        lines.append(
            f"Together: {plural(trials['total'], 'trial')}, evaluations {evaluations['done']} of "
            f"{evaluations['possible']} done, {evaluations['open']} still possible{time}."
        )
    lines.append(f"Disk: {single.size(found['disk'])}.")
    if found["resume"]:
        lines.append(f"Continue with: {found['resume']}")
    return lines


def _best(sweep: dict[str, Any]) -> str:
    best, metric = sweep["best"], sweep["sweep"]["metric"]
    if best is None or best["score"] is None:
        return "none yet"
    against = sweep["baseline"]
    beside = "" if against is None or against["score"] is None else f", undistilled {against['score']:.3f}"
    return f"{metric} {best['score']:.3f} by {best['id']}{beside}"
