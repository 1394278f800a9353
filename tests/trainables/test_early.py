"""Early stopping as it is planned: rungs in fractions of epochs, what compares nothing, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from distill.errors import UserError
from trainables.config import SCHEDULERS, SweepConfig, check
from trainables.early import describe_scheduler, plan_scheduler
from trainables.rungs import rule_of

EACH = [1.0, 2.0, 3.0, 4.0]
QUARTERS = [n / 4 for n in range(1, 17)]


def made(evaluated: list[float], **asked: Any) -> tuple[dict[str, Any], list[str]]:
    return plan_scheduler(SweepConfig(**asked), 4, evaluated, points=9)


def test_rungs_in_fractions_of_an_epoch() -> None:
    planned, notices = made(QUARTERS, grace=0.25)
    assert planned == {"name": "asha", "grace": 0.25, "reduction_factor": 2, "rungs": [0.25, 0.5, 1.0, 2.0]}
    assert notices == []
    rule: Any = rule_of(planned)
    judged = [epoch for epoch in QUARTERS[:-1] if rule.judge("p00", epoch, 0.1)]
    assert judged == [0.25, 0.5, 1.0, 2.0]


def test_a_grace_before_the_first_evaluation_is_told() -> None:
    _, notices = made(EACH, grace=0.5)
    assert notices[0].startswith("--grace 0.5 lies before the first evaluation, at epoch 1:")
    assert notices[1].startswith("The rung at epoch 0.5 compares nothing")
    _, notices = made(EACH, grace=0.5, scheduler="median")
    assert len(notices) == 1
    assert made(EACH)[1] == made(QUARTERS, grace=0.25)[1] == []


def test_rungs_that_fall_on_one_evaluation_are_told_and_compare_nothing() -> None:
    evaluated = [2.0, 4.0]
    planned, notices = made(evaluated, grace=0.5)
    assert planned["rungs"] == [0.5, 1.0, 2.0]
    assert any(n.startswith("The rungs at epochs 0.5, 1 compare nothing: between two evaluations") for n in notices)
    rule: Any = rule_of(planned)
    assert [rule.judge(f"p{n}", 2.0, 0.1).rung for n in range(3)] == [2.0] * 3
    assert rule.recorded[0.5] == rule.recorded[1.0] == {}


def test_a_rung_after_the_last_look_but_one_is_told() -> None:
    planned, notices = made([1.0, 4.0], grace=1)
    assert planned["rungs"] == [1.0, 2.0]
    assert any(n.startswith("The rung at epoch 2 compares nothing") for n in notices)


@pytest.mark.parametrize("name", ["asha", "median"])
def test_where_nobody_typed_a_grace_nothing_is_refused_for_it(name: str) -> None:
    planned, notices = plan_scheduler(SweepConfig(scheduler=name), 1, [1.0], points=9)
    assert (planned["name"], planned["rungs"], rule_of(planned)) == ("none", [], None)
    (told,) = notices
    assert told.startswith("Nothing is stopped early: 1 epoch a trial leaves no ")
    with pytest.raises(UserError, match=r"--grace 1 leaves no (rung below 1 epoch|evaluation before the end)"):
        plan_scheduler(SweepConfig(scheduler=name, grace=1), 1, [1.0], points=9)


def test_a_median_that_too_few_points_ever_have_is_told() -> None:
    for points, told in ((4, []), (3, ["there are 3 points."]), (1, ["there is 1 point."])):
        _, notices = plan_scheduler(SweepConfig(scheduler="median"), 4, EACH, points)
        assert [notice.endswith(end) for notice, end in zip(notices, told, strict=True)] == [True] * len(told)


@pytest.mark.parametrize(("name", "grace"), [("asha", 4), ("median", 3.5)])
def test_a_grace_that_leaves_nothing_is_refused(name: str, grace: float) -> None:
    with pytest.raises(UserError, match=f"--grace {grace:g} leaves no (rung|evaluation)"):
        made(EACH, scheduler=name, grace=grace)


def test_the_median_rule_says_what_it_needs() -> None:
    planned, notices = made(EACH, scheduler="median", reduction_factor=3)
    assert planned == {"name": "median", "grace": 1.0, "min_samples": 3, "reduction_factor": None, "rungs": []}
    assert notices == ["--reduction-factor plays no part with --scheduler median."]
    words = describe_scheduler({"scheduler": planned, "points": [{"origin": "baseline"}]})
    assert words == (
        "Early stopping: the median rule, from epoch 1 on, once 3 other points have come as far; the baseline always "
        "runs to the end."
    )


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("pbt", "it changes a configuration in mid-trial"),
        ("PB2", "it changes a configuration in mid-trial"),
        ("hyperband", "it pauses trials"),
        ("hb-bohb", "it pauses trials"),
        ("bohb", "it pauses trials"),
        ("resource_changing", "it changes the resources of a trial"),
    ],
)
def test_other_schedulers_are_refused_with_the_reason(word: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"--scheduler {word} is refused: {reason}.*choose asha, median or none"):
        check(SweepConfig(scheduler=word))


@pytest.mark.parametrize(("word", "near"), [("ashaa", "asha"), ("medianstopping", "median"), ("non", "none")])
def test_unknown_schedulers_are_answered_with_the_nearest(word: str, near: str) -> None:
    with pytest.raises(UserError, match=f"--scheduler {word} is unknown; did you mean {near}"):
        check(SweepConfig(scheduler=word))
    for known in SCHEDULERS:
        check(SweepConfig(scheduler=known))
