"""A teacher that is being made tells how far it is, also while no evaluation does."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.artifacts import Store
from distill.tasks import registry, tokens
from distill.tasks.glue import load
from distill.training.settings import Numerics, Training
from trainables import teacher_work
from trainables.teacher_work import TeacherOrder


@pytest.mark.parametrize(("silence", "lines"), [(-1.0, True), (60.0, False)])
def test_how_far_a_teacher_is(
    tmp_path: Path,
    tiny_data: Path,
    tiny_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    silence: float,
    lines: bool,
) -> None:
    monkeypatch.setattr(teacher_work, "SILENCE", silence)
    rows = tokens.prepare(Store(tmp_path), load(registry.get("cola"), tiny_data), tiny_encoder, max_length=16)
    training = Training(epochs=2, batch_size=40, max_length=16)
    said: list[str] = []
    TeacherOrder(
        store=str(tmp_path),
        encoder=str(tiny_encoder),
        name="tiny",
        tokens=str(rows),
        task=registry.get("cola"),
        mode="finetune",
        training=vars(training),
        lr=1e-3,
        seed=0,
        keep="best",
        numerics=vars(Numerics()),
    ).carry_out(said.append)
    between = [line for line in said if "mcc" not in line]
    assert between == ([f"epoch {0.25 * step:.2f} of 2." for step in range(1, 9)] if lines else [])
    assert [line.split(",")[0] for line in said if "mcc" in line] == ["epoch 1 of 2", "epoch 2 of 2"]
