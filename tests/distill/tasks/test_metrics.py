"""Metrics against matrices worked by hand, scikit-learn, scipy and a literal bootstrap."""

from __future__ import annotations

import math
import time
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from distill.tasks import metrics
from tests.distill.tasks.answers import logits_of, some_answers, some_scores

CLASSIFICATION = ("mcc", "accuracy", "f1", "accuracy_f1", "macro_recall", "macro_f1", "weighted_f1")
BINARY = ("f1", "accuracy_f1")
REGRESSION = ("pearson", "spearman", "pearson_spearman")


def _reference(name: str, predicted: np.ndarray, labels: np.ndarray) -> float:
    """The same metrics from scikit-learn and scipy."""
    if name == "mcc":
        return float(sk.matthews_corrcoef(labels, predicted))
    if name == "accuracy":
        return float(sk.accuracy_score(labels, predicted))
    if name == "f1":
        return float(sk.f1_score(labels, predicted, zero_division=0))
    if name == "macro_recall":
        return float(sk.recall_score(labels, predicted, average="macro", zero_division=0))
    if name in ("macro_f1", "weighted_f1"):
        return float(sk.f1_score(labels, predicted, average=name.removesuffix("_f1"), zero_division=0))
    if name == "pearson":
        return float(stats.pearsonr(predicted, labels).statistic)
    if name == "spearman":
        return float(stats.spearmanr(predicted, labels).statistic)
    parts = {"accuracy_f1": ("accuracy", "f1"), "pearson_spearman": ("pearson", "spearman")}[name]
    return sum(_reference(part, predicted, labels) for part in parts) / 2


# --- values ---


def test_two_classes_by_hand() -> None:
    # true 0: 5 right, 1 wrong; true 1: 2 wrong, 4 right.
    labels = np.array([0] * 6 + [1] * 6)
    logits = logits_of([0] * 5 + [1] + [0] * 2 + [1] * 4, 2)
    # Matthews: (4*5 - 1*2) / sqrt((4+1)(4+2)(5+1)(5+2)) = 18 / sqrt(1260)
    assert metrics.get("mcc").compute(logits, labels) == pytest.approx(18 / math.sqrt(1260), abs=1e-15)
    assert metrics.get("accuracy").compute(logits, labels) == pytest.approx(9 / 12, abs=1e-15)
    # F1: 2*4 / (2*4 + 1 + 2)
    assert metrics.get("f1").compute(logits, labels) == pytest.approx(8 / 11, abs=1e-15)
    assert metrics.get("accuracy_f1").compute(logits, labels) == pytest.approx((9 / 12 + 8 / 11) / 2, abs=1e-15)


def test_three_classes_by_hand() -> None:
    # confusion rows (true): [2 1 0], [0 1 1], [1 0 4]; true 3, 2, 5; predicted 3, 2, 5; right 7 of 10
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    logits = logits_of([0, 0, 1, 1, 2, 0, 2, 2, 2, 2], 3)
    # (7*10 - (9+4+25)) / sqrt((100-38)(100-38)) = 32/62
    assert metrics.get("mcc").compute(logits, labels) == pytest.approx(32 / 62, abs=1e-15)
    assert metrics.get("accuracy").compute(logits, labels) == pytest.approx(0.7, abs=1e-15)
    # recalls 2/3, 1/2, 4/5; F1 4/6, 2/4, 8/10, so here both are the same, and weighted by 3, 2 and 5 rows 0.7
    for name, expected in (("macro_recall", 59 / 90), ("macro_f1", 59 / 90), ("weighted_f1", 0.7)):
        assert metrics.get(name).compute(logits, labels) == pytest.approx(expected, abs=1e-15)


def test_macro_averages_of_uneven_classes_by_hand() -> None:
    # confusion rows (true): [4 1 1], [0 2 0], [1 1 0]
    labels = np.array([0] * 6 + [1] * 2 + [2] * 2)
    logits = logits_of([0] * 4 + [1, 2] + [1, 1] + [0, 1], 3)
    # recalls 4/6, 2/2, 0/2; F1 8/(6+5), 4/(2+4), 0/(2+1)
    assert metrics.get("macro_recall").compute(logits, labels) == pytest.approx(5 / 9, abs=1e-15)
    assert metrics.get("macro_f1").compute(logits, labels) == pytest.approx((8 / 11 + 2 / 3) / 3, abs=1e-15)
    expected = (6 * 8 / 11 + 2 * 2 / 3) / 10
    assert metrics.get("weighted_f1").compute(logits, labels) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("name", ["macro_recall", "macro_f1", "weighted_f1"])
