"""What a declaration says that is taken of the teacher is what its objective takes, for every method and point."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from distill import methods
from distill.errors import UserError
from distill.methods.objective import Outputs
from distill.teacher import parts
from tests.distill.methods.bench import DISTILLING, RECIPES, STAGES, Pool, Recipe, alternatives, bench

KNOWN = {*parts.SMALL, *parts.LARGE}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_stage_and_objective_agree(name: str, stage: int, recipe: Recipe) -> None:
    """At the defaults, with each value changed, and with any switches turned."""
    method = methods.get(name)
    points = [{h.name: value} for h in method.hyperparameters for value in alternatives(h, h.default)]
    switches = [h.name for h in method.hyperparameters if h.type == "bool"]
    points += [
        dict(zip(switches, chosen, strict=True)) for chosen in itertools.product((True, False), repeat=len(switches))
    ]
    seen = set()
    for params in ({}, *points):
        try:
            made = bench(name, stage, params=params, recipe=recipe)
        except (UserError, ValueError):
            continue
        declared = made.stage.needs(method.resolve(params, recipe), recipe)
        assert declared == made.objective.needs, params
        assert declared <= KNOWN
        seen.add(declared)
    assert seen


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("name", "stage"), [(n, s) for n, s in STAGES if n in DISTILLING])
def test_padding_is_read_where_that_is_declared(name: str, stage: int, recipe: Recipe) -> None:
    made = bench(name, stage, recipe=recipe)
    batch = made.batch()
    student, teacher = made.outputs(batch)
    if teacher is None:
        assert not made.objective.uses_teacher
        assert not made.stage.reads_padding(recipe)
        return
    padded = batch["attention_mask"] == 0
    assert padded.any()
    other = _elsewhere(teacher, padded)
    plain, changed = (
        bench(name, stage, recipe=recipe).objective(student, answer, batch) for answer in (teacher, other)
    )
    same = all(torch.equal(plain[term].value, changed[term].value) for term in plain)
    large = made.objective.needs & set(parts.LARGE)
    assert same != (made.stage.reads_padding(recipe) and bool(large))


def _elsewhere(teacher: Outputs, padded: torch.Tensor) -> Outputs:
    """The same at real tokens, other numbers at padded ones."""
    either = padded[:, None, :, None] | padded[:, None, None, :]
    changed = {}
    for part in parts.LARGE:
        if (values := getattr(teacher, part)) is not None:
            places = either[None] if part == "scores" else padded[None, :, :, None]
            changed[part] = torch.where(places, values + 3.0, values)
    return replace(teacher, **changed)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("name", "stage"), [(n, s) for n, s in STAGES if n in DISTILLING])
def test_chosen_layers_are_asked_for_and_give_what_all_give(name: str, stage: int, recipe: Recipe) -> None:
    """At the defaults and with each value changed: what is declared suffices, and no layer is read by its place."""
    method, pool = methods.get(name), Pool()
    for params in ({}, *({h.name: value} for h in method.hyperparameters for value in alternatives(h, h.default))):
        try:
            made, whole = (bench(name, stage, params=params, recipe=recipe, pool=pool) for _ in range(2))
        except (UserError, ValueError):
            continue
        if made.layers is None:
            continue
        whole.layers = None
        batch = made.batch()
        few, every = made.terms(batch), whole.terms(batch)
        assert few.keys() == every.keys()
        assert all(torch.equal(few[term].value, every[term].value) for term in few), params
