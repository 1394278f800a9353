"""Predictions for rows of a person's own, and for rows from the hub."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.tasks import metrics, own, registry
from distill.tasks.base import Examples
from tests.analysis.test_predict import lines, refused, run, said_by, student, write
from tests.distill import tiny
from tests.fake_sweep import build
from tests.hub_data import Rows, add_glue
from tests.hub_server import Hub, running, use

TEXTS = tiny.examples(30, registry.get("cola"), 2)
PAIRS = tiny.examples(12, registry.get("mnli"), 3)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep on two files of a person's own, of sentences that are good or bad."""
    place = tmp_path_factory.mktemp("own")
    words = np.array(["bad", "good"])[TEXTS.labels]
    for name in ("reviews", "chosen"):
        rows = [f"{text},{word},n{row}" for row, (text, word) in enumerate(zip(TEXTS.first, words, strict=True))]
        write(place / f"{name}.csv", "said,meant,ID", rows)
    folder = build(place / "sweep", points=1, epochs=1, fail=(), baseline=False, predictions=False, embedded=False)
    options = own.Options("said", None, "meant")
    data = own.read(place / "reviews.csv", place / "chosen.csv", options)
    exported = student(folder / "student", "cola", words=data.task.labels)
    score = metrics.get("accuracy").compute(said_by(exported, TEXTS), TEXTS.labels)
    header = json.loads((folder / "sweep.json").read_text())
    header["config"] |= {
        "data_dir": None,
        "task_file": str(place / "reviews.csv"),
        "dev_file": str(place / "chosen.csv"),
    }
    header["plan"] |= {"task": data.task.name, "metric": "accuracy", own.PLANNED: own.definition(data.task)}
    (folder / "sweep.json").write_text(json.dumps(header))
    events = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    for event in events:
        if event["kind"] == "evaluation":
            event["value"] = event["metrics"]["accuracy"] = score
    (folder / "rows.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_dev_rows_of_an_own_file_give_the_recorded_score(swept: Path, capsys: Any) -> None:
    assert run(swept, "--split", "dev") == 0
    assert "That is what the record has." in capsys.readouterr().out
    found = [(row["id"], row["label"]) for row in table(swept / "predictions" / "reviews-dev.csv")]
    expected = said_by(swept / "student", TEXTS).argmax(1)
    assert found == [(f"n{row}", ("bad", "good")[label]) for row, label in enumerate(expected)]


def test_a_further_file_of_the_same_columns_or_of_others(swept: Path, tmp_path: Path) -> None:
    write(tmp_path / "new.jsonl", json.dumps({"said": "the cat sleeps"}), [json.dumps({"said": "a not old dog runs"})])
    write(tmp_path / "other.tsv", "id\ttweet", ["9\tthe cat sleeps", "8\ta not old dog runs"])
    assert run(swept, "--file", tmp_path / "new.jsonl", "--out", tmp_path) == 0
    assert run(swept, "--file", tmp_path / "other.tsv", "--text-column", "tweet", "--out", tmp_path) == 0
    first, second = (table(tmp_path / f"reviews-{name}.csv") for name in ("new", "other"))
    assert [row["id"] for row in first] == ["0", "1"]
    assert [row["id"] for row in second] == ["9", "8"]
    assert [row["bad"] for row in first] == [row["bad"] for row in second]


def test_labels_that_are_no_longer_those_of_the_sweep_are_refused(swept: Path, tmp_path: Path, capsys: Any) -> None:
    other = tmp_path / "sweep"
    shutil.copytree(swept, other, ignore=shutil.ignore_patterns("predictions"))
    header = json.loads((other / "sweep.json").read_text())
    header["config"]["task_file"] = str(write(tmp_path / "r.csv", "said,meant", ["a,fine", "b,poor"]))
    header["config"]["dev_file"] = header["config"]["task_file"]
    (other / "sweep.json").write_text(json.dumps(header))
    assert "have changed since the sweep; name the rows with --file" in refused(capsys, other, "--split", "dev")
    told = refused(capsys, swept)
    assert told == "--split test: rows of reviews without labels are read from files; name one with --file."
    assert "reviews has files of its own; name one with --file" in refused(capsys, swept, "--data-dir", tmp_path)
    file = write(tmp_path / "x.csv", "words", ["a"])
    assert "has no column 'said' (it has 'words')" in refused(capsys, swept, "--file", file)


@pytest.mark.parametrize("words", [("no", "yes", "perhaps"), ("1", "-1", "0"), ("b", "B", "c")])
def test_a_student_without_a_sweep_names_its_labels_itself(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = student(tmp_path / "student", "mnli", words=words)
    rows = [f'"{first}","{second}"' for first, second in zip(PAIRS.first, PAIRS.second or (), strict=True)]
    file = write(tmp_path / "pairs.csv", "question,answer", rows)
    columns = ("--text-column", "question", "--pair-column", "answer")
    assert run(folder, "--file", file, *columns, "--out", tmp_path) == 0
    found = [row["label"] for row in table(tmp_path / "rows-pairs.csv")]
    assert found == [words[label] for label in said_by(folder, PAIRS).argmax(1)]
    assert len(set(found)) > 1


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as served:
        use(served, tmp_path / "home", monkeypatch)
        yield served


def served(rows: Examples, columns: tuple[str, str]) -> dict[str, list[Any]]:
    sides = dict(zip(columns, (list(rows.first), list(rows.second or ())), strict=True))
    return {**sides, "label": [-1] * len(rows), "idx": [100 + number for number in range(len(rows))]}


def test_rows_of_the_hub_are_answered_in_their_order(hub: Hub, tmp_path: Path) -> None:
    named = ["entailment", "neutral", "contradiction"]
    columns = ("premise", "hypothesis")
    parts = {name: served(PAIRS, columns) for name in ("test_matched", "test_mismatched")}
    add_glue(hub, {"mnli": parts, "ax": {"test": served(PAIRS, columns)}}, {"mnli": named, "ax": named})
    folder = student(tmp_path / "student", "mnli")
    assert run(folder, "--task", "mnli") == 0
    assert run(folder, "--task", "mnli", "--split", "diagnostic") == 0
    words = registry.get("mnli").labels
    expected = [[str(100 + i), words[label]] for i, label in enumerate(said_by(folder, PAIRS).argmax(1))]
    for name in ("MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"):
        assert lines(folder / "predictions" / name) == [["index", "prediction"], *expected]


def test_rows_of_the_hub_without_a_text_are_refused(hub: Hub, tmp_path: Path, capsys: Any) -> None:
    folder = student(tmp_path / "student", "cola")
    faults: tuple[tuple[Rows, str], ...] = (
        ({"sentence": ["a", None], "label": [0, 1]}, "row 2: column 'sentence' holds None where a text is expected;"),
        (
            {"words": ["a", "b"], "label": [0, 1]},
            "has no column sentence in test (it has words, label); name a file with",
        ),
        ({"sentence": ["a", "x" * 200_001], "label": [0, 1]}, "test, row 2: the text in column 'sentence' has 200,001"),
    )
    for columns, said in faults:
        add_glue(hub, {"cola": {"test": columns}}, {"cola": ["unacceptable", "acceptable"]})
        capsys.readouterr()
        assert said in refused(capsys, folder, "--task", "cola")
    hub.repositories.clear()
    assert refused(capsys, folder, "--task", "cola").endswith(": name a file with --file.")
