"""`python -m analysis.predict`: which student answers, in which form, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.predict import command
from distill.tasks import metrics, registry
from distill.tasks.base import Examples
from tests.distill import tiny
from tests.fake_family import build_family
from tests.fake_sweep import build

WORDS = {"mnli": ("contradiction", "entailment", "neutral"), "rte": ("entailment", "not_entailment")}


def student(folder: Path, task: str, words: tuple[str, ...] | None = None, seed: int = 0, **how: Any) -> Path:
    """A tiny student of a task, as `save_pretrained` writes it, which gives each label to some rows."""
    known = registry.get(task)
    model = tiny.classifier(labels=known.num_labels, regression=known.kind == "regression", seed=seed, **how)
    named = words or known.labels or ("score",)
    model.config.id2label = dict(enumerate(named))
    model.config.label2id = {word: number for number, word in enumerate(named)}
    tiny.tokenizer().save_pretrained(folder)
    model.save_pretrained(folder)
    with torch.no_grad():
        model.classifier.bias -= torch.tensor(np.median(said_by(folder, tiny.examples(30, known)), axis=0))
    model.save_pretrained(folder)
    return folder


def said_by(folder: Path, rows: Examples) -> np.ndarray:
    """Logits of a student to one row at a time, by the library alone."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    words = AutoTokenizer.from_pretrained(folder)
    found = []
    for number, first in enumerate(rows.first):
        pair = () if rows.second is None else (rows.second[number],)
        with torch.no_grad():
            found.append(model(**words(first, *pair, return_tensors="pt")).logits[0].numpy())
    return np.stack(found)


