"""Small samples in pairs: Student's interval, the exact sign-flip test, Wilcoxon's, and Holm's correction.

Literal where that is cheap: with n pairs there are 2^n patterns of signs, and all of them are counted.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

# 2^20 patterns take 8 MB.
_MOST_COUNTED = 20
# With fewer pairs no pattern is rarer than one in 20, so the test could not reject anything at 5 %.
_FEWEST_RANKED = 6


def student(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Interval of the mean and two-sided p of a mean of 0, by Student's t; unbounded and 1 where nothing varies.

    Args:
        values: Two at least.

    Returns:
        Low end, high end, p. Equal values say nothing about the spread, so nothing may be concluded from them.
    """
    from scipy.special import stdtr, stdtrit

    count, mean = len(values), statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(count)
    # What differs in the last bits only is equal.
    if error <= 1e-12 * max(1.0, abs(mean)):
        return -math.inf, math.inf, 1.0
    half = float(stdtrit(count - 1, 0.5 + level / 2)) * error
    return mean - half, mean + half, float(2 * stdtr(count - 1, -abs(mean) / error))


def sign_flip(differences: Sequence[float]) -> float | None:
    """Exact two-sided p that the signs of the differences are a matter of chance: the share of all 2^n patterns of
    signs whose sum is at least as far from 0 (Fisher 1935). None where there are too many to count."""
    if len(differences) > _MOST_COUNTED:
        return None
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    # A pattern that equals the observed one but for rounding counts.
    bound = abs(math.fsum(differences)) - 1e-9 * math.fsum(map(abs, differences))
    return float(np.mean(np.abs(sums) >= bound))


def wilcoxon(differences: Sequence[float]) -> float | None:
    """Exact two-sided p of Wilcoxon's signed-rank test (1945): zeros left out, equal sizes share their mean rank.

    None with fewer than 6 differences that are not 0, where p could not fall below .05, or too many to count.
    """
    sizes = np.round(np.abs([d for d in differences if abs(d) > 1e-12]), 12)
    if len(sizes) < _FEWEST_RANKED:
        return None
    ranks = np.array([np.mean(np.flatnonzero(np.sort(sizes) == size) + 1) for size in sizes])
    signs = np.sign([d for d in differences if abs(d) > 1e-12])
    return sign_flip(list(ranks * signs))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (Scand. J. Statist. 6, 1979), in the order given."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    adjusted, least = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        least = max(least, min(1.0, (len(values) - place) * values[index]))
        adjusted[index] = least
    return adjusted
