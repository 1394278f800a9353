"""Declarations of all methods: free of torch, complete, and strict about names and values."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from distill import methods
from distill.errors import UserError
from distill.methods import Hyperparameter, Method, Stage
from distill.methods.base import Shape
from distill.training.settings import Training, of_stage
from tests.distill.methods.bench import ALL, RECIPES, alternatives

REAL = Hyperparameter("beta", "float", 0.1, "", low=0.0, high=10.0)
WHOLE = Hyperparameter("count", "int", 2, "", low=1, high=8)
SWITCH = Hyperparameter("hidden", "bool", True, "")
CHOICE = Hyperparameter("update", "choice", "one", "", choices=("one", "two"), published="two")
LAYERS = Hyperparameter("layers", "layers", "skip", "", choices=("skip", "last"))
INERT = Hyperparameter("theta", "float", 1.0, "", low=0.0, high=9.0, active=lambda v: v["beta"] > 0)


def _method(*hyperparameters: Hyperparameter) -> Method:
    return Method("made-up", "", "", hyperparameters, (Stage("only", lambda setting: None, ()),))  # type: ignore[arg-type, return-value]


def test_declarations_load_without_torch() -> None:
    code = (
        "import sys; from distill import methods\n"
        "for name in methods.names():\n"
        "    for recipe in ('modern', 'published'): methods.get(name).resolve({}, recipe)\n"
        "heavy = {'torch', 'transformers', 'ray', 'ot', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ALL)
def test_declarations_are_whole(name: str) -> None:
    method = methods.get(name)
    known = [h.name for h in method.hyperparameters]
    assert method.name == name
    assert method.title
    assert method.reference
    assert len(set(known)) == len(known)
    assert "lr" in known
    assert all(h.help for h in method.hyperparameters)
    assert sum(stage.reporting for stage in method.stages) == 1
    assert len({stage.name for stage in method.stages}) == len(method.stages)
    for stage in method.stages:
        assert set(stage.depends_on) <= set(known)
        for recipe in RECIPES:
            params = method.resolve({}, recipe)
            assert stage.keep(recipe) in ("last", "best", "best-metric")
            of_stage(stage, params, recipe, Training(padding="max_length"))
            assert stage.trained(params, recipe, Shape(2, 16, 2)) or not stage.reporting
            stage.layers_read(params, recipe, Shape(2, 16, 2), Shape(4, 16, 2))
    assert set().union(*(stage.depends_on for stage in method.stages)) == set(known), "a value that no stage reads"


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ALL)
def test_defaults_are_legal_and_survive_text(name: str, recipe: str) -> None:
    method = methods.get(name)
    resolved = method.resolve({}, recipe)
    assert method.resolve(resolved, recipe) == resolved
    assert method.resolve({k: str(v) for k, v in resolved.items()}, recipe) == resolved
    for h in method.hyperparameters:
        for value in alternatives(h, h.default):
            assert h.parse(value) == value


@pytest.mark.parametrize("name", ALL)
def test_unknown_hyperparameters_name_the_nearest(name: str) -> None:
    method = methods.get(name)
    for h in method.hyperparameters:
        wrong = h.name + "x"
        with pytest.raises(UserError, match=rf"{name} has no hyper-parameter {wrong}; did you mean") as refused:
            method.resolve({wrong: h.default}, "modern")
        assert str(refused.value).endswith("?")
    with pytest.raises(UserError, match=r"known: .*lr.*\.$"):
        method.resolve({"zzzzzz": 1}, "modern")


def test_unknown_methods_name_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^--method emdd is unknown; did you mean emd\?$"):
        methods.get("emdd")
    with pytest.raises(UserError, match=r"^--method zzz is unknown; known: .*emd.*ft.*\.$"):
        methods.get("zzz")


@pytest.mark.parametrize(
    ("hyperparameter", "given", "expected"),
    [
        (REAL, "1e-3", 1e-3),
        (REAL, 5, 5.0),
        (REAL, 0, 0.0),
        (WHOLE, "3", 3),
        (WHOLE, 8.0, 8),
        (SWITCH, "False", False),
        (SWITCH, "yes", True),
        (SWITCH, 0, False),
        (CHOICE, "two", "two"),
        (LAYERS, "skip", "skip"),
        (LAYERS, "02-4-10", "2-4-10"),
        (LAYERS, "4", "4"),
        (LAYERS, 4, "4"),
        (LAYERS, [2, 4], "2-4"),
    ],
)
def test_values_are_brought_to_their_type(hyperparameter: Hyperparameter, given: Any, expected: Any) -> None:
    parsed = hyperparameter.parse(given)
    assert parsed == expected
    assert type(parsed) is type(expected)


@pytest.mark.parametrize(
    ("hyperparameter", "given", "why"),
    [
        (REAL, "much", "not a number"),
        (REAL, None, "not a number"),
        (REAL, -0.1, r"outside 0\.0 … 10\.0"),
        (REAL, 10.5, "outside"),
        (REAL, "nan", "outside"),
        (REAL, "inf", "outside"),
        (Hyperparameter("free", "float", 1.0, ""), "inf", "not finite"),
        (Hyperparameter("free", "int", 1, ""), "inf", "not finite"),
        (WHOLE, 2.5, "not a whole number"),
        (WHOLE, "nan", "outside"),
        (WHOLE, 0, "outside"),
        (SWITCH, "perhaps", "neither true nor false"),
        (CHOICE, "three", "choose one of one, two"),
        (LAYERS, "first", "names no layers; give one of skip, last, or the layers themselves, such as 2-4-6"),
        (LAYERS, "2-4-", "names no layers"),
        (LAYERS, "2,4", "names no layers"),
        (LAYERS, "-2", "names no layers"),
    ],
)
def test_illegal_values_are_refused(hyperparameter: Hyperparameter, given: Any, why: str) -> None:
    with pytest.raises(UserError, match=why) as refused:
        hyperparameter.parse(given)
    assert str(refused.value).startswith(f"{hyperparameter.name}={given} ")


def test_recipes_have_their_own_defaults() -> None:
    assert _method(CHOICE).resolve({}, "modern") == {"update": "one"}
    assert _method(CHOICE).resolve({}, "published") == {"update": "two"}
    assert _method(CHOICE).resolve({"update": "one"}, "published") == {"update": "one"}


def test_inert_values_make_no_difference_to_a_point() -> None:
    method = _method(REAL, INERT)
    assert method.resolve({"beta": 0}, "modern") == method.resolve({"beta": 0, "theta": 5}, "modern") == {"beta": 0.0}
    assert method.resolve({"theta": 5}, "modern") == {"beta": 0.1, "theta": 5.0}
    with pytest.raises(UserError, match="outside"):
        method.resolve({"beta": 0, "theta": 50}, "modern")