def test_classes_that_do_not_occur_are_left_out_as_in_scikit_learn(name: str) -> None:
    # Class 3 has neither label nor answer: no part of the mean. Class 2 is only answered: it counts 0.
    labels, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 2, 1, 1, 0])
    value = metrics.get(name).compute(logits_of(predicted, 4), labels)
    assert value == pytest.approx(_reference(name, predicted, labels), abs=1e-15)
    # recalls 1/2, 2/3 and 0; F1 2/(2+2), 4/(3+2) and 0
    by_hand = {"macro_recall": 7 / 18, "macro_f1": (1 / 2 + 4 / 5) / 3, "weighted_f1": (2 / 2 + 3 * 4 / 5) / 5}
    assert value == pytest.approx(by_hand[name], abs=1e-15)


def test_which_metrics_judge_a_task_follows_its_kind_and_its_labels() -> None:
    assert metrics.fitting("classification", 2) == CLASSIFICATION
    assert metrics.fitting("classification", 3) == tuple(name for name in CLASSIFICATION if name not in BINARY)
    assert metrics.fitting("regression", 1) == REGRESSION


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
    classes = 2 if name in BINARY else 2 + seed % 4
    logits, labels = some_answers(5 + 40 * seed, classes, skill=0.1 * seed - 0.5, seed=seed, skew=0.7)
    expected = _reference(name, logits.argmax(1), labels)
    assert metrics.get(name).compute(logits, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("seed", range(20))
def test_regression_agrees_with_scipy(name: str, seed: int) -> None:
    predictions, labels = some_scores(5 + 40 * seed, noise=0.3 * seed + 0.1, seed=seed)
    expected = _reference(name, predictions, labels)
    assert metrics.get(name).compute(predictions, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6, 0.1])
