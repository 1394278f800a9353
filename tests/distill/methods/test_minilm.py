"""What holds of MiniLM alone: its relations against literal ones, heads and layers, and what it refuses."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch

from distill import methods
from distill.methods.base import Shape
from distill.methods.minilm import _VERSIONS, _relation_heads
from distill.models.parameters import named
from distill.training.settings import Training, of_stage
from tests.distill.methods.bench import bench

MINI = methods.get("minilm")
PARTS = {"q": "query", "k": "key", "v": "value"}


def _rows(projections: list[torch.Tensor], heads: int, length: int) -> list[list[float]]:
    """Distributions of one sentence, head after head and query after query."""
    x, y = projections
    size, found = x.shape[-1] // heads, []
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        for query in range(length):
            scores = [float(x[query, own] @ y[key, own]) / math.sqrt(size) for key in range(length)]
            powers = [math.exp(score - max(scores)) for score in scores]
            found.append([power / sum(powers) for power in powers])
    return found


def _literal(pair: str, ours: Any, theirs: Any, layer: int, heads: int, lengths: list[int]) -> float:
    """KL of the teacher's rows, mean over the rows of a sentence and then over sentences."""
    sentences = []
    for row, length in enumerate(lengths):
        student, teacher = (
            _rows([outputs.at(PARTS[letter], (at,))[0][row] for letter in pair], heads, length)
            for outputs, at in ((ours, 2), (theirs, layer))
        )
        rows = [
            sum(p * math.log(p / q) for p, q in zip(t, s, strict=True)) for s, t in zip(student, teacher, strict=True)
        ]
        sentences.append(sum(rows) / len(rows))
    return sum(sentences) / len(sentences)


@pytest.mark.parametrize(
    ("params", "pairs", "layer", "heads"),
    [
        ({}, ("qq", "kk", "vv"), 4, 2),
        ({"relation_heads": 4, "teacher_layer": 3}, ("qq", "kk", "vv"), 3, 4),
        ({"version": "v1"}, ("qk", "vv"), 4, 2),
        ({"version": "all", "relation_heads": 4, "kk": 0}, ("qq", "vv", "qk"), 4, 4),
        ({"version": "v1", "qk": 0, "teacher_layer": 1}, ("vv",), 1, 2),
    ],
)
@pytest.mark.parametrize("recipe", ["modern", "published"])
def test_relations_are_the_literal_ones(
    params: dict[str, Any], pairs: tuple[str, ...], layer: int, heads: int, recipe: Any
) -> None:
    made = bench("minilm", 0, params={"vv": 2.5, **params}, recipe=recipe, student={"width": 12})
    batch = made.batch()
    ours, theirs = made.outputs(batch)
    lengths = batch["attention_mask"].sum(1).tolist()
    expected = {pair: _literal(pair, ours, theirs, layer, heads, lengths) for pair in pairs}
    terms = made.terms(batch)
    assert {name: term.value.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-9)
    assert {name: term.weight for name, term in terms.items()} == {p: 2.5 if p == "vv" else 1.0 for p in pairs}
    assert min(expected.values()) > 1e-4


