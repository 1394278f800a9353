"""The whole objective of BERT-EMD derived again, slowly: totals and gradients of some steps in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.distill import tiny
from tests.distill.losses import literal
from tests.distill.methods.bench import Bench, Recipe, bench

CASES: list[tuple[Recipe, dict[str, Any]]] = [
    ("modern", {}),
    ("modern", {"alpha": 0.3, "beta": 0.7, "theta": 2.0, "T": 3.0, "joint": False}),
    ("modern", {"beta": 1.0, "update": "frozen"}),
    ("modern", {"beta": 1.0, "hidden": False}),
    ("modern", {"beta": 1.0, "attention": False, "embedding": False}),
    ("modern", {"prediction": False, "beta": 1.0}),
    ("published", {"beta": 1.0, "T_emd": 5.0}),
    ("published", {"alpha": 0.8, "beta": 0.7, "T": 7.0, "joint": False, "second_softmax": False, "T_emd": 10.0}),
    ("published", {"beta": 1.0, "update": "current"}),
]


def _observe(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Logits, hidden states, and scores recomputed from each layer's input with its query and key weights."""
    model.set_attn_implementation("eager")
    output = model(**tiny.inputs_of(batch), output_hidden_states=True)
    hidden, scores = list(output.hidden_states), []
    heads = model.config.num_attention_heads
    for states, layer in zip(hidden, model.bert.encoder.layer, strict=False):
        attention = layer.attention.self
        size = states.shape[-1] // heads
        query, key = (functional.linear(states, m.weight, m.bias) for m in (attention.query, attention.key))
        parts = []
        for h in range(heads):
            span = slice(h * size, (h + 1) * size)
            parts.append(torch.einsum("bqd,bkd->bqk", query[..., span], key[..., span]) / math.sqrt(size))
        scores.append(torch.stack(parts, 1))
    return output.logits, hidden, scores


class _Literal:
    """BERT-EMD from its definition, with the layer weights it carries from step to step."""

    def __init__(self, made: Bench, params: dict[str, Any], recipe: Recipe) -> None:
        self.made, self.params, self.published = made, params, recipe == "published"
        self.terms = [name for name in ("attention", "hidden") if params.get(name, True)]
        uniform = [np.full(2, 1 / 2), np.full(3, 1 / 3)]
        self.weights = {term: [side.copy() for side in uniform] for term in self.terms}

    def total(self, batch: dict[str, Tensor], projection: tuple[Tensor, Tensor] | None) -> Tensor:
        params = self.params
        alpha, beta, theta = (params.get(k, d) for k, d in (("alpha", 1.0), ("beta", 0.01), ("theta", 1.0)))
        logits, own, own_scores = _observe(self.made.student, batch)
        with torch.no_grad():
            wanted, theirs, their_scores = _observe(self.made.teacher, batch)
        if projection is not None:
            own = [states @ projection[0].T + projection[1] for states in own]
        result = torch.zeros((), dtype=torch.float64)
        if params.get("prediction", True):
            result = alpha * self._soft(logits, wanted) + (1 - alpha) * self._hard(logits, batch["labels"])
        mask = batch["attention_mask"]
        if params.get("embedding", True):
            result = result + beta * literal.hidden_distance(own[0], theirs[0], mask, self.published)
        if "hidden" in self.terms:
            result = result + beta * theta * self._transport("hidden", own[1:], theirs[1:], mask)
        if "attention" in self.terms:
            result = result + beta * theta * self._transport("attention", own_scores, their_scores, mask)
        self._share()
        return result

    def _soft(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Published: T² · mean over rows and classes of -q log p. Modern: T² · KL(q ‖ p), mean over rows."""
        temperature = self.params.get("T", 1.0)
        cross = literal.soft_cross_entropy(logits, wanted, temperature)
        if self.published:
            return cross / logits.numel()
        return (cross - literal.soft_cross_entropy(wanted, wanted, temperature)) / len(logits)

    @staticmethod
    def _hard(logits: Tensor, labels: Tensor) -> Tensor:
        rows = [-torch.log(literal.softmax(list(row))[int(label)]) for row, label in zip(logits, labels, strict=True)]
        return torch.stack(rows).mean()

    def _transport(self, term: str, own: list[Tensor], theirs: list[Tensor], mask: Tensor) -> Tensor:
        distance = literal.score_distance if term == "attention" else literal.hidden_distance
        pairs = [[distance(x, y, mask, self.published) for y in theirs] for x in own]
        values = np.array([[d.item() for d in row] for row in pairs])
        flow = literal.transport(values, *self.weights[term])
        update = self.params.get("update", "v2020" if self.published else "current")
        new = literal.new_weights(*self.weights[term], flow, values, update, self.params.get("T_emd", 1.0))
        self.weights[term] = [np.array(side) for side in new]
        return sum(
            (float(flow[i, j]) * d for i, row in enumerate(pairs) for j, d in enumerate(row)),
            torch.zeros((), dtype=torch.float64),
        )

    def _share(self) -> None:
        update = self.params.get("update", "v2020" if self.published else "current")
        if self.params.get("joint", True) and len(self.terms) == 2:
            means = [np.mean([self.weights[term][side] for term in self.terms], axis=0) for side in (0, 1)]
            self.weights = {term: list(means) for term in self.terms}
        if update == "v2020" and self.params.get("second_softmax", True):
            self.weights = {t: [np.array(literal.flattened(list(s))) for s in w] for t, w in self.weights.items()}


@pytest.mark.parametrize(("recipe", "params"), CASES, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("width", [4, 8], ids=["projected", "equal width"])
def test_totals_and_gradients_of_three_steps(recipe: Recipe, params: dict[str, Any], width: int) -> None:
    student, teacher = {"layers": 2, "width": width}, {"layers": 3, "width": 8}
    made = bench("emd", params=params, recipe=recipe, student=student, teacher=teacher, labels=3)
    assert (made.objective.projection is not None) == (width != 8 or recipe == "published")
    slow = _Literal(made, params, recipe)
    for seed in range(3):
        batch = made.batch(seed, rows=2, length=4)
        found = made.gradient(batch)
        projection = made.objective.projection
        given = None if projection is None else (projection.weight, projection.bias)
        parameters = [*made.student.parameters(), *made.objective.parameters()]
        expected = slow.total(batch, given)
        gradients = torch.autograd.grad(expected, parameters, allow_unused=True)
        flat = [(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(parameters, gradients, strict=True)]
        torch.testing.assert_close(found, torch.cat(flat), rtol=1e-8, atol=1e-11)
    again = bench("emd", params=params, recipe=recipe, student=student, teacher=teacher, labels=3)
    fresh = _Literal(again, params, recipe)
    for seed in range(3):
        batch = again.batch(seed, rows=2, length=4)
        projection = again.objective.projection
        given = None if projection is None else (projection.weight, projection.bias)
        terms = again.terms(batch)
        found_total = sum(term.value.item() * term.weight for term in terms.values())
        assert found_total == pytest.approx(fresh.total(batch, given).item(), rel=1e-10)
    seen = again.objective.observation()["layer_weights"]
    for term in fresh.terms:
        np.testing.assert_allclose(seen[term]["student"], fresh.weights[term][0], atol=1e-9)
        np.testing.assert_allclose(seen[term]["teacher"], fresh.weights[term][1], atol=1e-9)
