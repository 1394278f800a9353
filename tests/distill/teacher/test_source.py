"""The online teacher answers as the network itself would, and stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from distill.methods.objective import Outputs, Shape
from distill.models.capture import Capture
from distill.teacher.source import OnlineTeacher
from tests.distill import tiny
from tests.distill.training import runs

EVERYTHING = frozenset({"logits", "hidden", "scores"})
ROWS = np.arange(4)


def _answer(source: OnlineTeacher, inputs: dict[str, Any], autocast: str | None) -> Outputs:
    if autocast is None:
        return source.answer(ROWS, inputs, EVERYTHING)
    with torch.autocast("cpu", dtype=getattr(torch, autocast)):
        return source.answer(ROWS, inputs, EVERYTHING)


@pytest.mark.parametrize("autocast", [None, "bfloat16"])
def test_answers_are_the_networks_own_bit_for_bit(autocast: str | None) -> None:
    source = OnlineTeacher(tiny.classifier(layers=3, seed=1), "cpu", autocast)
    twin = tiny.classifier(layers=3, seed=1).eval()
    capture = Capture(twin, EVERYTHING)
    for seed in range(3):
        inputs = tiny.inputs_of(tiny.batch(seed=seed))
        found = _answer(source, inputs, autocast)
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast is not None):
            expected = capture.run(**inputs)
        for what in ("logits", "hidden", "scores"):
            mine, theirs = getattr(found, what), getattr(expected, what)
            assert mine.dtype == theirs.dtype
            assert torch.equal(mine, theirs), what
            assert not mine.requires_grad


def test_autocast_rounds_at_all() -> None:
    inputs = tiny.inputs_of(tiny.batch())
    exact, rounded = (
        _answer(OnlineTeacher(tiny.classifier(), "cpu", kind), inputs, kind) for kind in (None, "bfloat16")
    )
    assert not torch.equal(exact.logits, rounded.logits.float())


@pytest.mark.parametrize("autocast", [None, "bfloat16"])
def test_training_a_student_leaves_it_alone(autocast: str | None) -> None:
    run = runs.make("emd", {"beta": 1.0, "lr": 0.01}, epochs=2, autocast=autocast)
    assert isinstance(run.source, OnlineTeacher)
    model = run.source.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in run:
        assert not model.training
        assert all(p.grad is None and not p.requires_grad for p in model.parameters())
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_model_in_train_mode_answers_without_dropout() -> None:
    source = OnlineTeacher(tiny.classifier(dropout=0.5).train())
    inputs = tiny.inputs_of(tiny.batch())
    assert torch.equal(_answer(source, inputs, None).logits, _answer(source, inputs, None).logits)


def test_asking_draws_no_random_numbers() -> None:
    source = OnlineTeacher(tiny.classifier())
    before = torch.get_rng_state()
    _answer(source, tiny.inputs_of(tiny.batch()), None)
    assert torch.equal(torch.get_rng_state(), before)


def test_needs_may_change_from_batch_to_batch() -> None:
    source = OnlineTeacher(tiny.classifier(layers=3))
    assert source.shape == Shape(3, 16, 2)
    inputs = tiny.inputs_of(tiny.batch())
    full = source.answer(ROWS, inputs, EVERYTHING)
    bare = source.answer(ROWS, inputs, frozenset({"logits"}))
    assert bare.hidden is None
    assert bare.scores is None
    assert torch.equal(bare.logits, full.logits)
    again = source.answer(ROWS, inputs, EVERYTHING)
    assert again.hidden is not None
    assert full.hidden is not None
    assert torch.equal(again.hidden, full.hidden)
    hooks = sum(len(module._forward_hooks) for module in source.model.modules())
    assert hooks == 4 + 2 * 3
