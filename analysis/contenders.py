"""Who is compared: the sweeps of several methods, and undistilled students, each with the runs that stand for it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from analysis.choice import teacher_on_dev
from analysis.confirmed import BASELINE, confirmed
from analysis.expected import expected_best
from analysis.paired_tests import student
from analysis.seeds import group_of
from analysis.state import Progress, progress
from trainables.families import is_family, read_family
from trainables.record import Record, Trial, UserError, read
from trainables.spending import of_artifacts, of_trial, used
from trainables.statistics import Interval, load_predictions, teacher_interval, trial_interval


@dataclass(frozen=True)
class Contender:
    """One method's sweep, or the undistilled students beside some.

    Attributes:
        name: Of its folder, or "undistilled".
        undistilled: Whether no teacher taught it.
        trials: Of its search, in the order of the plan.
        best: The trial that its search, or its confirmation, came to; None before there is a score.
        runs: What its score is the mean of, by seed: confirming runs, or trials of the best point with several seeds,
            or the best trial alone.
        again: How the runs came about: "confirmed", "seeds" or "one".
    """

    name: str
    record: Record
    undistilled: bool
    trials: tuple[Trial, ...]
    best: Trial | None
    runs: dict[int, Trial]
    again: str
    progress: Progress

    @property
    def scores(self) -> list[float]:
        """What each run scores on dev."""
        return [trial.reported for trial in self.runs.values() if trial.reported is not None]

    @property
    def score(self) -> float | None:
        return statistics.fmean(self.scores) if self.scores else None

    @property
    def single(self) -> float | None:
        """What the best trial of its search scores on dev, whichever point a confirmation prefers to it."""
        found = max(self.scored, key=lambda trial: -math.inf if trial.score is None else trial.score, default=None)
        return None if found is None else found.reported

    @cached_property
    def interval(self) -> Interval | None:
        """Student's 95 % interval of the mean over seeds, or the bootstrap's over dev rows of a single run."""
        if len(self.runs) == 1:
            return trial_interval(self.record, next(iter(self.runs.values())))
        if len(self.scores) < 2:
            return None
        low, high, _ = student(self.scores)
        return Interval(statistics.fmean(self.scores), low, high, len(self.scores)) if math.isfinite(low) else None

    @property
    def over(self) -> str:
        """Of what the score and its interval are."""
        if len(self.runs) < 2:
            return "one seed"
        return f"{len(self.scores)} {'fresh ' if self.again == 'confirmed' else ''}seeds"

    @property
    def share(self) -> float | None:
        """Score as a share of the teacher's; None where that says nothing."""
        teacher = teacher_interval(self.record)
        if teacher is None or self.score is None or teacher_on_dev(self.record).get("weak") or not teacher.value > 0:
            return None
        return self.score / teacher.value

    @cached_property
    def scored(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.score is not None and trial.reported is not None]

    @property
    def spent(self) -> float:
        """Device-seconds of the search; of a baseline, which no search is charged for, those of its trials."""
        if self._is_baseline:
            return sum(of_trial(self.record, trial) for trial in self.trials)
        return used(self.record)

    @property
    def before(self) -> float:
        """Device-seconds that are used before the first trial."""
        return 0.0 if self._is_baseline else of_artifacts(self.record)

    @property
    def _is_baseline(self) -> bool:
        return bool(self.trials) and self.trials[0].is_baseline

    @property
    def rivals(self) -> int:
        """Among how many its best was chosen on dev; itself alone where held-out rows chose."""
        return 1 if self.record.held_out else max(1, len(self.scored))

    @property
    def tried(self) -> int:
        """Among how many points its runs chose the one that they score."""
        if self.again != "confirmed":
            return self.rivals
        return max(1, sum(id in self.record.trials and not self._is_baseline for id in self.record.confirmed()))

    @cached_property
    def curve(self) -> list[float]:
        """Expected best score of 1, 2, … of its trials."""
        found = self.scored
        return expected_best([t.score or 0.0 for t in found], [t.reported or 0.0 for t in found])

    @property
    def counts(self) -> str:
        """Its trials in words: how many have a score, and what became of the others."""
        whole, others = len(self.scored), len(self.trials) - len(self.scored)
        words = f"{whole}"
        if others:
            words += f", {others} without a score"
        left = 0 if self._is_baseline else len(self.record.left_out)
        return words + (f", {left} not run" if left else "")


