"""What holds of patient distillation alone: its loss against a literal one, its layers, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from distill import methods
from distill.errors import UserError
from distill.methods.base import Shape
from distill.methods.objective import total
from distill.training.settings import Training
from tests.distill.methods.bench import Bench, bench

PKD = methods.get("pkd")
THREE: dict[str, Any] = {"student": {"layers": 3}, "teacher": {"layers": 6}}


def _literal(made: Bench, batch: dict[str, torch.Tensor], layers: list[int], normalize: bool) -> float:
    """The mean square over layers, rows and features, number by number."""
    ours, theirs = made.outputs(batch)
    assert ours.cls is not None
    assert theirs is not None
    assert theirs.cls is not None
    squares = []
    for own, layer in enumerate(layers, 1):
        for x, y in zip(ours.cls[own].tolist(), theirs.cls[layer].tolist(), strict=True):
            lengths = [sum(v * v for v in vector) ** 0.5 if normalize else 1.0 for vector in (x, y)]
            squares += [(a / lengths[0] - b / lengths[1]) ** 2 for a, b in zip(x, y, strict=True)]
    return sum(squares) / len(squares)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("layers", "expected"), [("skip", [2, 4]), ("last", [4, 5]), ("6-1", [6, 1])])
def test_patience_is_the_literal_one(layers: str, expected: list[int], normalize: bool) -> None:
    made = bench("pkd", params={"layers": layers, "normalize": normalize, "beta": 30.0}, **THREE)
    batch = made.batch(rows=5)
    terms = made.terms(batch)
    literal = _literal(made, batch, expected, normalize)
    assert terms["patience"].value.item() == pytest.approx(literal, rel=1e-10)
    assert literal > 1e-3
    rest = 0.7 * terms["soft"].value.item() + 0.3 * terms["hard"].value.item()
    assert total(terms).item() == pytest.approx(rest + 30 * literal, rel=1e-10)


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("recipe", ["modern", "published"])
def test_the_rest_is_plain_distillation(recipe: Any, regression: bool) -> None:
    how: dict[str, Any] = {"params": {"T": 4.0, "alpha": 0.4}, "recipe": recipe, "regression": regression}
    made, plain = bench("pkd", **how), bench("kd", **how)
    batch = made.batch()
    terms, others = made.terms(batch), plain.terms(batch)
    assert set(terms) == {*others, "patience"}
    assert all(torch.equal(terms[name].value, others[name].value) for name in others)
    assert all(terms[name].weight == others[name].weight for name in others)
    without = bench("pkd", **{**how, "params": {**how["params"], "beta": 0.0}})
    assert torch.equal(without.gradient(batch), plain.gradient(batch))
    assert not torch.equal(made.gradient(batch), plain.gradient(batch))


def test_without_a_share_of_the_predictions_the_vectors_are_learned_still() -> None:
    made = bench("pkd", params={"alpha": 0.0})
    terms = made.terms(made.batch())
    assert set(terms) == {"hard", "patience"}
    assert made.objective.uses_teacher
    assert not bench("pkd", params={"alpha": 0.0, "beta": 0.0}).objective.uses_teacher


@pytest.mark.parametrize(
    ("params", "student", "teacher", "why"),
    [
        ({}, Shape(1, 16, 2), Shape(4, 16, 2), "a student of 1 has none; choose --layers 2"),
        ({}, Shape(6, 16, 2), Shape(4, 16, 2), "cannot be laid onto a teacher of 4"),
        (
            {"layers": "2-4-6"},
            Shape(3, 16, 2),
            Shape(6, 16, 2),
            "has 3 of the teacher's layers, but 2 of the student's learn from them: write 2",
        ),
        ({"layers": "2-7"}, Shape(3, 16, 2), Shape(6, 16, 2), "the teacher has layers 1 to 6"),
        ({}, Shape(2, 12, 2), Shape(4, 16, 2), "choose a --student as wide, or --set beta=0"),
    ],
)
def test_what_does_not_fit_is_told_before(params: dict[str, Any], student: Shape, teacher: Shape, why: str) -> None:
    problem = PKD.misfit(PKD.resolve(params, "modern"), student, teacher)
    assert problem is not None
    assert why in problem
    assert problem.endswith(".")
    assert PKD.misfit(PKD.resolve({**params, "beta": 0}, "modern"), student, teacher) is None


def test_counts_that_differ_are_never_broadcast() -> None:
    with pytest.raises(UserError, match="a student of 1 has none"):
        bench("pkd", student={"layers": 1})


def test_inert_values() -> None:
    everything = {"alpha", "T", "reduction", "beta", "normalize", "layers", "lr"}
    assert set(PKD.resolve({}, "modern")) == everything
    assert set(PKD.resolve({"beta": 0}, "modern")) == everything - {"normalize", "layers"}
    assert set(PKD.resolve({}, "modern", regression=True)) == everything - {"T", "reduction"}


def test_the_published_recipe_is_that_of_plain_distillation() -> None:
    assert PKD.published is not None
    assert PKD.published == methods.get("kd").published
    assert Training(**PKD.published.training).optimizer == "bertadam"
    assert PKD.resolve({}, "published")["reduction"] == "mean"
    assert PKD.student_layers == "first"
