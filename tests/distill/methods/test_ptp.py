"""What holds of the pre-training alone: its loss against a literal one, its numbers, what it leaves and counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from distill import methods
from distill.losses.ptp import counted, ptp_labels
from distill.methods.base import Shape
from distill.methods.objective import total
from distill.models.parameters import output_layer
from distill.training import stages
from distill.training.settings import Training, of_stage
from tests.distill import tiny
from tests.distill.methods.bench import RECIPES, Recipe, bench
from tests.distill.training import runs

PTP, PEA = methods.get("ptp"), methods.get("pea")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize(("t", "t2"), [(0.6, 0.0), (0.7, 0.55)])
def test_the_loss_is_the_literal_one(t: float, t2: float, labels: int, recipe: Recipe) -> None:
    made = bench("ptp", 0, params={"t": t, "t2": t2}, recipe=recipe, labels=labels)
    batch = made.batch(rows=12)
    ours, theirs = made.outputs(batch)
    assert theirs is not None
    assert ours.pooled is not None
    head: Any = made.objective.head
    losses, seen = [], set()
    for row in range(12):
        powers = [math.exp(value) for value in theirs.logits[row].tolist()]
        sure = max(powers) / sum(powers)
        right = powers.index(max(powers)) == int(batch["labels"][row])
        wanted = (0 if sure > t else 1) if right else (2 if sure > (t2 or t) else 3)
        scores = (ours.pooled[row] @ head.weight.T + head.bias).tolist()
        losses.append(math.log(sum(math.exp(score) for score in scores)) - scores[wanted])
        seen.add(wanted)
    assert len(seen) >= 2
    terms = made.terms(batch)
    assert list(terms) == ["ptp"]
    # So a weight of 0 would be noticed.
    assert total(terms).item() == pytest.approx(sum(losses) / 12, rel=1e-10)
    assert total(terms).item() > 0.5


def test_the_head_begins_as_new_ones_do() -> None:
    torch.manual_seed(0)
    made = bench("ptp", 0, student={"width": 256, "heads": 4})
    head: Any = made.objective.head
    assert head.weight.shape == (4, 256)
    assert head.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not head.bias.any()


def test_thresholds_change_the_labels() -> None:
    gradients = {}
    for t, t2 in ((0.6, 0.0), (0.6, 0.6), (0.9, 0.6), (0.6, 0.9)):
        made = bench("ptp", 0, params={"t": t, "t2": t2})
        gradients[t, t2] = made.gradient(made.batch(rows=24))
    assert torch.equal(gradients[0.6, 0.0], gradients[0.6, 0.6])
    assert not torch.equal(gradients[0.6, 0.6], gradients[0.9, 0.6])
    assert not torch.equal(gradients[0.6, 0.6], gradients[0.6, 0.9])


def test_numbers_of_the_pretraining() -> None:
    run = Training(epochs=5, batch_size=16, evaluation_steps=7)
    for recipe, scheduled in (("modern", 0), ("published", 6)):
        own, lr = of_stage(PTP.stages[0], PTP.resolve({"ptp_lr": 3e-5}, recipe), recipe, run)
        assert (own.epochs, own.schedule_epochs, own.batch_size, lr) == (4, scheduled, 16, 3e-5)
        # An epoch is what the classes are counted over.
        assert (own.evaluations_per_epoch, own.evaluation_steps) == (1, 0)
        assert PTP.stages[0].keep(recipe) == "best"
        reporting, _ = of_stage(PTP.stages[1], PTP.resolve({}, recipe), recipe, run)
        assert reporting == run
    problem = PTP.misfit(PTP.resolve({"ptp_epochs": 8}, "published"), Shape(3, 16, 2), Shape(12, 16, 2))
    assert problem == (
        "ptp_schedule_epochs=6 would end the schedule before ptp_epochs=8 do: --set ptp_schedule_epochs=0 for as many, "
        "or more."
    )
    assert PTP.misfit(PTP.resolve({"ptp_epochs": 8}, "modern"), Shape(3, 16, 2), Shape(12, 16, 2)) is None


def _key(method: str, params: dict[str, Any], recipe: str = "modern", **ground: Any) -> dict[str, Any]:
    found = methods.get(method)
    shapes, ground = (Shape(3, 16, 2), Shape(12, 16, 2)), {"seed": 0, **ground}
    return stages.identity(found, 0, found.resolve(params, recipe), recipe, Training(), ground, *shapes)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("method", ["ptp", "pea"])
def test_one_pretraining_for_all_that_follows(method: str, recipe: str) -> None:
    """A point's t, seed and rate decide what is left, with the student; nothing of the task's own training does."""
    usual = _key(method, {}, recipe)
    for later in ({"lr": 1e-4}, {"then": "ft"}, {"alpha": 0.2}, {"T": 3}, {"beta": 5.0}, {"reduction": "mean"}):
        assert _key(method, {"then": "pkd", **later}, recipe) == usual
    assert _key(method, {"sps_repeat": "all"}, recipe) == usual or method == "pea"
    own = ({"t": 0.6}, {"t2": 0.6}, {"ptp_lr": 1e-4}, {"ptp_epochs": 2}, {"ptp_schedule_epochs": 9}, {"sps": "share"})
    for params in own:
        assert _key(method, params, recipe) != usual, params
    assert _key(method, {}, recipe, seed=1) != usual
    # It asks the teacher, whose answers are rounded where they come from disk.
    for name in ("teacher", "source"):
        assert _key(method, {}, recipe, **{name: "one"}) != _key(method, {}, recipe, **{name: "other"})
    if method == "pea":
        assert _key(method, {"sps_repeat": "all"}, recipe) != usual


def test_one_pretraining_for_both_methods() -> None:
    for params in ({"sps": "swap"}, {"sps": "share", "t": 0.6}, {"sps": "none", "t": 0.7, "t2": 0.6}):
        assert _key("ptp", params, "modern") == _key("pea", params, "modern")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_second_threshold_that_says_nothing_new_is_none(recipe: Recipe) -> None:
    same = [PTP.resolve({"t": 0.8, **more}, recipe) for more in ({}, {"t2": 0}, {"t2": 0.8}, {"t2": "0.80"})]
    assert all(params == same[0] and params["t2"] == 0 for params in same)
    assert PTP.resolve({"t": 0.8, "t2": 0.7}, recipe)["t2"] == 0.7


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_left_does_not_depend_on_what_follows(recipe: Recipe) -> None:
    left = []
    for following, rate in (("pkd", 1e-3), ("ft", 3e-3)):
        run = runs.make("ptp", {"then": following, "lr": rate}, recipe=recipe, rows=24, epochs=2)
        assert not any(evaluation.reporting for evaluation in run.through(0))
        left.append(run)
    one, two = (run.student.state_dict() for run in left)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert left[0].seen == left[1].seen


def test_the_pooler_stays_and_the_head_is_new() -> None:
    run = runs.make("ptp", {"then": "ft"}, rows=24, epochs=2)
    first = {name: value.clone() for name, value in run.student.state_dict().items()}
    list(run.through(0))
    name = output_layer(run.student)[0]
    between = {key: value.clone() for key, value in run.student.state_dict().items()}
    # The pre-training trains everything but the task's own head.
    assert torch.equal(between[f"{name}.weight"], first[f"{name}.weight"])
    assert not torch.equal(between["bert.pooler.dense.weight"], first["bert.pooler.dense.weight"])
    seen = next(iter(run))
    assert seen.reporting
    after = run.student.state_dict()
    assert not after[f"{name}.bias"].equal(between[f"{name}.bias"])
    # The new weights are of the size that new ones have; those before were far larger.
    assert between[f"{name}.weight"].abs().mean() > 0.08
    assert after[f"{name}.weight"].abs().mean() < 0.05


@pytest.mark.parametrize("micro", [1, 2])
@pytest.mark.parametrize("share", [0.31, 0.72])
def test_classes_are_counted_over_one_epoch(share: float, micro: int) -> None:
    """Of the training rows and of dev, by another way: all rows at once through the teacher."""
    teacher = tiny.classifier(layers=4, seed=1).eval()
    found = {}
    for split, tokens in zip(("train", "dev"), tiny.tokens("cola", 40, 16), strict=True):
        batch = tokens.batch(np.arange(len(tokens)), "cpu")
        labels = batch.pop("labels")
        with torch.no_grad():
            found[split] = teacher(**batch).logits, labels
    # Between two of the confidences that there are.
    t = found["train"][0].softmax(-1).amax(-1).double().quantile(share).item()
    expected = {split: counted(ptp_labels(*answers, t, t)).tolist() for split, answers in found.items()}
    assert sum(expected["train"]) == 40
    assert sum(count > 0 for count in expected["train"]) >= 3
    run = runs.make("ptp", {"t": t, "then": "ft"}, rows=40, epochs=2, teacher=teacher, micro=micro)
    evaluations = list(run)
    assert [evaluation.reporting for evaluation in evaluations] == [False, False, True, True]
    for evaluation in evaluations:
        assert evaluation.seen == {"ptp_labels": expected}


def test_regression_is_refused() -> None:
    assert not PTP.regression
    assert not PEA.regression
    assert methods.get("sps").regression
    with pytest.raises(ValueError, match="PTP judges logits"):
        ptp_labels(torch.zeros(3, 1), torch.zeros(3), 0.5, 0.5)