def test_constant_answers_correlate_with_nothing_and_warn_of_nothing(offset: float) -> None:
    labels = np.array([0, 1, 1, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.get("mcc").compute(logits_of([1] * 5, 2), labels) == 0.0
        assert metrics.get("mcc").compute(logits_of([0, 1, 0, 1, 1], 2), np.ones(5, dtype=int)) == 0.0
        assert metrics.get("f1").compute(logits_of([0] * 5, 2), np.zeros(5, dtype=int)) == 0.0
        for name in REGRESSION:
            assert metrics.get(name).compute(np.full(5, offset), labels) == 0.0
            interval = metrics.bootstrap_interval(name, np.full(5, offset), labels)
            assert (interval.value, interval.low, interval.high) == (0.0, 0.0, 0.0)


def test_tiny_differences_on_a_large_offset_still_count() -> None:
    labels = np.array([1.0, 2.0, 3.0, 5.0])
    assert metrics.get("pearson").compute(1e3 + 1e-9 * labels, labels) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_outputs_that_are_not_finite_give_nan_everywhere(bad: float) -> None:
    logits, labels = some_answers(20, 2, 1.0, seed=0)
    logits[3, 0] = bad
    assert math.isnan(metrics.get("mcc").compute(logits, labels))
    interval = metrics.bootstrap_interval("mcc", logits, labels)
    assert all(math.isnan(x) for x in (interval.value, interval.low, interval.high))
    difference = metrics.paired_bootstrap("mcc", some_answers(20, 2, 1.0, seed=0)[0], logits, labels)
    assert math.isnan(difference.value)
    assert math.isnan(difference.probability_better)
    assert metrics.better_label_permutation("mcc", logits, labels) is None
    verdict = metrics.teacher_verdict("mcc", logits, labels)
    assert not verdict.ok
    assert "not finite" in str(verdict.reason)


def test_shapes_that_do_not_fit_are_refused() -> None:
    logits, labels = some_answers(20, 2, 1.0, seed=0)
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
        metrics.get("f1").compute(*some_answers(20, 3, 1.0, seed=0))
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
    # Whatever the classes' sizes, one of three answers finds one class whole and no other.
    assert metrics.get("macro_recall").chance(np.array([0, 1, 1, 2, 2, 2])) == pytest.approx(1 / 3)
    assert metrics.get("pearson_spearman").chance(labels.astype(np.float32)) == 0.0


def test_chance_of_two_thousand_labels() -> None:
    """The most frequent, with 5 of 4003 rows: F1 is 2 · 5 / (5 + 4003), and that of all others 0."""
    labels = np.concatenate([np.arange(2000), np.arange(2000), [7, 7, 7]])
    assert metrics.get("accuracy").chance(labels) == pytest.approx(5 / 4003)
    assert metrics.get("macro_f1").chance(labels) == pytest.approx(10 / 4008 / 2000)


# --- bootstrap ---


def _literal_bootstrap(name: str, answers: np.ndarray, labels: np.ndarray, samples: int) -> np.ndarray:
    """Draws rows, gathers them and computes the metric, one resample at a time."""
    rng = np.random.default_rng(99)
    rows = rng.integers(0, len(labels), (samples, len(labels)))
    return np.array([metrics.get(name).compute(answers[row], labels[row]) for row in rows])


@pytest.mark.parametrize("name", [*CLASSIFICATION, *REGRESSION])
def test_the_interval_is_that_of_a_literal_bootstrap(name: str) -> None:
    if name in REGRESSION:
        answers, labels = some_scores(60, 2.0, seed=1)
        literal = _literal_bootstrap(name, answers, labels, 1500)
    else:
        answers, labels = some_answers(60, 2 if name in BINARY else 3, 0.9, seed=1)
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
    predictions, labels = some_scores(40, 2.0, seed=2)
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


@pytest.mark.parametrize("name", [name for name in CLASSIFICATION if name not in BINARY])
def test_many_confusion_matrices_at_once_are_those_one_by_one(name: str) -> None:
    matrices = np.random.default_rng(0).integers(0, 9, size=(30, 4, 4)).astype(float)
    # As in a resample without a rare class, or one that nobody answered.
    matrices[:10, 2] = 0
    matrices[:5, :, 2] = 0
    matrices[10:20, :, 1] = 0
    together = metrics.get(name).score(matrices)
    for matrix, value in zip(matrices, together, strict=True):
        true, predicted = (np.repeat(grid.ravel(), matrix.astype(int).ravel()) for grid in np.indices((4, 4)))
        assert value == pytest.approx(_reference(name, predicted, true), abs=1e-12)


def test_the_interval_is_deterministic_and_follows_seed_and_level() -> None:
    logits, labels = some_answers(200, 2, 0.8, seed=3)
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
    answers, labels = some_scores(1043, 1.0, 0) if name in REGRESSION else some_answers(1043, 2, 1.0, 0)
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        metrics.bootstrap_interval(name, answers, labels)
        best = min(best, time.process_time() - start)
    assert best < 0.5


def test_many_classes_fit_into_memory() -> None:
    logits, labels = some_answers(500, 150, 3.0, seed=0, skew=1 / 150)
    interval = metrics.bootstrap_interval("accuracy", logits, labels, samples=300)
    assert 0 < interval.low < interval.value < interval.high < 1


# --- paired differences ---


@pytest.mark.parametrize("name", [*CLASSIFICATION, *REGRESSION])
def test_equal_answers_differ_by_nothing(name: str) -> None:
    answers, labels = some_scores(50, 1.0, 0) if name in REGRESSION else some_answers(50, 2, 1.0, 0)
    difference = metrics.paired_bootstrap(name, answers, answers.copy(), labels)
    assert difference == metrics.Difference(0.0, 0.0, 0.0, 0.5, 50)


@pytest.mark.parametrize("name", ["mcc", "accuracy", "pearson_spearman"])
def test_the_difference_is_that_of_a_literal_paired_bootstrap(name: str) -> None:
    rng = np.random.default_rng(7)
    if name in REGRESSION:
        a, labels = some_scores(80, 1.5, seed=4)
        b = a + 1.5 * rng.normal(size=a.shape)
        read_a, read_b = a, b
    else:
        a, labels = some_answers(80, 3, 1.5, seed=4)
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
    logits, labels = some_answers(400, 2, 1.5, seed=5)
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
    logits, labels = some_answers(30, 2, 1.0, seed=0)
    with pytest.raises(ValueError, match="different labels"):
        metrics.paired_bootstrap("mcc", logits, logits, labels, labels_b=1 - labels)
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.paired_bootstrap("mcc", logits, logits[:-1], labels)
