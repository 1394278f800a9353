"""The confirming runs in sentences, networks and lines of a table: what a report says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import plotly.graph_objects as go

from analysis.called import called
from analysis.chance import group_remark
from analysis.choice import teacher_on_dev
from analysis.claims import rivals_on_dev
from analysis.confirmed import BASELINE, KD, Confirmed, Contrast, Group, confirmed
from analysis.logical import logical
from analysis.style import NOTHING, interval, number, plural
from analysis.verdict import Network, Verdict, judge, no_baseline, portion, size_words
from analysis.verdict import networks as search_networks
from trainables.record import COMPLETE, FAIL, Record
from trainables.statistics import Interval, teacher_interval

OTHERS = {BASELINE: "the undistilled student", KD: "knowledge distillation"}


@dataclass(frozen=True)
class ConfirmedSection:
    """The section of a report.

    Attributes:
        lead: How far the confirmation is, and with which seeds.
        groups: Rows (point, values, runs, mean, deviation, interval, score in the search, role).
        contrasts: Rows (point, against, mean difference, interval over seeds, interval over seeds and dev rows, p of
            Student's test, corrected p, p of sign flips, p of Wilcoxon's test, what follows).
        notes: How to read them, and what is missing.
    """

    lead: str
    groups: list[tuple[str, ...]]
    contrasts: list[tuple[str, ...]]
    notes: list[str] = field(default_factory=list)
    figure: go.Figure | None = None


def section(record: Record) -> ConfirmedSection | None:
    """What a report says of the confirming runs; None where there are none."""
    from analysis.confirmed_figure import dots

    found = confirmed(record)
    if found is None:
        return None
    return ConfirmedSection(
        _lead(record, found),
        [_group_row(group, found.best) for group in found.groups],
        [_contrast_row(contrast, _others(record)) for contrast in found.contrasts],
        _notes(record, found),
        dots(record, found),
    )


def outcome(record: Record, finished: bool) -> Verdict:
    """The verdict by the confirming runs where there are any, else by the search, as `judge` puts it."""
    return verdict(record) or judge(record, finished)


def verdict(record: Record) -> Verdict | None:
    """The verdict by the confirming runs; None before two seeds are settled, when the search alone can judge."""
    found = confirmed(record)
    if found is None or found.best is None:
        return None
    best = found.group(found.best)
    against, baseline = found.contrast(best.id, BASELINE), _group(found, BASELINE)
    names = called(record)
    tone, words = _tone(record, against), _against(record, baseline, against, names.ahead, f"that {names.what} helped")
    kd, title = found.contrast(best.id, KD), record.plan["method_title"]
    remark = group_remark(record, best)
    return Verdict(
        " ".join(filter(None, (_best(record, found, best), remark))),
        words or no_baseline(record) or f"The {names.baseline} has no pair of runs with these seeds, {names.open}.",
        _teacher(record, best),
        tone,
        against.rows if against else None,
        _published(record, found),
        _against(record, _group(found, KD), kd, title, f"that {title} is better"),
        constant=bool(remark),
    )


def networks(record: Record) -> list[Network] | None:
    """Undistilled student, knowledge distillation and best point by their means; None as with `verdict`."""
    found = confirmed(record)
    if found is None or found.best is None:
        return None
    sizes, teacher = (record.prepared or {}).get("student", {}), teacher_interval(record)
    weak = teacher_on_dev(record).get("weak")
    lines = [network for network in search_networks(record) if network.role == "teacher"]
    for id, name, role in (
        (BASELINE, called(record).baseline, "baseline"),
        (KD, "student by knowledge distillation", "kd"),
        (found.best, f"best student by {record.plan['method_title']} ({found.best})", "best"),
    ):
        group = _group(found, id)
        if group is None or group.mean is None:
            continue
        spread = None if group.interval is None else Interval(group.mean, *group.interval, len(group.scores))
        part = portion(group.mean, teacher.value) if teacher is not None and not weak else None
        shape = (sizes.get("layers"), sizes.get("hidden_size"), sizes.get("parameters"))
        words = f"{name}, mean of {plural(len(group.scores), 'seed')}"
        twice = logical(record, record.trials.get(id))
        lines.append(Network(words, role, *shape, group.mean, spread, part, twice))
    return lines


def caveats(record: Record) -> list[str]:
    """What to hold against the confirmed numbers; nothing where the verdict is not theirs."""
    found = confirmed(record)
    if found is None or found.best is None:
        return []
    rows = "The dev rows are those that chose the points, and every run is scored at its best evaluation on them"
    if record.held_out:
        rows = "Neither a point nor the epoch of a run was chosen by the dev rows"
    lines = [
        f"The verdict comes from {plural(len(found.seeds), 'seed')} that the search did not use, so the luck of the "
        f"seed that won the search is not in it. {rows}; teacher and training rows are the same in all runs. "
        "The table of networks has the students' intervals over seeds, the teacher's over dev rows."
    ]
    points = sum(group.id not in OTHERS for group in found.groups)
    if points > 1:
        lines.append(
            f"The best of {points} confirmed points was chosen by the same runs that score it; its claims are "
            "corrected for that (Holm), its mean is not."
        )
    lines[-1] += " What follows is about the search's own trials."
    return lines


def _others(record: Record) -> dict[str, str]:
    """`OTHERS`, as a sweep calls them."""
    return {**OTHERS, BASELINE: f"the {called(record).baseline}"}


def _group(found: Confirmed, id: str) -> Group | None:
    return next((group for group in found.groups if group.id == id), None)


def _seeds(found: Confirmed, scored: int) -> str:
    """Of which seeds a mean is, of which `scored` runs have a score."""
    words = plural(len(found.planned), "fresh seed")
    if len(found.seeds) < len(found.planned):
        words = f"{len(found.seeds)} of {words} so far"
    lost = len(found.seeds) - scored
    return f"{words}, {lost} of which gave no score" if lost else words


def _best(record: Record, found: Confirmed, best: Group) -> str:
    plan = record.plan
    points = sum(group.id not in OTHERS for group in found.groups)
    again = f"run again with {_seeds(found, len(best.scores))}"
    lead = f"Best of {points} points {again}" if points > 1 else f"{again[0].upper()}{again[1:]}"
    spread = "" if best.interval is None else f" (95 % interval {interval(*best.interval)})"
    made_up = " on made-up data" if plan["data"].get("origin") == "embedded" else ""
    return (
        f"{lead}: {best.label} ({best.id}) with mean {plan['metric_title']} {number(best.mean)}{spread}"
        f"{made_up}; the search had scored it {number(best.searched)}."
    )


def _tone(record: Record, contrast: Contrast | None) -> str:
    """A weak teacher's student may be ahead, but that says nothing about distilling."""
    return "even" if contrast is None or teacher_on_dev(record).get("weak") else contrast.tone


