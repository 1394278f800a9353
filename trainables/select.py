"""Which rows choose epoch and configuration: dev, or rows held out of the training set. Imports without torch and Ray.

Everything of a sweep that decides treats the rows that choose as its dev rows: the teacher's best epoch, the rungs, the
search, each trial's best evaluation. Where they are held out, the task's own dev rows are predicted for the report
alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.tasks.base import TaskData
from distill.tasks.holdout import DEV, HOLDOUT, doubles, hold_out, parse
from trainables.record import held_out


def split(data: TaskData, select_on: str, seed: int) -> TaskData:
    """The rows as the sweep treats them: `dev` are those that choose, `report` the task's dev rows where others do.

    Args:
        data: Rows as read and limited.
        select_on: As asked.
        seed: The sweep's; decides which rows are held out.

    Raises:
        UserError: One side would be without rows, or without any of some label.
    """
    share = parse(select_on)
    return data if share is None else hold_out(data, share, seed)


def planned(data: TaskData, select_on: str) -> dict[str, Any]:
    """What the plan says of the rows that choose.

    Returns:
        `kind`, `share` (None where dev chooses), `rows` (how many choose), and `doubles`: how many of them stand among
        the training rows with the same texts.
    """
    share = parse(select_on)
    kind = DEV if share is None else HOLDOUT
    return {"kind": kind, "share": share, "rows": len(data.dev), "doubles": doubles(data)}


def words(plan: dict[str, Any]) -> str:
    """The rows of a plan, for people."""
    data, chosen = plan["data"], held_out(plan)
    if augmented := data.get("augmented"):
        return (
            f"{data['train_rows']} augmented training rows from {augmented['file']}, {data['teacher_rows']} of the "
            f"task's own for the teacher, {data['dev_rows']} dev rows"
        )
    # Older plans count them among held-out rows alone.
    doubled = plan["select_on"].get("doubles")
    twice = f" ({doubled} of them stand among the training rows too)" if doubled else ""
    if not chosen:
        return f"{data['train_rows']} training rows, {data['dev_rows']} dev rows{twice}"
    return (
        f"{data['train_rows']} training rows, {chosen} held out of them choose epoch and configuration{twice}, "
        f"{data['dev_rows']} dev rows for the report alone"
    )


def where(plan: dict[str, Any]) -> str:
    """What to add to a value of the rows that choose, such as " on 855 held-out rows"; empty where they are dev."""
    chosen = held_out(plan)
    return f" on {chosen} held-out rows" if chosen else ""


def teacher_on_dev(own: dict[str, Any], read: dict[str, Any], reading: Path) -> dict[str, Any] | None:
    """What `prepared.json` says of a teacher on dev where other rows choose: score, interval, chance, predictions.

    Args:
        own: Facts of the teacher.
        read: Facts of it as the trials read it.
        reading: Artifact that `read` is of.
    """
    found = read.get("report")
    if found is None:
        return None
    return {
        "score": found["score"],
        "metrics": found.get("metrics"),
        "own_score": own["report"]["score"],
        "interval": found["verdict"]["interval"],
        "chance": found["verdict"]["chance"],
        "predictions": str(reading / "predictions-report.npz"),
    }


def about_augmented(found: dict[str, Any], baseline: bool) -> list[str]:
    """What a person should know of augmented rows.

    Args:
        found: What `distill.tasks.augmented.counted` says.
        baseline: Whether an undistilled student is trained.
    """
    notes = [
        f"Students train on all {found['rows']} rows of {Path(found['file']).name}, in which {found['originals']} of "
        f"the task's {found['own_rows']} training rows stand; the teacher trains on the task's own."
    ]
    if doubled := found["dev_doubles"]:
        notes.append(f"Of the dev rows, {doubled} stand among the augmented rows too.")
    if baseline:
        notes.append(
            "The undistilled baseline trains on the augmented rows too, by labels that were copied whatever the new "
            "words say; a sweep without --augmented shows it on the task's own rows."
        )
    return notes


UNKNOWN_TEACHER = (
    "The teacher was trained elsewhere, so it may have seen the rows held out here: values on them may then be "
    "optimistic; the report's, on dev, are not touched by that."
)
