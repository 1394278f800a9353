"""How good the best of k trials is to be expected, from the scores of all that ran.

One search is one order of its trials. What it would have found with fewer of them is an expectation over which k of the
n they would have been: the mean, over all sets of k, of the score of the set's best. This is the curve of Dodge et al.
(EMNLP 2019, "Show Your Work"), with sets drawn without replacement, which leaves it unbiased (Tang et al., ACL 2020).

With the trials sorted by the value that chooses, the i-th of n is the best of a set of k when it is in the set and the
other k - 1 come from the i - 1 below it: C(i - 1, k - 1) of the C(n, k) sets.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import groupby


def expected_best(values: Sequence[float], scores: Sequence[float] | None = None) -> list[float]:
    """Expected score of the best of k trials drawn without replacement, for k = 1 … n.

    Args:
        values: Of each trial, by which the best of a set is chosen.
        scores: What each trial counts for when it is chosen; the values themselves when None. Of trials with equal
            values any may be chosen, so each counts for the mean of them.

    Returns:
        The first is the mean of the scores, the last the score of the best of all.
    """
    paid = settled(values, values if scores is None else scores)
    count = len(paid)
    found = []
    for size in range(1, count + 1):
        # C(n - 1, k - 1) / C(n, k), and from the i-th to the one below it C(i - 2, k - 1) / C(i - 1, k - 1).
        weight, total = size / count, 0.0
        for place in range(count, size - 1, -1):
            total += weight * paid[place - 1]
            weight *= (place - size) / (place - 1) if place > 1 else 0.0
        found.append(total)
    return found


def settled(values: Sequence[float], scores: Sequence[float]) -> list[float]:
    """Scores in ascending order of the values, those of equal values replaced by their mean."""
    found: list[float] = []
    for _, tied in groupby(sorted(zip(values, scores, strict=True)), key=lambda pair: pair[0]):
        same = [score for _, score in tied]
        found += [statistics.fmean(same)] * len(same)
    return found
