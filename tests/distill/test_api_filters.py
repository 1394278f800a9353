"""`distill.run` with TED: filters are made in the store and found there, or given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import distill
from distill.errors import UserError
from tests.distill import tiny

QUICK: dict[str, Any] = {
    **{"epochs": 1, "batch_size": 16, "max_length": 32, "device": "cpu", "allow_weak_teacher": True},
    **{"teacher_settings": {"epochs": 1}},
}
VALUES = {"finetune_epochs": 1, "filter_epochs": 1, "lr": 1e-3}


def run(encoder: Path, place: Path, params: dict[str, Any], **how: Any) -> tuple[distill.Distilled, list[str]]:
    said: list[str] = []
    found = distill.run(
        encoder, 2, "ted", tiny.data(), params=params, artifacts=place, progress=said.append, **{**QUICK, **how}
    )
    return found, said


def test_filters_are_made_once_for_all_seeds_and_weights(encoder: Path, tmp_path: Path) -> None:
    found, said = run(encoder, tmp_path, VALUES)
    told = [line for line in said if "stage teacher-filters" in line]
    assert len(told) == 1
    assert [line.split(",")[0] for line in said if line.startswith("Student: stage")] == [
        "Student: stage finetune",
        "Student: stage student-filters",
    ]
    assert found.evaluations[0].seen["filter_distances"]["teacher"] == [2, 4]
    again, said = run(encoder, tmp_path, {**VALUES, "kl_alpha": 0.0}, seed=1)
    assert not any("stage teacher-filters" in line for line in said)
    assert set(again.terms) == {"hard", "layers", "total"}
    (folder,) = tmp_path.glob("teacher-stage-*")
    brought, said = run(encoder, tmp_path / "other", VALUES, teacher_filters=folder)
    assert not any("stage teacher-filters" in line for line in said)
    assert brought.terms == found.terms


@pytest.mark.parametrize(
    ("method", "how", "sentence"),
    [
        ("ted", {"teacher_filters": "nowhere"}, "--teacher-filters nowhere does not exist"),
        ("emd", {"student_filters": "nowhere"}, "--student-filters plays no part"),
        ("ted", {"params": {"filter_interval": 2, "teacher_interval": 1}}, "do not meet"),
        ("ted", {"params": {"filter_lr": 1e-3}, "student_filters": "nowhere"}, "filter_lr plays no part"),
    ],
)
def test_what_is_refused(encoder: Path, tmp_path: Path, method: str, how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        distill.run(encoder, 2, method, tiny.data(), artifacts=tmp_path, **{**QUICK, **how})
    assert not list(tmp_path.glob("teacher-*"))
