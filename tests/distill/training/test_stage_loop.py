"""Stages with epochs of their own: how they are trained, judged and continued, and what the next one begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from distill.artifacts import Store
from distill.methods.base import Method
from distill.models.capture import Capture
from distill.models.parameters import named
from distill.teacher.cached import CachedTeacher
from distill.training.batching import evaluation_order
from distill.training.loop import Diverged, Run, stage_seed
from tests.distill import tiny
from tests.distill.methods import two_stage
from tests.distill.teacher import kept
from tests.distill.training import runs


@pytest.fixture
def best_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of three epochs has the smallest loss on dev."""
    plain = Run._judge

    def judged(self: Run, *how: Any) -> Any:
        metrics, logits = plain(self, *how)
        return {**metrics, "loss": metrics["loss"] + 10 * abs(self._position["epoch"] - 2)}, logits

    monkeypatch.setattr(Run, "_judge", judged)


def _frozen(keep: str) -> Method:
    """The second stage trains the classifier alone, so that the rest shows what it began with."""
    method = two_stage.method(keep)
    return replace(method, stages=(method.stages[0], replace(method.stages[1], trainable=("classifier.",))))


def _copy(run: Run) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in run.student.state_dict().items()}


def _same(one: dict[str, Tensor], two: dict[str, Tensor], but: str = "-") -> bool:
    return all(torch.equal(value, two[name]) for name, value in one.items() if not name.startswith(but))


def test_each_stage_has_numbers_of_its_own() -> None:
    run = runs.make(two_stage.method(), {"first_epochs": 3, "first_lr": 0.002, "lr": 0.001}, epochs=2, warmup=0.0)
    ticks: list[float] = []
    run.stepped = ticks.append
    first, second = [], []
    for evaluation in run:
        (second if evaluation.reporting else first).append(evaluation)
    # 40 rows in batches of 16, then of 8.
    assert [(e.stage, e.number, e.epoch, e.epochs, e.steps) for e in first] == [
        ("intermediate", n, float(n), 3, 3) for n in (1, 2, 3)
    ]
    assert [(e.stage, e.number, e.epoch, e.epochs, e.steps) for e in second] == [
        ("prediction", n, float(n), 2, 5) for n in (1, 2)
    ]
    assert [e.lr for e in first] == pytest.approx([0.002 * (1 - n / 3) for n in (1, 2, 3)])
    assert [e.lr for e in second] == pytest.approx([0.001 * (1 - n / 2) for n in (1, 2)])
    assert ticks == pytest.approx([*(n / 3 for n in range(1, 10)), *(n / 5 for n in range(1, 11))])
    assert set(first[0].metrics) == {"loss", "states", "values"}
    assert set(first[0].terms) == {"states", "values", "total"}
    assert all(e.value == e.metrics["loss"] and e.logits.shape == (16, 2) for e in first)
    assert set(second[0].metrics) == {"mcc", "accuracy"}
    assert first[-1].value < first[0].value


def test_only_what_a_stage_names_is_trained() -> None:
    run = runs.make(two_stage.method("last"), epochs=1, weight_decay=0.1)
    before = _copy(run)
    for evaluation in run:
        now = _copy(run)
        moved = {name for name in now if not torch.equal(now[name], before[name])}
        every = set(dict(run.student.named_parameters()))
        expected = every if evaluation.reporting else named(run.student, ("embeddings.", "encoder.layer.0."))
        assert moved == expected
        if not evaluation.reporting:
            assert all(p.grad is None for name, p in run.student.named_parameters() if name not in expected)
        before = now


