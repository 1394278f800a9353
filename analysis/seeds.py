"""The same point with several seeds: which trials belong together, and their mean."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass

from trainables.record import COMPLETE, Record, Trial
from trainables.statistics import Difference


@dataclass(frozen=True)
class Group:
    """One point and all its seeds.

    Attributes:
        trials: In the order of the plan; the first gives the group its name.
        scores: On dev, of the trials that ran all their epochs: a shorter run would blur the spread between seeds.
    """

    trials: list[Trial]
    scores: list[float]

    @property
    def id(self) -> str:
        return self.trials[0].id

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores)

    @property
    def deviation(self) -> float:
        """Sample standard deviation; needs two scores."""
        return statistics.stdev(self.scores)


def seeds_differ(record: Record) -> bool:
    """Whether trials ran, or will run, with more than one seed."""
    return len({trial.point.get("seed") for trial in record.trials.values()}) > 1


def groups(record: Record) -> list[Group]:
    """Points by what they are but for their seed, in the order of the plan."""
    found: dict[str, list[Trial]] = {}
    for trial in record.trials.values():
        point = trial.point
        parts = [point["params"], *(point.get(name) for name in ("method", "recipe", "head", "training"))]
        key = json.dumps(parts, sort_keys=True)
        found.setdefault(key, []).append(trial)
    return [
        Group(mine, [t.reported for t in mine if t.state == COMPLETE and t.reported is not None])
        for mine in found.values()
    ]


def repeated(record: Record) -> list[Group]:
    """Groups with at least two scores, the best mean first."""
    return sorted((group for group in groups(record) if len(group.scores) > 1), key=lambda group: -group.mean)


def group_of(record: Record, trial: Trial) -> Group:
    """The group that a trial belongs to."""
    return next(group for group in groups(record) if any(mine.id == trial.id for mine in group.trials))


def between(a: Group, b: Group, level: float = 0.95) -> Difference:
    """Mean of `a` minus mean of `b` with Welch's interval: what other seeds may change, not other dev rows.

    Both need two scores. `n` is the number of scores; `probability_better` is not estimated (nan).
    """
    from scipy.special import stdtrit

    value = a.mean - b.mean
    parts = [group.deviation**2 / len(group.scores) for group in (a, b)]
    error = math.sqrt(sum(parts))
    count = len(a.scores) + len(b.scores)
    if error == 0:
        # Equal scores say nothing about the spread, so nothing may be concluded from them.
        return Difference(value, -math.inf, math.inf, math.nan, count, level)
    freedom = sum(parts) ** 2 / sum(p**2 / (len(g.scores) - 1) for p, g in zip(parts, (a, b), strict=True))
    half = float(stdtrit(freedom, 0.5 + level / 2)) * error
    return Difference(value, value - half, value + half, math.nan, count, level)
