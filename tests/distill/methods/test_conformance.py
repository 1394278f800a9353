"""What every method must hold to, found by listing the package: a new method is tested here without an edit."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from distill import methods
from distill.errors import UserError
from distill.methods.base import PARTS, POOLED
from distill.methods.objective import Outputs, Setting, Shape, total
from distill.models.capture import Capture
from distill.models.parameters import named
from distill.training import checkpoint
from tests.distill import tiny
from tests.distill.methods.bench import (
    ALL,
    DISTILLING,
    LENGTH,
    RECIPES,
    STAGES,
    Bench,
    Pool,
    Recipe,
    alternatives,
    bench,
    carried,
    fits,
    read_by_the_loop,
)

# Stages whose teacher makes the labels: a student that equals it still has to learn what it says of a row.
LABELLED = {("ptp", 0), ("pea", 0)}
TASKS: list[dict[str, Any]] = [{"labels": 2}, {"labels": 3}, {"regression": True}]


def _id(value: Any) -> str | None:
    return "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else None


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("task", TASKS, ids=_id)
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_every_term_is_a_finite_scalar(name: str, stage: int, task: dict[str, Any], recipe: Recipe) -> None:
    if task.get("regression") and not methods.get(name).regression:
        pytest.skip("declares that it knows no regression")
    made = bench(name, stage, recipe=recipe, **task)
    for seed in range(3):
        terms = made.terms(made.batch(seed))
        assert terms
        for term, (value, weight) in terms.items():
            assert value.shape == (), term
            assert torch.isfinite(value), term
            assert value.dtype == torch.float64, f"{term} fell to {value.dtype}"
            assert isinstance(weight, float), term
        expected = sum(term.value.item() * term.weight for term in terms.values())
        assert total(terms).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_a_term_is_float32_under_autocast(name: str, stage: int, recipe: Recipe) -> None:
    made = bench(name, stage, recipe=recipe)
    for module in (made.student, made.teacher, made.objective):
        module.float()
    batch = made.batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = made.objective(*made.outputs(batch), batch)
    assert {term.value.dtype for term in terms.values()} == {torch.float32}
    total(terms).backward()
    assert all(torch.isfinite(p.grad).all() for p in made.student.parameters() if p.grad is not None)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("task", TASKS, ids=_id)
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_exactly_the_declared_parameters_get_gradients(
    name: str, stage: int, task: dict[str, Any], recipe: Recipe
) -> None:
    if task.get("regression") and not methods.get(name).regression:
        pytest.skip("declares that it knows no regression")
    made = bench(name, stage, recipe=recipe, **task)
    made.gradient(made.batch())
    declared = named(made.student, made.stage.trained(made.setting.params, recipe, made.setting.student))
    for parameter, p in made.student.named_parameters():
        if parameter in declared:
            assert p.grad is not None, parameter
            # Softmax takes no notice of what a key's bias adds to all scores of a query alike.
            if not parameter.endswith("attention.self.key.bias"):
                assert p.grad.abs().max() > 0, parameter
    for parameter, p in made.objective.named_parameters():
        assert p.grad is not None, parameter
        assert p.grad.abs().max() > 0, parameter
    assert all(p.grad is None for p in made.teacher.parameters())


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_padding_changes_nothing(name: str, stage: int) -> None:
    """In the modern recipe; the published ones take means over padding."""
    made, padded = bench(name, stage), bench(name, stage)
    for seed in range(3):
        batch = made.batch(seed)
        wider = {k: torch.nn.functional.pad(v, (0, 5)) if v.ndim == 2 else v for k, v in batch.items()}
        terms, again = made.terms(batch), padded.terms(wider)
        assert terms.keys() == again.keys()
        for term in terms:
            assert again[term].value.item() == pytest.approx(terms[term].value.item(), rel=1e-9, abs=1e-12), term
        torch.testing.assert_close(padded.gradient(wider), made.gradient(batch), rtol=1e-7, atol=1e-10)


def _depends_on_teacher(name: str, stage: int) -> set[str]:
    """Terms whose value is another one with another teacher."""
    made, other = (bench(name, stage, teacher={"seed": seed}) for seed in (1, 5))
    batch = made.batch()
    one, two = made.terms(batch), other.terms(batch)
    return {term for term in one if not torch.equal(one[term].value, two[term].value)}


@pytest.mark.parametrize(("name", "stage"), [(n, s) for n, s in STAGES if n in DISTILLING])
def test_a_student_that_equals_its_teacher_has_nothing_to_learn_from_it(name: str, stage: int) -> None:
    if (name, stage) in LABELLED:
        pytest.skip("the teacher makes labels, and is no target itself")
    comparing = _depends_on_teacher(name, stage)
    made = bench(name, stage, same=True)
    if not made.objective.uses_teacher:
        assert not comparing
        return
    for layer in made.objective.modules():
        # What states are led through before they are compared, where it is drawn at random, shall lead them on.
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.eye_(layer.weight)
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)
    assert comparing, "no term depends on the teacher"
    for seed in range(3):
        terms = made.terms(made.batch(seed))
        assert comparing <= terms.keys()
        for term in comparing - made.objective.learned:
            assert terms[term].value.item() == pytest.approx(0, abs=1e-12), term
            if terms[term].value.requires_grad:
                gradients = torch.autograd.grad(
                    terms[term].value, list(made.student.parameters()), retain_graph=True, allow_unused=True
                )
                assert all(g.abs().max() < 1e-9 for g in gradients if g is not None), term


def _settings(name: str) -> list[dict[str, Any]]:
    """The defaults, and each hyper-parameter changed on its own."""
    method = methods.get(name)
    loop = read_by_the_loop(method)
    single = [
        {h.name: value} for h in method.hyperparameters if h.name not in loop for value in alternatives(h, h.default)
    ]
    return [{}, *single]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ALL)
def test_no_term_is_ignored(name: str, recipe: Recipe) -> None:
    """For each term, a hyper-parameter takes it out of the total, and the gradient notices."""

    def weights(made: Bench) -> dict[str, float]:
        return {k: t.weight for k, t in made.terms(made.batch()).items() if t.weight != 0}

    pool = Pool()
    for stage in range(len(methods.get(name).stages)):
        settings = [params for params in _settings(name) if fits(name, stage, params, recipe)]
        found = [weights(bench(name, stage, params=params, recipe=recipe, pool=pool)) for params in settings]
        every = set().union(*found)
        if len(every) == 1:
            continue
        for term in sorted(every):
            # A setting with the term and one that differs from it in a single value, without it.
            pairs = [
                (settings[i], settings[j])
                for i, j in itertools.product(range(len(found)), repeat=2)
                if term in found[i] and term not in found[j] and (not settings[i] or not settings[j])
            ]
            assert pairs, f"no single hyper-parameter switches {term} off"
            for with_it, without in pairs:
                present, absent = (bench(name, stage, params=p, recipe=recipe, pool=pool) for p in (with_it, without))
                batch = present.batch()
                # The student's alone: a term may bring parameters of its own.
                count = sum(p.numel() for p in present.student.parameters())
                gone = present.gradient(batch)[:count] - absent.gradient(batch)[:count]
                assert gone.abs().max() > 1e-9, f"{term} has no part in the gradient"


# All that may be taken of a student.
_OWN = (*PARTS, POOLED)


@cache
def _captured() -> list[tuple[dict[str, Tensor], Outputs, Outputs]]:
    """Everything of two networks on two batches, the student's as leaves of the graph."""
    models = (tiny.classifier(layers=n, seed=n).double().eval() for n in (2, 4))
    ours, theirs = (Capture(model, frozenset(known)) for model, known in zip(models, (_OWN, PARTS), strict=True))
    found = []
    for seed in range(2):
        batch = tiny.batch(seed=seed)
        with torch.no_grad():
            pair = [capture.run(**tiny.inputs_of(batch)) for capture in (ours, theirs)]
        leaves = {what: getattr(pair[0], what).requires_grad_() for what in _OWN}
        found.append((batch, Outputs(**leaves), pair[1]))
    return found


