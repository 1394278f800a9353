"""What a sweep found, in sentences that claim no more than the intervals allow."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from analysis.style import count, interval, number, plural
from trainables.record import COMPLETE, FAIL, PRUNED, RUNNING, Record, Trial
from trainables.statistics import Difference, Interval, paired, teacher_interval, trial_interval


@dataclass(frozen=True)
class Verdict:
    """The sentences on top of a report.

    Attributes:
        best: The best configuration and its score.
        against: Best against the undistilled student.
        teacher: Share of the teacher's score, and size.
        tone: "ahead", "behind" or "even" (the interval of the difference includes 0, or there is none).
    """

    best: str
    against: str | None
    teacher: str | None
    tone: str
    difference: Difference | None = None


@dataclass(frozen=True)
class Network:
    """One line of the comparison: teacher, undistilled student or best distilled student."""

    name: str
    role: str
    layers: int | None
    hidden_size: int | None
    parameters: int | None
    score: float | None
    interval: Interval | None
    share: float | None


def judge(record: Record, finished: bool) -> Verdict:
    """Put the outcome into words.

    Args:
        record: The sweep.
        finished: Whether nothing is left to run; otherwise every sentence says "so far".
    """
    best = record.best_trial()
    if best is None:
        return Verdict(_nothing(record), None, None, "even")
    against, tone, difference = _against(record, best)
    return Verdict(_best(record, best, finished), against, _teacher(record, best), tone, difference)


def networks(record: Record) -> list[Network]:
    """Teacher, undistilled student and best distilled student, those that have a score or a size."""
    prepared = record.prepared or {}
    found = []
    teacher = teacher_interval(record)
    if teacher is not None:
        sizes = prepared["teacher"]
        found.append(
            Network("teacher", "teacher", *_sizes(sizes), teacher.value, teacher, 1.0 if teacher.value else None)
        )
    for trial, name, role in (
        (record.best_trial(baseline=True), "undistilled student", "baseline"),
        (record.best_trial(), f"best student by {record.plan['method_title']}", "best"),
    ):
        if trial is not None:
            share = share_of_teacher(record, trial)
            sizes = prepared.get("student", {})
            score = trial_interval(record, trial)
            found.append(Network(f"{name} ({trial.id})", role, *_sizes(sizes), trial.score, score, share))
    return found


def share_of_teacher(record: Record, trial: Trial) -> float | None:
    """Score as a share of the teacher's; None where that says nothing (weak, or not above 0)."""
    teacher = teacher_interval(record)
    weak = ((record.prepared or {}).get("teacher") or {}).get("weak")
    if teacher is None or trial.score is None or weak or not teacher.value > 0:
        return None
    return trial.score / teacher.value


def caveats(record: Record) -> list[str]:
    """What a reader should hold against the numbers."""
    plan = record.plan
    distilled = [trial for trial in record.trials.values() if not trial.is_baseline and trial.score is not None]
    if not distilled:
        return []
    found = []
    if len(distilled) > 1:
        flatters = (
            "which flatters it against the single undistilled student"
            if record.best_trial(baseline=True)
            else "so its score is optimistic"
        )
        full = [trial.score for trial in distilled if trial.state == COMPLETE and trial.score is not None]
        typical = (
            f" The median of the {len(full)} that ran all epochs is {number(statistics.median(full))}."
            if len(full) > 1
            else ""
        )
        found.append(
            f"The best of {len(distilled)} configurations was chosen on the same dev rows that score it, "
            f"{flatters}.{typical}"
        )
    if plan["evaluations"] > 1:
        found.append(
            f"Every student's score is the best of up to {plan['evaluations']} evaluations on dev, the "
            "undistilled one's too, which is optimistic for all of them."
        )
    found.append(
        "Intervals are 95 % bootstrap intervals over the dev rows. They do not cover what another seed would "
        "change: every configuration ran with one seed."
    )
    stopped = [trial for trial in distilled if trial.state == PRUNED]
    if stopped:
        found.append(
            f"{plural(len(stopped), 'trial')} stopped early: such a score comes from fewer epochs than the "
            "others', and hollow marks show it in the figures."
        )
    weak = (record.prepared or {}).get("teacher", {})
    if weak.get("weak"):
        found.append("The teacher is weak, so no share of its score is given and little can be learnt from it.")
    return found


def _sizes(sizes: dict[str, int]) -> tuple[int | None, int | None, int | None]:
    return sizes.get("layers"), sizes.get("hidden_size"), sizes.get("parameters")


