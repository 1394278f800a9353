"""What a sweep found, in sentences that claim no more than the intervals allow."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from analysis.before import earlier
from analysis.called import called
from analysis.chance import trial_remark
from analysis.choice import chosen_by, sentences, teacher_on_dev
from analysis.claims import Claim, against_teacher, chosen_among, compare, ended, tied
from analysis.logical import logical, teachers
from analysis.seeds import seeds_differ
from analysis.style import NOTHING, count, epochs, interval, number, own_score, plural
from trainables.families import listed
from trainables.record import BY_HAND, COMPLETE, FAIL, PRUNED, Record, Trial
from trainables.statistics import Difference, Interval, teacher_interval, trial_interval


@dataclass(frozen=True)
class Verdict:
    """The sentences on top of a report.

    Attributes:
        best: The best configuration and its score.
        against: Best against the undistilled student.
        published: Best against the published setting, where it ran.
        kd: Best against knowledge distillation, where confirming runs have it.
        teacher: Share of the teacher's score, and size.
        tone: Of `against`: "ahead", "behind" or "even" (nothing is shown).
        difference: Best minus undistilled student.
        constant: Whether the best is not shown to be better than one answer to every row, as `best` says.
    """

    best: str
    against: str | None
    teacher: str | None
    tone: str
    difference: Difference | None = None
    published: str | None = None
    kd: str | None = None
    constant: bool = False


@dataclass(frozen=True)
class Network:
    """One line of the comparison: teacher, undistilled student or best distilled student.

    Attributes:
        logical: Layers that the hidden states go through, where some run twice; else None.
    """

    name: str
    role: str
    layers: int | None
    hidden_size: int | None
    parameters: int | None
    score: float | None
    interval: Interval | None
    share: float | None
    logical: int | None = None


def layers(own: int | None, network: Network | None) -> str:
    """Layers with weights of their own, and where a network runs some twice those its states go through, in words."""
    words = str(own or NOTHING)
    return f"{words}, run as {network.logical}" if network and network.logical else words


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
    remark = trial_remark(record, best)
    return Verdict(
        " ".join(filter(None, (_best(record, best, finished), remark))),
        against,
        _teacher(record, best),
        tone,
        difference,
        _published(record, best),
        constant=bool(remark),
    )


def networks(record: Record) -> list[Network]:
    """Teacher, undistilled student and best distilled student, those that have a score or a size."""
    prepared = record.prepared or {}
    found = []
    teacher = teacher_interval(record)
    if teacher is not None:
        sizes = teacher_on_dev(record)
        own = own_score(sizes)
        name = "teacher" if own is None else f"teacher as it teaches here ({number(own)} as it was fine-tuned)"
        share = 1.0 if teacher.value > 0 and not sizes.get("weak") else None
        (own_layers, twice), (_, width, parameters) = teachers(record), _sizes(sizes)
        found.append(Network(name, "teacher", own_layers, width, parameters, teacher.value, teacher, share, twice))
    for trial, name, role in (
        (record.best_trial(baseline=True), called(record).baseline, "baseline"),
        (record.best_trial(), f"best student by {record.plan['method_title']}", "best"),
    ):
        if trial is not None:
            share = share_of_teacher(record, trial)
            sizes = prepared.get("student", {})
            score = trial_interval(record, trial)
            found.append(
                Network(
                    f"{name} ({trial.id})", role, *_sizes(sizes), trial.reported, score, share, logical(record, trial)
                )
            )
    return found


def share_of_teacher(record: Record, trial: Trial) -> float | None:
    """Score as a share of the teacher's; None where that says nothing (weak, not above 0, or the score below 0)."""
    teacher = teacher_interval(record)
    if teacher is None or trial.reported is None or _facts(record).get("weak"):
        return None
    return portion(trial.reported, teacher.value)


def portion(score: float, teacher: float) -> float | None:
    """A score as a share of the teacher's; None where that says nothing, as of a score below 0."""
    return score / teacher if teacher > 0 and score >= 0 else None


