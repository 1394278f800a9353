"""The verdict on a teacher, by its answers on the rows that choose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from distill.tasks.scoring.intervals import Interval, bootstrap_interval, paired_bootstrap
from distill.tasks.scoring.known import get
from distill.tasks.scoring.metric import Metric


@dataclass(frozen=True)
class Verdict:
    """Whether a teacher knows its task.

    Attributes:
        ok: whether it may teach.
        reason: one sentence with the numbers where it may not; None where it may.
        score: its metric with the interval.
        chance: what a constant answer scores.
        permutation: the better permutation of its answers and that one's score, or None.
    """

    ok: bool
    reason: str | None
    score: Interval
    chance: float
    permutation: tuple[tuple[int, ...], float] | None


def better_label_permutation(
    metric: Metric | str, logits: np.ndarray, labels: np.ndarray
) -> tuple[tuple[int, ...], float] | None:
    """A renaming of the predicted classes that scores higher than the classes as they are.

    With up to four classes every permutation is tried; with more, the one that maximises accuracy (an
    assignment problem over the confusion matrix). For regression the only candidate is the flipped sign,
    written ``(-1,)``; spans have none.

    Returns:
        ``(permutation, score)``, where answer c is read as ``permutation[c]``; None where nothing scores
        higher, or a logit is not finite.
    """
    metric = get(metric)
    own = metric.compute(logits, labels)
    if math.isnan(own):
        return None
    candidates = metric.readings(*metric.checked(logits, labels))
    best = max(candidates, key=lambda candidate: candidate[1], default=None)
    return best if best is not None and best[1] > own + 1e-12 else None


def teacher_verdict(
    metric: Metric | str,
    logits: np.ndarray,
    labels: np.ndarray,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
    own_labels: bool = False,
) -> Verdict:
    """Judges a teacher by its answers on the development split.

    It may not teach when its interval includes or lies below what a constant answer scores, or when a
    permutation of its classes scores higher (its label order differs from the data's). That the order differs is
    only said where neither chance nor the choice of rows explains it.

    Args:
        metric: metric or its name.
        logits: answers, as in `Metric.compute`.
        labels: (n,) labels of the rows.
        level: level of the intervals.
        samples: number of resamples.
        seed: seed of the resamples.
        own_labels: whether it was trained on labels of this very data, so that their order can't differ.
    """
    metric = get(metric)
    score = bootstrap_interval(metric, logits, labels, level, samples, seed)
    chance = metric.chance(labels)
    permutation = None if own_labels else better_label_permutation(metric, logits, labels)
    own = f"the teacher's {metric.title} on {score.n} rows is {score.value:.3f}"
    reason = None
    if math.isnan(score.value):
        reason = f"the teacher's {metric.title} is not a number: some of its outputs are not finite"
    elif permutation is not None and _misread(metric, logits, labels, permutation[0], (level, samples, seed)):
        reason = f"{own}, but {_reading(permutation)}: its labels are likely in another order than the data's"
    elif score.low <= chance:
        position = "includes" if score.high >= chance else "lies below"
        reason = (
            f"{own}, and its {100 * level:g} % interval [{score.low:.3f}, {score.high:.3f}] {position} "
            f"the {chance:.3f} that one and the same answer to every row gets"
        )
    elif permutation is not None:
        reason = f"{own}, but {_reading(permutation)}: check the order of its labels"
    return Verdict(reason is None, reason, score, chance, permutation)


def other_scale(answers: np.ndarray, labels: np.ndarray) -> str | None:
    """Why scores are likely on another scale than the labels, to which a correlation is blind; None where they are not.

    They are where they miss the labels by half as much again, in squares, as their mean does.

    Args:
        answers: [n, 1] or [n] scores.
        labels: [n].
    """
    scores, gold = np.asarray(answers, dtype=np.float64).reshape(-1), np.asarray(labels, dtype=np.float64)
    missed, varies = float(((scores - gold) ** 2).mean()), float(gold.var())
    if not missed > 1.5 * varies:
        return None
    return (
        f"the teacher's scores miss the labels by {math.sqrt(missed):.2g} in root mean square, and the labels vary by "
        f"{math.sqrt(varies):.2g} around their mean: it was likely trained on another scale"
    )


def _misread(
    metric: Metric, logits: np.ndarray, labels: np.ndarray, order: tuple[int, ...], draws: tuple[float, int, int]
) -> bool:
    """Whether answers read in another order are better than chance, and than as they are, on other rows too."""
    read = metric.read_as(logits, order)
    if bootstrap_interval(metric, read, labels, *draws).low <= metric.chance(labels):
        return False
    return paired_bootstrap(metric, read, logits, labels, None, *draws).low > 0


def _reading(permutation: tuple[tuple[int, ...], float]) -> str:
    order, score = permutation
    if order == (-1,):
        return f"{score:.3f} with the sign of its score flipped"
    classes, read_as = (", ".join(str(c) for c in some) for some in (range(len(order)), order))
    return f"{score:.3f} with its classes {classes} read as {read_as}"
