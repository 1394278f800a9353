from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import search_spaces
from trainables.rungs import Ladder, milestones


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ((4, 1, 2), (1, 2)),
        ((5, 1, 2), (1, 2, 4)),
        ((10, 1, 3), (1, 3, 9)),
        ((243, 1, 3), (1, 3, 9, 27, 81)),
        ((1000, 1, 10), (1, 10, 100)),
        ((1024, 1, 2), tuple(2**k for k in range(10))),
        ((9, 4, 2), (4, 8)),
        ((4, 4, 2), ()),
        ((3, 1, 4), (1,)),
        ((10, 1, 4), (1, 4)),
        ((1, 0.25, 2), (0.25, 0.5)),
        ((2, 0.1, 3), (0.1, 0.3, 0.9)),
    ],
)
def test_milestones(asked: tuple[int, float, int], wanted: tuple[float, ...]) -> None:
    assert milestones(*asked) == pytest.approx(wanted)


@given(st.integers(1, 2000), st.integers(1, 50), st.integers(2, 10))
def test_milestones_are_every_power_below_the_end(epochs: int, grace: int, factor: int) -> None:
    wanted = [grace * factor**k for k in range(12) if grace * factor**k < epochs]
    assert list(milestones(epochs, grace, factor)) == wanted


@pytest.mark.parametrize(("grace", "factor"), [(0, 2), (-1, 2), (1, 1), (1, 0.5)])
def test_milestones_refuse_what_never_ends(grace: float, factor: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        milestones(10, grace, factor)


def quantile(values: list[float], share: float) -> float:
    """Linear interpolation between the neighbours of position (n - 1) · share, written out."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


REPORTS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(-1000, 1000).map(lambda n: n / 8)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(REPORTS, st.sampled_from([2, 3, 4]))
def test_ladder_against_a_literal_derivation(reports: list[tuple[int, int, float]], factor: int) -> None:
    ladder = Ladder(milestones(20, 1, factor), factor)
    heard: list[tuple[float, str, float]] = []
    epochs = dict.fromkeys(range(7), 0)
    for number, step, value in reports:
        point, epochs[number] = f"p{number}", epochs[number] + step
        decision = ladder.judge(point, epochs[number], value)
        reached = [m for m in milestones(20, 1, factor) if m <= epochs[number]]
        top = max(reached, default=None)
        if top is None or (top, point) in [(m, p) for m, p, _ in heard]:
            assert decision is None
            continue
        there = [v for m, _, v in heard if m == top]
        heard.append((top, point, value))
        assert decision is not None
        assert (decision.rung, decision.recorded) == (top, len(there))
        if not there:
            assert (decision.cutoff, decision.stop) == (None, False)
            continue
        wanted = quantile(there, 1 - 1 / factor)
        assert decision.cutoff == pytest.approx(wanted, abs=1e-9)
        if abs(value - wanted) > 1e-9:
            assert decision.stop is (value < wanted)


@settings(max_examples=200, deadline=None)
@given(REPORTS, st.sampled_from([2, 3, 4]))
@example([(0, 4, 1.0), (0, 1, -1.0), (1, 1, 0.0)], 2)  # a point that jumps over the first rung
def test_ladder_against_ray(reports: list[tuple[int, int, float]], factor: int) -> None:
    """Ray's own bracket, given the same reports in the same order, stops the same points."""
    pytest.importorskip("ray")
    from ray.tune.schedulers.async_hyperband import _Bracket

    class Trial:
        def __init__(self, name: str) -> None:
            self.trial_id = name

    # With 20 epochs and these factors the logarithm loses no rung, and none stands at the end.
    ladder = Ladder(milestones(20, 1, factor), factor)
    bracket = _Bracket(1, 20, factor, 0, stop_last_trials=False)
    assert {float(rung) for rung, _ in bracket._rungs} == set(ladder.milestones)
    epochs = dict.fromkeys(range(7), 0)
    for number, step, value in reports:
        epochs[number] += step
        decision = ladder.judge(f"p{number}", epochs[number], value)
        trial: Any = Trial(f"p{number}")
        theirs = bracket.on_result(trial, epochs[number], value)
        tie = decision is not None and decision.cutoff is not None and abs(value - decision.cutoff) < 1e-9
        if not tie:
            assert (theirs == "STOP") is (decision is not None and decision.stop)
    for rung, recorded in bracket._rungs:
        assert recorded == ladder.recorded[float(rung)]


def test_first_arrival_goes_on_and_equals_are_not_stopped() -> None:
    ladder = Ladder((1.0,), 2)
    assert [ladder.judge(f"p{n}", 1, 0.5).stop for n in range(5)] == [False] * 5  # type: ignore[union-attr]


def test_epochs_counted_in_fractions_reach_their_rung() -> None:
    assert Ladder((1.0,), 2).judge("p", 0.1 + 0.2 + 0.3 + 0.4 - 1e-12, 0.5) is not None
    assert Ladder((1.0,), 2).judge("p", 0.9, 0.5) is None


def stopped(levels: list[float]) -> int:
    """How many of these points stop, each running to its end before the next begins."""
    ladder = Ladder(milestones(4, 1, 2), 2)
    found = 0
    for number, level in enumerate(levels):
        for epoch in (1, 2, 3):
            decision = ladder.judge(f"p{number}", epoch, level * epoch)
            if decision is not None and decision.stop:
                found += 1
                break
    return found


def test_points_from_worst_to_best_are_all_kept_and_a_shuffled_grid_is_not() -> None:
    """Why the order is shuffled: the product of the axes may put the worst values first."""
    assert stopped([n / 9 for n in range(1, 10)]) == 0
    points = search_spaces.load("emd").points("cola", 4)
    rates = [float(point.params["lr"]) for point in points]
    assert stopped(sorted(rates)) == 0
    assert stopped(rates) > len(rates) / 4