def caveats(record: Record) -> list[str]:
    """What a reader should hold against the numbers."""
    plan = record.plan
    distilled = [trial for trial in record.trials.values() if not trial.is_baseline and trial.score is not None]
    if not distilled:
        return []
    baselines = sum(trial.is_baseline and trial.score is not None for trial in record.trials.values())
    found = sentences(record, len(distilled), "dev")
    if len(distilled) > 1 and not record.held_out:
        flatters = (
            f"which flatters it against the {'single ' if baselines == 1 else ''}{called(record).baseline}"
            if baselines
            else "so its score is optimistic"
        )
        full = [trial.score for trial in distilled if trial.state == COMPLETE and trial.score is not None]
        typical = (
            f" The median of the {len(full)} that ran all epochs is {number(statistics.median(full))}."
            if len(full) > 1
            else ""
        )
        found.append(
            f"The best of {len(distilled)} {_noun(record)} was chosen on the same dev rows that score it, "
            f"{flatters}.{typical}"
        )
    found += _ties(record)
    if plan["evaluations"] > 1 and not record.held_out:
        found.append(
            f"Every student's score is the best of up to {plan['evaluations']} evaluations on dev"
            + (f", the {called(record).label} one's too" if baselines else "")
            + ", which is optimistic for all of them."
        )
    found += _longer(record, baselines > 0)
    found.append(
        "Intervals are 95 % bootstrap intervals over the dev rows. They do not cover what another seed would "
        + ("change; the table of seeds shows that." if seeds_differ(record) else "change: all ran with one seed.")
    )
    stopped = [trial for trial in distilled if trial.state == PRUNED]
    if stopped:
        found.append(
            f"{plural(len(stopped), 'trial')} stopped early: such a score comes from fewer epochs than the "
            "others', and hollow marks show it in the figures."
        )
    if _facts(record).get("weak"):
        found.append("The teacher is weak, so no share of its score is given and little can be learnt from it.")
    return found


def _facts(record: Record) -> dict[str, Any]:
    """What is known of the teacher, its scores being those on dev."""
    return teacher_on_dev(record)


def _ties(record: Record) -> list[str]:
    best = record.best_trial()
    same, others = ([], 0) if best is None else tied(record, best)
    if not same:
        return []
    names = ", ".join(trial.id for trial in same[:8]) + (", …" if len(same) > 8 else "")
    what = "shown to be behind the chosen one" if record.held_out else "told apart from the best one"
    if others == 1:
        return [f"The only other scored trial, {names}, is not {what} by these dev rows."]
    if len(same) == others:
        return [f"None of the {others} other points' scored trials is {what} by these dev rows: {names}."]
    verb = "is" if len(same) == 1 else "are"
    return [f"{len(same)} of the {others} other points' scored trials {verb} not {what} by these dev rows: {names}."]


def _longer(record: Record, baseline: bool) -> list[str]:
    """How much longer the method's students were trained, where stages come before the one that reports."""
    own = [trial for trial in record.trials.values() if not trial.is_baseline and trial.score is not None]
    stages = [earlier(record, trial) for trial in own]
    names = dict.fromkeys(name for one in stages for name in one)
    if not names:
        return []
    counts = {name: sorted({one.get(name, 0.0) for one in stages}) for name in names}
    told = [f"{_range(found)} of {name}" for name, found in counts.items()]
    count, rows = record.plan["epochs"], record.plan["data"]
    more = "" if rows.get("augmented") else ", all on the same rows"
    words, after = called(record), f"after {listed(told)}{more}"
    if not baseline:
        return [
            f"The {words.others} were trained for {epochs(count)} {after}: for longer than a student of {count:g} "
            "without these stages."
        ]
    return [f"The {words.baseline} was trained for {epochs(count)}; the {words.others} for {count:g} {after}."]


def _range(counts: list[float]) -> str:
    return f"{counts[0]:g}" if len(counts) == 1 else f"{counts[0]:g} to {counts[-1]:g}"


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
    scored, found = chosen_among(record), trial_interval(record, best)
    spread = f" (95 % interval {interval(found.low, found.high)})" if found else " (no predictions, no interval)"
    so_far = "" if finished else " so far"
    which = f"Best of {scored} scored {_noun(record)}{so_far}" if scored > 1 else f"One configuration{so_far}"
    assert best.best is not None
    stopped = f"{BY_HAND}, " if best.by_hand else "stopped early, "
    remark = {COMPLETE: "", PRUNED: stopped, FAIL: "failed later, "}.get(best.state, "still running, ")
    made_up = " on made-up data" if plan["data"].get("origin") == "embedded" else ""
    return (
        f"{which}: {best.point['label']} ({best.id}, {remark}epoch {best.best['epoch']:g}) with "
        f"{plan['metric_title']} {number(best.reported)}{spread}{made_up}{chosen_by(record, best)}."
    )