def write(file: Path, header: str, rows: list[str]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def unlabelled_file(folder: Path, task: str, name: str, rows: int = 12, seed: int = 5) -> Examples:
    """A file of GLUE's test rows whose index does not begin at 0."""
    known = registry.get(task)
    made = tiny.examples(rows, known, seed)
    columns = [known.first_column, *([known.second_column] if known.second_column else [])]
    lines = zip(*(side for side in (made.first, made.second) if side is not None), strict=True)
    numbered = ["\t".join([str(40 - number), *texts]) for number, texts in enumerate(lines)]
    write(folder / known.folder / name, "\t".join(["index", *columns]), numbered)
    return made


def run(*arguments: Any) -> int:
    return command.main([*map(str, arguments), "--device", "cpu"])


def lines(file: Path) -> list[list[str]]:
    return [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("students")
    return {task: student(place / task, task) for task in ("cola", "rte", "mnli", "stsb")}


@pytest.mark.parametrize(
    ("task", "file", "name"),
    [
        ("cola", "test.tsv", "CoLA.tsv"),
        ("rte", "test.tsv", "RTE.tsv"),
        ("mnli", "diagnostic.tsv", "AX.tsv"),
        ("stsb", "test.tsv", "STS-B.tsv"),
    ],
)
def test_the_form_of_the_glue_server(
    students: dict[str, Path], tmp_path: Path, task: str, file: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = unlabelled_file(tmp_path / "glue", task, file)
    split = file.removesuffix(".tsv")
    out = tmp_path / "out"
    assert run(students[task], "--task", task, "--split", split, "--data-dir", tmp_path / "glue", "--out", out) == 0
    header, *found = lines(out / name)
    assert header == ["index", "prediction"]
    assert [index for index, _ in found] == [str(40 - number) for number in range(12)]
    logits = said_by(students[task], rows)
    if task == "stsb":
        assert (logits < 0).any()
        expected = np.clip(logits[:, 0], 0, 5)
        np.testing.assert_allclose([float(word) for _, word in found], expected, atol=1e-5)
    else:
        words = WORDS.get(task, ("0", "1"))
        assert len(set(logits.argmax(1))) > 1
        assert [word for _, word in found] == [words[label] for label in logits.argmax(1)]
        told = ", ".join(f"{word} {[w for _, w in found].count(word)}" for word in words)
        assert f"Answers: {told}." in capsys.readouterr().out


def test_mnli_has_two_files_of_test_rows_and_all_go_into_one_archive(students: dict[str, Path], tmp_path: Path) -> None:
    rows = [
        unlabelled_file(tmp_path, "mnli", f"test_{part}.tsv", seed=seed)
        for seed, part in ((1, "matched"), (2, "mismatched"))
    ]
    out = tmp_path / "out"
    assert run(students["mnli"], "--task", "mnli", "--data-dir", tmp_path, "--out", out, "--zip") == 0
    for made, name in zip(rows, ("MNLI-m.tsv", "MNLI-mm.tsv"), strict=True):
        expected = [WORDS["mnli"][label] for label in said_by(students["mnli"], made).argmax(1)]
        assert [word for _, word in lines(out / name)[1:]] == expected
    with zipfile.ZipFile(out / "submission.zip") as archive:
        assert archive.namelist() == ["MNLI-m.tsv", "MNLI-mm.tsv"]
        assert archive.read("MNLI-m.tsv") == (out / "MNLI-m.tsv").read_bytes()


def test_labels_of_a_student_from_elsewhere_are_read_by_their_words(tmp_path: Path) -> None:
    rows = unlabelled_file(tmp_path, "mnli", "diagnostic.tsv")
    other = student(tmp_path / "other", "mnli", words=("entailment", "neutral", "contradiction"))
    assert run(other, "--task", "mnli", "--split", "diagnostic", "--data-dir", tmp_path) == 0
    words = ("entailment", "neutral", "contradiction")
    expected = [words[label] for label in said_by(other, rows).argmax(1)]
    assert [word for _, word in lines(other / "predictions" / "AX.tsv")[1:]] == expected


def test_own_files_get_their_ids_labels_and_probabilities(students: dict[str, Path], tmp_path: Path) -> None:
    texts = ["the cat sleeps", "the dog, not old, runs", "a very small bird"]
    file = tmp_path / "mine.csv"
    file.write_text(
        'id,sentence\nr1,the cat sleeps\nr2,"the dog, not old, runs"\nr3,a very small bird\n', encoding="utf-8"
    )
    assert run(students["cola"], "--task", "cola", "--file", file, "--out", tmp_path) == 0
    with (tmp_path / "cola-mine.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    logits = said_by(students["cola"], Examples(tuple(texts), None, np.zeros(3, dtype=np.int64)))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert [row["id"] for row in found] == ["r1", "r2", "r3"]
    assert [row["label"] for row in found] == [str(label) for label in logits.argmax(1)]
    np.testing.assert_allclose([[float(row["0"]), float(row["1"])] for row in found], shares, atol=1e-5)


# --- sweeps ---


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, students: dict[str, Path]) -> Path:
    """A finished sweep of one point whose record has what its student scores on dev."""
    place = tmp_path_factory.mktemp("swept")
    write_cola(place / "glue" / "CoLA")
    return sweep_of(place / "sweep", students["cola"], place / "glue")


def write_cola(folder: Path) -> None:
    for name, seed in (("train", 1), ("dev", 2)):
        made = tiny.examples(30, registry.get("cola"), seed)
        rows = [f"{made.first[row]}\t{made.labels[row]}\t{90 - row}" for row in range(len(made))]
        write(folder / f"{name}.tsv", "sentence\tlabel\tidx", rows)


def sweep_of(folder: Path, exported: Path, glue: Path) -> Path:
    build(folder, points=1, epochs=1, fail=(), baseline=False, predictions=False, embedded=False)
    score = score_on_dev(exported)
    header = json.loads((folder / "sweep.json").read_text())
    header["config"]["data_dir"] = str(glue)
    header["plan"]["training"]["max_length"] = 32
    (folder / "sweep.json").write_text(json.dumps(header))
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    for row in rows:
        if row["kind"] == "evaluation":
            row["value"] = row["metrics"]["mcc"] = score
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(exported, folder / "student")
    return folder


def score_on_dev(folder: Path) -> float:
    dev = tiny.examples(30, registry.get("cola"), 2)
    assert len(set(said_by(folder, dev).argmax(1))) > 1
    return metrics.get("mcc").compute(said_by(folder, dev), dev.labels)


def test_dev_predictions_give_the_recorded_score(
    sweep: Path, students: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(sweep, "--split", "dev") == 0
    told = capsys.readouterr().out
    assert f"Matthews correlation {score_on_dev(students['cola']):.4f}, accuracy " in told
    assert "That is what the record has." in told
    assert "Student: p00 of sweep" in told
    assert "at most 32 tokens a row" in told
    with (sweep / "predictions" / "cola-dev.csv").open(newline="") as stream:
        found = [(row["id"], int(row["label"])) for row in csv.DictReader(stream)]
    expected = said_by(students["cola"], tiny.examples(30, registry.get("cola"), 2)).argmax(1)
    assert found == [(str(90 - row), label) for row, label in enumerate(expected)]


def test_another_score_than_the_recorded_one_is_said(
    sweep: Path, students: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "sweep"
    shutil.copytree(sweep, other, ignore=shutil.ignore_patterns("predictions"))
    shutil.rmtree(other / "student")
    student(other / "student", "cola", seed=3)
    assert run(other, "--split", "dev") == 0
    recorded = f"The record has {score_on_dev(students['cola']):.4f}"
    assert f"{recorded}: the rows or the device are others.\n" in capsys.readouterr().out
    assert run(other, "--split", "dev", "--max-length", "5") == 0
    assert f"{recorded}: the sweep has --max-length 32.\n" in capsys.readouterr().out


def test_of_several_sweeps_the_best_answers_or_the_one_of_a_method(
    students: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = build_family(tmp_path / "p", (2, 4), points=1, epochs=1, predictions=False, embedded=False)
    for child in ("2L", "4L"):
        student(parent / child / "student", "cola")
    unlabelled_file(tmp_path / "glue", "cola", "test.tsv")
    best = {}
    for child in ("2L", "4L"):
        rows = map(json.loads, (parent / child / "rows.jsonl").read_text().splitlines())
        best[child] = max(row["value"] for row in rows if row["kind"] == "evaluation" and row["point"] != "ft")
    assert run(parent, "--data-dir", tmp_path / "glue") == 0
    top = max(best, key=lambda child: best[child])
    assert f" of {top} (" in capsys.readouterr().out
    assert (parent / top / "predictions" / "CoLA.tsv").is_file()
    assert run(parent, "--data-dir", tmp_path / "glue", "--method", "kd") == 2
    assert "holds sweeps of emd; choose one of these" in capsys.readouterr().err


# --- what is refused ---


def refused(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    assert run(*arguments) == 2
    found = capsys.readouterr()
    assert found.err.count("\n") == 1
    assert "Traceback" not in found.err
    return found.err.removeprefix("error: ").strip()


def test_what_is_no_student_is_refused(students: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    assert refused(capsys, tmp_path / "none").startswith(f"There is no folder {tmp_path / 'none'}; name a sweep's")
    told = refused(capsys, tmp_path)
    assert (
        "neither a sweep's folder (sweep.json), nor the parent of the sweeps that one command made (family.json), "
        in told
    )
    assert "nor a student's folder (config.json); name one of these." in told
    told = refused(capsys, students["cola"])
    assert "does not say which task its student was trained for; name it with --task, or for rows of your own" in told
    told = refused(capsys, students["cola"], "--task", "mnli", "--data-dir", tmp_path)
    assert "has a classifier of 2 outputs, and mnli needs 3; name the task that it was trained for" in told
    assert "--method emd chooses among several sweeps" in refused(capsys, students["cola"], "--method", "emd")


def test_a_sweep_without_a_student_is_refused(tmp_path: Path, capsys: Any) -> None:
    failed = build(tmp_path / "failed", points=2, fail_all=True, predictions=False)
    assert "has no student yet: no distilled trial has a score" in refused(capsys, failed)
    running = build(tmp_path / "running", points=1, baseline=False, fail=(), events=2, predictions=False)
    assert "has no student yet: its best trial, p00, still runs; wait for its end" in refused(capsys, running)
    lost = build(tmp_path / "lost", points=1, baseline=False, fail=(), predictions=False)
    assert "has no student yet: its weights are not here" in refused(capsys, lost)


def test_rows_that_are_not_there_are_refused(students: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    write_cola(tmp_path / "CoLA")
    base = (students["cola"], "--task", "cola")
    assert "has no test.tsv for the split test of cola" in refused(capsys, *base, "--data-dir", tmp_path)
    made_up = (students["cola"], "--task", "cola-made-up")
    told = refused(capsys, *made_up)
    assert told == "--split test: rows of cola-made-up without labels are read from files; name one with --file."
    assert "--pair-column b: cola has one text a row" in refused(capsys, *base, "--file", "x", "--pair-column", "b")
    told = refused(capsys, *base, "--text-column", "a")
    assert told == "--text-column says what a column of --file is called; name that file too."
    assert "--split tset is none of test, dev, train, diagnostic" in refused(capsys, *base, "--split", "tset")
    assert "has the labels of mnli, and the student answers cola" in refused(capsys, *base, "--split", "diagnostic")
    assert "x.tsv is not there" in refused(capsys, *base, "--file", tmp_path / "x.tsv")
    told = refused(capsys, *base, "--file", "a", "--data-dir", "b")
    assert told == "--file and --data-dir both name the rows; give one of them."
    assert "--batch-size 0 is too small" in refused(capsys, *base, "--batch-size", "0")
    assert "--max-length 65 exceeds the 64 positions" in refused(
        capsys, *base, "--split", "dev", "--data-dir", tmp_path, "--max-length", "65"
    )


def test_files_of_a_person_stay_and_our_own_are_written_anew(
    students: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    unlabelled_file(tmp_path / "glue", "cola", "test.tsv")
    again = (students["cola"], "--task", "cola", "--data-dir", tmp_path / "glue", "--out", tmp_path)
    (tmp_path / "CoLA.tsv").write_text("mine\n")
    assert "CoLA.tsv is there and was not written by this command" in refused(capsys, *again)
    assert (tmp_path / "CoLA.tsv").read_text() == "mine\n"
    (tmp_path / "CoLA.tsv").unlink()
    assert run(*again) == 0
    first = (tmp_path / "CoLA.tsv").read_bytes()
    assert run(*again) == 0
    assert (tmp_path / "CoLA.tsv").read_bytes() == first
    (tmp_path / "CoLA.tsv").write_bytes(first + b"edited\n")
    capsys.readouterr()
    assert "or changed since; name another --out" in refused(capsys, *again)
    assert "is a file; name a folder" in refused(capsys, *again[:-1], tmp_path / "CoLA.tsv")
    assert [file.name for file in tmp_path.glob(".*")] == []


def test_an_archive_needs_files_for_the_server(students: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    write_cola(tmp_path / "CoLA")
    asked = (students["cola"], "--task", "cola", "--split", "dev", "--data-dir", tmp_path, "--out", tmp_path / "out")
    assert "has none of CoLA.tsv, SST-2.tsv" in refused(capsys, *asked, "--zip")
    # Before anything is answered.
    assert not (tmp_path / "out").exists()
    write(tmp_path / "out" / "RTE.tsv", "index\tprediction", ["0\tentailment"])
    write(tmp_path / "out" / "submission.zip", "mine", [])
    assert "submission.zip is there and was not written by this command" in refused(capsys, *asked, "--zip")
    assert not (tmp_path / "out" / "cola-dev.csv").exists()
    (tmp_path / "out" / "submission.zip").unlink()
    assert run(*asked, "--zip") == 0
    with zipfile.ZipFile(tmp_path / "out" / "submission.zip") as archive:
        assert archive.namelist() == ["RTE.tsv"]


def test_an_error_ends_with_a_stop_wherever_it_is_from(students: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "a.csv").write_bytes(b"sentence\n\xff\n")
    told = refused(capsys, students["cola"], "--task", "cola", "--file", tmp_path / "a.csv")
    assert told.endswith("not UTF-8; save the file as UTF-8.")
