"""The loop: what an epoch does, what it records, and what it refuses to go on with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from distill import methods
from distill.methods.base import Hyperparameter, Method, Stage
from distill.methods.objective import Objective, Outputs, Setting, Term
from distill.tasks.metrics import get as get_metric
from distill.training.batching import training_order
from distill.training.loop import Diverged
from distill.training.predictions import predict
from tests.distill import tiny
from tests.distill.training import runs

ALL = methods.names()


@pytest.mark.parametrize("recipe", ["modern", "published"])
@pytest.mark.parametrize("name", ALL)
def test_the_loss_falls(name: str, recipe: Any) -> None:
    # Only one batch, so that the loss of an epoch is that of the same rows.
    run = runs.make(name, recipe=recipe, rows=8, epochs=12, warmup=0.0, student={"dropout": 0.0})
    evaluations = list(run)
    for stage in run.method.stages:
        totals = [evaluation.terms["total"] for evaluation in evaluations if evaluation.stage == stage.name]
        assert len(totals) == 12
        assert totals[-1] < totals[0]
        # One that is near 0 already may swing about it.
        near = totals[0] / 5
        assert all(later < max(earlier, near) for earlier, later in zip(totals[::4], totals[4::4], strict=False))


def test_a_student_learns_its_task() -> None:
    run = runs.make("ft", {"lr": 3e-3}, rows=160, epochs=8, splits=tiny.tokens("cola", 160, 64))
    values = [evaluation.value for evaluation in run]
    assert values[-1] > 0.8


def test_an_epoch_is_what_it_says() -> None:
    """Two epochs of plain fine-tuning written out: order, loss, clip, decay, schedule."""
    lr, clip, decay, size = 2e-3, 0.5, 0.1, 8
    run = runs.make(
        "ft", {"lr": lr}, rows=20, epochs=2, warmup=0.5, clip=clip, weight_decay=decay, student={"dropout": 0.0}
    )
    model = tiny.classifier(layers=2, seed=0, dropout=0.0)
    spared = [p for p in model.parameters() if p.ndim < 2]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    optimizer = torch.optim.AdamW([{"params": decayed}, {"params": spared, "weight_decay": 0.0}], weight_decay=decay)
    step, clipped = 0, 0
    for epoch, evaluation in enumerate(run):
        losses = []
        for rows in training_order(run.train.lengths, size, 0, epoch):
            batch = run.train.batch(rows)
            labels = batch.pop("labels")
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(**batch).logits, labels)
            loss.backward()
            norm = math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))
            clipped += norm > clip
            for p in model.parameters():
                p.grad *= min(1.0, clip / (norm + 1e-6))
            for group in optimizer.param_groups:
                group["lr"] = lr * (step / 3 if step < 3 else (6 - step) / 3)
            optimizer.step()
            losses.append(loss.item())
            step += 1
        assert evaluation.terms["hard"] == pytest.approx(np.mean(losses), rel=1e-4)
        assert (evaluation.steps, evaluation.number, evaluation.epoch) == (3, epoch + 1, epoch + 1.0)
        assert evaluation.lr == pytest.approx(lr * (6 - step) / 3)
        for (name, mine), theirs in zip(run.student.named_parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-3, msg=name)
    assert clipped, "no gradient was clipped, so the clip was not tested"


@pytest.mark.parametrize("task", ["cola", "mnli", "stsb"])
@pytest.mark.parametrize("name", ALL)
def test_every_term_is_recorded_by_name(name: str, task: str) -> None:
    if task == "stsb" and not methods.get(name).regression:
        pytest.skip("declares that it knows no regression")
    run = runs.make(name, task=task, rows=16, epochs=2)
    for evaluation in run:
        terms = evaluation.terms
        assert all(math.isfinite(value) for value in terms.values())
        objective = run._parts["objective"]
        assert set(terms) > {"total"}
        assert objective is not None
        if not evaluation.reporting:
            (stage,) = (stage for stage in run.method.stages if stage.name == evaluation.stage)
            chosen_by = {run.task.metric, *run.task.also} if stage.keep("modern") == "best-metric" else set()
            assert set(evaluation.metrics) == {"loss", *terms} - {"total"} | chosen_by
            continue
        assert set(evaluation.metrics) == {run.task.metric, *run.task.also}
        assert evaluation.value == evaluation.metrics[run.task.metric]
        assert evaluation.logits.shape == (16, run.task.num_labels)
        assert evaluation.value == get_metric(run.task.metric).compute(evaluation.logits, run.dev.labels)


def test_the_total_is_the_weighted_sum() -> None:
    params = {"alpha": 0.25, "beta": 0.5, "theta": 3.0}
    weight = {"soft": 0.25, "hard": 0.75, "embedding": 0.5, "attention": 1.5, "hidden": 1.5}
    for evaluation in runs.make("emd", params, rows=24, epochs=2):
        terms = dict(evaluation.terms)
        total = terms.pop("total")
        assert terms.keys() == weight.keys()
        assert total == pytest.approx(sum(weight[name] * value for name, value in terms.items()), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_a_rate_beyond_all_measure_diverges(name: str) -> None:
    run = runs.make(name, rows=24)
    run.params["lr"] = 1e30
    with pytest.raises(Diverged, match="not finite"):
        list(run)


@pytest.mark.parametrize("name", ALL)
def test_weights_that_are_not_finite_diverge(name: str) -> None:
    run = runs.make(name, rows=24)
    with torch.no_grad():
        run.student.bert.encoder.layer[0].output.dense.weight[0, 0] = torch.nan
    with pytest.raises(Diverged, match="not finite"):
        next(iter(run))


def test_the_last_step_of_an_epoch_may_diverge_too() -> None:
    """Its loss was still finite; the answers after it are not."""
    run = runs.make("ft", rows=8, epochs=1, warmup=0.0)
    run.params["lr"] = 1e38
    with pytest.raises(Diverged, match="not finite"):
        list(run)


def test_a_method_with_a_teacher_needs_one() -> None:
    run = runs.make("emd")
    run.source = None
    with pytest.raises(ValueError, match=r"needs a teacher"):
        list(run)


def test_evaluation_runs_in_full_precision(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    run = runs.make("emd", epochs=1, autocast="bfloat16")
    (evaluation,) = run
    assert evaluation.logits.dtype == np.float32
    assert np.array_equal(evaluation.logits, predict(run.student, run.dev, 64))
    run.student.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    np.testing.assert_allclose(predict(again, run.dev, 64), evaluation.logits, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = predict(run.student, run.dev, 64)
    assert not np.array_equal(rounded, evaluation.logits), "autocast would not have shown"


def test_autocast_is_used_in_training() -> None:
    (rounded,), (exact,) = (runs.make("ft", epochs=1, autocast=kind) for kind in ("bfloat16", None))
    assert rounded.terms["hard"] == pytest.approx(exact.terms["hard"], rel=0.1)
    assert rounded.terms["hard"] != exact.terms["hard"]


def test_predictions_stand_in_the_order_of_the_rows() -> None:
    model = tiny.classifier().train()
    _, dev = tiny.tokens("cola", 4, 19)
    logits = predict(model, dev, 4)
    assert model.training
    model.eval()
    for row in range(len(dev)):
        batch = dev.batch(np.array([row]))
        batch.pop("labels")
        np.testing.assert_allclose(logits[row], model(**batch).logits[0].detach().numpy(), atol=1e-5)


def test_dropout_is_on_in_training_and_off_in_evaluation() -> None:
    seen = []
    run = runs.make("ft", epochs=2)
    run.student.bert.register_forward_hook(lambda module, *_: seen.append(module.training))
    list(run)
    assert seen == ([True] * 5 + [False]) * 2


def test_no_hooks_are_left_behind() -> None:
    run = runs.make("emd", epochs=1)
    list(run)
    assert not any(module._forward_hooks for module in run.student.modules())


def _staged() -> Method:
    """Two stages: the head alone, not reporting, then everything."""

    def objective(setting: Setting) -> Objective:
        class Plain(Objective):
            uses_teacher = False

            def __init__(self) -> None:
                super().__init__()
                self.scale = torch.nn.Parameter(torch.ones(1))

            def forward(self, student: Outputs, teacher: Outputs | None, batch: dict[str, Any]) -> dict[str, Term]:
                return {"hard": Term(functional.cross_entropy(student.logits * self.scale, batch["labels"]), 1.0)}

        return Plain()

    return Method(
        name="staged",
        title="",
        reference="",
        hyperparameters=(Hyperparameter("lr", "float", 1e-3, "", low=0.0),),
        stages=(
            Stage("head", objective, ("lr",), trainable=("classifier", "bert.pooler"), reporting=False),
            Stage("all", objective, ("lr",)),
        ),
        needs_teacher=False,
    )


def test_stages_train_what_they_declare_and_nothing_else() -> None:
    run = runs.make(_staged(), epochs=2, weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in run.student.named_parameters()}
    for evaluation in run:
        now = {name: p.detach().clone() for name, p in run.student.named_parameters()}
        moved = {name for name in now if not torch.equal(now[name], before[name])}
        if evaluation.stage == "head":
            assert moved == {name for name in now if name.startswith(("classifier", "bert.pooler"))}
            assert not evaluation.reporting
        else:
            assert moved == set(now)
        before = now
        assert run._parts["objective"].scale.item() != 1.0


@pytest.mark.parametrize("after", [1, 2, 3])
def test_every_stage_can_be_continued(tmp_path: Path, after: int) -> None:
    how: dict[str, Any] = {"method": _staged(), "epochs": 2}
    straight = runs.make(**how)
    expected = list(straight)
    assert [(e.stage, e.number) for e in expected] == [("head", 1), ("head", 2), ("all", 1), ("all", 2)]
    found, weights = runs.stopped_and_continued(tmp_path, after, **how)
    assert len(found) == 4
    assert all(runs.same(one, two) for one, two in zip(expected, found, strict=True))
    assert all(torch.equal(value, weights[name]) for name, value in runs.weights(straight).items())
