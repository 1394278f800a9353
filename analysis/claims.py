"""What the dev rows allow to be said of two networks, and what they don't.

A difference is claimed only where nothing that is known to vary explains it: its interval excludes 0, also after
it was widened for the choice of the best among several on the same rows; other seeds, where they ran, agree; and
the network that is ahead did not train for longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from analysis.seeds import between, group_of
from analysis.style import epochs, interval, number
from trainables.record import RUNNING, Record, Trial
from trainables.statistics import Difference, paired, teacher_interval, trial_interval


@dataclass(frozen=True)
class Claim:
    """Best network against another one.

    Attributes:
        tone: "ahead", "behind", or "even", which is: nothing is shown.
        words: Difference and interval, then what follows or why nothing does; without a closing stop.
        difference: With its 95 % interval over the dev rows; None where there is none.
        widened: The same with the interval that also covers the choice of the best.
    """

    tone: str
    words: str
    difference: Difference | None = None
    widened: Difference | None = None


def compare(record: Record, best: Trial, other: Trial, subject: str, open_words: str) -> Claim:
    """What may be said of the best trial against another one.

    Args:
        record: The sweep.
        best: The trial that was chosen among the distilled ones.
        other: Trained on and scored by the same rows.
        subject: How the best trial is called where it is ahead or behind.
        open_words: What stays open where nothing is shown, such as "this sweep does not show that distilling helped".
    """
    found = paired(record, best, other)
    if best.reported is None or other.reported is None:
        return Claim("even", "A score on dev is not finite: nothing is shown")
    lead = f"Difference {number(best.reported - other.reported, signed=True)}"
    if found is None or math.isnan(found.low):
        return Claim("even", f"{lead}, without an interval, because predictions are missing: nothing is shown")
    rivals = rivals_on_dev(record)
    wide = widen(found, rivals)
    words = f"{lead}, 95 % interval {interval(found.low, found.high, signed=True)}"
    if rivals > 1 and found.low > 0:
        words += f" ({interval(wide.low, wide.high, signed=True)} when widened for the choice of the best of {rivals})"
    if found.low <= 0 <= found.high:
        return Claim("even", f"{words}: it includes 0, so {open_words}", found, wide)
    if found.low > 0 >= wide.low:
        return Claim("even", f"{words}: the choice alone may explain it, so {open_words}", found, wide)
    tone = "ahead" if found.low > 0 else "behind"
    why = _longer(*((best, other) if tone == "ahead" else (other, best))) or _seeds(record, best, other, tone)
    if why is not None:
        return Claim("even", f"{words}. {why}, so {open_words}", found, wide)
    return Claim(tone, f"{words}: {subject} is {tone}, outside the noise of {_rows(record, found.n)}", found, wide)


def against_teacher(record: Record, trial: Trial) -> Claim | None:
    """What may be said of a trial against the teacher, from the intervals of both; None without a usable teacher.

    The teacher's predictions lie outside the sweep's folder, so the difference is not paired: its interval is
    Newcombe's (Statist. Med. 17, 1998) for independent scores, too wide rather than too narrow for answers to the
    same rows. It is widened for the choice of the best like any other.
    """
    teacher, mine = teacher_interval(record), trial_interval(record, trial)
    if teacher is None or trial.reported is None or ((record.prepared or {}).get("teacher") or {}).get("weak"):
        return None
    value = trial.reported - teacher.value
    lead = f"difference {number(value, signed=True)}"
    if mine is None or math.isnan(teacher.low) or math.isnan(mine.low):
        return Claim("even", f"{lead}, without an interval: neither ahead nor behind is shown")
    low = value - math.hypot(mine.value - mine.low, teacher.high - teacher.value)
    high = value + math.hypot(mine.high - mine.value, teacher.value - teacher.low)
    found = Difference(value, low, high, math.nan, mine.n)
    wide = widen(found, rivals_on_dev(record))
    words = f"{lead}, 95 % interval {interval(low, high, signed=True)}"
    if high < 0:
        return Claim("behind", f"{words}: behind it, outside the noise", found, wide)
    if wide.low > 0:
        return Claim("ahead", f"{words}: ahead of it, outside the noise", found, wide)
    if low > 0:
        return Claim("even", f"{words}: the choice of the best alone may explain it", found, wide)
    return Claim("even", f"{words}: it includes 0, so neither ahead nor behind is shown", found, wide)


def ended(*trials: Trial) -> bool:
    """Whether none of the trials is still training; before that they are not compared."""
    return all(trial.state != RUNNING for trial in trials)


def chosen_among(record: Record) -> int:
    """How many scored trials the best one was chosen from."""
    return sum(not trial.is_baseline and trial.score is not None for trial in record.trials.values())


def rivals_on_dev(record: Record) -> int:
    """How many trials the best one was chosen from on dev: itself alone where held-out rows chose it.

    Dev rows that played no part in the choice are new to the one chosen, so its interval needs no widening.
    """
    return 1 if record.held_out else chosen_among(record)


def widen(found: Difference, rivals: int) -> Difference:
    """The interval that holds for all of so many differences at once (Bonferroni), so also for the one picked.

    Both arms of the interval grow by the ratio of the normal quantiles: resamples are too few for the far tails.
    """
    level = 1 - (1 - found.level) / max(rivals, 1)
    factor = NormalDist().inv_cdf((1 + level) / 2) / NormalDist().inv_cdf((1 + found.level) / 2)
    low = found.value - factor * max(found.value - found.low, 0.0)
    high = found.value + factor * max(found.high - found.value, 0.0)
    return Difference(found.value, low, high, found.probability_better, found.n, level)


def tied(record: Record, best: Trial) -> tuple[list[Trial], int]:
    """Scored trials of other distilled points that the dev rows can't tell from the best, and how many there are.

    Where held-out rows chose the best one, those that are ahead of it on dev are among them.
    """
    same = {trial.id for trial in group_of(record, best).trials}
    rest = [t for t in record.trials.values() if not t.is_baseline and t.score is not None and t.id not in same]
    found = []
    for trial in rest:
        difference = paired(record, best, trial)
        if difference is not None and difference.low <= 0:
            found.append(trial)
    return found, len(rest)


def _longer(ahead: Trial, behind: Trial) -> str | None:
    assert ahead.last is not None
    assert behind.last is not None
    longer, less = ahead.last["epoch"], behind.last["epoch"]
    if longer <= less:
        return None
    return f"But the one ahead trained for {epochs(longer)} and the other for {less:g}"


def _seeds(record: Record, best: Trial, other: Trial, tone: str) -> str | None:
    """Why the seeds of both points don't bear the claim out; None where they do or where there are none."""
    a, b = group_of(record, best), group_of(record, other)
    if min(len(a.scores), len(b.scores)) < 2 or a.id == b.id:
        return None
    found = between(a, b)
    if found.low > 0 if tone == "ahead" else found.high < 0:
        return None
    spread = interval(found.low, found.high, signed=True) if math.isfinite(found.low) else "without bounds"
    return (
        f"But over {len(a.scores)} and {len(b.scores)} seeds the means differ by {number(found.value, signed=True)}, "
        f"95 % interval {spread}, which includes 0"
    )


def _rows(record: Record, count: int) -> str:
    made_up = "made-up " if record.plan["data"].get("origin") == "embedded" else ""
    return f"{count} {made_up}dev rows"
