"""What the confirming runs show: the best points with seeds that the search did not use, in pairs.

A point, the undistilled student and knowledge distillation ran with the same seeds, so what they differ in is looked at
seed by seed. Only seeds that all of them have ended with count, and only runs that reached their end.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace

import pandas as pd

from analysis.claims import rivals_on_dev, widen
from analysis.paired_tests import holm, sign_flip, student, wilcoxon
from trainables.record import COMPLETE, Record, Trial
from trainables.statistics import Difference, over_seeds

BASELINE, KD = "ft", "kd"


@dataclass(frozen=True)
class Group:
    """One point and its confirming runs.

    Attributes:
        id: Of the searched point, or "ft", or "kd".
        runs: By seed, those that reached their end.
        missing: Runs of settled seeds that did not.
        searched: What it scored on dev in the search; None where it was not searched.
    """

    id: str
    label: str
    runs: dict[int, Trial]
    missing: list[Trial]
    searched: float | None

    @property
    def scores(self) -> dict[int, float]:
        """What each run's student scores on dev, by seed."""
        return {seed: trial.reported for seed, trial in self.runs.items() if trial.reported is not None}

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.scores.values()) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation between seeds; needs two."""
        return statistics.stdev(self.scores.values()) if len(self.scores) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's 95 % interval of the mean over seeds; None where two scores are not there, or none differs."""
        if len(self.scores) < 2:
            return None
        low, high, _ = student(list(self.scores.values()))
        return (low, high) if math.isfinite(low) else None


@dataclass(frozen=True)
class Contrast:
    """A confirmed point against the undistilled student or knowledge distillation, seed by seed.

    Attributes:
        differences: By seed.
        low, high: Student's 95 % interval of the mean difference over seeds; infinite where nothing varies.
        p: Two-sided, of Student's paired test.
        holm: The same, corrected for all confirmed points that are compared with the same opponent.
        flip: Exact sign-flip test; None with too many seeds to count.
        wilcoxon: Exact signed-rank test; None with fewer than 6 differences that are not 0.
        rows: The mean difference with an interval over seeds and dev rows; None without predictions.
        wide: The same with the interval that also covers the choice of the point in the search on the same dev rows,
            which other seeds do not undo.
    """

    id: str
    other: str
    differences: dict[int, float]
    low: float
    high: float
    p: float
    holm: float
    flip: float | None
    wilcoxon: float | None
    rows: Difference | None
    wide: Difference | None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.differences.values())

    @property
    def tone(self) -> str:
        """ "ahead" or "behind" where neither other seeds, other dev rows nor the choice among the searched and the
        confirmed points explain the difference; else "even"."""
        if self.rows is None or self.wide is None or self.holm > 0.05:
            return "even"
        if self.low > 0 and self.wide.low > 0:
            return "ahead"
        return "behind" if self.high < 0 and self.rows.high < 0 else "even"


@dataclass(frozen=True)
class Confirmed:
    """All of it.

    Attributes:
        groups: The searched points, the best mean first, then knowledge distillation and the undistilled student.
        contrasts: Of every searched point with every opponent that it shares two seeds with.
        best: Id of the point with the highest mean; None before two seeds are settled.
        seeds: Those that all have ended with.
        planned: All of the confirmation.
    """

    groups: list[Group]
    contrasts: list[Contrast]
    best: str | None
    seeds: list[int]
    planned: list[int]

    def group(self, id: str) -> Group:
        return next(group for group in self.groups if group.id == id)

    def contrast(self, id: str, other: str) -> Contrast | None:
        return next((found for found in self.contrasts if (found.id, found.other) == (id, other)), None)


def confirmed(record: Record) -> Confirmed | None:
    """What the confirming runs of a sweep show so far; None where there are none."""
    if not record.confirming:
        return None
    seeds = record.settled_seeds()
    groups = [_group(record, id, trials, seeds) for id, trials in record.confirmed().items()]
    best, last = record.confirmed_best(), {KD: 1, BASELINE: 2}
    groups.sort(
        key=lambda group: (last.get(group.id, 0), group.id != best, math.inf if group.mean is None else -group.mean)
    )
    found = []
    for other in (BASELINE, KD):
        opponent = next((group for group in groups if group.id == other), None)
        if opponent is not None:
            mine = [_contrast(record, group, opponent) for group in groups if group.id not in last]
            found += _corrected([contrast for contrast in mine if contrast is not None])
    planned = list(dict.fromkeys(trial.point["seed"] for trial in record.confirming.values()))
    return Confirmed(groups, found, best, seeds, planned)


def table(found: Confirmed) -> pd.DataFrame:
    """One row per confirming run that counts.

    Columns: point, seed, id, score (dev, best evaluation), and minus_ft and minus_kd, the differences at equal seeds.
    """
    rows = []
    for group in found.groups:
        for seed, score in group.scores.items():
            row = {"point": group.id, "seed": seed, "id": group.runs[seed].id, "score": score}
            for other in (BASELINE, KD):
                contrast = found.contrast(group.id, other)
                row[f"minus_{other}"] = None if contrast is None else contrast.differences.get(seed)
            rows.append(row)
    return pd.DataFrame(rows, columns=["point", "seed", "id", "score", f"minus_{BASELINE}", f"minus_{KD}"])


def _group(record: Record, id: str, trials: list[Trial], seeds: list[int]) -> Group:
    settled = [trial for trial in trials if trial.point["seed"] in seeds]
    runs = {t.point["seed"]: t for t in settled if t.state == COMPLETE and t.reported is not None}
    there = record.trials.get(id)
    return Group(
        id,
        str(trials[0].point["label"]).partition(" · seed ")[0],
        {seed: runs[seed] for seed in seeds if seed in runs},
        [trial for trial in settled if trial.point["seed"] not in runs],
        None if there is None else there.reported,
    )


def _contrast(record: Record, group: Group, other: Group) -> Contrast | None:
    shared = [seed for seed in group.scores if seed in other.scores]
    if len(shared) < 2:
        return None
    differences = {seed: group.scores[seed] - other.scores[seed] for seed in shared}
    values = list(differences.values())
    low, high, p = student(values)
    rows = over_seeds(record, [(group.runs[seed], other.runs[seed]) for seed in shared])
    wide = None if rows is None else widen(rows, rivals_on_dev(record))
    return Contrast(group.id, other.id, differences, low, high, p, p, sign_flip(values), wilcoxon(values), rows, wide)


def _corrected(contrasts: list[Contrast]) -> list[Contrast]:
    adjusted = holm([contrast.p for contrast in contrasts])
    return [replace(contrast, holm=p) for contrast, p in zip(contrasts, adjusted, strict=True)]