_TRACES: dict[Any, list[Tensor | None] | None] = {}


def _trace(name: str, params: dict[str, Any], recipe: Recipe) -> list[Tensor | None] | None:
    """Gradients of two steps, None where the method refuses the values; the second step sees what the first left."""
    # Kept by the values as given: what a method makes of them is what is tested.
    key = (name, recipe, tuple(sorted(params.items())))
    if key not in _TRACES:
        try:
            _TRACES[key] = _gradients(name, params, recipe)
        except UserError:
            _TRACES[key] = None
    return _TRACES[key]


def _gradients(name: str, params: dict[str, Any], recipe: Recipe) -> list[Tensor | None]:
    """Gradients with respect to all that a student gives and to the objective's parameters."""
    method, found = methods.get(name), []
    for stage in method.stages:
        shape = {"student": Shape(2, 16, 2), "teacher": Shape(4, 16, 2), "num_labels": 2, "regression": False}
        shape["length"] = LENGTH
        torch.manual_seed(3)
        setting = Setting(params=method.resolve(params, recipe), recipe=recipe, **shape)
        found_before = carried(method, method.stages.index(stage), setting)
        torch.manual_seed(3)
        objective = stage.objective(replace(setting, carried=found_before)).double()
        for batch, student, teacher in _captured():
            leaves = [*(getattr(student, what) for what in _OWN), *objective.parameters()]
            terms = objective(student, teacher if objective.uses_teacher else None, batch)
            found.extend(torch.autograd.grad(total(terms), leaves, allow_unused=True))
    return found


