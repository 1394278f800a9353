"""What chose epoch and configuration, and what that means for the numbers on dev."""

from __future__ import annotations

from typing import Any

from analysis.style import number, plural
from trainables.record import Record, Trial


def teacher_on_dev(record: Record) -> dict[str, Any]:
    """What is known of the teacher, its scores and interval being those on dev whatever rows choose."""
    found = (record.prepared or {}).get("teacher") or {}
    return {**found, **(found.get("report") or {})}


def chosen_by(record: Record, trial: Trial) -> str:
    """The value that chose a trial's epoch, as the rest of a sentence; empty where dev itself chose."""
    if not record.held_out:
        return ""
    return f", chosen by {number(trial.score)} on {plural(record.held_out, 'held-out training row')}"


def sentences(record: Record, scored: int, dev: str) -> list[str]:
    """What to hold against numbers on dev that held-out rows chose; nothing where dev itself chose.

    Args:
        scored: How many distilled trials have a score.
        dev: What the dev rows are called.
    """
    if not record.held_out:
        return []
    found = [_choice(record, scored, dev)]
    again = (record.plan.get("select_on") or {}).get("doubles") or 0
    if again:
        found.append(
            f"{again} of the held-out rows stand among the training rows with the same texts: values on them flatter "
            "students that learn by heart, and so may the choice."
        )
    if _teacher(record).get("mode") == "ready":
        found.append(
            "The teacher was trained elsewhere and may have seen the held-out rows: values on them may be optimistic."
        )
    return found


def _choice(record: Record, scored: int, dev: str) -> str:
    among = "Every student's epoch was"
    if scored > 1:
        among = f"The best of {scored} and the epoch of every student were"
    teacher = _teacher(record)
    too = ", the teacher's epoch too" if (teacher.get("mode"), teacher.get("keep")) == ("finetune", "best") else ""
    return (
        f"{among} chosen on {plural(record.held_out, 'row')} held out of the training set{too}; figures show these. "
        f"Scores are those on {dev}, by which nothing was chosen, so the choice does not flatter them."
    )


def _teacher(record: Record) -> dict[str, Any]:
    return record.plan.get("teacher") or {}
