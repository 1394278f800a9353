"""What a sweep has used of the devices, by its record. Imports neither Ray nor torch.

A device is a GPU where trials take one, else a core; a trial that takes a quarter of a GPU for 40 seconds uses 10
device-seconds. Counted are training and evaluation of the searched trials, the stages before the one that reports, and
what the store keeps for the method alone (stages that trials share, what is trained on the teacher for it, the
teacher's answers). Not counted: the teacher
and the rows, which all sweeps share; the undistilled baseline and confirming runs, which judge a method and are no part
of its search; and what an attempt did behind its last evaluation.
"""

from __future__ import annotations

from typing import Any

from trainables.record import Record, Trial


def share(record: Record) -> float:
    """Devices that a trial takes."""
    found = record.resources
    return float(found["gpus_per_trial"] or found["cpus_per_trial"])


def distilled(record: Record) -> list[Trial]:
    """The trials that are charged, in the order of the plan."""
    return [trial for trial in record.trials.values() if not trial.is_baseline]


def of_trial(record: Record, trial: Trial) -> float:
    """Device-seconds of the recorded evaluations of a trial, and of its own stages before them."""
    usual = share(record)
    return sum(_seconds(row) * _devices(row, usual) for row in trial.evaluations.values())


def _seconds(row: dict[str, Any]) -> float:
    return float(row.get("seconds") or 0.0) + float(row.get("stage_seconds") or 0.0)


def _devices(row: dict[str, Any], usual: float) -> float:
    """Devices that an evaluation took: after a retry for want of memory they may be more."""
    found = row.get("resources") or {}
    return float(found.get("GPU") or found.get("CPU") or usual)


def of_artifacts(record: Record) -> float:
    """Device-seconds of what was made for the method before its trials, wherever the store had it from.

    Stages of confirming runs, which have seeds of their own, are left out; those of seeds that the search was extended
    by are not, as their trials are charged too.
    """
    prepared, seed = record.prepared or {}, record.header["plan"]["seed"]
    searched = {seed, *(trial.point["seed"] for trial in distilled(record))}
    stages = (prepared.get("stages") or {}).values()
    mine = sum(float(stage.get("seconds") or 0.0) for stage in stages if stage.get("seed", seed) in searched)
    beside = sum(float(made.get("seconds") or 0.0) for made in (prepared.get("beside") or {}).values())
    outputs = float((prepared.get("teacher") or {}).get("outputs_seconds") or 0.0)
    return (mine + beside) * share(record) + outputs


def used(record: Record, first: int | None = None) -> float:
    """Device-seconds of a sweep's search.

    Args:
        first: Of so many trials alone, the first of the plan; of all when None.
    """
    return of_artifacts(record) + sum(of_trial(record, trial) for trial in distilled(record)[:first])


def rule(record: Record) -> dict[str, Any] | None:
    """The plan's part "device_seconds": what the sweep may use; None where nothing is said.

    `rule` is "seconds", with `seconds`; or "dearest", with `trials`: so many are run in any case, and further ones
    while the sweep has used less than the dearest of those in its parent took for theirs.
    """
    found: dict[str, Any] | None = record.header["plan"].get("device_seconds")
    return found


def begun(trial: Trial) -> bool:
    """Whether a trial was started, in this session or an earlier one."""
    return bool(trial.attempts or trial.evaluations) or trial.by_hand


def charged(record: Record) -> list[Trial]:
    """Trials that a budget may keep from starting: not begun, and asked for by the plan, not by a person later."""
    added = later(record)
    return [t for t in record.unfinished() if not (begun(t) or t.is_baseline or t.confirms or t.id in added)]


def later(record: Record) -> set[str]:
    """Ids of points that a person added to the plan."""
    return {point["id"] for row in record.rows if row["kind"] == "extend" for point in row["points"]}