def _differ(one: list[Tensor | None], two: list[Tensor | None]) -> bool:
    if len(one) != len(two):
        return True
    pairs = zip(one, two, strict=True)
    return any((a is None) != (b is None) or (a is not None and not torch.equal(a, b)) for a, b in pairs)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ALL)
def test_what_is_dropped_as_inert_is_inert_and_nothing_else_is(name: str, recipe: Recipe) -> None:
    """At the defaults, with any two switches turned, and at random points."""
    method = methods.get(name)
    draw, loop = random.Random(0), read_by_the_loop(method)
    known = {h.name: h for h in method.hyperparameters}
    default = {h.name: h.default if recipe == "modern" or h.published is None else h.published for h in known.values()}
    points = [default]
    for one, two in itertools.combinations([h.name for h in known.values() if h.type == "bool"], 2):
        points.append({**default, one: not default[one], two: not default[two]})
    for _ in range(4):
        points.append(
            {h.name: draw.choice([default[h.name], *alternatives(h, default[h.name])]) for h in known.values()}
        )
    for point in points:
        expected = _trace(name, point, recipe)
        if expected is None:
            continue
        active = method.resolve(point, recipe)
        for h in (h for h in known.values() if h.name not in loop):
            others = (_trace(name, {**point, h.name: value}, recipe) for value in alternatives(h, point[h.name]))
            changes = any(other is None or _differ(expected, other) for other in others)
            assert changes == (h.name in active), f"{h.name} at {point}"
        assert "lr" in active


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_state_makes_the_round_trip(name: str, stage: int, recipe: Recipe, tmp_path: Path) -> None:
    straight, before, after = (bench(name, stage, recipe=recipe) for _ in range(3))
    for parameter in after.objective.parameters():
        torch.nn.init.zeros_(parameter)
    for seed in range(2):
        straight.terms(straight.batch(seed))
        before.terms(before.batch(seed))
    before.objective.flush()
    checkpoint.save(tmp_path, 1, {"objective": before.objective.state_dict()})
    state = checkpoint.load(tmp_path)
    assert state is not None
    after.objective.load_state_dict(state["objective"])
    for seed in range(2, 5):
        batch = straight.batch(seed)
        expected, found = straight.terms(batch), after.terms(batch)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[k].value, found[k].value) for k in expected)
    straight.objective.flush()
    after.objective.flush()
    assert after.objective.observation() == straight.objective.observation()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("shape", [{"width": 8}, {"width": 24, "heads": 2}, {"heads": 4}], ids=_id)
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_a_student_of_another_shape_learns_or_is_refused(
    name: str, stage: int, shape: dict[str, Any], recipe: Recipe
) -> None:
    try:
        made = bench(name, stage, student=shape, recipe=recipe)
    except UserError as error:
        message = str(error)
        made = None
    if made is None:
        assert "\n" not in message
        assert message.endswith(".")
        return
    saved = set(made.student.state_dict())
    assert torch.isfinite(made.gradient(made.batch())).all()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in made.objective.parameters())
    assert set(made.student.state_dict()) == saved == set(tiny.classifier(**shape).state_dict())


@pytest.mark.parametrize("name", ALL)
def test_what_is_needed_is_declared(name: str) -> None:
    for stage in range(len(methods.get(name).stages)):
        made = bench(name, stage)
        assert made.objective.needs <= set(PARTS)
        assert made.objective.own_needs <= {*PARTS, POOLED}
        assert made.objective.uses_teacher <= made.method.needs_teacher


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("name", "stage"), [(n, s) for n, s in STAGES if not methods.get(n).stages[s].reporting])
def test_judging_a_stage_by_its_loss_changes_nothing(name: str, stage: int, recipe: Recipe) -> None:
    made = bench(name, stage, recipe=recipe)
    made.objective.eval()
    before = {key: value.clone() for key, value in made.objective.state_dict().items()}
    batch = made.batch()
    first, again = made.terms(batch), made.terms(batch)
    assert all(torch.equal(first[term].value, again[term].value) for term in first)
    made.objective.flush()
    after = made.objective.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
