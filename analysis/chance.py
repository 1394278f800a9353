"""Whether a student is shown to do better than one and the same answer to every row."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from analysis.choice import teacher_on_dev
from analysis.confirmed import Group
from analysis.style import number
from trainables.record import Record, Trial
from trainables.statistics import trial_interval


def trial_remark(record: Record, trial: Trial) -> str:
    """A warning where a trial is not shown to be better than that; else empty."""
    found = trial_interval(record, trial)
    return _remark(record, trial.reported, [] if found is None else [found.low])


def group_remark(record: Record, group: Group) -> str:
    """The same of confirming runs: neither other seeds nor other dev rows may explain that their mean is higher.

    The end over the rows is the mean of the runs' own, which is a little too low rather than too high.
    """
    spreads = [trial_interval(record, group.runs[seed]) for seed in group.scores]
    lows = [] if group.interval is None else [group.interval[0]]
    known = [spread.low for spread in spreads if spread is not None]
    if known:
        lows.append(fmean(known))
    return _remark(record, group.mean, lows)


def _remark(record: Record, score: float | None, lows: Sequence[float]) -> str:
    chance = teacher_on_dev(record).get("chance")
    if chance is None or score is None:
        return ""
    if score <= chance:
        how = "worse than" if score < chance else "no better than"
        return f"That is {how} giving every row the same answer ({number(chance)})."
    if any(low <= chance for low in lows):
        return f"It is not shown to be better than giving every row the same answer ({number(chance)})."
    return ""