@pytest.mark.parametrize("padding", ["longest", "max_length"])
def test_the_loss_on_dev_literally(padding: str) -> None:
    """Row-weighted means of batches in eval mode, of the weights as they are at the evaluation."""
    run = runs.make(two_stage.method("last"), epochs=1, padding=padding, max_length=24, evaluation_batch=5)
    found = next(iter(run))
    objective, student = run._parts["objective"].eval(), run.student.eval()
    assert run.source is not None
    captures = Capture(student, frozenset({"hidden", "value"})), Capture(run.source.model, objective.needs)
    sums, logits = dict.fromkeys(("states", "values", "loss"), 0.0), np.zeros((16, 2), np.float32)
    for rows in evaluation_order(run.dev.lengths, 5):
        batch = run.dev.batch(rows, length=24 if padding == "max_length" else None)
        with torch.no_grad():
            mine, theirs = (capture.run(**tiny.inputs_of(batch)) for capture in captures)
        real = batch["attention_mask"].bool()
        assert mine.hidden is not None
        assert theirs.hidden is not None
        assert mine.value is not None
        assert theirs.value is not None
        weight = objective.projection.weight
        # The teacher's four layers for the student's two: 0 for 0, 2 for 1.
        states = (mine.hidden[:2] @ weight.T - theirs.hidden[[0, 2]])[:, real].square().mean().item()
        values = (mine.value[:1] @ weight.T - theirs.value[[1]])[:, real].square().mean().item()
        for name, value in (("states", states), ("values", values), ("loss", states + 0.5 * values)):
            sums[name] += value * len(rows) / 16
        logits[rows] = mine.logits.detach().numpy()
    assert found.metrics == pytest.approx(sums, rel=1e-5)
    np.testing.assert_allclose(found.logits, logits, atol=1e-6)


def test_judging_draws_no_numbers_and_changes_no_weight() -> None:
    seen: dict[int, Any] = {}
    for often in (1, 3):
        method = two_stage.method("last")
        first = replace(
            method.stages[0], training=lambda p, r, often=often: {"epochs": 3, "evaluations_per_epoch": often}
        )
        run = runs.make(replace(method, stages=(first, method.stages[1])), epochs=1)
        found = list(run)
        seen[often] = (_copy(run), found[-1].logits)
        assert sum(not e.reporting for e in found) == 3 * often
    assert _same(seen[1][0], seen[3][0])
    assert np.array_equal(seen[1][1], seen[3][1])


@pytest.mark.usefixtures("best_in_the_middle")
@pytest.mark.parametrize("keep", ["best", "last"])
def test_what_the_next_stage_begins_with(keep: str) -> None:
    run = runs.make(_frozen(keep), epochs=1)
    losses, weights = [], []
    for evaluation in run:
        if not evaluation.reporting:
            losses.append(evaluation.value)
            weights.append(_copy(run))
    best = int(np.argmin(losses))
    assert (best, len(losses)) == (1, 3)
    expected = weights[best if keep == "best" else -1]
    assert _same(expected, _copy(run), but="classifier.")
    assert not _same(weights[best], weights[-1], but="classifier.")


@pytest.mark.usefixtures("best_in_the_middle")
@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_continued_bit_for_bit_wherever_it_is_killed(tmp_path: Path, keep: str, after: int) -> None:
    how: dict[str, Any] = {"method": two_stage.method(keep), "epochs": 2}
    straight = runs.make(**how)
    expected = list(straight)
    assert len(expected) == 5
    found, weights = runs.stopped_and_continued(tmp_path, after, **how)
    assert len(found) == 5
    assert all(runs.same(one, two) for one, two in zip(expected, found, strict=True))
    assert all(torch.equal(value, weights[name]) for name, value in runs.weights(straight).items())


@pytest.mark.usefixtures("best_in_the_middle")
def test_a_stage_depends_on_nothing_before_it_but_the_weights() -> None:
    """Begun with the weights that another run's first stage left, and whatever was drawn before, it is the same."""
    how: dict[str, Any] = {"method": two_stage.method("best"), "epochs": 2}
    straight = runs.make(**how)
    expected, left = [], {}
    for evaluation in straight:
        expected.append(evaluation)
        assert straight._best is None or not evaluation.reporting
        if straight._best is not None:
            left = {name: value.clone() for name, value in straight._best["student"].items()}
    behind = runs.make(**how)
    behind.student.load_state_dict(left)
    behind._position["stage"] = 1
    torch.manual_seed(4321)
    found = list(behind)
    assert len(found) == 2
    assert all(runs.same(one, two) for one, two in zip(expected[-2:], found, strict=True))
    assert _same(_copy(straight), _copy(behind))


