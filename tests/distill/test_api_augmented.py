"""`distill.run` with augmented rows: the student trains on them, the teacher on its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import distill
from distill.augment.candidates import Candidates
from distill.augment.partial import Partial
from distill.augment.rows import write
from distill.errors import UserError
from distill.tasks.augmented import with_augmented
from tests.distill import tiny
from tests.distill.augment import masks


def run(encoder: Path, store: Path, task: str = "cola", **how: Any) -> distill.Distilled:
    given = {
        **{"student": 2, "method": "emd", "data": tiny.data(task, train=24, dev=24), "params": {"lr": 1e-3}},
        **{"epochs": 1, "batch_size": 16, "max_length": 32, "seed": 3, "device": "cpu"},
        **{"teacher_settings": {"epochs": 1}, "allow_weak_teacher": True},
    }
    return distill.run(encoder, artifacts=store, **{**given, **how})


def augmented(folder: Path, task: str = "cola") -> Path:
    """A file of augmented rows of the tiny data."""
    data, out = tiny.data(task, train=24, dev=24), folder / f"{task}.tsv"
    candidates = Candidates(masks.loaded(masks.bert(folder / f"masked-{task}")), None, 5, 32)
    with Partial(out, {}) as partial:
        write(data.task, data.train, candidates, partial, share=0.4, attempts=3, seed=0)
        partial.finish()
    return out


def kinds(store: Path, kind: str) -> list[str]:
    return sorted(path.name for path in store.glob(f"{kind}-*"))


@pytest.mark.parametrize("task", ["cola", "stsb"])
def test_a_student_of_augmented_rows(encoder: Path, tmp_path: Path, task: str) -> None:
    store, file = tmp_path / "store", augmented(tmp_path, task)
    plain = run(encoder, store, task)
    teachers = kinds(store, "teacher")
    found = run(encoder, store, task, augmented=file)
    # One teacher serves both.
    assert kinds(store, "teacher") == teachers
    assert len(teachers) == 1
    assert found.teacher_score == plain.teacher_score
    rows = with_augmented(tiny.data(task, train=24, dev=24), file).of_student()
    assert len(rows.train) > 48
    assert found.best.steps == -(-len(rows.train) // 16)
    # The same student as of one who brings these rows as the task's own, but for the teacher.
    taught = store / teachers[0] / "model"
    ready = {"finetune_teacher": "never", "teacher_settings": None}
    other = run(taught, tmp_path / "other", task, data=rows, student=2, **ready)
    again = run(taught, tmp_path / "third", task, augmented=file, **ready)
    assert again.best.terms == other.best.terms
    assert again.score == other.score
    assert again.teacher_score == plain.teacher_score


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"augmented": "none.tsv"}, "augmented none.tsv is no file"),
        ({"augmented": 3}, "augmented is 3, expected a file."),
        ({"augmented": "other.tsv"}, "augmented other.tsv holds none of the training rows of cola"),
        ({"augmented": "cola.tsv", "select_on": "train-holdout:0.25"}, "select_on train-holdout:0.25 does not go with"),
    ],
)
def test_what_is_refused(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    row = tiny.data("cola", train=24, dev=24).train.first[0]
    Path("cola.tsv").write_text(f"sentence\tlabel\n{row}\t1\na dog\t0\n")
    Path("other.tsv").write_text("sentence\tlabel\na cat\t1\na dog\t0\n")
    with pytest.raises(UserError) as error:
        run(encoder, tmp_path / "store", **how)
    assert sentence in str(error.value)
    assert not (tmp_path / "store").exists()


def test_augmented_rows_are_given_once(encoder: Path, tmp_path: Path) -> None:
    data = tiny.data()
    with pytest.raises(UserError, match="data holds augmented rows already"):
        run(encoder, tmp_path, data=dataclasses.replace(data, augmented=data.train), augmented="any.tsv")
