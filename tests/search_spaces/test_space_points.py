"""Points: their order, identity, defaults, and what is said about names that do not exist."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Callable

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

import search_spaces
from search_spaces import SearchSpace, SpaceError, UnknownName, format_params, point_id
from search_spaces.names import nearest_name

EMD = search_spaces.load("emd")


def ids(space: SearchSpace, *args: object, **kwargs: object) -> list[str]:
    return [p.id for p in space.points(*args, **kwargs)]  # type: ignore[arg-type]


# --- order -----------------------------------------------------------------------------------------------


def test_order_is_a_function_of_the_seed_alone() -> None:
    assert ids(EMD, "cola", 4) == ids(search_spaces.load("emd"), "cola", 4)
    assert ids(EMD, "cola", 4, seed=1) != ids(EMD, "cola", 4, seed=2)
    assert sorted(ids(EMD, "cola", 4, seed=1)) == sorted(ids(EMD, "cola", 4, seed=2))
    cola, mnli = ids(EMD, "cola", 4, seed=3), ids(EMD, "mnli", 6, seed=3)
    firsts = {cola[0], mnli[0]}
    assert len(firsts) == 2
    assert [i for i in cola if i not in firsts] == [i for i in mnli if i not in firsts]


def test_order_is_the_same_in_another_process_and_as_pinned() -> None:
    code = "import search_spaces as s; print(*[p.id for p in s.load('emd').points('cola', 4, seed=5)])"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": h},
        )
        for h in ("1", "2")
    ]
    assert runs[0].stdout.split() == runs[1].stdout.split() == ids(EMD, "cola", 4, seed=5)
    # Pinned: a resumed sweep of an older version must find the same points in the same order.
    assert ids(EMD, "cola", 4, seed=0)[:4] == ["1f16e60b3f", "2f79da8dfd", "0834349106", "8a871850bf"]


def test_order_is_shuffled_and_not_the_product() -> None:
    grid = [p.id for p in EMD.grid()]
    order = ids(EMD, "no-such-task", 4)
    assert sorted(order) == sorted(grid)
    assert order != grid
    early = {p.params["lr"] for p in EMD.points("no-such-task", 4)[:18]}
    assert len(early) == 4


def test_rearranging_a_file_changes_no_order() -> None:
    data = EMD.to_dict()
    data["axes"] = dict(reversed(data["axes"].items()))
    for axis in data["axes"].values():
        axis["values"].reverse()
    assert ids(SearchSpace.from_dict(data), "cola", 4, seed=7) == ids(EMD, "cola", 4, seed=7)


def test_the_published_point_stands_once_and_first() -> None:
    points = EMD.points("STS-B", 6, seed=11)
    assert points[0].origin == "published"
    assert [p.origin for p in points[1:]] == ["grid"] * (len(points) - 1)
    assert points[0].id not in {p.id for p in points[1:]}
    assert EMD.published("cola", 3) is None
    assert len(EMD.points("cola", 3)) == len(points)
    assert EMD.points("cola", 3)[0].origin == "grid"


# --- identity --------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(finite, st.integers(), st.booleans(), st.text(), st.none())
params = st.dictionaries(st.text(min_size=1), st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=5)


@given(params)
def test_id_survives_reordering_json_and_yaml(values: dict) -> None:
    first = point_id(values)
    assert first == point_id(dict(reversed(values.items())))
    assert first == point_id(json.loads(json.dumps(values)))
    assert len(first) == 10
    assert set(first) <= set("0123456789abcdef")


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_equal_numbers_have_equal_ids(whole: int) -> None:
    assert point_id({"T": whole}) == point_id({"T": float(whole)})


@given(finite, finite)
def test_different_numbers_have_different_ids(a: float, b: float) -> None:
    assume(a != b)
    assert point_id({"lr": a}) != point_id({"lr": b})


@given(finite)
def test_the_least_change_of_a_number_changes_the_id(value: float) -> None:
    near = math.nextafter(value, math.inf)
    assume(math.isfinite(near) and near != value)
    assert point_id({"lr": value}) != point_id({"lr": near})


def test_what_ids_tell_apart() -> None:
    assert point_id({"a": True}) != point_id({"a": 1})
    assert point_id({"a": "1"}) != point_id({"a": 1})
    assert point_id({"a": 1}) != point_id({"b": 1})
    assert point_id({"a": -0.0}) == point_id({"a": 0})
    assert point_id({"a": (1, 2)}) == point_id({"a": [1.0, 2]})
    assert point_id({}) != point_id({"a": None})
    # Pinned: the record of a sweep refers to points by these.
    assert point_id({"alpha": 1, "beta": 0.001, "T": 1, "lr": 2e-5, "theta": 1}) == "1f16e60b3f"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, object(), {"b": 1}, [math.nan]])
def test_no_id_for_what_is_no_value(bad: object) -> None:
    with pytest.raises(SpaceError, match=r"^lr is "):
        point_id({"lr": bad})


def test_words_for_people() -> None:
    assert format_params({"alpha": 1.0, "beta": 0.001, "T": 1, "lr": 2e-5}) == "alpha 1 · beta 0.001 · T 1 · lr 2e-05"
    assert format_params({"a": 1.0, "b": 2.0}, only={"b"}) == "b 2"
    assert format_params({"lr": 1 / 3, "warm": True, "map": "uniform", "keep": [3, 6]}) == (
        "lr 0.333333 · warm yes · map uniform · keep 3,6"
    )
    assert str(EMD.published("rte", 4)) == "alpha 1 · beta 0.005 · T 1 · lr 2e-05 · theta 1"


# --- a person's own point --------------------------------------------------------------------------------


def test_own_values_over_defaults() -> None:
    assert EMD.point().params == {"alpha": 1, "beta": 0.01, "T": 1, "lr": 3e-5, "theta": 1}
    assert EMD.point().origin == "grid"
    assert EMD.point().grades["beta"] == "code default"
    own = EMD.point({"beta": 0.5, "T": 3})
    assert own.params["beta"] == 0.5
    assert (own.origin, own.grades["beta"], own.grades["T"]) == ("given", "given", "published")
    assert type(EMD.point({"T": 3}).params["T"]) is float
    assert list(EMD.point({"lr": 2e-5, "alpha": 1}).params) == ["alpha", "beta", "T", "lr", "theta"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"lr": "fast"}, "emd: lr is 'fast', but takes a finite number"),
        ({"lr": True}, "emd: lr is True, but takes a finite number"),
        ({"lr": math.nan}, "emd: lr is nan, but takes a finite number"),
        ({"lr": 2}, "emd: lr is 2, outside the bounds [1e-08, 1]"),
        ({"beta": 0}, "emd: beta is 0, outside the bounds [1e-06, 1000]"),
        ({"T_emd": 1e9}, "emd: T_emd is 1e+09, outside the bounds [0.001, 1000]"),
        ({"lr": 10**400}, "but takes a finite number"),
    ],
)
def test_bad_values_are_refused(values: dict, sentence: str) -> None:
    with pytest.raises(SpaceError) as error:
        EMD.point(values)
    assert sentence in str(error.value)


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence", "nearest"),
    [
        (
            lambda: search_spaces.load("emdx"),
            f"unknown method 'emdx'; did you mean 'emd'? (known: {', '.join(search_spaces.methods())})",
            "emd",
        ),
        (lambda: search_spaces.load("EMD"), "did you mean 'emd'?", "emd"),
        (
            lambda: search_spaces.load("../emd"),
            "unknown method '../emd'",
            "emd",
        ),
        (lambda: search_spaces.load("zzzzz"), "unknown method 'zzzzz' (known: ", None),
        (
            lambda: EMD.point({"bta": 1}),
            "hyper-parameter of emd 'bta'; did you mean 'beta'? (known: alpha, beta, T_emd, T, lr, theta)",
            "beta",
        ),
        (lambda: EMD.axis("t_EMD"), "did you mean 'T_emd'?", "T_emd"),
        (
            lambda: EMD.points("cola", 4, "moderm"),
            "unknown recipe 'moderm'; did you mean 'modern'?",
            "modern",
        ),
        (lambda: EMD.published("cola", 99, "x"), "unknown recipe 'x' (known: modern, published)", None),
    ],
)
def test_unknown_names(call: Callable[[], object], sentence: str, nearest: str | None) -> None:
    with pytest.raises(UnknownName) as error:
        call()
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.nearest == nearest
    copy = pickle.loads(pickle.dumps(error.value))
    assert (str(copy), copy.nearest) == (str(error.value), nearest)


def test_nearest_names() -> None:
    assert EMD.nearest("Alhpa") == "alpha"
    assert EMD.nearest("t_emd") == "T_emd"
    assert EMD.nearest("t") == "T"
    assert EMD.nearest("xxxxxxxx") is None
    assert nearest_name("LR", ["lr", "beta"]) == "lr"
    assert nearest_name("anything", []) is None


def test_spellings_of_tasks() -> None:
    spellings = ("SST-2", "sst_2", " SST2 ", "sst2")
    assert {search_spaces.canonical(s) for s in spellings} == {"sst2"}
    assert search_spaces.canonical("STS-B") == search_spaces.canonical("stsb") == "stsb"
    assert search_spaces.canonical("CoLA-made-up") == "cola-made-up"
    assert EMD.published("Sst-2", 4) == EMD.published("sst2", 4)
    assert EMD.published("sst2", 4) is not None
    assert EMD.published("cola-made-up", 4) is None


def test_nearest_rows_for_messages() -> None:
    def near(task: str, layers: int) -> tuple[str, int] | None:
        row = EMD.nearest_row(task, layers)
        return (row.task, row.layers) if row else None

    assert near("CoLA", 3) == ("cola", 4)
    assert near("cola", 5) == ("cola", 4)
    assert near("cola", 12) == ("cola", 6)
    assert near("col", 12) == ("cola", 6)
    assert near("tweets-of-irony", 4) is None
    assert EMD.missing_row("cola", 3) == (
        "BERT-EMD has no published row for task cola with 3 layers (nearest: cola with 4); "
        "the points come from its axes alone"
    )
    assert "(tasks: cola, mnli, " in EMD.missing_row("tweets-of-irony", 4)


# --- as data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", search_spaces.methods())
def test_every_method_is_whole(method: str) -> None:
    space = search_spaces.load(method)
    assert space.method == method
    for recipe in search_spaces.RECIPES:
        points = space.points("cola", 4, recipe)
        assert points
        for point in points:
            assert list(point.params) == [a.name for a in space.active(recipe)] == list(point.grades)
            assert point.origin in ("published", "grid")
    graded = [v for a in space.axes for v in a.values] + [space.epochs]
    assert all(v.source and v.grade in search_spaces.GRADES for v in graded)
    again = space.to_dict()
    assert SearchSpace.from_dict(json.loads(json.dumps(again))) == space
    assert SearchSpace.from_dict(yaml.safe_load(yaml.safe_dump(again, sort_keys=False))) == space


def test_points_go_through_json_and_yaml() -> None:
    point = EMD.points("cola", 4)[0]
    data = dataclasses.asdict(point)
    assert search_spaces.Point(**json.loads(json.dumps(data))) == point
    assert search_spaces.Point(**yaml.safe_load(yaml.safe_dump(data))) == point
    assert pickle.loads(pickle.dumps(EMD)) == EMD


def test_loading_needs_neither_torch_nor_ray() -> None:
    code = (
        "import sys, search_spaces as s; s.load('emd').points('cola', 4);"
        "print([m for m in ('torch', 'ray', 'numpy', 'optuna', 'distill', 'trainables') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
