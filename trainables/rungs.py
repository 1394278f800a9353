"""Asynchronous successive halving as a plain, replayable object (no Ray).

The scheduler asks it while the sweep runs, a resumed sweep refills it from the record, and `analysis.verify`
replays it to prove every stop. All three call the same `Ladder.judge`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Decision:
    """What a rung said about one value.

    Attributes:
        rung: The milestone in epochs.
        cutoff: The value that had to be reached; None for the first arrival, which always continues.
        recorded: How many points had reached the rung before.
        stop: Whether the point is stopped here.
    """

    rung: float
    cutoff: float | None
    recorded: int
    stop: bool

    def as_dict(self) -> dict[str, object]:
        return {"rung": self.rung, "cutoff": self.cutoff, "recorded": self.recorded, "stop": self.stop}


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
    while rung < max_epochs:
        found.append(float(rung))
        rung *= reduction_factor
    return tuple(found)


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

    def judge(self, point: str, epoch: float, value: float) -> Decision | None:
        """Record `value` of `point` at `epoch` and say whether it stops; None where no rung is due."""
        for milestone in sorted(self.milestones, reverse=True):
            seen = self.recorded[milestone]
            # The tolerance absorbs the rounding of epochs counted in fractions.
            if epoch < milestone - 1e-9:
                continue
            if point in seen:
                return None
            cutoff = float(np.quantile(list(seen.values()), 1 - 1 / self.reduction_factor)) if seen else None
            decision = Decision(milestone, cutoff, len(seen), cutoff is not None and value < cutoff)
            seen[point] = value
            return decision
        return None
