"""Every number of a training is honoured: looks within epochs, accumulation, padding, dropped rows, optimizers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from distill.losses.layer_transport import LayerTransport
from distill.models.capture import Capture
from distill.training.batching import Tokens, evaluation_order, in_groups, training_order
from distill.training.bert_adam import BertAdam
from distill.training.loop import Run
from distill.training.predictions import predict
from tests.distill import tiny
from tests.distill.training import runs

PUBLISHED: dict[str, Any] = {
    "optimizer": "bertadam",
    "schedule": "constant",
    "warmup": 0.0,
    "max_length": 24,
    "padding": "max_length",
    "drop_last": True,
}


# -- when dev is looked at ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("training", "looks"),
    [
        ({}, [(1.0, 5), (2.0, 5), (3.0, 5)]),
        ({"evaluations_per_epoch": 2}, [(0.4, 2), (1.0, 3), (1.4, 2), (2.0, 3), (2.4, 2), (3.0, 3)]),
        ({"evaluation_steps": 4}, [(0.8, 4), (1.6, 4), (2.4, 4), (3.0, 3)]),
        ({"evaluation_steps": 99}, [(3.0, 15)]),
        ({"evaluation_steps": 2, "accumulation": 2}, [(2 / 3, 2), (4 / 3, 2), (2.0, 2), (8 / 3, 2), (3.0, 1)]),
    ],
)
def test_looks(training: dict[str, Any], looks: list[tuple[float, int]]) -> None:
    found = list(runs.make("ft", **training))
    assert [(e.epoch, e.steps) for e in found] == looks
    assert [e.number for e in found] == list(range(1, len(looks) + 1))


def test_a_look_changes_no_weight_and_no_loss() -> None:
    """Terms are means over the steps since the last look, so those of all steps give those of an epoch."""
    rare = runs.make("emd", {"beta": 1.0})
    few = list(rare)
    often = runs.make("emd", {"beta": 1.0}, evaluation_steps=1)
    many = list(often)
    assert len(many) == 5 * len(few)
    assert all(torch.equal(value, runs.weights(often)[name]) for name, value in runs.weights(rare).items())
    for epoch, one in enumerate(few):
        part = many[5 * epoch : 5 * epoch + 5]
        assert np.array_equal(one.logits, part[-1].logits)
        for name, value in one.terms.items():
            assert value == pytest.approx(np.mean([e.terms[name] for e in part]), rel=1e-5), name
        assert len({e.terms["total"] for e in part}) == 5


@pytest.mark.parametrize(
    "how",
    [
        {"evaluations_per_epoch": 3},
        {"evaluation_steps": 2, "accumulation": 2},
        {"evaluation_steps": 2, "recipe": "published", **PUBLISHED},
        {"evaluation_steps": 2, "optimizer": "bertadam", "schedule": "cosine"},
    ],
    ids=lambda how: "-".join(map(str, how.values())),
)
def test_continued_between_any_two_looks(tmp_path: Path, how: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"method": "emd", "params": {"beta": 1.0}, "epochs": 2, **how}
    straight = runs.make(**settings)
    expected = list(straight)
    inside = [number for number, e in enumerate(expected, start=1) if e.epoch % 1]
    assert inside, "no look lies within an epoch"
    for after in range(1, len(expected)):
        found, weights = runs.stopped_and_continued(tmp_path / str(after), after, **settings)
        assert len(found) == len(expected)
        assert all(runs.same(one, two) for one, two in zip(expected, found, strict=True))
        assert all(torch.equal(value, weights[name]) for name, value in runs.weights(straight).items())


def test_the_position_says_where_a_run_stands() -> None:
    run = runs.make("ft", evaluation_steps=2, epochs=2)
    found = [run.state()["position"] for _ in run]
    assert [(p["stage"], p["epoch"], p["step"]) for p in found] == [
        (0, 0, 2),
        (0, 0, 4),
        (0, 1, 1),
        (0, 1, 3),
        (0, 2, 0),
    ]


# -- accumulation ---------------------------------------------------------------------------------


def _literal(run: Run, accumulation: int, lr: float, clip: float) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Accumulated fine-tuning written out: the mean gradient of each group of batches, AdamW, constant rate."""
    model = tiny.classifier(layers=2, seed=0, dropout=0.0)
    groups = [{"params": [p for p in model.parameters() if (p.ndim >= 2) == wide]} for wide in (True, False)]
    optimizer = torch.optim.AdamW([{**groups[0], "weight_decay": 0.01}, {**groups[1], "weight_decay": 0.0}], lr=lr)
    losses = []
    for epoch in range(run.training.epochs):
        batches = list(training_order(run.train.lengths, run.training.batch_size, run.seed, epoch))
        for start in range(0, len(batches), accumulation):
            group = batches[start : start + accumulation]
            gradients = [torch.zeros_like(p) for p in model.parameters()]
            mean = 0.0
            for rows in group:
                batch = run.train.batch(rows)
                labels = batch.pop("labels")
                loss = functional.cross_entropy(model(**batch).logits, labels)
                mean += loss.item() / len(group)
                for total, g in zip(gradients, torch.autograd.grad(loss, list(model.parameters())), strict=True):
                    total += g / len(group)
            norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
            for p, g in zip(model.parameters(), gradients, strict=True):
                p.grad = g * min(1.0, clip / (norm + 1e-6))
            optimizer.step()
            losses.append(mean)
    return dict(model.named_parameters()), losses


