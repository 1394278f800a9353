"""The conformance of a method with everything that a method of the package may declare, and that breaches are seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.methods.base import Method, Shape, Stage
from distill.models.parameters import named
from distill.training.settings import Training, of_stage
from tests.distill import tiny
from tests.distill.methods import test_conformance as conformance
from tests.distill.methods import test_declarations as declarations
from tests.distill.methods import test_needs as needs
from tests.distill.methods import two_stage
from tests.distill.methods.bench import RECIPES, Recipe, bench, read_by_the_loop

SMALL, LARGE = Shape(2, 16, 2), Shape(4, 16, 2)


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> Iterator[Method]:
    yield two_stage.register(monkeypatch)
    conformance._TRACES.clear()


@pytest.mark.parametrize("stage", [0, 1])
def test_each_stage_conforms(method: Method, stage: int, tmp_path: Path) -> None:
    name = method.name
    recipe: Recipe = "modern"
    for task in conformance.TASKS:
        conformance.test_every_term_is_a_finite_scalar(name, stage, task, recipe)
        conformance.test_exactly_the_declared_parameters_get_gradients(name, stage, task, recipe)
    conformance.test_a_term_is_float32_under_autocast(name, stage, recipe)
    conformance.test_padding_changes_nothing(name, stage)
    conformance.test_a_student_that_equals_its_teacher_has_nothing_to_learn_from_it(name, stage)
    conformance.test_state_makes_the_round_trip(name, stage, recipe, tmp_path)
    conformance.test_judging_a_stage_by_its_loss_changes_nothing(name, stage, recipe)
    needs.test_stage_and_objective_agree(name, stage, recipe)
    needs.test_padding_is_read_where_that_is_declared(name, stage, recipe)
    needs.test_chosen_layers_are_asked_for_and_give_what_all_give(name, stage, recipe)


def test_the_method_conforms(method: Method) -> None:
    declarations.test_declarations_are_whole(method.name)
    for recipe in RECIPES:
        declarations.test_defaults_are_legal_and_survive_text(method.name, recipe)
        conformance.test_what_is_dropped_as_inert_is_inert_and_nothing_else_is(method.name, recipe)
    conformance.test_no_term_is_ignored(method.name, "modern")
    conformance.test_what_is_needed_is_declared(method.name)
    assert read_by_the_loop(method) == {"lr", "first_lr", "first_epochs"}


def test_what_is_read_of_the_teacher(method: Method) -> None:
    params = method.resolve({}, "modern")
    assert method.needs(params, "modern") == {"logits", "hidden", "value"}
    assert method.needs_on_dev(params, "modern") == {"hidden", "value"}
    # The stage that takes logits alone reads all layers of nothing.
    assert method.stages[1].layers_read(params, "modern", SMALL, LARGE) is None
    assert method.layers_read(params, "modern", SMALL, LARGE) == (0, 2)
    last = method.resolve({"layers": "last"}, "modern")
    assert method.layers_read(last, "modern", SMALL, LARGE) == (0, 3)
    every = replace(method.stages[1], needs=lambda params, recipe: frozenset({"scores"}))
    assert replace(method, stages=(method.stages[0], every)).layers_read(params, "modern", SMALL, LARGE) is None


@pytest.mark.parametrize(("layers", "of"), [((0, 5), {"hidden"}), ((0,), {"hidden", "value"}), ((), {"hidden"})])
def test_layers_that_are_not_there_are_told(layers: tuple[int, ...], of: set[str]) -> None:
    stage = Stage(
        "broken",
        two_stage.prediction,
        (),
        needs=lambda params, recipe: frozenset(of),
        teacher_layers=lambda params, recipe, student, teacher: layers,
    )
    with pytest.raises(ValueError, match="stage broken"):
        stage.layers_read({}, "modern", SMALL, LARGE)


def test_a_layer_that_was_not_declared_is_not_there(method: Method) -> None:
    made = bench(method.name, 0)
    made.layers = (0, 1)
    with pytest.raises(ValueError, match=r"hidden holds layers \(0, 1\), not \[2\]"):
        made.terms(made.batch())


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ({"max_length": 9}, "max_length"),
        ({"dropout": 0.5}, "dropout"),
        ({"epoch": 3}, "epoch"),
    ],
)
def test_numbers_that_a_stage_cannot_have(own: dict[str, Any], why: str) -> None:
    early = Stage("early", two_stage.prediction, (), reporting=False, training=lambda params, recipe: own)
    with pytest.raises(ValueError, match=f"stage early cannot have {why} of its own"):
        of_stage(early, {"lr": 0.1}, "modern", Training())
    late = replace(early, reporting=True, training=lambda params, recipe: {"epochs": 3})
    with pytest.raises(ValueError, match="reports"):
        of_stage(late, {"lr": 0.1}, "modern", Training())


def test_numbers_of_a_stage() -> None:
    early = Stage("early", two_stage.prediction, (), reporting=False, training=lambda params, recipe: {"epochs": 3})
    given = Training(epochs=9, batch_size=7)
    assert of_stage(early, {"lr": 0.1}, "modern", given) == (replace(given, epochs=3), 0.1)
    often = replace(early, training=lambda params, recipe: {"lr": 0.2, "evaluations_per_epoch": 2})
    # As where a person gives it, looks by epochs take the place of looks by steps.
    assert of_stage(often, {"lr": 0.1}, "modern", replace(given, evaluation_steps=50)) == (
        replace(given, evaluations_per_epoch=2),
        0.2,
    )


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_parameters_by_the_beginning_of_their_names(kind: str) -> None:
    extra = {} if kind != "roberta" else {"type_vocab_size": 2}
    model = tiny.classifier(kind, layers=12, **extra)
    every = {name for name, _ in model.named_parameters()}
    assert named(model, ("all",)) == every
    one = named(model, ("encoder.layer.1.",))
    assert one == {name for name in every if ".encoder.layer.1." in name}
    assert named(model, ("embeddings.", "classifier.")) == {n for n in every if "embeddings" in n or "classifier" in n}
    assert named(model, (f"{kind}.encoder.layer.1.",)) == one
    with pytest.raises(ValueError, match=r"begins with 'encoder\.layer\.12\.'"):
        named(model, ("embeddings.", "encoder.layer.12."))


def test_a_part_at_some_layers() -> None:
    from distill.methods.objective import Outputs

    stack = torch.arange(5.0)[:, None]
    whole = Outputs(torch.zeros(1), hidden=stack, scores=stack[1:], cls=stack)
    assert whole.at("hidden", (4, 0, 2)).flatten().tolist() == [4, 0, 2]
    assert whole.at("scores", (4, 1, 1)).flatten().tolist() == [4, 1, 1]
    assert whole.at("hidden", range(5)) is stack
    some = Outputs(torch.zeros(1), hidden=stack[[0, 2, 4]], scores=stack[[2, 4]], cls=stack, layers=(0, 2, 4))
    assert some.at("hidden", (2, 0)).flatten().tolist() == [2, 0]
    assert some.at("scores", (2, 4)).flatten().tolist() == [2, 4]
    assert some.at("cls", (1, 3)).flatten().tolist() == [1, 3]
    for what, layers, why in (
        ("scores", (0,), "not \\[0\\]"),
        ("scores", (3,), "not \\[3\\]"),
        ("hidden", (5,), "not \\[5\\]"),
        ("value", (1,), "value was not captured"),
    ):
        with pytest.raises(ValueError, match=why):
            some.at(what, layers)
    with pytest.raises(ValueError, match="not \\[5\\]"):
        whole.at("hidden", (-1 + 6,))