def gather(folders: Sequence[Path]) -> list[Contender]:
    """The contenders of a parent's folder, or of several folders; undistilled students first.

    Raises:
        UserError: A folder holds no sweep, or they are not of one task and the same dev rows.
    """
    named: dict[str, Record] = {}
    seen: set[Path] = set()
    for folder in folders:
        if is_family(folder):
            found = read_family(folder).records()
        else:
            record = read(folder)
            found = {record.path.resolve().name: record}
        for name, record in found.items():
            # A sweep may be named beside its parent.
            if (place := record.path.resolve()) in seen:
                continue
            seen.add(place)
            # Folders of equal names are told apart by the ones above them.
            key = name if name not in named else f"{place.parent.name}/{name}"
            named[key if key not in named else str(record.path)] = record
    if not named:
        raise UserError(f"{folders[0]} holds no sweep yet; wait until the first one is written.")
    refuse_other_rows(named)
    made = [_sweep(name, record) for name, record in named.items()]
    return [*_baselines(named), *sorted(made, key=lambda one: not one.undistilled)]


def _sweep(name: str, record: Record) -> Contender:
    trials = tuple(trial for trial in record.trials.values() if not trial.is_baseline)
    best, again = record.chosen_trial(), "one"
    runs: dict[int, Trial] = {}
    if (id := record.confirmed_best()) is not None:
        runs, again = _confirmed(record, id), "confirmed"
    elif best is not None:
        runs, again = _seeds(record, best)
    plain = record.plan["method"] == BASELINE
    return Contender(name, record, plain, trials, best, runs, again, progress(record))


def _baselines(named: dict[str, Record]) -> list[Contender]:
    """Undistilled students that sweeps ran beside their own points, those that are the same but once."""
    found: dict[str, tuple[list[str], Record]] = {}
    for name, record in named.items():
        if (best := record.best_trial(baseline=True)) is not None:
            names, _ = found.setdefault(str(best.point.get("hash")), ([], record))
            names.append(name)
    made = []
    for names, record in found.values():
        best = record.best_trial(baseline=True)
        assert best is not None
        runs, again = _confirmed(record, BASELINE), "confirmed"
        if len(runs) < 2:
            runs, again = _seeds(record, best)
        trials = tuple(trial for trial in record.trials.values() if trial.is_baseline)
        name = "undistilled" if len(found) == 1 else f"undistilled ({', '.join(names)})"
        made.append(Contender(name, record, True, trials, best, runs, again, progress(record)))
    return made


def _confirmed(record: Record, id: str) -> dict[int, Trial]:
    """Confirming runs that count of a point; none where there are none."""
    found = confirmed(record)
    group = next((one for one in found.groups if one.id == id), None) if found else None
    return {} if group is None else {seed: group.runs[seed] for seed in group.scores}


def _seeds(record: Record, best: Trial) -> tuple[dict[int, Trial], str]:
    """Trials of the best point that ran all epochs with several seeds, or the best trial alone."""
    group = group_of(record, best)
    if len(group.scores) < 2:
        return {int(best.point.get("seed") or 0): best}, "one"
    whole = [t for t in group.trials if t.state == "COMPLETE" and t.reported is not None]
    return {int(trial.point["seed"]): trial for trial in whole}, "seeds"


def refuse_other_rows(named: dict[str, Record]) -> None:
    """Raise UserError unless all sweeps are of one task and answer the same dev rows."""
    first, own = next(iter(named.items()))
    for name, record in named.items():
        for fact, word in (("task", "on"), ("metric", "judged by")):
            if record.plan[fact] != own.plan[fact]:
                raise UserError(
                    f"{name} is {word} {record.plan[fact]} and {first} {word} {own.plan[fact]}; compare sweeps of one "
                    "task and metric."
                )
        same = record.header["fingerprint"].get("data") == own.header["fingerprint"].get("data")
        if not same and not _alike(record, own):
            raise UserError(
                f"{name} and {first} do not answer the same dev rows; compare sweeps that read the same dev set."
            )


def _alike(record: Record, other: Record) -> bool:
    """Whether two sweeps have the same labels on dev, as far as their predictions tell."""
    labels = []
    for one in (record, other):
        files = (load_predictions(trial.predictions("report")) for trial in one.everything() if trial.best)
        labels.append(next((found[1] for found in files if found is not None), None))
    if labels[0] is None or labels[1] is None:
        return bool(record.plan["data"]["dev_rows"] == other.plan["data"]["dev_rows"])
    return np.array_equal(labels[0], labels[1])