def _against(
    record: Record, other: Group | None, contrast: Contrast | None, subject: str, open_words: str
) -> str | None:
    """One opponent over the same seeds: numbers, then what follows or why nothing does."""
    if other is None or contrast is None or other.mean is None:
        return None
    name = _others(record)[other.id]
    words = f"{name[0].upper()}{name[1:]} over the same seeds: {number(other.mean)}. Difference "
    words += f"{number(contrast.mean, signed=True)}"
    seeds = len(contrast.differences)
    if math.isinf(contrast.low):
        return f"{words}, the same with every seed, so nothing is known of its spread and nothing is shown."
    words += f", 95 % interval {interval(contrast.low, contrast.high, signed=True)} over {plural(seeds, 'seed')}"
    if contrast.rows is None:
        return f"{words}, without an interval over dev rows, because predictions are missing: nothing is shown."
    words += f" ({interval(contrast.rows.low, contrast.rows.high, signed=True)} over seeds and dev rows"
    rivals = rivals_on_dev(record)
    if contrast.wide is not None and rivals > 1 and contrast.rows.low > 0:
        wide = interval(contrast.wide.low, contrast.wide.high, signed=True)
        words += f", {wide} when widened for the choice among {rivals} on these rows"
    words += f"), paired p {probability(contrast.p)}"
    if probability(contrast.holm) != probability(contrast.p):
        words += f" ({probability(contrast.holm)} corrected)"
    tone = contrast.tone
    if tone != "even" and teacher_on_dev(record).get("weak"):
        return f"{words}: but with a weak teacher this says nothing about distilling."
    if tone == "even":
        return f"{words}: {_why(contrast)}, so these runs do not show {open_words}."
    return f"{words}: {subject} is {tone}, outside the noise of {plural(seeds, 'seed')} and {contrast.rows.n} dev rows."


def _why(contrast: Contrast) -> str:
    """Why nothing follows from a difference."""
    assert contrast.rows is not None
    if contrast.low <= 0 <= contrast.high:
        return "the interval over seeds includes 0"
    if contrast.rows.low <= 0 <= contrast.rows.high:
        return "other dev rows may turn it round"
    if contrast.wide is not None and contrast.wide.low <= 0 < contrast.rows.low:
        return "the choice of the point on these dev rows alone may explain it"
    return "the choice among the confirmed points may explain it"


