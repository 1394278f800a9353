"""What holds of LAD alone: the whole loss against a literal one, its layers and gates, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from distill import methods
from distill.errors import UserError
from distill.methods.base import Shape
from distill.methods.objective import total
from distill.training.optim import build, clip
from distill.training.settings import Training, of_stage
from tests.distill.losses import literal
from tests.distill.methods.bench import Bench, Recipe, bench
from tests.distill.training import runs

LAD = methods.get("lad")
SMALL, LARGE = Shape(2, 16, 2), Shape(4, 16, 2)
NOTHING = torch.zeros((), dtype=torch.float64)
CASES: list[tuple[Recipe, dict[str, Any], int]] = [
    ("modern", {}, 3),
    ("modern", {"reverse": True, "hidden": 3.0, "T": 2.0}, 2),
    ("modern", {"gates": "frozen", "soft": 0.7, "hard": 0.3, "hidden": 5.0}, 3),
    ("published", {"hidden": 500.0}, 2),
    ("published", {"reverse": True, "hidden": 2.0, "soft": 0.0}, 2),
]


def _normalised(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Over all numbers at once, with the biased variance."""
    mean = sum(values.flatten(), NOTHING) / values.numel()
    variance = sum(((v - mean) ** 2 for v in values.flatten()), NOTHING) / values.numel()
    return (values - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def _merged(gate: dict[str, Tensor], before: Tensor, layer: Tensor, published: bool) -> Tensor:
    """One sentence [S, D], token by token and feature by feature."""
    tokens = []
    for p, h in zip(before, layer, strict=True):
        opened = [
            1 / (1 + torch.exp(-((w * p).sum() + b)))
            for w, b in zip(gate["linear.weight"], gate["linear.bias"], strict=True)
        ]
        tokens.append(torch.stack([z * x + (1 - z) * y for z, x, y in zip(opened, h, p, strict=True)]))
    norm = gate["layernorm.weight"], gate["layernorm.bias"]
    if published:
        return _normalised(torch.stack(tokens), *norm)
    return torch.stack([_normalised(token, *norm) for token in tokens])


def _literal(made: Bench, batch: dict[str, Tensor], params: dict[str, Any], recipe: Recipe) -> Tensor:
    """The weighted total, from hidden states and logits of both networks."""
    published = recipe == "published"
    ours, theirs = made.outputs(batch)
    assert theirs is not None
    assert ours.hidden is not None
    first, count, students = (1 if made.layers is None else made.layers[0]), 4, len(ours.hidden) - 1
    states = {first + number: layer for number, layer in enumerate(theirs.at("hidden", range(first, count + 1)))}
    order = sorted(states, reverse=bool(params.get("reverse", False)))
    aggregation: Any = made.objective.aggregation
    behind = {order[0]: states[order[0]]}
    for number, layer in enumerate(order[1:]):
        gate = dict(aggregation.gates[number].state_dict(keep_vars=True).items())
        rows = zip(behind[order[number]], states[layer], strict=True)
        behind[layer] = torch.stack([_merged(gate, p, h, published) for p, h in rows])
    targets = [math.ceil(i * count / students) for i in range(1, students + 1)]
    pairs = zip(ours.hidden[1:], targets, strict=True)
    mask = batch["attention_mask"]
    hidden = sum((literal.hidden_distance(own, behind[t], mask, published) for own, t in pairs), NOTHING)
    temperature = params.get("T", 10.0)
    cross, own = (literal.soft_cross_entropy(x, theirs.logits, temperature) for x in (ours.logits, theirs.logits))
    soft = (cross - own) / len(ours.logits)
    chances = [literal.softmax(list(row))[label] for row, label in zip(ours.logits, batch["labels"], strict=True)]
    hard = -torch.stack([chance.log() for chance in chances]).mean()
    weights = {"hidden": 1000.0, "soft": 0.5, "hard": 0.5, **params}
    expected: Tensor = weights["hidden"] * hidden / students + weights["soft"] * soft + weights["hard"] * hard
    return expected


@pytest.mark.parametrize(("recipe", "params", "students"), CASES)
def test_total_and_gradients_are_the_literal_ones(recipe: Recipe, params: dict[str, Any], students: int) -> None:
    shape = {"width": 4, "heads": 2}
    made = bench(
        "lad", params=params, recipe=recipe, student={"layers": students, **shape}, teacher=shape, labels=3, length=4
    )
    batch = made.batch(rows=2, length=4)
    parameters = [*made.student.parameters(), *made.objective.parameters()]
    found = made.gradient(batch)
    expected = _literal(made, batch, params, recipe)
    gradients = torch.autograd.grad(expected, parameters, allow_unused=True)
    flat = [(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(parameters, gradients, strict=True)]
    torch.testing.assert_close(found, torch.cat(flat), rtol=1e-8, atol=1e-9)
    assert total(made.terms(batch)).item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize(
    ("params", "read", "gates"),
    [({}, (1, 2, 3, 4), 3), ({"reverse": True}, (2, 3, 4), 2), ({"hidden": 0}, None, 0)],
)
def test_layers_that_are_read_and_gates_that_are_there(
    params: dict[str, Any], read: tuple[int, ...] | None, gates: int
) -> None:
    values = LAD.resolve(params, "modern")
    assert LAD.layers_read(values, "modern", SMALL, LARGE) == read
    aggregation: Any = bench("lad", params=params).objective.aggregation
    assert (0 if aggregation is None else len(aggregation.gates)) == gates


def test_frozen_gates_are_no_parameters_and_stay() -> None:
    made = bench("lad", params={"gates": "frozen"})
    trained = bench("lad")
    assert not list(made.objective.parameters())
    assert made.objective.clipped() == []
    # The same draws, under the same names.
    one, two = made.objective.state_dict(), trained.objective.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one if "gates." in name)
    assert {name for name in two if "gates." in name} == {name for name in one if "gates." in name}
    assert "gate_lr" not in LAD.resolve({"gates": "frozen"}, "modern")


@pytest.mark.parametrize("recipe", ["modern", "published"])
def test_gates_have_rate_decay_and_clip_of_their_own(recipe: Recipe) -> None:
    made = bench("lad", params={"gate_lr": 1e-3, "gate_weight_decay": 0.3, "lr": 1e-2}, recipe=recipe)
    gates = list(made.objective.parameters())
    optimizer, _ = build(made.student, made.objective, 1e-2, Training(warmup=0.0), 10)
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for name, p in made.objective.named_parameters():
        assert groups[id(p)]["lr"] == 1e-3, name
        assert groups[id(p)]["weight_decay"] == (0.3 if name.endswith("linear.weight") else 0.0), name
    assert {groups[id(p)]["lr"] for p in made.student.parameters()} == {1e-2}
    made.gradient(made.batch())
    before = [p.grad.norm().item() for p in gates if p.grad is not None]
    assert min(before) > 0
    clip(optimizer, made.objective, 1e-6)
    parts = made.objective.clipped()
    assert len(parts) == (3 if recipe == "published" else 1)
    assert sorted(id(p) for part in parts for p in part) == sorted(id(p) for p in gates)
    for part in [*parts, list(made.student.parameters())]:
        norms = [p.grad.norm() for p in part if p.grad is not None]
        assert torch.stack(norms).norm().item() == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("params", "student", "why"),
    [
        ({"hidden": 0, "soft": 0, "hard": 0}, SMALL, "give hidden, soft or hard a weight"),
        ({}, Shape(2, 8, 2), "8 wide and the teacher 16, but LAD has no projection"),
        ({"hidden": 0, "embeddings": "teacher"}, Shape(2, 8, 2), "8 wide and the teacher 16"),
        ({}, Shape(5, 16, 2), "cannot be laid onto a teacher of 4"),
    ],
)
def test_what_does_not_fit_is_told_before(params: dict[str, Any], student: Shape, why: str) -> None:
    problem = LAD.misfit(LAD.resolve(params, "modern"), student, LARGE)
    with pytest.raises(UserError, match=why):
        raise UserError(str(problem))
    assert str(problem).endswith(".")
    assert "\n" not in str(problem)