def _nothing(record: Record) -> str:
    trials = record.trials.values()
    failed = [trial for trial in trials if trial.state == FAIL and not trial.is_baseline]
    if failed:
        return (
            f"No configuration has a score: {len(failed)} of "
            f"{plural(sum(not trial.is_baseline for trial in trials), 'trial')} failed, {failed[0].id} with "
            f"“{failed[0].cause}”."
        )
    if record.prepared is None:
        return "Nothing to judge yet: the teacher and the data are being prepared."
    return "Nothing to judge yet: no distilled trial has been evaluated."


def _best(record: Record, best: Trial, finished: bool) -> str:
    plan = record.plan
    scored = [trial for trial in record.trials.values() if not trial.is_baseline and trial.score is not None]
    found = trial_interval(record, best)
    spread = f" (95 % interval {interval(found.low, found.high)})" if found else " (no predictions, no interval)"
    so_far = "" if finished else " so far"
    which = f"Best of {len(scored)} scored configurations{so_far}" if len(scored) > 1 else f"One configuration{so_far}"
    assert best.best is not None
    remark = {COMPLETE: "", PRUNED: "stopped early, ", FAIL: "failed later, "}.get(best.state, "still running, ")
    return (
        f"{which}: {best.point['label']} ({best.id}, {remark}epoch {best.best['epoch']:g}) with "
        f"{plan['metric_title']} {number(best.score)}{spread}." + _chance(record, best)
    )


def _chance(record: Record, trial: Trial) -> str:
    """A warning where a student does no better than one answer to every row."""
    chance = ((record.prepared or {}).get("teacher") or {}).get("chance")
    if chance is None or trial.score is None or trial.score > chance:
        return ""
    return " That is no better than giving every row the same answer."


def _against(record: Record, best: Trial) -> tuple[str, str, Difference | None]:
    base = record.best_trial(baseline=True)
    if base is None or base.score is None or best.score is None:
        planned = [trial for trial in record.trials.values() if trial.is_baseline]
        if not planned:
            return "No undistilled student was trained, so whether distillation helped is open.", "even", None
        state = planned[0].state
        why = f"failed ({planned[0].cause})" if state == FAIL else "has no score yet"
        return f"The undistilled student {why}, so whether distillation helped is open.", "even", None
    if RUNNING in (best.state, base.state) and best.last and base.last:
        return (
            f"Undistilled student so far: {number(base.score)}, after {base.last['epoch']:g} epochs beside "
            f"{best.last['epoch']:g}; no verdict before both have ended.",
            "even",
            None,
        )
    difference = paired(record, best, base)
    epochs = "" if base.last is None or base.state == COMPLETE else f" after {base.last['epoch']:g} epochs"
    gap = number(best.score - base.score, signed=True)
    lead = f"Undistilled student{epochs}: {number(base.score)}. Difference {gap}"
    if difference is None or math.isnan(difference.low):
        return (
            f"{lead}, without an interval, because predictions are missing: nothing is shown.",
            "even",
            None,
        )
    spread = f"{lead}, 95 % interval {interval(difference.low, difference.high, signed=True)}"
    noise = f"outside the noise of {difference.n} dev rows"
    if difference.low > 0:
        rivals = sum(not t.is_baseline and t.score is not None for t in record.trials.values())
        chosen = f" (as the best of {rivals} chosen on these rows, see below)" if rivals > 1 else ""
        return f"{spread}: distilled is ahead, {noise}{chosen}.", "ahead", difference
    if difference.high < 0:
        return (
            f"{spread}: distilled is behind, {noise}.",
            "behind",
            difference,
        )
    return f"{spread}: it includes 0, so this sweep does not show that distilling helped.", "even", difference


def _teacher(record: Record, best: Trial) -> str | None:
    prepared = record.prepared or {}
    teacher, student = prepared.get("teacher") or {}, prepared.get("student") or {}
    parts = []
    share = share_of_teacher(record, best)
    if share is not None:
        parts.append(f"{100 * share:.0f} % of the teacher's {number(teacher['score'])}")
    small, large = student.get("parameters"), teacher.get("parameters")
    if small and large:
        ratio = f" ({large / small:.1f}× smaller)" if large > 1.05 * small else ""
        parts.append(f"{count(small)} parameters, the teacher has {count(large)}{ratio}")
    return ", ".join(parts) + "." if parts else None