def _noun(record: Record) -> str:
    return "trials" if seeds_differ(record) else "configurations"


def no_baseline(record: Record) -> str | None:
    """Why no undistilled student stands beside the best, where that is as planned; else None."""
    if record.plan["method"] == "ft":
        return "These are undistilled students themselves: no teacher taught them."
    if "ft" in (record.header["config"].get("beside") or ()):
        return (
            "The undistilled students are a sweep of their own beside this one; python -m analysis.compare, given the "
            "folder that holds both, sets them side by side."
        )
    return None


def _against(record: Record, best: Trial) -> tuple[str, str, Difference | None]:
    base, words = record.best_trial(baseline=True), called(record)
    name = f"{words.baseline[0].upper()}{words.baseline[1:]}"
    if base is None or base.score is None or best.score is None:
        planned = [trial for trial in record.trials.values() if trial.is_baseline]
        if not planned:
            return no_baseline(record) or f"No {words.baseline} was trained, {words.open}.", "even", None
        state = planned[0].state
        why = "has no score yet"
        if state == FAIL:
            why = f"failed ({planned[0].cause})"
        elif state == PRUNED:
            why = f"was {BY_HAND} before it had a score"
        return f"The {words.baseline} {why}, {words.open}.", "even", None
    if not ended(best, base):
        return f"{name} so far: {number(base.reported)}, {_unequal(best, base)}.", "even", None
    after = "" if base.last is None or base.state == COMPLETE else f" after {epochs(base.last['epoch'])}"
    found = compare(record, best, base, words.ahead, words.unshown)
    if found.tone != "even" and _facts(record).get("weak") and words.taught:
        remark = "but with a weak teacher this says nothing about distilling"
        found = Claim("even", f"{found.words}, {remark}", found.difference, found.widened)
    return f"{name}{after}: {number(base.reported)}. {found.words}.", found.tone, found.difference


def _published(record: Record, best: Trial) -> str | None:
    here = [t for t in record.trials.values() if t.point["origin"] == "published" and t.score is not None]
    if not here:
        return None
    if best.point["origin"] == "published":
        return "The best is the published setting itself."
    there = max(here, key=lambda trial: trial.score or 0.0)
    lead = f"Published setting ({there.id}): {number(there.reported)}"
    if not ended(best, there):
        return f"{lead} so far, {_unequal(best, there)}."
    found = compare(record, best, there, "the best", "no setting is shown to be better than the published one")
    return f"{lead}. {found.words}."


def _unequal(best: Trial, other: Trial) -> str:
    assert best.last is not None
    assert other.last is not None
    return f"after {epochs(other.last['epoch'])} beside {best.last['epoch']:g}; no verdict before both have ended"


def _teacher(record: Record, best: Trial) -> str | None:
    teacher, student = _facts(record), (record.prepared or {}).get("student") or {}
    parts = []
    share = share_of_teacher(record, best)
    if share is not None:
        claim = against_teacher(record, best)
        words = f" ({claim.words})" if claim is not None and ended(best) else ""
        parts.append(f"{100 * share:.0f} % of the teacher's {number(teacher['score'])}{words}")
    elif (claim := against_teacher(record, best)) is not None and teacher["score"] > 0 and ended(best):
        parts.append(f"Beside the teacher's {number(teacher['score'])}: {claim.words}")
    return size_words(parts, student.get("parameters"), teacher.get("parameters"))


def size_words(parts: list[str], small: int | None, large: int | None) -> str | None:
    """What is said of a student beside its teacher, and the parameters of both, as one sentence; None for nothing."""
    if small and large:
        ratio = f" ({large / small:.1f}× smaller)" if large > 1.05 * small else ""
        parts = [*parts, f"{count(small)} parameters, the teacher has {count(large)}{ratio}"]
    return ", ".join(parts) + "." if parts else None
