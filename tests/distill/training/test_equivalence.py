"""What makes a step fast changes no number: each against the plain way of doing it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from distill import methods
from distill.methods.objective import Objective, total
from distill.models.architectures import RELU_HEAD
from distill.models.capture import Capture
from distill.teacher.source import OnlineTeacher
from distill.training.batching import training_order
from distill.training.loop import Run
from distill.training.optim import build
from distill.training.settings import Training
from tests.distill import tiny
from tests.distill.training import runs

ALL = methods.names()
STILL: dict[str, Any] = {"student": {"dropout": 0.0}}


def _order(seed: int, epoch: int) -> str:
    lengths = np.random.default_rng(0).integers(3, 60, 500)
    batches = [batch.tolist() for batch in training_order(lengths, 8, seed, epoch)]
    return hashlib.sha256(str(batches).encode()).hexdigest()


def test_the_order_is_the_same_in_another_process() -> None:
    code = "from tests.distill.training.test_equivalence import _order; print(_order(5, 2), _order(5, 3))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert found.stdout.split() == [_order(5, 2), _order(5, 3)]


def _step(run: Run, rows: np.ndarray) -> tuple[dict[str, Tensor], Tensor]:
    """Terms and gradient of one batch, as the loop comes to them; the student is in train mode without dropout."""
    # What an objective draws for itself is the same in all runs.
    torch.manual_seed(0)
    capture, objective, _ = run._set_up(run.method.stages[0])
    objective.to(next(run.student.parameters()).dtype)
    run.student.train()
    try:
        terms = run._forward(capture, objective, rows)
        total(terms).backward()
    finally:
        capture.close()
    parameters = [*run.student.parameters(), *objective.parameters()]
    gradient = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
    return {name: term.value.detach() for name, term in terms.items()}, gradient


def _double(name: str, **training: Any) -> Run:
    run = runs.make(name, **STILL, **training)
    run.student.double()
    if isinstance(run.source, OnlineTeacher):
        run.source.model.double()
    return run


@pytest.mark.parametrize("name", ALL)
def test_padding_to_the_longest_row_or_to_the_limit(name: str) -> None:
    short, wide = _double(name), _double(name, padding="max_length", max_length=40)
    rows = np.arange(6)
    assert len(set(short.train.lengths[rows])) > 1
    (terms, gradient), (others, other) = _step(short, rows), _step(wide, rows)
    assert terms.keys() == others.keys()
    for term, value in terms.items():
        torch.testing.assert_close(others[term], value, rtol=1e-9, atol=1e-12, msg=term)
    torch.testing.assert_close(other, gradient, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", RELU_HEAD])
@pytest.mark.parametrize("padded", [True, False])
def test_a_mask_with_a_note_is_the_librarys_own(kind: str, padded: bool) -> None:
    """A batch says whether it holds padding, so that nobody asks the device; logits are the same, bit for bit."""
    train, _ = tiny.tokens("cola", 40, 8)
    lengths = train.lengths
    rows = np.arange(6) if padded else np.flatnonzero(lengths == np.bincount(lengths).argmax())[:4]
    assert (len(set(lengths[rows])) > 1) == padded
    capture = Capture(tiny.classifier(kind, layers=3).eval(), frozenset({"logits", "hidden"}))
    noted = tiny.inputs_of(train.batch(rows))
    plain = {name: value.clone() for name, value in noted.items()}
    with torch.no_grad():
        one, other = capture.run(**noted), capture.run(**plain)
    assert torch.equal(one.logits, other.logits)
    assert torch.equal(one.hidden, other.hidden)


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_stays_near_float32_and_losses_are_float32(name: str) -> None:
    """Terms within 3 % of the total or of themselves; the random weights here are larger than a trained model's."""
    rows = np.arange(8)
    (exact, _), (rounded, gradient) = (
        _step(runs.make(name, autocast=kind, **STILL), rows) for kind in (None, "bfloat16")
    )
    scale = sum(value.abs().item() for value in exact.values())
    assert exact.keys() == rounded.keys()
    assert {value.dtype for value in rounded.values()} == {torch.float32}
    for term, value in exact.items():
        assert abs(rounded[term].item() - value.item()) < 0.03 * max(abs(value.item()), scale / len(exact)), term
    assert any(rounded[term] != exact[term] for term in exact), "autocast is not on"
    assert gradient.dtype == torch.float32


def test_the_fused_optimizer_takes_the_plain_ones_steps() -> None:
    training = Training(weight_decay=0.1, warmup=0.0)
    models = [tiny.classifier(dropout=0.0) for _ in range(2)]
    fused, _ = build(models[0], Objective(), 1e-3, training, 5)
    assert fused.defaults["fused"]
    plain, _ = build(models[1], Objective(), 1e-3, training, 5)
    for group in plain.param_groups:
        group["fused"], group["foreach"] = False, False
    batch = tiny.batch()
    for _ in range(5):
        for model, optimizer in zip(models, (fused, plain), strict=True):
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
    for (name, one), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        # A key's bias has a gradient of rounding alone, which Adam makes large.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-6, msg=name)


class _Reads(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts what brings a value from the device to the host, whatever the device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.count = 0
        for name in ("cpu", "tolist"):
            monkeypatch.setattr(Tensor, name, self._counting(getattr(Tensor, name)))

    def _counting(self, plain: Any) -> Any:
        # On a CPU these are no operations of the dispatcher.
        def called(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return plain(tensor, *args, **kwargs)

        return called

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        read = ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal", "aten::nonzero")
        self.count += func._schema.name in read
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("autocast", [None, "bfloat16"])
@pytest.mark.parametrize("name", ALL)
def test_a_step_reads_nothing_back(name: str, autocast: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for BERT-EMD, whose solver needs the costs on the host: one copy a step, and nothing besides."""
    run = runs.make(name, rows=64, autocast=autocast)
    capture, objective, per_epoch = run._set_up(run.method.stages[0])
    steps = list(run._steps())
    run._train(capture, objective, steps[:2], per_epoch)
    found = []
    for count in (1, 6):
        with monkeypatch.context() as patch, _Reads(patch) as reads:
            run._train(capture, objective, steps[2 : 2 + count], per_epoch)
        found.append(reads.count)
    # What is read at the end, the means of all steps, is read once however many there are.
    assert found[1] - found[0] == (5 if name == "emd" else 0)
    assert found[0] <= len(run.method.hyperparameters) + 3
    copies = getattr(getattr(objective, "transport", None), "host_copies", 0)
    assert copies == (9 if name == "emd" else 0)
    capture.close()


def test_a_read_in_a_step_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for read in (Tensor.item, bool, float, lambda t: t.cpu(), lambda t: t.tolist(), Tensor.nonzero):
        with monkeypatch.context() as patch, _Reads(patch) as reads:
            read(torch.ones(()))
        assert reads.count == 1, read
