"""The adaptors of mixstep and twostep: each has its part, compares the right layers, and reaches what is said."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from distill import methods
from distill.errors import UserError
from distill.losses.adaptors import hidden_distance, logit_cross_entropy, logit_distance
from distill.losses.attention import attention_distance, attention_divergence
from distill.losses.distances import hidden_mean_square
from distill.losses.patience import direction_distance
from distill.losses.relations import value_divergence
from distill.methods.adaptors import ADAPTORS, HARD, INTERMEDIATE, LOGITS, reached
from distill.methods.base import Shape
from distill.methods.objective import Outputs, total
from distill.models.parameters import named
from tests.distill.methods.bench import RECIPES, Bench, Recipe, bench

OFF = dict.fromkeys((*ADAPTORS, HARD), 0.0)
MIX = methods.get("mixstep")


def alone(name: str, recipe: Recipe = "modern", weight: float = 1.0, **rest: Any) -> Bench:
    params = {**OFF, name: weight, **rest.pop("params", {})}
    return bench("mixstep", params=params, recipe=recipe, **rest)


# -- each has its part ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ADAPTORS)
def test_the_gradient_follows_the_weight_and_is_gone_at_0(name: str, recipe: Recipe) -> None:
    """Beside the labels, whose own gradient is what is left at weight 0."""
    gradients = []
    for weight in (0.0, 1.0, 3.0):
        made = alone(name, recipe, weight, params={HARD: 1.0})
        batch = made.batch()
        made.gradient(batch)
        gradients.append(torch.cat([p.grad.flatten() for p in made.student.parameters()]))
        assert set(made.terms(batch)) == {HARD, name} - ({name} if weight == 0 else set())
    once, thrice = gradients[1] - gradients[0], gradients[2] - gradients[0]
    assert once.abs().max() > 1e-7
    torch.testing.assert_close(thrice, 3 * once, rtol=1e-6, atol=1e-10)


def test_labels_have_no_part_without_weight() -> None:
    made = bench("mixstep", params={HARD: 0.0})
    batch = made.batch()
    other = {**batch, "labels": 1 - batch["labels"]}
    assert torch.equal(made.gradient(batch), made.gradient(other))


def test_all_together_are_the_sum() -> None:
    weights = {name: 0.5 + place for place, name in enumerate((*ADAPTORS, HARD))}
    made = bench("mixstep", params=weights, student={"width": 8})
    terms = made.terms(made.batch())
    assert {name: term.weight for name, term in terms.items()} == weights
    expected = sum(terms[name].value.item() * weight for name, weight in weights.items())
    assert total(terms).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in ADAPTORS if name != "LogitCE"])
def test_nothing_is_learnt_of_an_equal_teacher(name: str) -> None:
    """In the published recipe with the identity for a projection, and layers that meet themselves."""
    for recipe in RECIPES:
        made = alone(name, recipe, same=True)
        for projection in made.objective.projections.values():
            torch.nn.init.eye_(projection.weight)
        term = made.terms(made.batch())[name]
        assert term.value.item() == pytest.approx(0, abs=1e-12)
        gradients = torch.autograd.grad(term.value, list(made.student.parameters()), allow_unused=True)
        assert max(float(g.abs().max()) for g in gradients if g is not None) < 1e-9


# -- what meets what ------------------------------------------------------------------------------------------------

# Adaptor: (layers of the student, of the teacher) where 2 layers learn from 4; modern, then published.
MAPS: dict[str, tuple[Any, Any]] = {
    **dict.fromkeys(("AttnMiniLM", "AttnTinyBERT", "ValMiniLM"), (((1, 2), (2, 4)), ((1, 2), (3, 4)))),
    "HidnTinyBERT": (((0, 1, 2), (0, 2, 4)), ((0, 1, 2), (2, 3, 4))),
    "EmbdTinyBERT": (((0,), (0,)), ((0,), (0,))),
    "HidnPKD": (((1,), (2,)), ((0, 1, 2), (2, 3, 4))),
}


def literal(name: str, made: Bench, ours: Outputs, theirs: Outputs, mask: Tensor, recipe: Recipe) -> Tensor:
    """The loss on layers that are picked by hand out of all of them."""
    if name in LOGITS:
        loss = logit_distance if name == "LogitMSE" else logit_cross_entropy
        return loss(ours.logits, theirs.logits, 4.0, recipe)
    part = {"Attn": "scores", "ValM": "value", "HidnP": "cls"}.get(name[: 5 if "PKD" in name else 4], "hidden")
    first = 1 if part in ("scores", "value") else 0
    pairs = zip((ours, theirs), MAPS[name][recipe == "published"], strict=True)
    x, y = (torch.stack([getattr(net, part)[layer - first] for layer in layers]) for net, layers in pairs)
    if name.startswith("Attn"):
        tiny_bert = name == "AttnTinyBERT"
        return attention_distance(x, y, mask) if tiny_bert else attention_divergence(x, y, mask, recipe)
    if name == "ValMiniLM":
        return value_divergence(x, y, mask, 2, recipe)
    if made.setting.student.hidden_size != 16 or recipe == "published":
        x = x @ made.objective.projections[name].weight.T
    if name == "EmbdTinyBERT":
        return hidden_mean_square(x[0], y[0], mask, "masked")
    return direction_distance(x, y) if name == "HidnPKD" else hidden_distance(x, y, mask, recipe, 8)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ADAPTORS)
def test_layers_meet_as_the_recipe_says(name: str, recipe: Recipe) -> None:
    made = alone(name, recipe, student={"width": 8})
    made.layers = None
    batch = made.batch()
    ours, theirs = made.outputs(batch)
    assert theirs is not None
    found = made.objective(ours, theirs, batch)[name].value
    assert found.item() == pytest.approx(literal(name, made, ours, theirs, batch["attention_mask"], recipe).item())
    assert found.item() > 1e-4


def test_projections_are_where_they_must_be() -> None:
    every = {**OFF, **dict.fromkeys(ADAPTORS, 1.0)}
    projected = {"HidnTinyBERT", "EmbdTinyBERT", "HidnPKD"}
    assert not bench("mixstep", params=every).objective.projections
    for made in (
        bench("mixstep", params=every, student={"width": 8}),
        bench("mixstep", params=every, recipe="published"),
    ):
        own = made.objective.projections
        assert set(own) == projected
        assert all(p.bias is None and p.weight.shape == (16, made.setting.student.hidden_size) for p in own.values())


@pytest.mark.parametrize(("layers", "meets"), [("bottom", (1, 2)), ("top", (3, 4)), ("1-3", (1, 3))])
def test_layers_can_be_chosen(layers: str, meets: tuple[int, ...]) -> None:
    assert alone("ValMiniLM", params={"layers": layers}).layers == meets


def test_tau_acts_where_it_can() -> None:
    for given, recipe, regression, acts in (
        ({}, "modern", False, False),
        ({}, "published", False, True),
        ({}, "published", True, True),
        ({"LogitCE": 1}, "modern", False, True),
        ({"LogitCE": 1}, "modern", True, False),
        ({"LogitMSE": 0}, "published", False, False),
    ):
        assert ("tau" in MIX.resolve(given, recipe, regression=regression)) == acts, (given, recipe)


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INTERMEDIATE)
def test_other_heads_are_refused_by_name(name: str) -> None:
    student, teacher = Shape(2, 16, 4), Shape(4, 16, 2)
    said = MIX.misfit(MIX.resolve({**OFF, name: 1.0}, "modern"), student, teacher)
    if name in ("AttnMiniLM", "AttnTinyBERT", "ValMiniLM"):
        assert said is not None
        assert f"but {name} compares head by head" in said
        assert f"--set {name}=0" in said
    else:
        assert said is None


@pytest.mark.parametrize(
    ("params", "student", "said"),
    [
        ({HARD: 0.0, "AttnMiniLM": 0, "ValMiniLM": 0, "LogitMSE": 0}, 2, "Every loss of mixstep is switched off"),
        ({"HidnPKD": 1.0}, 1, "a student of 1 has none: --set pkd_layers=all"),
        ({"layers": "1-2-3"}, 2, "layers=1-2-3 has 3 of the teacher's layers"),
        ({}, 5, "A student of 5 layers cannot be laid onto a teacher of 4"),
    ],
)
def test_what_cannot_be_compared_is_refused(params: dict[str, Any], student: int, said: str) -> None:
    shapes = Shape(student, 16, 2), Shape(4, 16, 2)
    found = MIX.misfit(MIX.resolve(params, "modern"), *shapes)
    assert found is not None
    assert said in found
    with pytest.raises(UserError, match=said):
        bench("mixstep", params=params, student={"layers": student})


# -- what is reached ------------------------------------------------------------------------------------------------

SUBSETS = [*itertools.combinations(INTERMEDIATE, 1), *itertools.combinations(INTERMEDIATE, 2)]


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
@pytest.mark.parametrize("pkd_layers", ["below-last", "all"])
def test_what_adaptors_reach_is_what_has_a_gradient(kind: str, pkd_layers: str) -> None:
    shape = {"kind": kind, "layers": 3, **({"embedding_size": 8} if kind == "electra" else {})}
    made = {}
    for name in INTERMEDIATE:
        one = alone(name, student=shape, params={"pkd_layers": pkd_layers} if name == "HidnPKD" else {})
        one.gradient(one.batch())
        some = {n for n, p in one.student.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-12}
        # Softmax takes no notice of what a key's bias adds to all scores of a query alike.
        made[name] = some | {
            n for n in named(one.student, reached(one.setting.params, one.setting.student)) if n.endswith("key.bias")
        }
    for subset in SUBSETS:
        params = {**OFF, **dict.fromkeys(subset, 1.0), "pkd_layers": pkd_layers}
        assert named(one.student, reached(params, one.setting.student)) == set().union(
            *(made[name] for name in subset)
        ), subset
