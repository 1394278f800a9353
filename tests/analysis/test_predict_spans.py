"""Predictions of texts that answer questions, in the form of SQuAD's own program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.tasks import registry
from distill.tasks.base import Examples
from tests.analysis.test_predict import refused, run
from tests.distill import tiny

SQUAD2 = registry.get("squad2")
DEV = tiny.span_examples(12, SQUAD2, seed=4)


def as_json(rows: Examples, answers: bool = True) -> str:
    paragraphs = []
    for number, (question, context) in enumerate(zip(rows.first, rows.second or (), strict=True)):
        accepted = (rows.answers or ())[number]
        qa: dict[str, Any] = {"id": (rows.ids or ())[number], "question": question}
        if answers:
            listed = [{"text": answer.text, "answer_start": answer.start} for answer in accepted]
            qa |= {"answers": listed, "is_impossible": not listed}
        paragraphs.append({"context": context, "qas": [qa]})
    return json.dumps({"version": "v2.0", "data": [{"title": "animals", "paragraphs": paragraphs}]})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that points to tokens, and the task's files."""
    place = tmp_path_factory.mktemp("spans")
    tiny.classifier(span=True, seed=1).save_pretrained(place / "student")
    tiny.tokenizer().save_pretrained(place / "student")
    folder = place / "data" / "SQuAD2"
    folder.mkdir(parents=True)
    (folder / SQUAD2.train_file).write_text(as_json(tiny.span_examples(8, SQUAD2, seed=5)))
    (folder / SQUAD2.dev_file).write_text(as_json(DEV))
    return place


def said_by(folder: Path, rows: Examples, threshold: float) -> tuple[dict[str, str], dict[str, float]]:
    """The best pair of tokens of each row, gone through one by one, by the library alone."""
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    words = AutoTokenizer.from_pretrained(folder)
    texts, ahead = {}, {}
    for name, question, context in zip(rows.ids or (), rows.first, rows.second or (), strict=True):
        encoded = words(question, context, return_tensors="pt", return_offsets_mapping=True)
        offsets = encoded.pop("offset_mapping")[0].tolist()
        of_context = [place for place, side in enumerate(encoded.sequence_ids(0)) if side == 1]
        with torch.no_grad():
            found = model(**encoded)
        start, end = found.start_logits[0].double(), found.end_logits[0].double()
        pairs = [(float(start[i] + end[j]), i, j) for i in of_context for j in of_context if i <= j < i + 30]
        best, first, last = max(pairs)
        ahead[name] = float(start[0] + end[0]) - best
        texts[name] = "" if ahead[name] > threshold else context[offsets[first][0] : offsets[last][1]]
    return texts, ahead


@pytest.mark.parametrize("half", [False, True])
def test_the_files_of_squads_own_program(place: Path, tmp_path: Path, half: bool, capsys: Any) -> None:
    student, threshold = place / "student", 0.0
    asked: tuple[Any, ...] = (student, "--task", "squad2", "--split", "dev", "--data-dir", place / "data")
    if half:
        # One that leaves half of the rows without an answer.
        threshold = float(np.median(list(said_by(student, DEV, 0.0)[1].values())))
        asked += ("--null-threshold", threshold)
    assert run(*asked, "--out", tmp_path) == 0
    texts, ahead = said_by(student, DEV, threshold)
    assert sum(not text for text in texts.values()) == 6 or not half
    assert json.loads((tmp_path / "squad2-dev.json").read_text()) == texts
    odds = json.loads((tmp_path / "squad2-dev-null-odds.json").read_text())
    assert odds == pytest.approx(ahead, abs=1e-5)
    silent = sum(not text for text in texts.values())
    told = capsys.readouterr().out
    assert f"Answers: {12 - silent} texts, {silent} rows without one." in told
    right = sum(
        text in [answer.text for answer in answers] if answers else not text
        for text, answers in zip(texts.values(), DEV.answers or (), strict=True)
    )
    assert f"exact match {right / 12:.4f}" in told


@pytest.mark.parametrize("count", [1, 12])
def test_questions_without_answers_are_answered(place: Path, tmp_path: Path, count: int) -> None:
    asked = DEV.take(np.arange(count))
    (tmp_path / "new.json").write_text(as_json(asked, answers=False))
    student = place / "student"
    assert run(student, "--task", "squad2", "--file", tmp_path / "new.json", "--out", tmp_path) == 0
    assert json.loads((tmp_path / "squad2-new.json").read_text()) == said_by(student, asked, 0.0)[0]


def test_what_does_not_go_with_questions_is_refused(place: Path, tmp_path: Path, capsys: Any) -> None:
    student = place / "student"
    assert "the test rows of squad2 are not public" in refused(capsys, student, "--task", "squad2")
    told = refused(capsys, student, "--task", "cola", "--data-dir", tmp_path)
    assert "has no classifier" in told
    (tmp_path / "bad.json").write_text("{")
    assert "bad.json, line 1" in refused(capsys, student, "--task", "squad2", "--file", tmp_path / "bad.json")
    (tmp_path / "new.json").write_text(as_json(DEV))
    file = ("--file", tmp_path / "new.json", "--out", tmp_path)
    told = refused(capsys, student, "--task", "squad2", *file, "--pair-column", "text")
    assert told == "--pair-column text: files of squad2 are in SQuAD's form, which has no columns; leave it out."
    told = refused(capsys, student, "--task", "squad", *file, "--null-threshold", "1")
    assert told == "--null-threshold 1 plays no part in squad; leave it out."