@pytest.mark.parametrize(("version", "pair"), [(v, p) for v, pairs in _VERSIONS.items() for p in pairs])
def test_the_gradient_follows_the_weight_and_is_gone_at_0(version: str, pair: str) -> None:
    """Beside the other relations, whose own gradient is what is left at weight 0."""
    gradients = []
    for weight in (0.0, 1.0, 3.0):
        made = bench("minilm", 0, params={"version": version, pair: weight})
        batch = made.batch()
        gradients.append(made.gradient(batch))
        assert set(made.terms(batch)) == set(_VERSIONS[version]) - ({pair} if weight == 0 else set())
    once, thrice = gradients[1] - gradients[0], gradients[2] - gradients[0]
    assert once.abs().max() > 1e-7
    torch.testing.assert_close(thrice, 3 * once, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(
    ("student", "teacher", "heads"),
    [
        ((768, 12), (768, 12), 48),
        ((384, 12), (768, 12), 48),
        ((768, 12), (1024, 16), 64),
        ((312, 12), (384, 12), 24),
        ((312, 12), (768, 12), 24),
        ((16, 2), (16, 2), 2),
        ((13, 1), (16, 2), 1),
    ],
)
def test_relation_heads_where_nobody_says_how_many(
    student: tuple[int, int], teacher: tuple[int, int], heads: int
) -> None:
    shapes = [Shape(4, width, own) for width, own in (student, teacher)]
    values = MINI.resolve({}, "modern")
    assert _relation_heads(values, shapes[0], shapes[1]) == heads
    assert MINI.misfit(values, shapes[0], shapes[1]) is None


@pytest.mark.parametrize("params", [{}, {"qq": 0}, {"version": "v1"}, {"version": "v1", "vv": 0}, {"qq": 0, "kk": 0}])
def test_what_the_first_stage_trains_is_what_it_reaches(params: dict[str, Any]) -> None:
    made = bench("minilm", 0, params=params)
    made.gradient(made.batch())
    declared = named(made.student, made.stage.trained(made.setting.params, "modern", made.setting.student))
    assert {name for name, p in made.student.named_parameters() if p.grad is not None} == declared


def test_the_task_itself_is_plain_fine_tuning() -> None:
    made, plain = bench("minilm", 1), bench("ft")
    batch = made.batch()
    assert torch.equal(made.gradient(batch), plain.gradient(batch))
    assert not made.objective.uses_teacher


def test_numbers_and_layers_of_the_first_stage() -> None:
    values = MINI.resolve({"relation_epochs": 4, "teacher_layer": 9}, "modern")
    training, lr = of_stage(MINI.stages[0], values, "modern", Training())
    assert (training.epochs, training.warmup, lr) == (4, 0.1, 1e-4)
    training, lr = of_stage(MINI.stages[0], MINI.resolve({}, "published"), "published", Training())
    assert (training.warmup, lr) == (0.01, 6e-4)
    assert MINI.layers_read(values, "modern", Shape(2, 16, 2), Shape(12, 16, 2)) == (9,)
    assert MINI.layers_read(MINI.resolve({}, "modern"), "modern", Shape(2, 16, 2), Shape(12, 16, 2)) == (12,)
    assert [MINI.stages[0].keep(recipe) for recipe in ("modern", "published")] == ["best", "last"]


def test_versions_have_relations_of_their_own() -> None:
    shared = {"version", "vv", "teacher_layer", "relation_epochs", "relation_lr", "lr"}
    assert set(MINI.resolve({"version": "v1"}, "modern")) == shared | {"qk"}
    assert set(MINI.resolve({}, "modern")) == shared | {"qq", "kk", "relation_heads"}


@pytest.mark.parametrize(
    ("params", "student", "why"),
    [
        ({"version": "v1"}, Shape(2, 16, 4), "4 attention heads and the teacher 2.*--set version=v2"),
        ({"relation_heads": 8}, Shape(2, 12, 2), "does not divide the student's width 12: choose a divisor of 4"),
        ({"relation_heads": 6}, Shape(2, 12, 2), "does not divide the teacher's width 16"),
        ({"teacher_layer": 5}, Shape(2, 16, 2), "the teacher has 4 layers"),
        ({"qq": 0, "kk": 0, "vv": 0}, Shape(2, 16, 2), r"Every relation of MiniLM \(version v2\) has weight 0"),
        ({"version": "v1", "qk": 0, "vv": 0}, Shape(2, 16, 2), "give one of qk, vv a weight"),
    ],
)
def test_what_does_not_fit_is_told_before(params: dict[str, Any], student: Shape, why: str) -> None:
    problem = MINI.misfit(MINI.resolve(params, "modern"), student, Shape(4, 16, 2))
    assert re.search(why, str(problem))
    assert str(problem).endswith(".")
