"""What the students of a sweep are called: not every method's students are distilled, and not in every stage."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.style import ROLES
from trainables.record import Record, Trial

DISTILLING = "distilling"


@dataclass(frozen=True)
class Called:
    """Names that a report uses.

    Attributes:
        baseline: Of a student that the method did not touch.
        label: The same, short.
        others: Of the method's own students.
        what: Did or did not help.
        ahead: What is said to be ahead or behind.
        taught: Whether any of the method's own students asks a teacher.
    """

    baseline: str
    label: str
    others: str
    what: str
    ahead: str
    taught: bool = True

    @property
    def open(self) -> str:
        """What stays open without a student to compare with."""
        what = "distillation" if self.what == DISTILLING else self.what
        return f"so whether {what} helped is open"

    @property
    def unshown(self) -> str:
        """What follows where nothing is shown."""
        return f"this sweep does not show that {self.what} helped"


def called(record: Record) -> Called:
    """By what the stages of the sweep's points ask of a teacher."""
    own = [trial for trial in record.trials.values() if not trial.is_baseline]
    title = str(record.plan["method_title"])
    if own and not any(any(taught(record, trial)) for trial in own):
        return Called("plain student", "plain", "students of the method", title, "the best", taught=False)
    if own and not any(taught(record, trial)[-1] for trial in own):
        return Called("undistilled student", "undistilled", "distilled students", title, "the best")
    return Called("undistilled student", "undistilled", "distilled students", DISTILLING, "distilled")


def taught(record: Record, trial: Trial) -> list[bool]:
    """Whether each stage of a trial asks the teacher; of older records whether any does."""
    if stages := trial.point.get("stages"):
        return [bool(stage["teacher"]) for stage in stages]
    source = record.plan.get("teacher_source") or {}
    return [bool(source.get("needs", True) or source.get("needs_on_dev"))]


def roles(record: Record) -> dict[str, tuple[str, str]]:
    """`analysis.style.ROLES` with the names of this sweep."""
    return {**ROLES, "baseline": (ROLES["baseline"][0], called(record).label)}
