"""Stopping rules as plain, replayable objects (no Ray): asynchronous successive halving, and the median rule.

The scheduler asks them while the sweep runs, a resumed sweep refills them from the record, and `analysis.verify`
replays them to prove every stop. All three call the same `judge`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

# Absorbs the rounding of epochs that are counted in fractions.
TOLERANCE = 1e-9
# So many other points must have come as far before the median rule says anything.
MIN_SAMPLES = 3


@dataclass(frozen=True)
class Decision:
    """What a rung said about one value.

    Attributes:
        rung: The milestone in epochs; with the median rule the epoch of the value.
        cutoff: The value that had to be reached; None for the first arrival, which always continues.
        recorded: How many points had reached the rung before; with the median rule how many others it was held against.
        stop: Whether the point is stopped here.
    """

    rung: float
    cutoff: float | None
    recorded: int
    stop: bool

    def as_dict(self) -> dict[str, object]:
        return {"rung": self.rung, "cutoff": self.cutoff, "recorded": self.recorded, "stop": self.stop}


class Rule(Protocol):
    """Decides which points go on; larger values better."""

    def judge(self, point: str, epoch: float, value: float | None) -> Decision | None:
        """Record `value` of `point` at `epoch` and say whether it stops; None where nothing is due.

        Args:
            value: None where it is not finite, which is the worst of all.
        """


def milestones(max_epochs: float, grace: float, reduction_factor: float) -> tuple[float, ...]:
    """Epochs at which points are compared: grace · factor^k below `max_epochs`.

    Ray derives the number of rungs from a floating-point logarithm and so loses the top rung of some pairs
    (243 and 3, 1000 and 10); multiplying up cannot. A rung at `max_epochs` would stop nothing and is left out.

    Raises:
        ValueError: `grace` is not positive or the factor not above 1.
    """
    if grace <= 0 or reduction_factor <= 1:
        raise ValueError("grace must be positive and the reduction factor above 1")
    found = []
    rung = grace
    while rung < max_epochs - TOLERANCE:
        found.append(float(rung))
        rung *= reduction_factor
    return tuple(found)


# Of a value that is not finite: a number, so that quantiles can be taken.
_WORST = -sys.float_info.max


@dataclass
class Ladder:
    """The stopping variant of ASHA (Li et al., arXiv 1810.05934), larger values better.

    A value is compared at the highest milestone that the point has reached, unless the point was compared there
    before; lower milestones that it jumped over stay without it. It is stopped when it lies below the
    (1 - 1/factor) quantile of the values recorded there before it.
    """

    milestones: tuple[float, ...]
    reduction_factor: float
    recorded: dict[float, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for milestone in self.milestones:
            self.recorded.setdefault(milestone, {})

    def judge(self, point: str, epoch: float, value: float | None) -> Decision | None:
        """Record `value` of `point` at `epoch` and say whether it stops; None where no rung is due."""
        value = _WORST if value is None else value
        for milestone in sorted(self.milestones, reverse=True):
            seen = self.recorded[milestone]
            if epoch < milestone - TOLERANCE:
                continue
            if point in seen:
                return None
            cutoff = float(np.quantile(list(seen.values()), 1 - 1 / self.reduction_factor)) if seen else None
            decision = Decision(milestone, cutoff, len(seen), cutoff is not None and value < cutoff)
            seen[point] = value
            return decision
        return None


@dataclass
class Median:
    """The median stopping rule (Golovin et al., "Google Vizier", KDD 2017), as Ray means it; larger values better.

    From the grace period on, a point is stopped where its best value so far lies below the median of the running means
    of the others up to the same epoch. A running mean is taken over the values from the grace period on; only points
    that have come as far count, and at least `min_samples` of them must have.
    """

    grace: float
    min_samples: int = MIN_SAMPLES
    recorded: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def judge(self, point: str, epoch: float, value: float | None) -> Decision | None:
        """Record `value` of `point` at `epoch` and say whether it stops; None where nothing is due."""
        mine = self.recorded.setdefault(point, [])
        mine.append((epoch, -math.inf if value is None else value))
        if epoch < self.grace - TOLERANCE:
            return None
        others = [
            [value for at, value in values if self.grace - TOLERANCE <= at <= epoch + TOLERANCE]
            for other, values in self.recorded.items()
            if other != point and values[-1][0] >= epoch - TOLERANCE
        ]
        means = [float(np.mean(values)) for values in others if values]
        if len(means) < self.min_samples:
            return None
        cutoff = float(np.median(means))
        if not math.isfinite(cutoff):
            return None
        best = max(value for _, value in mine)
        return Decision(epoch, cutoff, len(means), best < cutoff)


def place_of(scheduler: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    """Where a decision was made, in words: "rung 2", or "epoch 2" where a rule has no rungs."""
    return f"{'rung' if scheduler['name'] == 'asha' else 'epoch'} {decision['rung']:g}"


def rule_of(scheduler: Mapping[str, Any]) -> Rule | None:
    """The rule of a plan's part "scheduler", with nothing recorded yet; None without early stopping."""
    if scheduler["name"] == "asha":
        return Ladder(tuple(scheduler["rungs"]), scheduler["reduction_factor"])
    if scheduler["name"] == "median":
        return Median(scheduler["grace"], scheduler["min_samples"])
    return None
