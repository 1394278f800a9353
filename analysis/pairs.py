"""Every pair of contenders on the same dev rows, and what may be said of their difference.

A difference is claimed only where its interval excludes 0 after it was widened for all pairs that are looked at, and
for the choice of the one ahead among its trials on these rows (Bonferroni); where seeds are several, other seeds have
to agree; and both searches must have ended.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.claims import ended, widen
from analysis.contenders import Contender
from analysis.paired_tests import student
from trainables.record import Trial
from trainables.statistics import Difference, over_seeds, paired


@dataclass(frozen=True)
class Pair:
    """One contender against another.

    Attributes:
        found: What `one` scores minus what `other` does, with its 95 % interval; None where `why` says so.
        wide: The same with the interval that a claim needs.
        seeds: How many seeds were compared.
        tone: "ahead", "behind", "even" (nothing is shown) or "open" (a search has not ended).
    """

    one: Contender
    other: Contender
    found: Difference | None
    wide: Difference | None
    seeds: int
    tone: str
    why: str = ""


def pairs(contenders: Sequence[Contender]) -> list[Pair]:
    """All pairs, each contender against those before it; of several methods in several sizes, those of one size."""
    scored = [one for one in contenders if one.best is not None and one.score is not None]
    every = [(one, other) for other, one in itertools.combinations(scored, 2)]
    found = [both for both in every if _same_size(*both)] or every
    return [pair(one, other, len(found)) for one, other in found]


def _same_size(one: Contender, other: Contender) -> bool:
    return bool(one.record.plan["layers"] == other.record.plan["layers"])


def pair(one: Contender, other: Contender, looks: int) -> Pair:
    """What is known of two contenders.

    Args:
        looks: How many pairs are looked at in all.
    """
    shared = [seed for seed in one.runs if seed in other.runs]
    several = len(one.runs) > 1 or len(other.runs) > 1
    mine = [(one.runs[seed], other.runs[seed]) for seed in shared]
    if not several:
        mine = [(next(iter(one.runs.values())), next(iter(other.runs.values())))]
    if several and len(mine) < 2:
        return Pair(one, other, None, None, len(mine), "even", "fewer than two seeds in common")
    if not all(ended(*both) for both in mine):
        return Pair(one, other, None, None, len(mine), "open", "still training")
    found = paired(one.record, *mine[0]) if not several else over_seeds(one.record, mine)
    if found is None or math.isnan(found.low):
        return Pair(one, other, None, None, len(mine), "even", "predictions are missing")
    chosen = one if found.value > 0 else other
    plain, wide = found, widen(found, looks * chosen.rivals)
    if several:
        # Fresh seeds did not choose the point, so they need to cover only the choice among those that they tried.
        plain, wide = _hull(plain, mine, 1), _hull(wide, mine, looks * chosen.tried)
    tone = "even"
    if wide.low > 0 or wide.high < 0:
        tone = "ahead" if wide.low > 0 else "behind"
    if any(contender.progress.word != "complete" for contender in (one, other)):
        tone = "open"
    return Pair(one, other, plain, wide, len(mine), tone)


def _hull(found: Difference, mine: Sequence[tuple[Trial, Trial]], choices: int) -> Difference:
    """The bootstrap's interval over seeds and rows, and Student's over seeds, which few seeds make wide.

    Args:
        choices: For how many differences at once Student's interval is to hold.
    """
    differences = [a.reported - b.reported for a, b in mine if a.reported is not None and b.reported is not None]
    low, high, _ = student(differences, 1 - 0.05 / choices)
    return replace(found, low=min(low, found.low), high=max(high, found.high))