def test_another_width_learns_from_predictions_alone() -> None:
    assert LAD.misfit(LAD.resolve({"hidden": 0}, "modern"), Shape(2, 8, 2), LARGE) is None


def test_the_published_map_asks_for_a_multiple() -> None:
    values, three = LAD.resolve({}, "published"), Shape(3, 16, 2)
    with pytest.raises(UserError, match="no multiple of the student's 3"):
        LAD.layers_read(values, "published", three, LARGE)
    assert LAD.layers_read(values, "modern", three, LARGE) == (1, 2, 3, 4)


def test_published_rows_must_have_one_length() -> None:
    (stage,) = LAD.stages
    values = LAD.resolve({}, "published")
    with pytest.raises(UserError, match="leave padding at max_length"):
        of_stage(stage, values, "published", Training())
    assert of_stage(stage, values, "published", Training(padding="max_length"))[1] == 1e-4
    assert of_stage(stage, values, "modern", Training())[1] == 1e-4
    made = bench("lad", recipe="published", length=7)
    with pytest.raises(ValueError, match="rows of 5 tokens for gates over 7"):
        made.terms(made.batch(length=5))


def test_embeddings_by_recipe() -> None:
    assert LAD.embeddings(LAD.resolve({}, "modern")) == "pretrained"
    assert LAD.embeddings(LAD.resolve({}, "published")) == "random"
    assert LAD.embeddings(LAD.resolve({"embeddings": "teacher"}, "published")) == "teacher"


def test_what_a_run_sees() -> None:
    """Gates by layer and what the targets are made of, at each evaluation anew; gates move with their rate."""
    run = runs.make("lad", {"gate_lr": 1e-2, "hidden": 10.0}, rows=16, epochs=2)
    first, second = (evaluation.seen for evaluation in run)
    for seen in (first, second):
        gates = seen["gates"]
        assert gates["layers"] == [2, 3, 4]
        assert all(len(gates[name]) == 3 for name in ("open", "spread", "size", "moved"))
        assert all(0 < value < 1 for value in gates["open"])
        assert [len(row) for row in seen["target_shares"]] == [4, 4]
        assert [sum(row) for row in seen["target_shares"]] == pytest.approx([1.0, 1.0])
        assert seen["target_shares"][0][2:] == [0.0, 0.0]
    assert all(0 < a < b for a, b in zip(first["gates"]["moved"], second["gates"]["moved"], strict=True))
    frozen = next(iter(runs.make("lad", {"gates": "frozen"}, rows=16, epochs=1))).seen
    assert "moved" not in frozen["gates"]
    assert next(iter(runs.make("lad", {"hidden": 0}, rows=16, epochs=1))).seen == {}
