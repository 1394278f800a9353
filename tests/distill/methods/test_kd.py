"""What holds of knowledge distillation alone: its loss against a literal one, its weights, its two means."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from distill import methods
from distill.methods.objective import total
from distill.training.settings import Training
from tests.distill.methods.bench import Bench, bench

KD = methods.get("kd")


def _distribution(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in logits]
    return [p / sum(powers) for p in powers]


def _literal(made: Bench, batch: dict[str, torch.Tensor], temperature: float, per_class: bool) -> dict[str, float]:
    """Terms from the definition, number by number."""
    ours, theirs = made.outputs(batch)
    assert theirs is not None
    soft = hard = 0.0
    for student, teacher, label in zip(ours.logits.tolist(), theirs.logits.tolist(), batch["labels"], strict=True):
        q, p = _distribution(student, temperature), _distribution(teacher, temperature)
        soft += temperature**2 * sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
        hard -= math.log(_distribution(student, 1.0)[int(label)])
    rows, classes = ours.logits.shape
    return {"soft": soft / (rows * classes if per_class else rows), "hard": hard / rows}


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("temperature", [1.0, 5.0, 20.0])
@pytest.mark.parametrize("reduction", ["batchmean", "mean"])
def test_the_loss_is_the_literal_one(reduction: str, temperature: float, labels: int) -> None:
    params = {"alpha": 0.3, "T": temperature, "reduction": reduction}
    made = bench("kd", params=params, labels=labels)
    batch = made.batch(rows=5)
    terms = made.terms(batch)
    expected = _literal(made, batch, temperature, reduction == "mean")
    assert {name: term.value.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-10)
    assert expected["soft"] > 1e-3
    assert total(terms).item() == pytest.approx(0.3 * expected["soft"] + 0.7 * expected["hard"], rel=1e-10)


def test_the_gradient_is_that_of_the_literal_loss() -> None:
    """By differences of the literal loss along a few weights."""
    params = {"alpha": 0.6, "T": 4.0}
    made = bench("kd", params=params, labels=3)
    batch = made.batch(rows=5)
    made.gradient(batch)
    weight = made.student.classifier.weight
    for place in ((0, 0), (1, 5), (2, 9)):
        values = []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                weight[place] += step
            terms = _literal(made, batch, 4.0, False)
            values.append(0.6 * terms["soft"] + 0.4 * terms["hard"])
        with torch.no_grad():
            weight[place] += 1e-5
        assert weight.grad[place].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-9)


def test_regression_is_two_squared_errors() -> None:
    made = bench("kd", params={"alpha": 0.25}, regression=True)
    batch = made.batch()
    ours, theirs = made.outputs(batch)
    assert theirs is not None
    student, teacher = ours.logits.flatten().tolist(), theirs.logits.flatten().tolist()
    terms = made.terms(batch)
    for name, targets in (("soft", teacher), ("hard", batch["labels"].tolist())):
        errors = [(a - b) ** 2 for a, b in zip(student, targets, strict=True)]
        assert terms[name].value.item() == pytest.approx(sum(errors) / 4, rel=1e-6), name
    assert {name: term.weight for name, term in terms.items()} == {"soft": 0.25, "hard": 0.75}


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize(("alpha", "trained"), [(0.0, {"hard"}), (0.5, {"soft", "hard"}), (1.0, {"soft"})])
def test_a_term_without_weight_trains_nothing(alpha: float, trained: set[str], regression: bool) -> None:
    made = bench("kd", params={"alpha": alpha}, regression=regression)
    terms = made.terms(made.batch())
    assert {name for name, term in terms.items() if term.weight > 0} == trained
    assert {name for name, term in terms.items() if term.value.requires_grad} == trained
    assert set(terms) == trained | {"hard"}
    assert made.objective.uses_teacher == (alpha > 0)


def test_without_a_share_of_the_teacher_it_is_fine_tuning() -> None:
    made, plain = bench("kd", params={"alpha": 0.0}), bench("ft")
    batch = made.batch()
    assert torch.equal(made.gradient(batch), plain.gradient(batch))


def test_labels_have_no_part_where_the_teacher_has_all() -> None:
    made = bench("kd", params={"alpha": 1.0})
    batch = made.batch()
    other = {**batch, "labels": 1 - batch["labels"]}
    assert torch.equal(made.gradient(batch), made.gradient(other))


def test_recipes_differ_in_the_mean() -> None:
    modern, published = (bench("kd", recipe=recipe, labels=3) for recipe in ("modern", "published"))
    batch = modern.batch()
    one, other = (made.terms(batch) for made in (modern, published))
    assert one["soft"].value.item() == pytest.approx(3 * other["soft"].value.item(), rel=1e-12)
    assert torch.equal(one["hard"].value, other["hard"].value)


@pytest.mark.parametrize(
    ("given", "dropped"), [({"alpha": 0}, {"T", "reduction"}), ({"alpha": 1}, set()), ({"alpha": 0.2}, set())]
)
def test_inert_values(given: dict[str, Any], dropped: set[str]) -> None:
    everything = {"alpha", "T", "reduction", "lr"}
    assert set(KD.resolve(given, "modern")) == everything - dropped
    assert set(KD.resolve(given, "modern", regression=True)) == {"alpha", "lr"}


def test_the_published_recipe_is_a_training() -> None:
    assert KD.published is not None
    training = Training(**KD.published.training)
    assert (training.optimizer, training.schedule, training.warmup, training.clip) == ("bertadam", "linear", 0.1, 1.0)
    assert (training.epochs, training.batch_size, training.max_length, training.padding) == (4, 32, 128, "max_length")
    assert not training.drop_last
    assert KD.resolve({}, "published")["reduction"] == "mean"
    assert KD.resolve({}, "modern")["reduction"] == "batchmean"
