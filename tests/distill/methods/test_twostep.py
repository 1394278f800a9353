"""What the two steps train and what is left over, against the gradients of small networks; how step 1 is run."""

from __future__ import annotations

from typing import Any

import pytest

from distill import methods
from distill.errors import UserError
from distill.methods.adaptors import ADAPTORS, INTERMEDIATE, LOGITS
from distill.methods.base import Shape
from distill.models.parameters import in_words, named, untrained
from distill.training.settings import Training, of_stage
from tests.distill.methods.bench import RECIPES, Recipe, bench
from tests.distill.training import runs

TWO = methods.get("twostep")
FIRST, SECOND = TWO.stages
OFF = dict.fromkeys(ADAPTORS, 0.0)


def left_over(params: dict[str, Any], recipe: Recipe, layers: int, pooler: bool = True) -> tuple[str, ...]:
    resolved = TWO.resolve(params, recipe)
    stages = [stage.trained(resolved, recipe, Shape(layers, 16, 2)) for stage in TWO.stages]
    return untrained(stages, layers, pooler)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "on",
    [
        ("AttnMiniLM", "ValMiniLM"),
        ("AttnTinyBERT",),
        ("HidnTinyBERT",),
        ("HidnPKD",),
        ("EmbdTinyBERT",),
        ("ValMiniLM", "HidnPKD"),
    ],
)
def test_what_no_step_trains_has_no_gradient_in_any(on: tuple[str, ...], recipe: Recipe, kind: str) -> None:
    params = {**OFF, **dict.fromkeys(on, 1.0), "LogitMSE": 1.0}
    moved: set[str] = set()
    for number, stage in enumerate(TWO.stages):
        made = bench("twostep", number, params=params, recipe=recipe, student={"kind": kind, "layers": 3})
        trained = named(made.student, stage.trained(made.setting.params, recipe, made.setting.student))
        made.gradient(made.batch())
        moved |= {n for n, p in made.student.named_parameters() if n in trained and p.grad.abs().max() > 1e-12}
        if recipe == "published" and number == 1:
            # As the reference picks them.
            assert trained == {name for name, _ in made.student.named_parameters() if "classifier" in name}
    over = left_over(params, recipe, 3, pooler=kind == "bert")
    still = named(made.student, over) if over else frozenset()
    names = {name for name, _ in made.student.named_parameters()}
    assert {name for name in names - moved if not name.endswith("key.bias")} == {
        name for name in still if not name.endswith("key.bias")
    }
    if recipe == "modern":
        assert not over


def test_what_is_left_over_in_words() -> None:
    found = in_words(left_over({}, "published", 4))
    assert found == "layer 4 (attention.output, intermediate, output), pooler"
    assert in_words(left_over({**OFF, "EmbdTinyBERT": 1}, "published", 2)) == "layer 1, layer 2, pooler"
    assert in_words(left_over({"prediction_trains": "head"}, "modern", 2)) == (
        "layer 2 (attention.output, intermediate, output)"
    )
    assert in_words(left_over({"prediction_trains": "all"}, "published", 2)) == ""
    assert in_words(left_over({"HidnTinyBERT": 1}, "published", 2, pooler=False)) == ""


@pytest.mark.parametrize(
    ("parts", "trained"),
    [
        ("classifier", {"classifier"}),
        ("head", {"classifier", "pooler"}),
        ("last-layer", {"classifier", "pooler", "encoder.layer.1"}),
        ("all", {"classifier", "pooler", "encoder.layer.1", "encoder.layer.0", "embeddings"}),
        ("auto", {"classifier", "pooler", "encoder.layer.1"}),
    ],
)
def test_step_2_trains_what_is_asked(parts: str, trained: set[str]) -> None:
    made = bench("twostep", 1, params={"prediction_trains": parts})
    names = named(made.student, SECOND.trained(made.setting.params, "modern", made.setting.student))
    own = {name.removeprefix("bert.") for name in names}
    assert {name for name in own if not name.startswith(tuple(trained))} == set()
    assert all(any(name.startswith(part) for name in own) for part in trained)
    whole = {
        name for name, _ in made.student.named_parameters() if name.removeprefix("bert.").startswith(tuple(trained))
    }
    assert names == whole


def test_auto_leaves_the_layers_alone_where_step_1_reached_them() -> None:
    for name, first in (("HidnTinyBERT", 3), ("HidnPKD", 2), ("EmbdTinyBERT", 0)):
        params = TWO.resolve({**OFF, name: 1.0}, "modern")
        layers = [f"encoder.layer.{number}." for number in range(first, 3)]
        assert SECOND.trained(params, "modern", Shape(3, 16, 2)) == (*layers, "head")


def test_step_1_depends_on_nothing_of_step_2() -> None:
    assert not set(FIRST.depends_on) & {*LOGITS, "hard", "tau", "lr", "prediction_trains"}
    assert set(INTERMEDIATE) < set(FIRST.depends_on)
    params = [TWO.resolve(given, "modern") for given in ({}, {"lr": 1e-3, "LogitCE": 2.0, "tau": 8, "hard": 0.5})]
    for recipe in RECIPES:
        one, other = (of_stage(FIRST, values, recipe, Training()) for values in params)
        assert one == other
        assert FIRST.needs(params[0], recipe) == FIRST.needs(params[1], recipe)
    one, other = (
        list(runs.make("twostep", {"intermediate_epochs": 1, **given})) for given in ({}, {"hard": 0.5, "lr": 0.1})
    )
    assert one[0].value == other[0].value
    assert one[1].value != other[1].value or (one[1].logits != other[1].logits).any()


def test_step_1_has_epochs_and_a_rate_of_its_own() -> None:
    training, lr = of_stage(
        FIRST, TWO.resolve({"intermediate_epochs": 6, "intermediate_lr": 1e-4}, "modern"), "modern", Training()
    )
    assert (training.epochs, lr) == (6, 1e-4)
    assert [FIRST.keep(recipe) for recipe in RECIPES] == ["best", "last"]
    seen = list(runs.make("twostep", {"intermediate_epochs": 2}, epochs=1))
    assert [(e.stage, e.reporting) for e in seen] == [("intermediate", False)] * 2 + [("prediction", True)]
    assert set(seen[0].terms) == {"AttnMiniLM", "ValMiniLM", "total"}
    assert set(seen[2].terms) == {"LogitMSE", "hard", "total"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (OFF, "Step 1 of twostep has nothing to learn"),
        ({"LogitMSE": 0, "hard": 0}, "Step 2 of twostep has nothing to learn"),
    ],
)
def test_a_step_without_a_loss_is_refused(params: dict[str, Any], said: str) -> None:
    found = TWO.misfit(TWO.resolve(params, "modern"), Shape(2, 16, 2), Shape(4, 16, 2))
    assert found is not None
    assert found.startswith(said)
    with pytest.raises(UserError, match=said):
        bench("twostep", int(said[5]) - 1, params=params)
