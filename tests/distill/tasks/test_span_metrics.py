"""Metrics of answers are means over rows, and so are their resamples."""

from __future__ import annotations

import numpy as np
import pytest

from distill.tasks import metrics
from distill.tasks.crossed import crossed_bootstrap

# Exact match, F1 and by how much "none" is ahead; the last two rows have no answer.
ROWS = np.array([[1, 1, -3], [0, 0.5, -1], [0, 0, 2], [1, 1, 4], [0, 0, -2]], dtype=np.float32)
ANSWERABLE = np.array([1, 1, 1, 0, 0])


@pytest.mark.parametrize(
    ("name", "value"), [("em", 0.4), ("squad_f1", 0.5), ("has_answer_f1", 0.5), ("no_answer_f1", 0.5)]
)
def test_scores_are_means(name: str, value: float) -> None:
    assert metrics.get(name).compute(ROWS, ANSWERABLE) == pytest.approx(value)


def test_without_such_rows_a_score_is_0() -> None:
    assert metrics.get("no_answer_f1").compute(ROWS, np.ones(5, dtype=np.int64)) == 0


def test_chance_is_never_to_answer() -> None:
    assert metrics.get("squad_f1").chance(ANSWERABLE) == pytest.approx(0.4)
    assert metrics.get("em").chance(np.ones(5)) == 0
    assert metrics.get("has_answer_f1").chance(ANSWERABLE) == 0


def test_what_is_not_finite_has_no_score() -> None:
    broken = ROWS.copy()
    broken[2, 2] = np.nan
    assert np.isnan(metrics.get("em").compute(broken, ANSWERABLE))


def test_shapes_are_checked() -> None:
    for wrong in (ROWS[:, :2], ROWS[:3], ROWS[:, 0]):
        with pytest.raises(ValueError, match="don't fit"):
            metrics.get("em").compute(wrong, ANSWERABLE)


def test_intervals_are_those_of_resampled_rows() -> None:
    draw = np.random.default_rng(0)
    rows = np.column_stack([draw.random(300) < 0.4, draw.random(300), draw.normal(size=300)])
    found = metrics.bootstrap_interval("squad_f1", rows, np.ones(300), samples=4000)

    spread = rows[:, 1].std() / np.sqrt(300)
    assert found.value == pytest.approx(rows[:, 1].mean())
    assert found.low == pytest.approx(found.value - 1.96 * spread, abs=0.005)
    assert found.high == pytest.approx(found.value + 1.96 * spread, abs=0.005)


def test_pairs_are_compared_on_the_same_rows() -> None:
    draw = np.random.default_rng(0)
    one = np.column_stack([draw.random(200) < 0.4, draw.random(200), draw.normal(size=200)])
    other = one.copy()
    other[:, 1] += 0.01

    for found in (
        metrics.paired_bootstrap("squad_f1", other, one, np.ones(200)),
        crossed_bootstrap("squad_f1", [(other, one), (other, one)], np.ones(200)),
    ):
        assert (found.low, found.value, found.high) == pytest.approx((0.01, 0.01, 0.01))
        assert found.probability_better == 1


def test_no_order_of_labels_is_looked_for() -> None:
    assert metrics.better_label_permutation("squad_f1", ROWS, ANSWERABLE) is None


def test_a_teacher_that_is_no_better_than_silence_cannot_teach() -> None:
    answerable = np.arange(400) % 2
    silent = np.column_stack([1 - answerable, 1 - answerable, np.ones(400)])
    good = np.ones((400, 3))

    weak = metrics.teacher_verdict("squad_f1", silent, answerable)

    assert not weak.ok
    assert "the 0.500 that one and the same answer to every row gets" in (weak.reason or "")
    assert metrics.teacher_verdict("squad_f1", good, answerable).ok
