"""What holds of TED and LWD alone: intervals, losses of whole networks, stages, and what is refused."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from distill import layer_maps, methods
from distill.artifacts import Store, key_of
from distill.errors import UserError
from distill.methods.base import Shape
from distill.models.capture import Capture
from distill.models.filters import head_pools
from distill.training import stages
from distill.training.settings import Training, of_stage
from tests.distill import tiny
from tests.distill.methods.bench import Recipe, bench, carried
from tests.distill.training import runs

TED, LWD = methods.get("ted"), methods.get("lwd")
SHAPES = Shape(2, 16, 2), Shape(4, 16, 2)
SHORT = {"finetune_epochs": 1, "filter_epochs": 2, "finetune_lr": 1e-3, "filter_lr": 1e-3}


@pytest.mark.parametrize(
    ("student", "teacher", "asked", "found"),
    [
        (12, 12, (0, 0), (1, 1)),
        (6, 12, (0, 0), (1, 2)),
        (4, 12, (0, 0), (1, 3)),
        (3, 12, (0, 0), (1, 4)),
        (8, 12, (0, 0), (2, 3)),
        (5, 12, (0, 0), (2, 6)),
        (6, 12, (3, 0), (3, 6)),
        (6, 12, (0, 4), (2, 4)),
        (12, 12, (5, 5), (5, 5)),
    ],
)
def test_intervals_that_meet(student: int, teacher: int, asked: tuple[int, int], found: tuple[int, int]) -> None:
    assert layer_maps.intervals(student, teacher, *asked) == found
    ours, theirs = layer_maps.every(student, found[0]), layer_maps.every(teacher, found[1])
    assert len(ours) == len(theirs) == student // found[0] == teacher // found[1]


@pytest.mark.parametrize(("asked", "named"), [((2, 3), "filter_interval=2 and teacher_interval=3"), ((9, 0), "=9")])
def test_intervals_that_do_not_meet_are_refused(asked: tuple[int, int], named: str) -> None:
    values = TED.resolve({"filter_interval": asked[0], "teacher_interval": asked[1]}, "modern")
    problem = TED.misfit(values, Shape(6, 16, 2), Shape(12, 16, 2))
    assert problem is not None
    assert named in problem
    assert problem.endswith(".")
    with pytest.raises(UserError, match="do not meet"):
        layer_maps.intervals(6, 12, *asked)


def test_something_must_be_minimised() -> None:
    values = TED.resolve({"hard": 0, "kl_alpha": 0, "mse_alpha": 0}, "modern")
    assert "minimises nothing" in str(TED.misfit(values, Shape(6, 16, 2), Shape(12, 16, 2)))
    assert LWD.misfit(LWD.resolve({"mse_alpha": 0, "kl_alpha": 0}, "modern"), Shape(6, 16, 2), Shape(12, 16, 2)) is None


@pytest.mark.parametrize("recipe", ["modern", "published"])
@pytest.mark.parametrize("name", ["ted", "lwd"])
@pytest.mark.parametrize("regression", [False, True])
def test_the_distilling_stage_is_the_literal_one(name: str, regression: bool, recipe: Recipe) -> None:
    params = {"hard": 0.5, "kl_alpha": 3.0, "mse_alpha": 7.0, "T": 2.0}
    if regression and recipe == "modern":
        del params["T"]
    last = len(methods.get(name).stages) - 1
    made = bench(name, last, params=params, recipe=recipe, student={"width": 12}, regression=regression)
    batch = made.batch()
    with torch.no_grad():
        ours, theirs = made.outputs(batch)
    assert theirs is not None
    terms = made.terms(batch)
    z, t, labels = ours.logits, theirs.logits, batch["labels"]
    if regression:
        hard = (z[:, 0] - labels).square().mean()
        soft = (z - t).square().mean()
        if recipe == "published":
            p, q = (torch.softmax(x[:, 0] / 2, dim=0) for x in (t, z))
            soft = 4 * (p * (p / q).log()).sum() / len(z)
    else:
        hard = functional.cross_entropy(z, labels)
        p, q = (torch.softmax(x / 2, dim=1) for x in (t, z))
        soft = 4 * (p * (p / q).log()).sum() / len(z)
    found: Any = made.objective
    total = 0.0
    for k, (own, read) in enumerate(((1, 2), (2, 4))):
        mine, wanted = found.filters.filters[k](ours.at("hidden", (own,))[0]), theirs.at("hidden", (read,))[0]
        if name == "ted":
            wanted = found.teacher_filters.filters[k](wanted)
        squares = (mine - wanted).square()
        real = torch.ones_like(batch["attention_mask"]) if recipe == "published" else batch["attention_mask"]
        total += squares[real.bool()].mean().item() / 2
    values = {"hard": hard.item(), "soft": soft.item(), "layers": total}
    assert {key: term.value.item() for key, term in terms.items()} == pytest.approx(values, rel=1e-9)
    assert {key: term.weight for key, term in terms.items()} == {"hard": 0.5, "soft": 3.0, "layers": 7.0}


@pytest.mark.parametrize("weight", ["hard", "kl_alpha", "mse_alpha"])
@pytest.mark.parametrize("name", ["ted", "lwd"])
def test_each_weight_reaches_the_student(name: str, weight: str) -> None:
    last = len(methods.get(name).stages) - 1
    given, without = (bench(name, last, params={weight: value}) for value in (5.0, 0.0))
    batch = given.batch()
    count = sum(p.numel() for p in given.student.parameters())
    difference = given.gradient(batch)[:count] - without.gradient(batch)[:count]
    assert difference.abs().max() > 1e-6
    assert len(given.terms(batch)) == len(without.terms(batch)) + 1


def test_filters_without_the_teacher_s_are_refused() -> None:
    made = bench("ted", 2)
    with pytest.raises(ValueError, match="nothing is carried"):
        TED.stages[2].objective(type(made.setting)(**{**vars(made.setting), "carried": {}}))


def test_distances_are_observed_by_pair() -> None:
    made = bench("ted", 2)
    first = [made.terms(made.batch(seed))["layers"].value.item() for seed in range(3)]
    seen = made.objective.observation()["filter_distances"]
    assert (seen["student"], seen["teacher"]) == ([1, 2], [2, 4])
    assert sum(seen["distance"]) / 2 == pytest.approx(sum(first) / 3, rel=1e-6)
    assert made.objective.observation() == {}
    made.objective.eval()
    made.terms(made.batch())
    assert made.objective.observation() == {}


def test_numbers_of_the_stages() -> None:
    values = TED.resolve({}, "published")
    training = Training(epochs=3, batch_size=64, warmup_steps=100)
    for stage in TED.stages[:2]:
        own, lr = of_stage(stage, {**values, "lr": 7e-5}, "published", training)
        assert (own.epochs, own.batch_size, own.warmup_steps, lr) == (3, 64, 100, 7e-5)
    own, lr = of_stage(
        TED.stages[0], TED.resolve({"finetune_epochs": 2, "finetune_lr": 1e-3}, "modern"), "modern", training
    )
    assert (own.epochs, lr) == (2, 1e-3)
    assert of_stage(LWD.stages[0], LWD.resolve({}, "published"), "published", training)[0].epochs == 0
    assert "finetune_lr" not in LWD.resolve({}, "published")
    assert [stage.dropout(recipe) for stage in TED.stages for recipe in ("modern", "published")] == [
        *(True, True),
        *(False, True),
        *(True, True),
    ]


def test_a_frozen_student_stays_as_it_is_and_its_filters_learn() -> None:
    run = runs.make("ted", {**SHORT, "filter_epochs": 6, "filter_lr": 5e-3}, epochs=1)
    list(run.through(0))
    before = {name: value.clone() for name, value in run.student.state_dict().items()}
    curve = [evaluation.terms["filtered"] for evaluation in run.through(1)]
    assert all(torch.equal(value, before[name]) for name, value in run.student.state_dict().items())
    assert curve[-1] < curve[0]
    begun = carried(TED, 2, bench("ted", 2).setting)
    assert {name for name in begun if not name.startswith("teacher.")} == set(run.left)


@pytest.mark.parametrize("nonlinear", [False, True])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_heads_of_filters_read_what_the_encoder_s_own_classifier_reads(pooling: str, nonlinear: bool) -> None:
    made = bench(
        "ted", 1, params={"filter_nonlinear": nonlinear}, student={"kind": "modernbert", "classifier_pooling": pooling}
    )
    setting = replace(made.setting, kind="modernbert", pools=head_pools(made.student))
    torch.manual_seed(5)
    found: Any = TED.stages[1].objective(setting).double().eval()
    batch = made.batch()
    mask, labels = batch["attention_mask"], batch["labels"]
    assert not mask.all()
    with torch.no_grad(), closing(Capture(made.student, found.needs | found.own_needs)) as ours:
        total = found(ours.run(**tiny.inputs_of(batch)), None, batch)["filtered"].value.item()
        states = made.student(
            input_ids=batch["input_ids"], attention_mask=mask, output_hidden_states=True
        ).hidden_states
        expected = []
        for k, layer in enumerate((1, 2)):
            losses = []
            for row, real, label in zip(states[layer], mask, labels, strict=True):
                passed = [found.filters.filters[k](token) for token, there in zip(row, real, strict=True) if there]
                read = passed[0] if pooling == "cls" else sum(passed) / len(passed)
                logits = found.heads.heads[k](functional.gelu(found.heads.poolers[k](read)))
                losses.append((torch.logsumexp(logits, 0) - logits[label]).item())
            expected.append(sum(losses) / len(losses))
    assert total == pytest.approx(sum(expected) / 2, rel=1e-9)
    # The library's own classifier, too, reads that.
    own = [row[real.bool()].mean(0) if pooling == "mean" else row[0] for row, real in zip(states[2], mask, strict=True)]
    with torch.no_grad():
        theirs = made.student.classifier(made.student.head(torch.stack(own)))
        torch.testing.assert_close(
            theirs, made.student(input_ids=batch["input_ids"], attention_mask=mask).logits, rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_run_reads_of_its_student_what_heads_are_to_read(pooling: str) -> None:
    run = runs.make("ted", SHORT, epochs=1, student={"kind": "modernbert", "classifier_pooling": pooling})
    capture, objective, _ = run._set_up(TED.stages[1])
    capture.close()
    assert objective.own_needs == {"hidden" if pooling == "mean" else "cls"}


def test_without_epochs_a_stage_leaves_everything_as_it_is() -> None:
    run = runs.make("lwd", {"finetune_epochs": 0}, epochs=1)
    before = {name: value.clone() for name, value in run.student.state_dict().items()}
    assert list(run.through(0)) == []
    assert all(torch.equal(value, before[name]) for name, value in run.student.state_dict().items())
    assert [evaluation.stage for evaluation in run] == ["distill"]


def test_ted_and_lwd_begin_with_one_student(tmp_path: Path) -> None:
    ground = {"student": "s", "tokens": "t", "teacher": "t", "seed": 0}
    found = [
        stages.identity(method, 0, method.resolve(values, "modern"), "modern", Training(), ground, *SHAPES)
        for method, values in ((TED, {"mse_alpha": 5000}), (LWD, {"kl_alpha": 0}))
    ]
    assert key_of(found[0]) == key_of(found[1])
    folder = stages.make(Store(tmp_path), found[0], runs.make("ted", SHORT, epochs=1), 0)
    other = runs.make("lwd", {"kl_alpha": 5.0}, epochs=1, seed=0)
    stages.begin_behind(other, 0, folder)
    assert [evaluation.stage for evaluation in other] == ["distill"]


@pytest.mark.parametrize("changed", [{"kl_alpha": 5.0}, {"mse_alpha": 7500.0}, {"lr": 1e-3}, {"T": 1.0}, {"hard": 2.0}])
def test_early_stages_depend_on_nothing_of_the_last(changed: dict[str, float]) -> None:
    def keys(values: dict[str, Any]) -> list[str]:
        params = TED.resolve(values, "modern")
        found = [stages.identity(TED, number, params, "modern", Training(), {}, *SHAPES) for number in range(2)]
        return [key_of(each) for each in found]

    assert keys(changed) == keys({})
    assert keys({"filter_nonlinear": True})[0] == keys({})[0]
    assert keys({"filter_nonlinear": True})[1] != keys({})[1]
