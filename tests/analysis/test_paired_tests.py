"""The small-sample tests against scipy, and against counting by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.paired_tests import holm, sign_flip, student, wilcoxon

DIFFERENCES = [0.021, 0.034, -0.008, 0.017, 0.029]


def test_student_is_scipys_one_sample_test() -> None:
    low, high, p = student(DIFFERENCES)
    wanted = stats.ttest_1samp(DIFFERENCES, 0.0)
    assert p == pytest.approx(wanted.pvalue)
    assert (low, high) == pytest.approx(wanted.confidence_interval(0.95))
    # By hand: mean .0186, error sqrt(sum of squares / 4 / 5), t(4) at 97.5 % = 2.7764.
    mean = sum(DIFFERENCES) / 5
    error = math.sqrt(sum((d - mean) ** 2 for d in DIFFERENCES) / 4 / 5)
    assert low == pytest.approx(mean - 2.7764 * error, abs=1e-6)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = [low < 0.3 < high for low, high, _ in (student(list(row)) for row in rng.normal(0.3, 1, (2000, 5)))]
    # Binomial error of .95 over 2000: .005.
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1], [0.0, 0.0], [0.1 + 1e-16, 0.1]])
def test_nothing_follows_from_equal_differences(values: list[float]) -> None:
    assert student(values) == (-math.inf, math.inf, 1.0)


def test_sign_flips_counted_one_by_one() -> None:
    observed = abs(sum(DIFFERENCES))
    patterns = list(itertools.product((1, -1), repeat=5))
    far = sum(abs(sum(s * d for s, d in zip(p, DIFFERENCES, strict=True))) >= observed - 1e-12 for p in patterns)
    assert sign_flip(DIFFERENCES) == far / 32 == 4 / 32
    found = stats.permutation_test((DIFFERENCES,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(DIFFERENCES) == pytest.approx(found.pvalue)


def test_sign_flips_at_the_ends() -> None:
    assert sign_flip([0.3, 0.1, 0.2, 0.4, 0.5]) == 2 / 32
    assert sign_flip([0.1, -0.1]) == 1.0
    assert sign_flip([0.0, 0.0]) == 1.0
    # .1 + .2 - .3 is not 0 in binary; the pattern counts all the same.
    assert sign_flip([0.1, 0.2, -0.3]) == 1.0
    assert sign_flip([1.0] * 20) == 2 / 2**20
    assert sign_flip([1.0] * 21) is None


def test_wilcoxon_is_scipys_exact_one() -> None:
    rng = np.random.default_rng(0)
    for count in (6, 8, 11):
        values = list(rng.normal(0.4, 1.0, count))
        assert wilcoxon(values) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


def test_wilcoxon_with_ties_and_zeros() -> None:
    # Sizes 1, 1, 2, 3, 4, 5: the first two share the rank 1.5. The sum of signed ranks is 21 - 2 · 1.5 = 18.
    values = [1.0, -1.0, 2.0, 3.0, 4.0, 5.0, 0.0]
    ranks = [1.5, 1.5, 3.0, 4.0, 5.0, 6.0]
    sums = [sum(s * r for s, r in zip(p, ranks, strict=True)) for p in itertools.product((1, -1), repeat=6)]
    assert wilcoxon(values) == sum(abs(s) >= 18 for s in sums) / 64
    assert wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0, 0.0]) is None


def test_holm_by_hand() -> None:
    # Sorted .01, .03, .04 times 3, 2, 1 is .03, .06, .04; none may be below the one before it.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