def _published(record: Record, found: Confirmed) -> str | None:
    """The confirmed best beside the published setting, which need not be among the confirmed points."""
    here = [trial for trial in record.trials.values() if trial.point["origin"] == "published" and trial.best]
    if not here:
        return None
    if found.best in {trial.id for trial in here}:
        return "The best is the published setting itself."
    there = _group(found, here[0].id)
    if there is None or there.mean is None:
        return f"The published setting ({here[0].id}, {number(here[0].reported)} in the search) was not confirmed."
    return f"Published setting ({there.id}) over the same seeds: {number(there.mean)}."


def _teacher(record: Record, best: Group) -> str | None:
    teacher, student = teacher_on_dev(record), (record.prepared or {}).get("student") or {}
    parts, found = [], teacher_interval(record)
    if found is not None and best.mean is not None and not teacher.get("weak"):
        part = portion(best.mean, found.value)
        parts += [] if part is None else [f"{100 * part:.0f} % of the teacher's {number(found.value)}"]
    return size_words(parts, student.get("parameters"), teacher.get("parameters"))


def _lead(record: Record, found: Confirmed) -> str:
    ids = [group.id for group in found.groups if group.id not in OTHERS]
    points = f"{ids[0]} was" if len(ids) == 1 else f"{', '.join(ids[:-1])} and {ids[-1]} were"
    seeds = ", ".join(map(str, found.planned))
    others = " and ".join(_others(record)[group.id] for group in reversed(found.groups) if group.id in OTHERS)
    far = (
        ""
        if len(found.seeds) == len(found.planned)
        else f" {len(found.seeds)} of {len(found.planned)} seeds have ended."
    )
    return (
        f"{points} trained again at full length with seeds {seeds}, which the search did not use"
        f"{f', beside {others}' if others else ''}. None of these runs is stopped early.{far}"
    )


def _group_row(group: Group, best: str | None) -> tuple[str, ...]:
    role = {BASELINE: "baseline", KD: "kd"}.get(group.id, "best" if group.id == best else "other")
    return (
        group.id,
        group.label,
        str(len(group.scores)),
        number(group.mean),
        number(group.deviation),
        NOTHING if group.interval is None else interval(*group.interval),
        number(group.searched),
        ", ".join(number(score) for score in group.scores.values()) or NOTHING,
        role,
    )


def _contrast_row(found: Contrast, others: dict[str, str]) -> tuple[str, ...]:
    bounded = math.isfinite(found.low)
    return (
        found.id,
        others[found.other],
        number(found.mean, signed=True),
        interval(found.low, found.high, signed=True) if bounded else NOTHING,
        NOTHING if found.rows is None else interval(found.rows.low, found.rows.high, signed=True),
        probability(found.p) if bounded else NOTHING,
        probability(found.holm) if bounded else NOTHING,
        probability(found.flip),
        probability(found.wilcoxon),
        {"ahead": "ahead", "behind": "behind", "even": "not shown"}[found.tone],
    )


def _notes(record: Record, found: Confirmed) -> list[str]:
    fewest = min((len(contrast.differences) for contrast in found.contrasts), default=0)
    notes = []
    if fewest:
        notes.append(
            "Intervals over seeds are Student's, of the mean and of the paired differences; the interval over seeds "
            f"and dev rows draws both anew (bootstrap). “Ahead” needs both above 0{_widened(record)}, and the paired "
            "p, corrected for several points (Holm), below .05. Sign flips and Wilcoxon's test assume no distribution: "
            f"with {plural(fewest, 'pair')} no p of theirs can be below {probability(2 / 2**fewest)}."
        )
    for group in found.groups:
        for trial in group.missing:
            what = f"failed ({trial.cause})" if trial.state == FAIL else "did not reach its end"
            if trial.state == COMPLETE:
                what = "has no finite score"
            notes.append(f"{trial.id} {what} and does not count.")
    student = record.student_trial()
    if found.best is not None and student is not None and student.confirms:
        notes.append(
            f"The exported student is that of {student.id}, the best run of {found.best} "
            f"({number(student.reported)}); expect the mean from another seed, not this score."
        )
    return notes


def _widened(record: Record) -> str:
    rivals = rivals_on_dev(record)
    return f", the second also when widened for the search's choice among {rivals} on these rows" if rivals > 1 else ""


def probability(value: float | None) -> str:
    """ ".031", "< .001", a dash for nothing; near .05 so many digits that it is seen to be above or below."""
    if value is None:
        return NOTHING
    if value < 0.0005:
        return "< .001"
    digits = 3
    while value != 0.05 and digits < 9 and float(f"{value:.{digits}f}") == 0.05:
        digits += 1
    return f"{value:.{digits}f}".removeprefix("0")
