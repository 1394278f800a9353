"""What holds of TinyBERT alone: its losses against literal ones, its layers and stages, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from distill import methods
from distill.errors import UserError
from distill.methods.base import Shape
from distill.models.parameters import named
from distill.training.settings import Training, of_stage
from tests.distill.methods.bench import Bench, Recipe, bench

TINY = methods.get("tinybert")
SMALL, LARGE = Shape(2, 16, 2), Shape(4, 16, 2)


def _entries(made: Bench, layers: list[int], batch: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Scores and states that meet, as nested lists over layers; states of the student are projected."""
    with torch.no_grad():
        ours, theirs = made.outputs(batch)
    assert ours.hidden is not None
    assert theirs is not None
    projection: Any = made.objective.projection
    states = (projection(ours.hidden) if projection is not None else ours.hidden).detach()
    return {
        "scores": [(ours.at("scores", (i,))[0], theirs.at("scores", (layer,))[0]) for i, layer in enumerate(layers, 1)],
        "states": [(states[i], theirs.at("hidden", (layer,))[0]) for i, layer in enumerate((0, *layers))],
    }


def _mean(pairs: list[tuple[float, float]]) -> float:
    return sum((a - b) ** 2 for a, b in pairs) / len(pairs)


def _states(x: torch.Tensor, y: torch.Tensor, lengths: list[int]) -> float:
    found: list[tuple[float, float]] = []
    for row, length in enumerate(lengths):
        for place in range(length):
            found += zip(x[row, place].tolist(), y[row, place].tolist(), strict=True)
    return _mean(found)


def _scores(x: torch.Tensor, y: torch.Tensor, lengths: list[int], padded: int | None) -> float:
    """Over real pairs; or, `padded` to a length, over everything with padded keys and low scores as 0."""
    found = []
    for row, length in enumerate(lengths):
        for head in range(x.shape[1]):
            for query in range(padded or length):
                for key in range(padded or length):
                    pair = [float(t[row, head, query, key]) for t in (x, y)]
                    if padded and key >= length:
                        pair = [0.0, 0.0]
                    elif padded:
                        pair = [0.0 if score <= -100 else score for score in pair]
                    found.append((pair[0], pair[1]))
    return _mean(found)


@pytest.mark.parametrize("recipe", ["modern", "published"])
@pytest.mark.parametrize("width", [16, 12])
def test_the_first_stage_is_the_literal_one(recipe: Recipe, width: int) -> None:
    params = {"attention": 0.5, "hidden": 2.0, "embedding": 3.0}
    made = bench("tinybert", 0, params=params, recipe=recipe, student={"width": width})
    batch = made.batch()
    meeting = _entries(made, [2, 4], batch)
    lengths = [batch["input_ids"].shape[1]] * 4 if recipe == "published" else batch["attention_mask"].sum(1).tolist()
    real = batch["attention_mask"].sum(1).tolist()
    padded = batch["input_ids"].shape[1] if recipe == "published" else None
    expected = {
        "attention": sum(_scores(x, y, real, padded) for x, y in meeting["scores"]),
        "hidden": sum(_states(x, y, lengths) for x, y in meeting["states"][1:]),
        "embedding": _states(*meeting["states"][0], lengths=lengths),
    }
    terms = made.terms(batch)
    assert {name: term.value.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-10)
    assert {name: term.weight for name, term in terms.items()} == params


def test_the_projection() -> None:
    """One for all layers: where widths differ, and in the published recipe always, with a bias that begins at 0."""
    assert bench("tinybert").objective.projection is None
    modern = bench("tinybert", student={"width": 12}).objective.projection
    assert isinstance(modern, nn.Linear)
    assert modern.bias is None
    published = bench("tinybert", recipe="published").objective.projection
    assert isinstance(published, nn.Linear)
    assert not published.bias.any()
    assert published.weight.std().item() == pytest.approx(0.02, rel=0.3)
    alone = bench("tinybert", params={"hidden": 0.0, "embedding": 0.0}, recipe="published").objective
    assert not list(alone.parameters())


@pytest.mark.parametrize(
    ("params", "read"),
    [
        ({}, (0, 2, 4)),
        ({"layers": "top"}, (2, 3, 4)),
        ({"layers": "bottom"}, (0, 1, 2)),
        ({"layers": "1-3"}, (0, 1, 3)),
        ({"embedding": 0}, (2, 4)),
        ({"attention": 0, "hidden": 0}, (0,)),
    ],
)
def test_layers_that_are_read(params: dict[str, Any], read: tuple[int, ...]) -> None:
    values = TINY.resolve(params, "modern")
    assert TINY.stages[0].layers_read(values, "modern", SMALL, LARGE) == read
    assert TINY.layers_read(values, "modern", SMALL, LARGE) == read
    assert TINY.needs_on_dev(values, "modern") == TINY.stages[0].needs(values, "modern")