def test_every_stage_of_every_seed_draws_other_numbers() -> None:
    drawn = {stage_seed(seed, number) for seed in range(50) for number in range(4)}
    assert len(drawn) == 200
    assert [stage_seed(seed, 0) for seed in (0, 7)] == [0, 7]


def test_a_loss_that_is_not_finite_on_dev_names_the_stage() -> None:
    run = runs.make(two_stage.method())
    # At dev rows alone, so that the training goes well.
    assert run.source is not None
    plain = run.source.answer

    def broken(rows: Any, inputs: Any, needs: Any, split: str = "train", layers: Any = None) -> Any:
        answer = plain(rows, inputs, needs, split, layers)  # type: ignore[arg-type]
        return replace(answer, value=answer.value * float("nan")) if split == "dev" else answer

    run.source.answer = broken  # type: ignore[method-assign]
    with pytest.raises(Diverged, match=r"^loss is not finite at epoch 1 of stage intermediate$"):
        next(iter(run))


def test_the_teacher_gives_the_layers_that_are_read_and_no_others() -> None:
    run = runs.make(two_stage.method(), epochs=1)
    assert run.source is not None
    plain, asked = run.source.answer, set()

    def watched(rows: Any, inputs: Any, needs: Any, split: str = "train", layers: Any = None) -> Any:
        answer = plain(rows, inputs, needs, split, layers)  # type: ignore[arg-type]
        asked.add((split, needs, layers, answer.layers))
        return answer

    run.source.answer = watched  # type: ignore[method-assign]
    list(run)
    both = frozenset({"hidden", "value"})
    assert asked == {
        ("train", both, (0, 2), (0, 2)),
        ("dev", both, (0, 2), (0, 2)),
        ("train", frozenset({"logits"}), None, None),
    }


def test_under_autocast_it_is_judged_in_full_precision() -> None:
    (rounded, *_), (exact, *_) = (runs.make(two_stage.method(), epochs=1, autocast=kind) for kind in ("bfloat16", None))
    assert rounded.value == pytest.approx(exact.value, rel=0.05)
    assert rounded.value != exact.value
    np.testing.assert_allclose(rounded.logits, exact.logits, atol=0.1)


def test_a_teacher_on_disk(store: Store) -> None:
    """Chosen layers of training and dev rows, rounded to float16."""
    splits = tiny.tokens("cola", 48, 16)
    parts, layers = ("logits", "cls", "hidden", "value"), (0, 1)
    folders = kept.written(store, parts, layers), kept.written(store, parts, layers, split="dev")
    found = []
    for source in (kept.online(store), CachedTeacher(*folders)):
        run = runs.make(two_stage.method(), splits=splits, epochs=2)
        run.source = source
        found.append(list(run))
    for exact, mine in zip(*found, strict=True):
        for name, value in exact.terms.items():
            assert mine.terms[name] == pytest.approx(value, rel=2.0**-10), name
        if not exact.reporting:
            assert mine.value == pytest.approx(exact.value, rel=2.0**-10)
    assert any(exact.value != mine.value for exact, mine in zip(*found, strict=True))


def test_the_largest_step_and_look_of_each_stage_are_rehearsed() -> None:
    run = runs.make(two_stage.method(), rows=40, evaluation_batch=5)
    seen: list[tuple[bool, int]] = []
    run.student.register_forward_pre_hook(
        lambda module, _, kwargs: seen.append((module.training, len(kwargs["input_ids"]))), with_kwargs=True
    )
    run.rehearse(lambda tokens, count: np.arange(count))
    assert seen == [(True, 16), (True, 16), (False, 5), (True, 8), (True, 8)]
