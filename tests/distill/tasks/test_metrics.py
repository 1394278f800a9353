"""Metrics against matrices worked by hand, scikit-learn, scipy and a literal bootstrap."""

from __future__ import annotations

import itertools
import math
import time
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from distill.tasks import metrics

CLASSIFICATION = ("mcc", "accuracy", "f1", "accuracy_f1")
REGRESSION = ("pearson", "spearman", "pearson_spearman")


def _reference(name: str, predicted: np.ndarray, labels: np.ndarray) -> float:
    """The same metrics from scikit-learn and scipy."""
    if name == "mcc":
        return float(sk.matthews_corrcoef(labels, predicted))
    if name == "accuracy":
        return float(sk.accuracy_score(labels, predicted))
    if name == "f1":
        return float(sk.f1_score(labels, predicted, zero_division=0))
    if name == "pearson":
        return float(stats.pearsonr(predicted, labels).statistic)
    if name == "spearman":
        return float(stats.spearmanr(predicted, labels).statistic)
    parts = {"accuracy_f1": ("accuracy", "f1"), "pearson_spearman": ("pearson", "spearman")}[name]
    return sum(_reference(part, predicted, labels) for part in parts) / 2


def _logits(predicted: list[int] | np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[np.asarray(predicted)]


def _answers(n: int, classes: int, skill: float, seed: int, skew: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = np.array([skew, *[(1 - skew) / (classes - 1)] * (classes - 1)])
    labels = rng.choice(classes, size=n, p=weights)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += skill
    return logits, labels


def _scores(n: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.uniform(0, 5, n).round(1)  # one decimal: many ties
    return (labels + noise * rng.normal(size=n)).round(1), labels


# --- values ---


def test_two_classes_by_hand() -> None:
    # true 0: 5 right, 1 wrong; true 1: 2 wrong, 4 right.
    labels = np.array([0] * 6 + [1] * 6)
    logits = _logits([0] * 5 + [1] + [0] * 2 + [1] * 4, 2)
    # Matthews: (4*5 - 1*2) / sqrt((4+1)(4+2)(5+1)(5+2)) = 18 / sqrt(1260)
    assert metrics.get("mcc").compute(logits, labels) == pytest.approx(18 / math.sqrt(1260), abs=1e-15)
    assert metrics.get("accuracy").compute(logits, labels) == pytest.approx(9 / 12, abs=1e-15)
    # F1: 2*4 / (2*4 + 1 + 2)
    assert metrics.get("f1").compute(logits, labels) == pytest.approx(8 / 11, abs=1e-15)
    assert metrics.get("accuracy_f1").compute(logits, labels) == pytest.approx((9 / 12 + 8 / 11) / 2, abs=1e-15)


def test_three_classes_by_hand() -> None:
    # confusion rows (true): [2 1 0], [0 1 1], [1 0 4]; true 3, 2, 5; predicted 3, 2, 5; right 7 of 10
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    logits = _logits([0, 0, 1, 1, 2, 0, 2, 2, 2, 2], 3)
    # (7*10 - (9+4+25)) / sqrt((100-38)(100-38)) = 32/62
    assert metrics.get("mcc").compute(logits, labels) == pytest.approx(32 / 62, abs=1e-15)
    assert metrics.get("accuracy").compute(logits, labels) == pytest.approx(0.7, abs=1e-15)


def test_correlations_by_hand() -> None:
    labels = np.array([1, 2, 3, 4], dtype=np.float32)
    predictions = np.array([1, 3, 2, 10], dtype=np.float32)
    # deviations: labels -1.5 -.5 .5 1.5; predictions -3 -1 -2 6
    # products 4.5 + .5 - 1 + 9 = 13; squares 5 and 50
    assert metrics.get("pearson").compute(predictions, labels) == pytest.approx(13 / math.sqrt(250), abs=1e-12)
    # ranks 1 3 2 4: 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15)
    assert metrics.get("spearman").compute(predictions, labels) == pytest.approx(0.8, abs=1e-12)
    both = metrics.get("pearson_spearman").compute(predictions[:, None], labels)
    assert both == pytest.approx((13 / math.sqrt(250) + 0.8) / 2, abs=1e-12)


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.parametrize("seed", range(20))
def test_classification_agrees_with_scikit_learn(name: str, seed: int) -> None:
    classes = 2 if "f1" in name else 2 + seed % 4
    logits, labels = _answers(5 + 40 * seed, classes, skill=0.1 * seed - 0.5, seed=seed, skew=0.7)
    expected = _reference(name, logits.argmax(1), labels)
    assert metrics.get(name).compute(logits, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("seed", range(20))
def test_regression_agrees_with_scipy(name: str, seed: int) -> None:
    predictions, labels = _scores(5 + 40 * seed, noise=0.3 * seed + 0.1, seed=seed)
    expected = _reference(name, predictions, labels)
    assert metrics.get(name).compute(predictions, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6, 0.1])
def test_constant_answers_correlate_with_nothing_and_warn_of_nothing(offset: float) -> None:
    labels = np.array([0, 1, 1, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.get("mcc").compute(_logits([1] * 5, 2), labels) == 0.0
        assert metrics.get("mcc").compute(_logits([0, 1, 0, 1, 1], 2), np.ones(5, dtype=int)) == 0.0
        assert metrics.get("f1").compute(_logits([0] * 5, 2), np.zeros(5, dtype=int)) == 0.0
        for name in REGRESSION:
            assert metrics.get(name).compute(np.full(5, offset), labels) == 0.0
            interval = metrics.bootstrap_interval(name, np.full(5, offset), labels)
            assert (interval.value, interval.low, interval.high) == (0.0, 0.0, 0.0)


def test_tiny_differences_on_a_large_offset_still_count() -> None:
    labels = np.array([1.0, 2.0, 3.0, 5.0])
    assert metrics.get("pearson").compute(1e3 + 1e-9 * labels, labels) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_outputs_that_are_not_finite_give_nan_everywhere(bad: float) -> None:
    logits, labels = _answers(20, 2, 1.0, seed=0)
    logits[3, 0] = bad
    assert math.isnan(metrics.get("mcc").compute(logits, labels))
    interval = metrics.bootstrap_interval("mcc", logits, labels)
    assert all(math.isnan(x) for x in (interval.value, interval.low, interval.high))
    difference = metrics.paired_bootstrap("mcc", _answers(20, 2, 1.0, seed=0)[0], logits, labels)
    assert math.isnan(difference.value)
    assert math.isnan(difference.probability_better)
    assert metrics.better_label_permutation("mcc", logits, labels) is None
    verdict = metrics.teacher_verdict("mcc", logits, labels)
    assert not verdict.ok
    assert "not finite" in str(verdict.reason)


def test_shapes_that_do_not_fit_are_refused() -> None:
    logits, labels = _answers(20, 2, 1.0, seed=0)
    with pytest.raises(ValueError, match="don't fit"):
        metrics.get("mcc").compute(logits[:-1], labels)
    with pytest.raises(ValueError, match="don't fit"):
        metrics.get("mcc").compute(logits[:, 0], labels)
    with pytest.raises(ValueError, match="don't fit"):
        metrics.get("pearson").compute(logits, labels)
    with pytest.raises(ValueError, match="don't fit"):
        metrics.get("accuracy").compute(logits[:0], labels[:0])
    with pytest.raises(ValueError, match="0 to 1"):
        metrics.get("accuracy").compute(logits, labels + 1)
    with pytest.raises(ValueError, match="two classes"):
        metrics.get("f1").compute(*_answers(20, 3, 1.0, seed=0))
    with pytest.raises(ValueError, match="unknown metric 'mmc'"):
        metrics.get("mmc")


def test_chance_is_the_best_constant_answer() -> None:
    labels = np.array([1] * 7 + [0] * 3)
    assert metrics.get("accuracy").chance(labels) == pytest.approx(0.7)
    assert metrics.get("accuracy").chance(1 - labels) == pytest.approx(0.7)
    assert metrics.get("accuracy").chance(np.array([2, 2, 0, 1])) == pytest.approx(0.5)
    assert metrics.get("mcc").chance(labels) == 0.0
    assert metrics.get("f1").chance(labels) == pytest.approx(14 / 17)
    assert metrics.get("f1").chance(1 - labels) == pytest.approx(6 / 13)
    assert metrics.get("accuracy_f1").chance(labels) == pytest.approx((0.7 + 14 / 17) / 2)
    assert metrics.get("pearson_spearman").chance(labels.astype(np.float32)) == 0.0


# --- bootstrap ---


def _literal_bootstrap(name: str, answers: np.ndarray, labels: np.ndarray, samples: int) -> np.ndarray:
    """Draws rows, gathers them and computes the metric, one resample at a time."""
    rng = np.random.default_rng(99)
    rows = rng.integers(0, len(labels), (samples, len(labels)))
    return np.array([metrics.get(name).compute(answers[row], labels[row]) for row in rows])


@pytest.mark.parametrize("name", [*CLASSIFICATION, *REGRESSION])
def test_the_interval_is_that_of_a_literal_bootstrap(name: str) -> None:
    if name in REGRESSION:
        answers, labels = _scores(60, 2.0, seed=1)
        literal = _literal_bootstrap(name, answers, labels, 1500)
    else:
        answers, labels = _answers(60, 2 if "f1" in name else 3, 0.9, seed=1)
        literal = _literal_bootstrap(name, answers, labels, 1500)
    ours = metrics.bootstrap_interval(name, answers, labels, samples=20000)
    assert ours.n == 60
    # A 2.5 % quantile of 1500 draws is off by about 0.07 standard deviations; four times that is allowed.
    tolerance = 0.28 * literal.std()
    assert ours.low == pytest.approx(np.quantile(literal, 0.025), abs=tolerance)
    assert ours.high == pytest.approx(np.quantile(literal, 0.975), abs=tolerance)
    assert ours.low < ours.value < ours.high


@pytest.mark.parametrize("name", REGRESSION)
def test_scores_of_counted_rows_are_those_of_the_gathered_rows(name: str) -> None:
    predictions, labels = _scores(40, 2.0, seed=2)
    rows = np.random.default_rng(0).integers(0, 40, size=(50, 40))
    counts = np.stack([np.bincount(row, minlength=40) for row in rows]).astype(float)
    ours = metrics.get(name).score(predictions, labels, counts)
    expected = [_reference(name, predictions[row], labels[row]) for row in rows]
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_a_resample_without_the_outlier_still_correlates() -> None:
    predictions = np.array([1.0, 2.0, 4.0, 3.0, 1e7])
    labels = np.array([1.0, 2.0, 3.0, 4.0, 0.0])
    counts = np.array([[1.0, 1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 2.0, 0.0, 0.0]])
    with_spread, constant = metrics.get("pearson").score(predictions, labels, counts)
    assert with_spread == pytest.approx(_reference("pearson", predictions[:4], labels[:4]), abs=1e-6)
    assert constant == 0.0


def test_many_confusion_matrices_at_once_are_those_one_by_one() -> None:
    matrices = np.random.default_rng(0).integers(0, 9, size=(30, 4, 4)).astype(float)
    together = metrics.get("mcc").score(matrices)
    for matrix, value in zip(matrices, together, strict=True):
        true, predicted = (np.repeat(grid.ravel(), matrix.astype(int).ravel()) for grid in np.indices((4, 4)))
        assert value == pytest.approx(sk.matthews_corrcoef(true, predicted), abs=1e-12)


def test_the_interval_is_deterministic_and_follows_seed_and_level() -> None:
    logits, labels = _answers(200, 2, 0.8, seed=3)
    first = metrics.bootstrap_interval("mcc", logits, labels)
    assert first == metrics.bootstrap_interval(metrics.get("mcc"), logits, labels)
    assert first != metrics.bootstrap_interval("mcc", logits, labels, seed=1)
    narrow = metrics.bootstrap_interval("mcc", logits, labels, level=0.5)
    assert first.low < narrow.low < narrow.value < narrow.high < first.high
    assert narrow.level == 0.5


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Accuracy of a fair coin: the true value is 1/2.
    inside = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        logits, labels = rng.normal(size=(100, 2)), rng.integers(0, 2, 100)
        interval = metrics.bootstrap_interval("accuracy", logits, labels, samples=500)
        inside += interval.low <= 0.5 <= interval.high
    assert 0.90 <= inside / 300 <= 0.98


@pytest.mark.parametrize("name", [*CLASSIFICATION, *REGRESSION])
def test_an_interval_is_quick(name: str) -> None:
    answers, labels = _scores(1043, 1.0, 0) if name in REGRESSION else _answers(1043, 2, 1.0, 0)
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        metrics.bootstrap_interval(name, answers, labels)
        best = min(best, time.process_time() - start)
    assert best < 0.5


def test_many_classes_fit_into_memory() -> None:
    logits, labels = _answers(500, 150, 3.0, seed=0, skew=1 / 150)
    interval = metrics.bootstrap_interval("accuracy", logits, labels, samples=300)
    assert 0 < interval.low < interval.value < interval.high < 1


# --- paired differences ---


@pytest.mark.parametrize("name", [*CLASSIFICATION, *REGRESSION])
def test_equal_answers_differ_by_nothing(name: str) -> None:
    answers, labels = _scores(50, 1.0, 0) if name in REGRESSION else _answers(50, 2, 1.0, 0)
    difference = metrics.paired_bootstrap(name, answers, answers.copy(), labels)
    assert difference == metrics.Difference(0.0, 0.0, 0.0, 0.5, 50)


@pytest.mark.parametrize("name", ["mcc", "accuracy", "pearson_spearman"])
def test_the_difference_is_that_of_a_literal_paired_bootstrap(name: str) -> None:
    rng = np.random.default_rng(7)
    if name in REGRESSION:
        a, labels = _scores(80, 1.5, seed=4)
        b = a + 1.5 * rng.normal(size=a.shape)
        read_a, read_b = a, b
    else:
        a, labels = _answers(80, 3, 1.5, seed=4)
        b = a + 1.0 * rng.normal(size=a.shape)
        read_a, read_b = a.argmax(1), b.argmax(1)
    literal = _literal_bootstrap(name, a, labels, 1500) - _literal_bootstrap(name, b, labels, 1500)
    ours = metrics.paired_bootstrap(name, a, b, labels, labels_b=labels.copy(), samples=20000)
    reference = _reference(name, read_a, labels) - _reference(name, read_b, labels)
    assert ours.value == pytest.approx(reference, abs=1e-12)
    tolerance = 0.28 * literal.std()
    assert ours.low == pytest.approx(np.quantile(literal, 0.025), abs=tolerance)
    assert ours.high == pytest.approx(np.quantile(literal, 0.975), abs=tolerance)
    better = np.mean((literal > 0) + 0.5 * (literal == 0))
    assert ours.probability_better == pytest.approx(better, abs=0.06)


def test_pairing_is_sharper_than_two_separate_intervals() -> None:
    logits, labels = _answers(400, 2, 1.5, seed=5)
    worse = logits.copy()
    worse[:20] = -worse[:20]  # the same answers but for twenty rows
    a, b = (metrics.bootstrap_interval("accuracy", some, labels) for some in (logits, worse))
    difference = metrics.paired_bootstrap("accuracy", logits, worse, labels)
    assert a.low < b.high  # the separate intervals overlap
    assert difference.low > 0
    assert difference.probability_better > 0.99
    back = metrics.paired_bootstrap("accuracy", worse, logits, labels)
    assert back.value == -difference.value
    assert back.probability_better < 0.01


def test_answers_to_different_rows_are_not_paired() -> None:
    logits, labels = _answers(30, 2, 1.0, seed=0)
    with pytest.raises(ValueError, match="different labels"):
        metrics.paired_bootstrap("mcc", logits, logits, labels, labels_b=1 - labels)
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.paired_bootstrap("mcc", logits, logits[:-1], labels)


# --- label permutations and the verdict ---


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("name", ["mcc", "accuracy"])
def test_a_shifted_label_order_is_found(classes: int, name: str) -> None:
    logits, labels = _answers(300, classes, 3.0, seed=classes)
    shifted = np.roll(logits, 1, axis=1)  # the answer for class c stands in column c + 1
    permutation, score = metrics.better_label_permutation(name, shifted, labels)  # type: ignore[misc]
    assert permutation == tuple((c - 1) % classes for c in range(classes))
    assert score == pytest.approx(metrics.get(name).compute(logits, labels), abs=1e-12)
    assert metrics.better_label_permutation(name, logits, labels) is None


def test_the_best_of_all_permutations_is_found() -> None:
    for seed in range(10):
        logits, labels = _answers(60, 4, 0.3, seed=seed)
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
    predictions, labels = _scores(100, 1.0, seed=0)
    permutation, score = metrics.better_label_permutation("spearman", -predictions, labels)  # type: ignore[misc]
    assert permutation == (-1,)
    assert score == pytest.approx(metrics.get("spearman").compute(predictions, labels), abs=1e-12)
    assert metrics.better_label_permutation("spearman", predictions, labels) is None


def test_a_good_teacher_passes() -> None:
    for name, (answers, labels) in {
        "mcc": _answers(300, 2, 2.0, 0),
        "accuracy": _answers(300, 3, 2.0, 0),
        "pearson_spearman": _scores(300, 1.0, 0),
    }.items():
        verdict = metrics.teacher_verdict(name, answers, labels)
        assert verdict.ok
        assert verdict.reason is None
        assert verdict.permutation is None
        assert verdict.score == metrics.bootstrap_interval(name, answers, labels)
        assert verdict.chance == metrics.get(name).chance(labels)


def test_a_teacher_that_guesses_is_refused_with_the_numbers() -> None:
    labels = np.array([1] * 70 + [0] * 30)
    verdict = metrics.teacher_verdict("accuracy", _logits([1] * 100, 2), labels)
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
    verdict = metrics.teacher_verdict("mcc", _logits(predicted, 2), labels)
    assert verdict.score.value == pytest.approx(0.1)
    assert verdict.score.low < 0 < verdict.score.high
    assert not verdict.ok
    assert "includes the 0.000" in str(verdict.reason)


def test_a_teacher_below_chance_is_refused() -> None:
    labels = np.array([0] * 90 + [1] * 5 + [2] * 5)
    rng = np.random.default_rng(0)
    predicted = np.where(rng.random(100) < 0.4, 1, labels)
    verdict = metrics.teacher_verdict("accuracy", _logits(predicted, 3), labels)
    assert verdict.permutation is None
    assert not verdict.ok
    assert "lies below the 0.900" in str(verdict.reason)


def test_a_teacher_with_another_label_order_is_refused_even_above_chance() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    predicted = np.where(rng.random(600) < 0.9, labels, rng.integers(0, 3, 600))
    swapped = np.array([0, 2, 1])[predicted]
    verdict = metrics.teacher_verdict("accuracy", _logits(swapped, 3), labels)
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
    verdict = metrics.teacher_verdict("accuracy", _logits(predicted, 4), labels)
    assert verdict.score.low > verdict.chance
    assert verdict.permutation == ((0, 1, 3, 2), pytest.approx(0.96))
    assert not verdict.ok
    assert "check the order of its labels" in str(verdict.reason)


def test_a_guessing_teacher_is_not_blamed_for_its_label_order() -> None:
    labels = np.array([0, 1] * 20)
    predicted = labels.copy()
    predicted[:22] = 1 - predicted[:22]
    verdict = metrics.teacher_verdict("mcc", _logits(predicted, 2), labels)
    assert verdict.permutation == ((1, 0), pytest.approx(0.1))
    assert "includes the 0.000" in str(verdict.reason)
    assert "read as" not in str(verdict.reason)


def test_a_teacher_with_a_flipped_score_is_refused() -> None:
    predictions, labels = _scores(100, 1.0, seed=0)
    verdict = metrics.teacher_verdict("pearson_spearman", -predictions, labels)
    assert not verdict.ok
    assert "with the sign of its score flipped" in str(verdict.reason)