@pytest.mark.parametrize("accumulation", [2, 3, 7])
def test_accumulated_steps_are_the_literal_ones(accumulation: int) -> None:
    """Five batches an epoch, the last group smaller, its batches weighing as much as they do in a full one."""
    lr, clip = 2e-3, 0.5
    run = runs.make(
        "ft",
        {"lr": lr},
        **{"epochs": 2, "clip": clip, "warmup": 0.0, "schedule": "constant", "student": {"dropout": 0.0}},
        **{"accumulation": accumulation, "evaluation_steps": 1},
    )
    found = list(run)
    expected, losses = _literal(run, accumulation, lr, clip)
    assert len(found) == len(losses) == 2 * math.ceil(5 / accumulation)
    for evaluation, loss in zip(found, losses, strict=True):
        assert evaluation.terms["hard"] == pytest.approx(loss, rel=1e-4)
    for name, mine in run.student.named_parameters():
        # A constant added to all keys changes no attention: its gradient is rounding, which Adam makes large.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(mine, expected[name], atol=2e-5, rtol=1e-3, msg=name)


def test_accumulation_is_no_larger_batch_of_rows() -> None:
    """Groups are of batches, so an incomplete one counts as much as the others."""
    groups = list(in_groups(iter([np.arange(3), np.arange(3), np.arange(1)]), 2))
    assert [[len(batch) for batch in group] for group in groups] == [[3, 3], [1]]


def test_layer_weights_follow_every_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = []
    apply = LayerTransport._apply

    def counted(self: LayerTransport, queued: Any) -> None:
        updates.append(bool(self._pending))
        apply(self, queued)

    monkeypatch.setattr(LayerTransport, "_apply", counted)
    (evaluation,) = runs.make("emd", {"beta": 1.0}, epochs=1, accumulation=3)
    assert evaluation.steps == 2
    assert sum(updates) == 5


# -- padding and dropped rows ---------------------------------------------------------------------


