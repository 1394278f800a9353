"""The bootstrap over seeds and rows: its value, and its spread against formulas that are exact for accuracy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from distill.tasks import metrics
from distill.tasks.crossed import crossed_bootstrap

ROWS = 400
LABELS = np.arange(ROWS) % 2


def logits(right: np.ndarray) -> np.ndarray:
    return np.eye(2, dtype=np.float32)[np.where(right, LABELS, 1 - LABELS)]


def answers(shares: list[float], seed: int = 0) -> list[np.ndarray]:
    """Networks that answer such shares of the rows right, which rows is a matter of chance."""
    rng = np.random.default_rng(seed)
    found = []
    for share in shares:
        right = np.zeros(ROWS, dtype=bool)
        right[rng.permutation(ROWS)[: round(share * ROWS)]] = True
        found.append(logits(right))
    return found


def test_the_value_is_the_mean_of_the_differences() -> None:
    a, b = answers([0.8, 0.7, 0.75]), answers([0.6, 0.65, 0.7], seed=1)
    found = crossed_bootstrap("accuracy", list(zip(a, b, strict=True)), LABELS)
    assert found.value == pytest.approx((0.2 + 0.05 + 0.05) / 3)
    assert (found.n, found.level) == (ROWS, 0.95)
    assert found.low < found.value < found.high


def test_where_seeds_agree_it_is_the_bootstrap_over_rows() -> None:
    (a,), (b,) = answers([0.8]), answers([0.7], seed=1)
    crossed = crossed_bootstrap("accuracy", [(a, b)] * 4, LABELS, samples=8000)
    alone = metrics.paired_bootstrap("accuracy", a, b, LABELS, samples=8000)
    assert (crossed.low, crossed.high) == pytest.approx((alone.low, alone.high), abs=0.004)


def test_where_rows_agree_only_seeds_are_left() -> None:
    """Every network is right or wrong everywhere: each resample of rows gives the same accuracies."""
    always, never = logits(np.ones(ROWS, dtype=bool)), logits(np.zeros(ROWS, dtype=bool))
    pairs = [(always, never), (always, always), (always, never), (always, always)]
    found = crossed_bootstrap("accuracy", pairs, LABELS, samples=20_000)
    # Means of 4 draws of 0 or 1: 0 and 1 have a chance of 1/16 each, more than 2.5 %.
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert found.probability_better == pytest.approx(15 / 16 + 1 / 32, abs=0.01)


def test_both_spreads_add_up() -> None:
    """For accuracy the variance is exact: of seeds, var / S, and of rows, that of the row means over seeds."""
    a, b = answers([0.9, 0.7, 0.8, 0.6, 0.75]), answers([0.6, 0.65, 0.55, 0.6, 0.5], seed=1)
    hits = np.stack([x.argmax(1) == LABELS for x in a]) * 1.0 - np.stack([x.argmax(1) == LABELS for x in b])
    seeds, count = hits.mean(1), len(hits)
    of_seeds, of_rows = seeds.var() / count, hits.mean(0).var() / ROWS
    # Seeds and rows drawn anew together: what neither explains has a share of its own.
    rest = (hits - seeds[:, None] - hits.mean(0) + hits.mean()).var() / (count * ROWS)
    found = crossed_bootstrap("accuracy", list(zip(a, b, strict=True)), LABELS, samples=20_000)
    half = 1.96 * math.sqrt(of_seeds + of_rows + rest)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)
    assert half > 1.3 * 1.96 * math.sqrt(of_rows)


def test_regression_and_equal_draws_for_equal_seeds() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=200)
    pairs = [(truth + rng.normal(size=200), truth + 2 * rng.normal(size=200)) for _ in range(3)]
    found = crossed_bootstrap("pearson", pairs, truth)
    wanted = [np.corrcoef(a, truth)[0, 1] - np.corrcoef(b, truth)[0, 1] for a, b in pairs]
    assert found.value == pytest.approx(np.mean(wanted))
    assert found.low > 0
    assert crossed_bootstrap("pearson", pairs, truth) == found
    assert crossed_bootstrap("pearson", pairs, truth, seed=1) != found


def test_an_answer_that_is_not_finite_gives_nothing() -> None:
    (a,), (b,) = answers([0.8]), answers([0.7], seed=1)
    broken = b.copy()
    broken[0] = math.nan
    assert math.isnan(crossed_bootstrap("accuracy", [(a, b), (a, broken)], LABELS).low)
