"""`distill.run` with encoders of other kinds than BERT: teacher, cut or ready student, and the folder that is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import distill
from distill.errors import UserError
from tests.distill import tiny
from tests.distill.test_api import QUICK

NEW = ("distilbert", "mpnet", "deberta-v2", "albert", "modernbert")


@pytest.mark.parametrize("kind", NEW)
def test_a_teacher_and_its_student(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    teacher = tiny.encoder_folder(tmp_path / "teacher", kind=kind, layers=3)
    student: Any = (1, 3)
    if kind == "albert":
        words = r"^TinyBERT: no student of copied layers .* ALBERT \(albert\) share one set"
        with pytest.raises(UserError, match=words):
            distill.run(teacher, 2, "tinybert", tiny.data(), artifacts=tmp_path / "store", **QUICK)
        student = tiny.encoder_folder(tmp_path / "student", kind=kind, layers=2, width=8)
    quick: dict[str, Any] = {**QUICK, "params": {"lr": 1e-3, "intermediate_epochs": 1}, "epochs": 1}
    found = distill.run(
        teacher, student, "tinybert", tiny.data(), artifacts=tmp_path / "store", out=tmp_path / "out", **quick
    )
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert again.config.model_type == kind
    assert again.config.num_hidden_layers == 2
    inputs = {name: value for name, value in tiny.batch().items() if name in ("input_ids", "attention_mask")}
    assert torch.equal(again(**inputs).logits, found.student.eval()(**inputs).logits)


def test_a_student_of_another_kind(tmp_path: Path) -> None:
    """Vocabularies decide what can be compared, kinds do not."""
    teacher = tiny.encoder_folder(tmp_path / "teacher", layers=3)
    student = tiny.encoder_folder(tmp_path / "student", kind="distilbert", layers=2)
    found = distill.run(teacher, student, "kd", tiny.data("mrpc"), artifacts=tmp_path / "store", **QUICK)
    assert found.student.config.model_type == "distilbert"
    other = tiny.encoder_folder(tmp_path / "other", kind="distilbert", layers=2, vocab_size=40)
    with pytest.raises(UserError, match="both must share one vocabulary"):
        distill.run(teacher, other, "kd", tiny.data("mrpc"), artifacts=tmp_path / "store", **QUICK)
