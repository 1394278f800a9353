"""What `sps`, `ptp` and `pea` leave to another method: its losses as they are, and the layers of shared students."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from distill import layer_maps, methods
from distill.methods import then
from distill.methods.base import Method, Shape
from distill.methods.objective import total
from distill.training.settings import Training
from tests.distill.methods.bench import RECIPES, Recipe, bench

NAMES = ("sps", "ptp", "pea")
TEACHER = Shape(12, 16, 2)


def shared(layers: int, repeated: int) -> Shape:
    return Shape(layers + repeated, 16, 2, repeated)


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("following", ["ft", "kd", "pkd"])
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_of_the_chosen_method(name: str, following: str, recipe: Recipe, regression: bool) -> None:
    if regression and not methods.get(name).regression:
        pytest.skip("knows no regression")
    own = {} if following == "ft" else {"alpha": 0.4, "T": 4.0}
    last = len(methods.get(name).stages) - 1
    how: dict[str, Any] = {"recipe": recipe, "regression": regression}
    made = bench(name, last, params={"then": following, "sps": "none", **own}, **how)
    plain = bench(following, params=own, **how)
    batch = made.batch()
    terms, others = made.terms(batch), plain.terms(batch)
    assert (
        set(terms)
        == set(others)
        == {"ft": {"hard"}, "kd": {"soft", "hard"}}.get(following, {"soft", "hard", "patience"})
    )
    assert all(torch.equal(terms[term].value, others[term].value) for term in others)
    assert {term: found.weight for term, found in terms.items()} == {t: f.weight for t, f in others.items()}
    assert all(found.weight * found.value.item() > 1e-6 for found in terms.values())
    assert total(terms).item() == total(others).item()
    assert torch.equal(made.gradient(batch), plain.gradient(batch))


@pytest.mark.parametrize("name", NAMES)
def test_values_act_where_the_chosen_method_reads_them(name: str) -> None:
    method = methods.get(name)
    read = {h.name for h in then.hyperparameters("kd")} - {"then"}
    for following, chosen in then.METHODS.items():
        acting = set(method.resolve({"then": following}, "modern")) & read
        assert acting == set(chosen.resolve({}, "modern"))
    assert "T" not in method.resolve({"then": "pkd", "alpha": 0}, "modern")
    assert not {"normalize", "layers"} & set(method.resolve({"then": "pkd", "beta": 0}, "modern"))
    assert "sps_repeat" not in method.resolve({"sps": "none"}, "modern")
    assert method.resolve({"sps": "share"}, "modern")["sps_repeat"] == "auto"


def test_defaults_of_the_three() -> None:
    found = {name: methods.get(name).resolve({}, "modern") for name in NAMES}
    assert {name: (values["sps"], values["then"]) for name, values in found.items()} == {
        "sps": ("swap", "kd"),
        "ptp": ("none", "kd"),
        "pea": ("swap", "pkd"),
    }
    assert {**found["ptp"], **found["pea"]} == found["pea"]
    for name in NAMES:
        method = methods.get(name)
        assert (method.student_layers, method.student_inits[0]) == ("first", "pretrained")
        assert method.published is not None
        assert Training(**method.published.training).schedule_epochs == 6
        assert method.published.teacher == methods.get("pkd").published.teacher  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"sps": "none"}, None),
        ({"sps": "share"}, ("share", "auto")),
        ({"sps_repeat": "all"}, ("swap", "all")),
        ({"sps_repeat": 3}, ("swap", 3)),
    ],
)
def test_sharing(values: dict[str, Any], expected: tuple[str, Any] | None) -> None:
    method = methods.get("sps")
    sharing = method.sharing(method.resolve(values, "modern"))
    assert (None if sharing is None else (sharing.mode, sharing.repeat)) == expected


# Physical layers, those that run twice, and the teacher's layers of their [CLS] vectors.
MAPS = [
    (3, 3, (2, 4, 6, 8, 10)),
    (6, 3, (1, 3, 4, 5, 7, 8, 9, 11)),
    (6, 6, tuple(range(1, 12))),
    (2, 2, (3, 6, 9)),
    (1, 1, (6,)),
    (4, 4, (2, 3, 5, 6, 8, 9, 11)),
]


def laid(method: Method, params: dict[str, Any], recipe: str, student: Shape) -> tuple[int, ...]:
    """The teacher's layers that a point's [CLS] vectors learn from."""
    values = then._own(method.resolve(params, recipe), student, TEACHER)
    return layer_maps.patience(values["layers"], student.layers, TEACHER.layers)


@pytest.mark.parametrize(("layers", "repeated", "expected"), MAPS)
def test_layers_of_shared_students_are_logical(layers: int, repeated: int, expected: tuple[int, ...]) -> None:
    method, student = methods.get("pea"), shared(layers, repeated)
    assert method.misfit(method.resolve({}, "modern"), student, TEACHER) is None
    assert laid(method, {}, "modern", student) == expected
    rounded = [int(k * 12 / (layers + repeated) + 0.5) for k in range(1, layers + repeated)]
    assert list(expected) == rounded
    found = method.misfit(method.resolve({}, "published"), student, TEACHER)
    if 12 % (layers + repeated):
        assert found is not None
        assert f"no multiple of the student's {layers + repeated} logical ones" in found
        assert found.endswith(".")
        assert method.misfit(method.resolve({"layers": "auto"}, "published"), student, TEACHER) is None
    else:
        assert found is None
        assert laid(method, {}, "published", student) == expected


def test_the_teachers_last_layers_serve_students_of_nine_logical_ones() -> None:
    method, student = methods.get("pea"), shared(6, 3)
    for recipe in ("modern", "published"):
        assert method.misfit(method.resolve({"layers": "last"}, recipe), student, TEACHER) is None
        assert laid(method, {"layers": "last"}, recipe, student) == tuple(range(4, 12))
        assert method.misfit(method.resolve({"layers": "skip"}, recipe), student, TEACHER) is not None


def test_plain_students_have_the_layers_of_patient_distillation() -> None:
    method = methods.get("ptp")
    for layers in (2, 3, 5, 6, 12):
        found = laid(method, {"then": "pkd"}, "modern", Shape(layers, 16, 2))
        assert found == layer_maps.patience("skip", layers, 12)


@pytest.mark.parametrize(
    ("params", "student", "why"),
    [
        ({}, shared(12, 12), "A student of 24 logical layers cannot be laid onto a teacher of 12"),
        ({"layers": "last"}, shared(12, 1), "repeat fewer with --set sps_repeat=N"),
        ({"layers": "2-4"}, shared(3, 3), "has 2 of the teacher's layers, but 5 of the student's learn from them"),
        ({"sps": "none"}, Shape(1, 16, 2), "a student of 1 has none: --layers 2, or --set then=kd"),
        ({}, Shape(4, 8, 2, 2), "choose a --student as wide, or --set beta=0"),
    ],
)
def test_what_does_not_fit_is_told_before(params: dict[str, Any], student: Shape, why: str) -> None:
    for name in ("sps", "pea"):
        method = methods.get(name)
        problem = method.misfit(method.resolve({"then": "pkd", **params}, "modern"), student, TEACHER)
        assert problem is not None
        assert why in problem
        assert problem.endswith(".")
        assert "\n" not in problem
        for other in ("kd", "ft"):
            assert method.misfit(method.resolve({**params, "then": other}, "modern"), student, TEACHER) is None


def test_nearest_layers() -> None:
    assert layer_maps.nearest(9, 12) == (1, 3, 4, 5, 7, 8, 9, 11, 12)
    for student in (1, 2, 3, 4, 6, 12):
        assert layer_maps.nearest(student, 12) == layer_maps.uniform(student, 12)
    # Of two that are as near, the upper.
    assert layer_maps.nearest(4, 6) == (2, 3, 5, 6)