def _shapes(monkeypatch: pytest.MonkeyPatch, **training: Any) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Shapes of the batches in training, the teacher's among them, and in evaluation."""
    trained: list[tuple[int, ...]] = []
    looked: list[tuple[int, ...]] = []
    forward = Capture.run
    inside = []

    def watched(self: Capture, **inputs: Any) -> Any:
        trained.append(tuple(inputs["input_ids"].shape))
        inside.append(True)
        try:
            return forward(self, **inputs)
        finally:
            inside.pop()

    monkeypatch.setattr(Capture, "run", watched)
    run = runs.make("emd", epochs=1, **training)
    run.student.register_forward_pre_hook(
        lambda module, args, kwargs: None if inside else looked.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    list(run)
    return trained, looked


def test_training_batches_are_padded_to_the_length_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, looked = _shapes(monkeypatch, rows=20, padding="max_length", max_length=24)
    assert sorted(trained) == [(4, 24)] * 2 + [(8, 24)] * 4
    assert all(length < 24 for _, length in looked)


def test_by_default_they_are_padded_to_their_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, _ = _shapes(monkeypatch, rows=20, max_length=24)
    assert all(length < 24 for _, length in trained)


def test_incomplete_batches_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, _ = _shapes(monkeypatch, rows=20, drop_last=True)
    assert [rows for rows, _ in trained] == [8] * 4


def test_a_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not fit into 4"):
        list(runs.make("ft", padding="max_length", max_length=4))


class _Padded(Tokens):
    def batch(self, rows: np.ndarray, device: Any = "cpu", length: int | None = None) -> dict[str, torch.Tensor]:
        return super().batch(rows, device, 32)


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_padding_does_not_reach_predictions(kind: str) -> None:
    """Why evaluation may pad to the longest row whatever training does."""
    model = tiny.classifier(kind, layers=3)
    _, dev = tiny.tokens("cola", 4, 19)
    wide = _Padded(**vars(dev))
    assert max(len(rows) for rows in evaluation_order(dev.lengths, 8)) == 8
    assert wide.batch(np.array([0]))["input_ids"].shape == (1, 32)
    np.testing.assert_allclose(predict(model, dev, 8), predict(model, wide, 8), atol=1e-5)


# -- optimizers -----------------------------------------------------------------------------------


def test_the_clip_is_global_or_of_each_tensor() -> None:
    """The gradients that are left show it: clipped in place for AdamW, untouched for BertAdam, who clips copies."""

    def norms(optimizer: str, clip: float) -> list[float]:
        how: dict[str, Any] = {"student": {"dropout": 0.0}, "epochs": 1, "evaluation_steps": 1}
        run = runs.make("ft", optimizer=optimizer, clip=clip, **how)
        next(iter(run))
        assert isinstance(run._parts["optimizer"], BertAdam) == (optimizer == "bertadam")
        return [p.grad.norm().item() for p in run.student.parameters() if p.grad is not None]

    free = norms("adamw", 0.0)
    whole = math.sqrt(sum(n * n for n in free))
    assert whole > 0.1
    assert norms("adamw", 0.1) == pytest.approx([n * 0.1 / whole for n in free], rel=1e-3)
    assert norms("bertadam", 0.1) == norms("bertadam", 0.0) == free


def test_a_published_step_is_the_literal_one() -> None:
    """One step of BertAdam on one batch: no bias correction, clip and decay tensor by tensor, full rate at once."""
    lr, clip = 1e-3, 0.05
    run = runs.make("ft", {"lr": lr}, rows=8, epochs=1, clip=clip, student={"dropout": 0.0}, **PUBLISHED)
    before = {name: p.detach().clone() for name, p in run.student.named_parameters()}
    list(run)
    clipped = 0
    for name, p in run.student.named_parameters():
        norm = p.grad.norm()
        clipped += bool(norm > clip)
        g = p.grad * min(1.0, clip / (norm.item() + 1e-6))
        decay = 0.0 if name.endswith("bias") or "LayerNorm" in name else 0.01
        step = 0.1 * g / ((0.001 * g * g).sqrt() + 1e-6) + decay * before[name]
        torch.testing.assert_close(p.detach(), before[name] - lr * step, atol=1e-6, rtol=0, msg=name)
    assert 0 < clipped < len(before), "the clip is not told from a global one or from none"