@pytest.mark.parametrize("params", [{}, {"hidden": 0}, {"hidden": 0, "embedding": 0}, {"attention": 0, "hidden": 0}])
def test_what_the_first_stage_trains_is_what_it_reaches(params: dict[str, Any]) -> None:
    made = bench("tinybert", 0, params=params)
    made.gradient(made.batch())
    declared = named(made.student, made.stage.trained(made.setting.params, "modern", made.setting.student))
    # All layers lie in one stack, so those that are not compared have a gradient of 0. A key's bias has none in any.
    for name, p in made.student.named_parameters():
        if not name.endswith("self.key.bias"):
            assert (p.grad is not None and bool(p.grad.any())) == (name in declared), name


def test_the_second_stage_learns_predictions_or_labels() -> None:
    modern, published = (bench("tinybert", 1, params={"T": 2.0}, recipe=r, labels=3) for r in ("modern", "published"))
    batch = modern.batch()
    ours, theirs = modern.outputs(batch)
    assert theirs is not None
    p, q = (torch.softmax(outputs.logits / 2.0, -1) for outputs in (theirs, ours))
    cross = -(p * q.log()).sum(-1)
    divergence = (cross + (p * p.log()).sum(-1)).mean()
    assert modern.terms(batch)["soft"].value.item() == pytest.approx(4 * divergence.item(), rel=1e-10)
    assert published.terms(batch)["soft"].value.item() == pytest.approx(cross.sum().item() / 12, rel=1e-10)
    for recipe in ("modern", "published"):
        made = bench("tinybert", 1, recipe=recipe, regression=True)
        batch = made.batch()
        ours, theirs = made.outputs(batch)
        assert theirs is None
        errors = (ours.logits.squeeze(-1) - batch["labels"]) ** 2
        assert made.terms(batch)["hard"].value.item() == pytest.approx(errors.mean().item(), rel=1e-6)
    assert "T" not in TINY.resolve({}, "modern", regression=True)


def test_numbers_of_the_first_stage() -> None:
    given = {"intermediate_epochs": 7, "intermediate_lr": 1e-4, "intermediate_batch": 16, "lr": 2e-5}
    first, second = TINY.stages
    training = Training(epochs=3, batch_size=8)
    values = TINY.resolve(given, "modern")
    assert of_stage(first, values, "modern", training) == (replace(training, epochs=7, batch_size=16), 1e-4)
    assert of_stage(second, values, "modern", training) == (training, 2e-5)
    own = Training(**TINY.published.training)  # type: ignore[union-attr]
    expected = replace(own, epochs=7, batch_size=16, schedule="constant", warmup=0.0, evaluation_steps=0)
    assert of_stage(first, TINY.resolve(given, "published"), "published", own) == (expected, 1e-4)
    assert (own.optimizer, own.schedule, own.warmup, own.epochs) == ("bertadam", "linear", 0.1, 3)
    assert [stage.keep("modern") for stage in TINY.stages] == ["best", "last"]
    assert first.keep("published") == "last"


@pytest.mark.parametrize(
    ("params", "student", "why"),
    [
        ({"attention": 0, "hidden": 0, "embedding": 0}, SMALL, "give attention, hidden or embedding a weight"),
        ({}, Shape(2, 16, 4), "4 attention heads and the teacher 2.*--set attention=0"),
        ({}, Shape(5, 16, 2), "cannot be laid onto a teacher of 4"),
        ({"layers": "1-2-3"}, SMALL, "has 3 of the teacher's layers, but 2 of the student's"),
    ],
)
def test_what_does_not_fit_is_told_before(params: dict[str, Any], student: Shape, why: str) -> None:
    problem = TINY.misfit(TINY.resolve(params, "modern"), student, LARGE)
    with pytest.raises(UserError, match=why):
        raise UserError(str(problem))
    assert str(problem).endswith(".")


def test_the_published_map_asks_for_a_multiple() -> None:
    values = TINY.resolve({}, "published")
    with pytest.raises(UserError, match="no multiple of the student's 3"):
        TINY.layers_read(values, "published", Shape(3, 16, 2), LARGE)
    assert TINY.layers_read(values, "modern", Shape(3, 16, 2), LARGE) == (0, 2, 3, 4)
    with pytest.raises(UserError, match="no multiple"):
        bench("tinybert", 0, recipe="published", student={"layers": 3})
