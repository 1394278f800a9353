"""Nothing is concluded from a difference inside the noise: every case of the verdict, posed so that it is known.

Where a network answers b rows right that the other misses, and c the other way round, the difference of their
accuracies on n rows is (b - c) / n, with a standard error of sqrt(b + c - (b - c)² / n) / n.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis import claims, verdict
from analysis.verdict import Verdict
from tests.analysis.conftest import Build
from tests.analysis.posed import ROWS, Pose, right
from trainables.record import FAIL, PRUNED, RUNNING, read

# Against the baseline's 0 to 560. Both answer the rest of it alike.
BASE = right((0, 560))
CLEAR = right((60, 660))  # 100 won, 60 lost: +0.040, error 0.0126, 3.2 errors from 0
CLOSE = right((60, 650))  # 90 won, 60 lost: +0.030, error 0.0122, 2.5 errors from 0
NOISE = right((60, 630))  # 70 won, 60 lost: +0.010, error 0.0114, 0.9 errors from 0
BEHIND = right((100, 600))  # 40 won, 100 lost: -0.060, error 0.0117, 5 errors from 0
OPEN = "does not show that distilling helped"


@pytest.fixture
def pose(tmp_path: Path) -> Pose:
    return Pose(tmp_path)


def judged(pose: Pose) -> Verdict:
    return verdict.judge(pose.record, finished=True)


def test_the_interval_is_that_of_paired_answers(pose: Pose) -> None:
    pose.trial("p00", CLEAR)
    pose.baseline(BASE)
    found = judged(pose).difference
    assert found is not None
    error = math.sqrt(160 - 40**2 / ROWS) / ROWS
    assert found.value == pytest.approx(0.04)
    assert found.low == pytest.approx(0.04 - 1.96 * error, abs=0.002)
    assert found.high == pytest.approx(0.04 + 1.96 * error, abs=0.002)


@pytest.mark.parametrize(("longer", "words"), [(1, "1 epoch "), (2, "2 epochs ")])
def test_one_epoch_is_one(pose: Pose, longer: int, words: str) -> None:
    pose.trial("p00", CLEAR, epochs=4)
    pose.baseline(BASE, epochs=longer, state=RUNNING)
    assert f"after {words}beside 4; no verdict before both have ended" in str(judged(pose).against)


def test_clearly_ahead(pose: Pose) -> None:
    pose.trial("p00", CLEAR)
    pose.baseline(BASE)
    found = judged(pose)
    assert found.tone == "ahead"
    assert "Difference +0.040, 95 % interval +0.01" in (found.against or "")
    assert (found.against or "").endswith("distilled is ahead, outside the noise of 1000 dev rows.")
    assert "widened" not in (found.against or "")


def test_clearly_behind(pose: Pose) -> None:
    pose.trial("p00", BEHIND)
    pose.baseline(BASE)
    found = judged(pose)
    assert found.tone == "behind"
    assert (found.against or "").endswith("distilled is behind, outside the noise of 1000 dev rows.")


def test_inside_the_noise_nothing_is_claimed(pose: Pose) -> None:
    pose.trial("p00", NOISE)
    pose.baseline(BASE)
    found = judged(pose)
    assert found.tone == "even"
    assert f"it includes 0, so this sweep {OPEN}." in (found.against or "")
    assert "outside" not in (found.against or "")


def test_equal_networks(pose: Pose) -> None:
    pose.trial("p00", BASE)
    pose.baseline(BASE)
    found = judged(pose)
    assert found.tone == "even"
    assert "Difference 0.000, 95 % interval 0.000 to 0.000: it includes 0" in (found.against or "")


@pytest.mark.parametrize(("answers", "rivals", "tone"), [(CLOSE, 1, "ahead"), (CLOSE, 8, "even"), (CLEAR, 8, "ahead")])
def test_the_choice_of_the_best_is_part_of_the_noise(pose: Pose, answers: np.ndarray, rivals: int, tone: str) -> None:
    """2.5 errors from 0 are enough for one network, and not for the best of eight: 0.05 / 8 takes 2.73."""
    pose.trial("p00", answers)
    pose.baseline(BASE)
    pose.crowd(rivals - 1)
    found = judged(pose)
    assert found.difference is not None
    assert found.difference.low > 0
    assert found.tone == tone
    assert ("the choice alone may explain it" in (found.against or "")) is (tone == "even")
    assert (f"widened for the choice of the best of {rivals}" in (found.against or "")) is (rivals > 1)


def test_widening_is_bonferroni(pose: Pose) -> None:
    pose.trial("p00", CLEAR)
    pose.baseline(BASE)
    plain = judged(pose).difference
    assert plain is not None
    wide = claims.widen(plain, 8)
    # Two-sided normal quantiles of 0.05 / 8 and 0.05, from a table.
    assert (wide.value - wide.low) / (plain.value - plain.low) == pytest.approx(2.7344 / 1.95996, rel=1e-4)
    assert (wide.high - wide.value) / (plain.high - plain.value) == pytest.approx(2.7344 / 1.95996, rel=1e-4)
    assert claims.widen(plain, 1).low == pytest.approx(plain.low)


@pytest.mark.parametrize(
    ("state", "cause", "words"),
    [
        (None, None, "No undistilled student was trained"),
        (FAIL, "out of memory", "failed (out of memory)"),
        (PRUNED, "stopped by hand", "was stopped by hand before it had a score"),
        (RUNNING, None, "has no score yet"),
    ],
)
def test_without_a_baseline_it_stays_open(pose: Pose, state: str | None, cause: str | None, words: str) -> None:
    pose.trial("p00", CLEAR)
    if state is not None:
        pose.baseline(None, state=state, cause=cause)
    found = judged(pose)
    assert found.tone == "even"
    assert words in (found.against or "")
    assert "whether distillation helped is open" in (found.against or "")


@pytest.mark.parametrize("missing", ["p00", "ft"])
def test_without_predictions_nothing_is_shown(pose: Pose, missing: str) -> None:
    pose.trial("p00", CLEAR, predictions=missing != "p00")
    pose.baseline(BASE, predictions=missing != "ft")
    found = judged(pose)
    assert found.tone == "even"
    assert "without an interval, because predictions are missing: nothing is shown" in (found.against or "")


@pytest.mark.parametrize("running", ["p00", "ft"])
def test_no_verdict_while_one_trains(pose: Pose, running: str) -> None:
    pose.trial("p00", CLEAR, state=RUNNING if running == "p00" else "COMPLETE", epochs=3 if running == "p00" else 4)
    pose.baseline(BASE, state=RUNNING if running == "ft" else "COMPLETE", epochs=3 if running == "ft" else 4)
    found = judged(pose)
    assert found.tone == "even"
    assert "no verdict before both have ended" in (found.against or "")


@pytest.mark.parametrize(
    ("answers", "best", "base", "tone"),
    [
        (CLEAR, 4, 2, "even"),  # ahead of a baseline that was stopped half-way
        (CLEAR, 2, 4, "ahead"),  # ahead of one that trained for longer
        (BEHIND, 2, 4, "even"),  # behind one that trained for longer
        (BEHIND, 4, 2, "behind"),  # behind one that was stopped half-way
    ],
)
def test_who_trained_for_longer_wins_nothing(pose: Pose, answers: np.ndarray, best: int, base: int, tone: str) -> None:
    pose.trial("p00", answers, state="COMPLETE" if best == 4 else PRUNED, epochs=best)
    pose.baseline(BASE, state="COMPLETE" if base == 4 else PRUNED, epochs=base, cause="stopped by hand")
    found = judged(pose)
    assert found.tone == tone
    assert ("trained for 4 epochs and the other for 2" in (found.against or "")) is (tone == "even")


@pytest.mark.parametrize(
    ("best", "base", "tone"),
    [
        ((660, 655, 658), (560, 556, 558), "ahead"),  # +0.1 over a spread of 0.002
        ((660, 500, 520), (560, 556, 558), "even"),  # the mean is 0.56 beside 0.558
    ],
)
def test_other_seeds_must_bear_it_out(pose: Pose, best: tuple[int, ...], base: tuple[int, ...], tone: str) -> None:
    for seed, count in enumerate(best):
        pose.trial(f"p00-s{seed}", right((0, count)), seed=seed, params={"lr": 1e-5})
    for seed, count in enumerate(base):
        pose.baseline(right((0, count)), f"ft-s{seed}", seed=seed, params={"lr": 2e-5})
    found = judged(pose)
    assert found.difference is not None
    assert found.difference.low > 0
    assert found.tone == tone
    assert ("over 3 and 3 seeds the means differ by" in (found.against or "")) is (tone == "even")


def test_with_a_weak_teacher_nothing_is_said_of_distilling(pose: Pose) -> None:
    pose.trial("p00", CLEAR)
    pose.baseline(BASE)
    pose.teacher(0.52, 0.49, 0.55, weak=True)
    found = judged(pose)
    assert found.tone == "even"
    assert (found.against or "").endswith("with a weak teacher this says nothing about distilling.")
    assert found.teacher is None
    assert any("teacher is weak" in line for line in verdict.caveats(pose.record))


def test_made_up_data_is_named_in_the_verdict(tmp_path: Path) -> None:
    pose = Pose(tmp_path, origin="embedded")
    pose.trial("p00", CLEAR)
    pose.baseline(BASE)
    found = judged(pose)
    assert "on made-up data" in found.best
    assert "1000 made-up dev rows" in (found.against or "")


@pytest.mark.parametrize(
    ("best", "words"),
    [
        (NOISE, "it includes 0, so no setting is shown to be better than the published one."),
        (CLEAR, "the best is ahead, outside the noise of 1000 dev rows."),
    ],
)
def test_against_the_published_setting(pose: Pose, best: np.ndarray, words: str) -> None:
    pose.trial("p00", BASE, origin="published")
    pose.trial("p01", best)
    found = judged(pose)
    assert (found.published or "").startswith("Published setting (p00): 0.5")
    assert (found.published or "").endswith(words)


def test_a_published_setting_that_was_stopped_is_not_beaten(pose: Pose) -> None:
    pose.trial("p00", BEHIND, origin="published", state=PRUNED, epochs=1)
    pose.trial("p01", CLEAR)
    assert "trained for 4 epochs and the other for 1, so no setting" in (judged(pose).published or "")


def test_the_published_setting_may_be_the_best_or_absent(pose: Pose) -> None:
    pose.trial("p01", NOISE)
    assert judged(pose).published is None
    pose.trial("p00", CLEAR, origin="published")
    assert judged(pose).published == "The best is the published setting itself."


@pytest.mark.parametrize(
    ("score", "low", "high", "words"),
    [
        (0.62, 0.59, 0.65, "difference −0.020, 95 % interval −0.062 to +0.023: it includes 0, so neither ahead nor"),
        (0.70, 0.67, 0.73, "behind it, outside the noise"),
        (0.50, 0.47, 0.53, "ahead of it, outside the noise"),
        (0.62, math.nan, math.nan, "without an interval: neither ahead nor behind is shown"),
    ],
)
def test_against_the_teacher(pose: Pose, score: float, low: float, high: float, words: str) -> None:
    """0.6 of 1000 rows has an interval of 0.03 to both sides, so two such make 0.042."""
    pose.trial("p00", CLEAR)
    pose.teacher(score, low, high)
    assert words in (judged(pose).teacher or "")


def test_better_than_the_teacher_by_choice_alone(pose: Pose) -> None:
    pose.trial("p00", CLEAR)
    pose.teacher(0.55, 0.52, 0.58)
    assert "ahead of it" in (judged(pose).teacher or "")
    pose.crowd(7)
    assert "the choice of the best alone may explain it" in (judged(pose).teacher or "")


def test_the_teacher_read_in_two_ways(pose: Pose) -> None:
    pose.trial("p00", CLEAR)
    pose.teacher(0.70, 0.67, 0.73, own_score=0.70)
    assert verdict.networks(pose.record)[0].name == "teacher"
    pose.teacher(0.70, 0.67, 0.73, own_score=0.75)
    assert verdict.networks(pose.record)[0].name == "teacher as it teaches here (0.750 as it was fine-tuned)"


@pytest.mark.parametrize(
    ("count", "words"),
    [(500, " That is no better than"), (520, " It is not shown to be better than"), (600, "")],
)
def test_against_one_and_the_same_answer(pose: Pose, count: int, words: str) -> None:
    pose.trial("p00", right((0, count)))
    pose.teacher(0.9, 0.88, 0.92)
    best = judged(pose).best
    assert best.endswith("." + (f"{words} giving every row the same answer" if words else "")) or words in best
    assert ("same answer" in best) is bool(words)


def test_ties_are_named(pose: Pose) -> None:
    pose.trial("p00", CLEAR)
    pose.trial("p01", right((55, 650)))
    pose.crowd(2)
    (line,) = [line for line in verdict.caveats(pose.record) if "told apart" in line]
    assert line == (
        "1 of the 3 other points' scored trials is not told apart from the best one by these dev rows: p01."
    )


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (["p01"], "The only other scored trial, p01, is not told apart from the best one by these dev rows."),
        (
            ["p01", "p02"],
            "None of the 2 other points' scored trials is told apart from the best one by these dev rows: p01, p02.",
        ),
    ],
)
def test_ties_of_all_are_said_in_plain_words(pose: Pose, others: list[str], words: str) -> None:
    pose.trial("p00", CLEAR)
    for name in others:
        pose.trial(name, right((55, 650)))
    assert words in verdict.caveats(pose.record)


def test_a_score_below_0_is_no_share(pose: Pose) -> None:
    best = pose.trial("p00", CLEAR)
    pose.teacher(0.9, 0.88, 0.92)
    assert "% of the teacher's" in str(judged(pose).teacher)
    for row in best.evaluations.values():
        row["value"] = -0.04
    assert verdict.share_of_teacher(pose.record, best) is None
    text = str(judged(pose).teacher)
    assert text.startswith("Beside the teacher's 0.900: difference −0.940")
    assert "% of" not in text
    assert verdict.portion(-0.01, 0.5) is None


def test_of_a_sweep_with_real_noise(sweep: Build) -> None:
    """Whatever the gain, no claim stands beside an interval that includes 0."""
    for gain in (-0.8, -0.1, 0.0, 0.1, 0.3):
        record = read(sweep(gain=gain, dev_rows=400))
        found = verdict.judge(record, finished=True)
        assert found.difference is not None
        if found.difference.low <= 0 <= found.difference.high:
            assert found.tone == "even"
        assert ("outside the noise" in (found.against or "")) is (found.tone != "even")


def test_predictions_of_another_evaluation_give_no_interval(sweep: Build) -> None:
    """A kill may leave predictions that are one evaluation ahead of the rows."""
    record = read(sweep(fail=()))
    best = record.best_trial()
    assert best is not None
    shutil.copy(record.trials["p04"].predictions(), best.predictions())
    found = verdict.judge(record, finished=True)
    assert "no interval" in found.best
    assert found.tone == "even"
