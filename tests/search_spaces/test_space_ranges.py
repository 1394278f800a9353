"""Ranges around the values of a grid, and what is drawn from them."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import search_spaces
from search_spaces import SearchSpace, SpaceError
from search_spaces.axes import Axis, Value
from search_spaces.ranges import Range, around

EMD = search_spaces.load("emd")


def axis(values: list[Any], kind: str = "float", scale: str | None = "log", **more: Any) -> Axis:
    graded = tuple(Value(value, "ours", "") for value in values)
    return Axis("x", kind, scale, more.get("low"), more.get("high"), graded, ("modern",), "", values[0])


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (axis([1e-5, 4e-5]), (3.33e-6, 1.2e-4)),
        (axis([1e-5, 4e-5], low=5e-6, high=1e-4), (5e-6, 1e-4)),
        (axis([0.2, 0.8, 0.4], scale="linear"), (-0.1, 1.1)),
        (axis([0.2, 0.8], scale="linear", low=0, high=1), (0.0, 1.0)),
        (axis([2, 7], "int", "linear"), (0.0, 9.0)),
        (axis([4, 16], "int", "log"), (2.0, 48.0)),
        # Zero is on no log scale, so such an axis is drawn evenly.
        (axis([0.0, 1.0], low=0, high=5), (0.0, 1.5)),
    ],
)
def test_ranges_reach_a_little_beyond_the_values(found: Axis, wanted: tuple[float, float]) -> None:
    made = around(found)
    assert (made.low, made.high) == pytest.approx(wanted, rel=1e-3)
    assert made.whole is (found.type == "int")
    assert made.log is (found.scale == "log" and min(map(float, found.choices)) > 0)


@pytest.mark.parametrize("found", [axis([3e-5]), axis([True, False], "bool", None), axis(["a", "b"], "choice", None)])
def test_other_axes_stay_among_their_values(found: Axis) -> None:
    made = around(found)
    assert (made.values, made.low) == (found.choices, None)
    assert made.fixed is (len(found.values) == 1)
    drawn = {made.draw(random.Random(seed)) for seed in range(40)}
    assert drawn == set(found.choices)
    assert {made.grade(value) for value in drawn} == {"ours"}


def test_the_ranges_of_emd() -> None:
    found = {a.name: around(a) for a in EMD.active("modern")}
    assert {name: (r.low, r.high, r.log) for name, r in found.items() if not r.fixed} == {
        "alpha": (0.7, 1.0, False),
        "beta": (0.000333, 0.03, True),
        "T": (0.333, 21.0, True),
        "lr": (6.67e-06, 0.0003, True),
    }
    assert found["theta"].values == (1.0,)
    assert around(EMD.axis("lr"), [1e-3]).high == 1e-3


ENDS = st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)).filter(lambda pair: pair[0] < pair[1])


@given(ENDS, st.booleans(), st.integers(0, 10_000))
def test_draws_lie_between_the_ends_with_three_digits(ends: tuple[float, float], log: bool, seed: int) -> None:
    made = Range("x", *ends, log=log)
    drawn = made.draw(random.Random(seed))
    assert ends[0] <= float(drawn) <= ends[1]
    assert float(drawn) in ends or float(f"{drawn:.3g}") == drawn
    assert made.holds(drawn)
    assert made.grade(drawn) == "searched"
    assert made.draw(random.Random(seed)) == drawn


@pytest.mark.parametrize("log", [True, False])
def test_draws_are_even_on_their_scale(log: bool) -> None:
    draw = random.Random(5)
    drawn = [float(Range("x", 1.0, 100.0, log=log).draw(draw)) for _ in range(4000)]
    middle = 10.0 if log else 50.5
    # Half of them below the middle of the scale, give or take five standard deviations.
    assert abs(sum(value < middle for value in drawn) - 2000) < 5 * math.sqrt(1000)


@pytest.mark.parametrize("log", [True, False])
def test_whole_numbers_have_both_ends(log: bool) -> None:
    draw = random.Random(1)
    assert {Range("n", 2, 5, log=log, whole=True).draw(draw) for _ in range(300)} == {2, 3, 4, 5}


@pytest.mark.parametrize(
    "made", [Range("x", 0.1, 2.0, log=True), Range("n", 1, 4, whole=True), around(EMD.axis("T_emd"))]
)
def test_ranges_survive_the_plan(made: Range) -> None:
    assert Range.from_dict(made.as_dict()) == made


def test_a_range_of_ones_own(tmp_path: Any) -> None:
    data = {"method": "emd", "axes": {"lr": {"values": [1e-5, 3e-5], "range": [1e-6, 1e-2]}, "beta": [0.01, 0.1]}}
    space = SearchSpace.from_dict(data)
    assert (around(space.axis("lr")).low, around(space.axis("lr")).high) == (1e-6, 1e-2)
    assert around(space.axis("lr")).log
    again = SearchSpace.from_dict(space.to_dict())
    assert again.axis("lr").range == (1e-6, 1e-2)
    assert space.axis("beta").range is None
    assert "range" not in space.to_dict()["axes"]["beta"]


@pytest.mark.parametrize(
    ("given_range", "sentence"),
    [
        ([1e-2, 1e-6], "the first number must be less than the second"),
        ([1e-9, 1e-2], "outside the bounds"),
        ([1e-5], "takes two numbers"),
        (7, "takes two numbers"),
    ],
)
def test_a_faulty_range_is_one_sentence(given_range: Any, sentence: str) -> None:
    data = {"method": "emd", "axes": {"lr": {"values": [1e-5], "range": given_range}}}
    with pytest.raises(SpaceError, match=sentence) as error:
        SearchSpace.from_dict(data, where="mine.yaml")
    assert "axes.lr.range" in str(error.value)
    choice = {"method": "own", "epochs": 1, "axes": {"kind": {"type": "choice", "values": ["a", "b"], "range": [0, 1]}}}
    with pytest.raises(SpaceError, match="has no meaning on a choice axis"):
        SearchSpace.from_dict(choice)


def test_settings_lead_from_the_task_to_the_size_to_the_rest() -> None:
    found = EMD.settings("cola", 4, "published")
    assert found[0].params == EMD.published("cola", 4, "published").params  # type: ignore[union-attr]
    assert found[0].origin == "published"
    assert {point.origin for point in found[1:]} == {"published elsewhere"}
    six = EMD.published("cola", 6, "published")
    assert six is not None
    assert found[1].params == six.params
    fours = [EMD.published(task, 4, "published").params for task in EMD.tasks if task != "cola"]  # type: ignore[union-attr]
    distinct = [p for i, p in enumerate(fours) if p not in fours[:i]]
    assert [point.params for point in found[2 : 2 + len(distinct)]] == distinct
    assert len({point.id for point in found}) == len(found)
    assert all(row.values.items() <= {**found[0].params}.items() for row in EMD.rows[:1])
    # Nothing is of this task and size: all are from elsewhere.
    assert {point.origin for point in EMD.settings("wnli", 2)} == {"published elsewhere"}
    assert replace(EMD, rows=()).settings("cola", 4) == []
