"""Expected best of k trials against every set of k, counted one by one."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest

from analysis.expected import expected_best


def counted(values: list[float], size: int) -> float:
    """The mean over all sets of so many trials of their best value."""
    return statistics.fmean(max(chosen) for chosen in itertools.combinations(values, size))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("digits", [9, 1])
def test_it_is_the_mean_over_all_sets(count: int, digits: int) -> None:
    draw = random.Random(count)
    # With one digit there are ties.
    values = [round(draw.uniform(-1, 1), digits) for _ in range(count)]
    wanted = [counted(values, size) for size in range(1, count + 1)]
    assert expected_best(values) == pytest.approx(wanted, abs=1e-12)


def test_what_is_paid_may_be_another_score_than_what_chooses() -> None:
    draw = random.Random(4)
    values, scores = ([draw.random() for _ in range(8)] for _ in range(2))
    for size, found in enumerate(expected_best(values, scores), 1):
        sets = itertools.combinations(range(8), size)
        assert found == pytest.approx(statistics.fmean(scores[max(one, key=lambda i: values[i])] for one in sets))


def test_of_equal_values_any_may_be_chosen() -> None:
    values, scores = [0.5, 0.5, 0.2, 0.5, 0.2], [0.9, 0.3, 0.1, 0.6, 0.4]
    for size, found in enumerate(expected_best(values, scores), 1):
        paid = []
        for one in itertools.combinations(range(5), size):
            top = max(values[i] for i in one)
            paid.append(statistics.fmean(scores[i] for i in one if values[i] == top))
        # Tied trials below the set's size are met together, so their mean is the same whichever is taken.
        assert found == pytest.approx(statistics.fmean(paid))


def test_its_ends_are_the_mean_and_the_best() -> None:
    values = [0.1, 0.7, 0.4, 0.35]
    found = expected_best(values)
    assert found[0] == pytest.approx(statistics.fmean(values))
    assert found[-1] == 0.7
    assert found == sorted(found)
    assert expected_best([]) == []


def test_many_trials_stay_exact() -> None:
    found = expected_best([i / 2000 for i in range(2000)])
    # Of the numbers 0 … n - 1 the largest of k is k (n + 1) / (k + 1) - 1 on average.
    for size in (1, 10, 1000, 2000):
        assert found[size - 1] == pytest.approx((size * 2001 / (size + 1) - 1) / 2000, rel=1e-9)
