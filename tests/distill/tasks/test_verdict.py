"""Label permutations and the verdict on a teacher."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn import metrics as sk

from distill.tasks import metrics
from tests.distill.tasks.answers import logits_of, some_answers, some_scores


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("name", ["mcc", "accuracy"])
def test_a_shifted_label_order_is_found(classes: int, name: str) -> None:
    logits, labels = some_answers(300, classes, 3.0, seed=classes)
    shifted = np.roll(logits, 1, axis=1)  # the answer for class c stands in column c + 1
    permutation, score = metrics.better_label_permutation(name, shifted, labels)  # type: ignore[misc]
    assert permutation == tuple((c - 1) % classes for c in range(classes))
    assert score == pytest.approx(metrics.get(name).compute(logits, labels), abs=1e-12)
    assert metrics.better_label_permutation(name, logits, labels) is None


def test_the_best_of_all_permutations_is_found() -> None:
    for seed in range(10):
        logits, labels = some_answers(60, 4, 0.3, seed=seed)
        predicted = logits.argmax(1)
        scores = {
            order: float(sk.matthews_corrcoef(labels, np.array(order)[predicted]))
            for order in itertools.permutations(range(4))
        }
        best = max(scores.values())
        found = metrics.better_label_permutation("mcc", logits, labels)
        if best > scores[(0, 1, 2, 3)] + 1e-12:
            assert found is not None
            assert found[1] == pytest.approx(best, abs=1e-12)
            assert scores[found[0]] == pytest.approx(best, abs=1e-12)
        else:
            assert found is None


def test_a_flipped_score_is_found() -> None:
    predictions, labels = some_scores(100, 1.0, seed=0)
    permutation, score = metrics.better_label_permutation("spearman", -predictions, labels)  # type: ignore[misc]
    assert permutation == (-1,)
    assert score == pytest.approx(metrics.get("spearman").compute(predictions, labels), abs=1e-12)
    assert metrics.better_label_permutation("spearman", predictions, labels) is None


def test_a_good_teacher_passes() -> None:
    for name, (answers, labels) in {
        "mcc": some_answers(300, 2, 2.0, 0),
        "accuracy": some_answers(300, 3, 2.0, 0),
        "pearson_spearman": some_scores(300, 1.0, 0),
    }.items():
        verdict = metrics.teacher_verdict(name, answers, labels)
        assert verdict.ok
        assert verdict.reason is None
        assert verdict.permutation is None
        assert verdict.score == metrics.bootstrap_interval(name, answers, labels)
        assert verdict.chance == metrics.get(name).chance(labels)


def test_a_teacher_that_guesses_is_refused_with_the_numbers() -> None:
    labels = np.array([1] * 70 + [0] * 30)
    verdict = metrics.teacher_verdict("accuracy", logits_of([1] * 100, 2), labels)
    assert not verdict.ok
    low, high = verdict.score.low, verdict.score.high
    assert verdict.reason == (
        f"the teacher's accuracy on 100 rows is 0.700, and its 95 % interval [{low:.3f}, {high:.3f}] "
        "includes the 0.700 that one and the same answer to every row gets"
    )


def test_a_teacher_whose_interval_only_touches_chance_is_refused() -> None:
    # A little better than guessing on few rows: right, but not by more than chance explains.
    labels = np.array([0, 1] * 20)
    predicted = labels.copy()
    predicted[:18] = 1 - predicted[:18]
    verdict = metrics.teacher_verdict("mcc", logits_of(predicted, 2), labels)
    assert verdict.score.value == pytest.approx(0.1)
    assert verdict.score.low < 0 < verdict.score.high
    assert not verdict.ok
    assert "includes the 0.000" in str(verdict.reason)


def test_a_teacher_below_chance_is_refused() -> None:
    labels = np.array([0] * 90 + [1] * 5 + [2] * 5)
    rng = np.random.default_rng(0)
    predicted = np.where(rng.random(100) < 0.4, 1, labels)
    verdict = metrics.teacher_verdict("accuracy", logits_of(predicted, 3), labels)
    assert verdict.permutation is None
    assert not verdict.ok
    assert "lies below the 0.900" in str(verdict.reason)


def test_a_teacher_with_another_label_order_is_refused_even_above_chance() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    predicted = np.where(rng.random(600) < 0.9, labels, rng.integers(0, 3, 600))
    swapped = np.array([0, 2, 1])[predicted]
    verdict = metrics.teacher_verdict("accuracy", logits_of(swapped, 3), labels)
    assert not verdict.ok
    assert verdict.permutation is not None
    assert verdict.permutation[0] == (0, 2, 1)
    reason = str(verdict.reason)
    assert f"is {verdict.score.value:.3f}, but {verdict.permutation[1]:.3f} with its classes 0, 1, 2" in reason
    assert "read as 0, 2, 1: its labels are likely in another order" in reason


def test_a_slightly_better_permutation_above_chance_is_still_refused() -> None:
    # Two rare classes are mixed up, by too little to show in the interval.
    labels = np.array([0] * 50 + [1] * 40 + [2] * 5 + [3] * 5)
    predicted = np.array([0] * 50 + [1] * 40 + [3, 3, 3, 2, 2] + [2, 2, 2, 3, 3])
    verdict = metrics.teacher_verdict("accuracy", logits_of(predicted, 4), labels)
    assert verdict.score.low > verdict.chance
    assert verdict.permutation == ((0, 1, 3, 2), pytest.approx(0.96))
    assert not verdict.ok
    assert "check the order of its labels" in str(verdict.reason)


def test_a_guessing_teacher_is_not_blamed_for_its_label_order() -> None:
    labels = np.array([0, 1] * 20)
    predicted = labels.copy()
    predicted[:22] = 1 - predicted[:22]
    verdict = metrics.teacher_verdict("mcc", logits_of(predicted, 2), labels)
    assert verdict.permutation == ((1, 0), pytest.approx(0.1))
    assert "includes the 0.000" in str(verdict.reason)
    assert "read as" not in str(verdict.reason)


def test_a_teacher_with_a_flipped_score_is_refused() -> None:
    predictions, labels = some_scores(100, 1.0, seed=0)
    verdict = metrics.teacher_verdict("pearson_spearman", -predictions, labels)
    assert not verdict.ok
    assert "with the sign of its score flipped" in str(verdict.reason)


def test_scores_on_another_scale_are_told_though_they_correlate() -> None:
    draw = np.random.default_rng(0)
    labels = draw.uniform(0, 5, 200)
    near = labels + draw.normal(0, 1, 200)
    assert metrics.other_scale(near[:, None], labels) is None
    # A constant misses by the variance itself, and what knows little lies near the mean.
    assert metrics.other_scale(np.full(200, labels.mean()), labels) is None
    assert metrics.teacher_verdict("pearson_spearman", near[:, None] / 5, labels).ok
    missed, spread = np.sqrt(np.mean((near / 5 - labels) ** 2)), np.std(labels)
    said = metrics.other_scale(near[:, None] / 5, labels)
    assert said is not None
    assert f"by {missed:.2g} in root mean square, and the labels vary by {spread:.2g} around their mean" in said
