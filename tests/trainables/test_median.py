"""The median stopping rule against a literal derivation and against Ray's own."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trainables.rungs import Decision, Ladder, Median, rule_of

REPORTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 2), st.integers(-1000, 1000).map(lambda n: n / 8)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(REPORTS, st.sampled_from([1, 2, 3]), st.sampled_from([1.0, 2.0, 3.5]))
def test_median_against_a_literal_derivation(reports: list[tuple[int, int, float]], samples: int, grace: float) -> None:
    rule = Median(grace, samples)
    heard: list[tuple[str, int, float]] = []
    epochs = dict.fromkeys(range(6), 0)
    for number, step, value in reports:
        point, epochs[number] = f"p{number}", epochs[number] + step
        now = epochs[number]
        decision = rule.judge(point, now, value)
        heard.append((point, now, value))
        means = []
        for other in {p for p, _, _ in heard} - {point}:
            if max(e for p, e, _ in heard if p == other) < now:
                continue
            if window := [v for p, e, v in heard if p == other and grace <= e <= now]:
                means.append(sum(window) / len(window))
        if now < grace or len(means) < samples:
            assert decision is None
            continue
        best = max(v for p, _, v in heard if p == point)
        wanted = statistics.median(means)
        assert decision is not None
        assert (decision.rung, decision.recorded) == (now, len(means))
        assert decision.cutoff == pytest.approx(wanted, abs=1e-9)
        if abs(best - wanted) > 1e-9:
            assert decision.stop is (best < wanted)


@settings(max_examples=100, deadline=None)
@given(REPORTS)
@example([(0, 2, 5.0), (1, 2, 4.0), (2, 2, 3.0), (3, 2, 1.0)])
def test_median_against_ray(reports: list[tuple[int, int, float]]) -> None:
    """Ray's scheduler, given the same reports in the same order, stops the same trials."""
    pytest.importorskip("ray")
    from ray.tune.schedulers import MedianStoppingRule

    class Trial:
        trial_id = "t"

    class Controller:
        def get_live_trials(self) -> list[Any]:
            return []

    theirs: Any = MedianStoppingRule(time_attr="epoch", metric="value", mode="max", grace_period=2)
    ours, controller, trials = Median(2.0, 3), Controller(), [Trial() for _ in range(6)]
    epochs = dict.fromkeys(range(6), 0)
    stopped: set[int] = set()
    for number, step, value in reports:
        if number in stopped:
            continue
        epochs[number] += step
        decision = ours.judge(f"p{number}", epochs[number], value)
        answer = theirs.on_trial_result(controller, trials[number], {"epoch": epochs[number], "value": value})
        assert (answer == "STOP") is (decision is not None and decision.stop)
        if answer == "STOP":
            stopped.add(number)


def test_what_is_not_finite_is_the_worst() -> None:
    rule = Median(1.0, 2)
    for point, value in (("p00", 0.5), ("p01", 0.7), ("p02", 0.6)):
        rule.judge(point, 1, value)
    lost = rule.judge("p03", 1, None)
    assert lost is not None
    assert lost.stop
    # It now counts among those that others are held against.
    assert rule.judge("p04", 1, 0.55) == Decision(1, 0.55, 4, False)
    only = Median(1.0, 1)
    only.judge("p00", 1, None)
    assert only.judge("p01", 1, -9.0) is None


def test_rules_follow_the_plan() -> None:
    asha = {"name": "asha", "grace": 1, "reduction_factor": 2, "rungs": [1.0, 2.0]}
    assert rule_of(asha) == Ladder((1.0, 2.0), 2)
    assert rule_of({"name": "median", "grace": 0.5, "min_samples": 4, "rungs": []}) == Median(0.5, 4)
    assert rule_of({"name": "none", "rungs": []}) is None
