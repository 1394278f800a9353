"""Sweeps on questions: counted in windows, judged by rows, from disk or from the teacher itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill import methods
from distill.artifacts import Store
from distill.errors import UserError
from distill.tasks import registry
from distill.tasks.base import Examples
from tests.distill import tiny
from trainables import plan, prepare, statistics, teacher_source, trial, windows
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.options import parser
from trainables.record import PREPARED, SWEEP, read
from trainables.recorder import write_json
from trainables.resources import Machine

MACHINE = Machine(1, 0, True)


def squad_file(file: Path, rows: Examples) -> None:
    """Rows as a file of SQuAD 2.0."""
    assert rows.second is not None
    assert rows.answers is not None
    assert rows.ids is not None
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": name,
                    "question": question,
                    "is_impossible": not answers,
                    "answers": [{"text": a.text, "answer_start": a.start} for a in answers],
                }
            ],
        }
        for question, context, answers, name in zip(rows.first, rows.second, rows.answers, rows.ids, strict=True)
    ]
    file.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}), encoding="utf-8")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny encoder, and a folder with both files."""
    place = tmp_path_factory.mktemp("squad")
    encoder = tiny.encoder_folder(place / "encoder", layers=3)
    data = tiny.data("squad2", 40, 20)
    squad_file(place / "train-v2.0.json", data.train)
    squad_file(place / "dev-v2.0.json", data.dev)
    return encoder, place


def made(folders: tuple[Path, Path], *arguments: str, length: int | None = 24, **values: Any) -> dict[str, Any]:
    encoder, place = folders
    usual = {"--teacher": encoder, "--data-dir": place, "--task": "squad2", "--layers": 2, "--method": "kd", **values}
    typed = [str(word) for pair in usual.items() for word in pair] + list(arguments)
    if length is not None:
        typed += ["--set", f"max_length={length}"]
    return plan.make(from_namespace(vars(parser().parse_args(typed)), typed), MACHINE)


def test_the_plan_counts_windows(folders: tuple[Path, Path]) -> None:
    header = made(folders, "--set", "batch_size=8", "--epochs", "3")
    planned = header["plan"]
    train, _ = tiny.tokens("squad2", 40, 20)

    assert planned["data"]["train_rows"] == 40
    assert planned["data"]["train_windows"] == windows.rows(planned) == len(train) > 40
    assert planned["evaluations"] == 3
    assert planned["estimate"]["steps_per_trial"] == 3 * -(-len(train) // 8)
    assert planned["metric"] == "squad_f1"
    told = "\n".join(describe(header))
    assert f"40 training rows, 20 dev rows, {len(train)} training windows" in told
    assert "no answer where none is ahead of the best by more than 0" in told
    assert f"{3 * -(-len(train) // 8)} steps of 8" in told


def test_rows_are_as_long_as_bert_has_them(folders: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="max_length=384 exceeds the 64 positions of the teacher"):
        made(folders, length=None)


def test_the_cache_is_estimated_by_windows(folders: tuple[Path, Path]) -> None:
    source = made(folders)["plan"]["teacher_source"]
    train, _ = tiny.tokens("squad2", 40, 20)

    assert source["kind"] == "cached"
    # Two logits a token, and [CLS] of four layers a window, in float32.
    exact = 4 * (2 * train.lengths.sum() + len(train) * 4 * 16)
    assert source["disk"] == pytest.approx(exact, rel=0.6)
    more = made(folders, **{"--method": "emd"})["plan"]["teacher_source"]
    assert more["bytes"] > source["disk"]


@pytest.mark.parametrize("option", [("--doc-stride", "4"), ("--null-threshold", "0.5")])
def test_how_contexts_are_read_is_part_of_every_hash(folders: tuple[Path, Path], option: tuple[str, str]) -> None:
    usual, other = made(folders), made(folders, *option)
    name = option[0][2:].replace("-", "_")

    assert other["config"][name] == other["plan"]["data"][name] == float(option[1])
    assert usual["fingerprint"]["data"] != other["fingerprint"]["data"]
    assert {p["hash"] for p in usual["plan"]["points"]}.isdisjoint(p["hash"] for p in other["plan"]["points"])
    again = prepare.load_data(other["config"], other["plan"])
    assert again.fingerprint() == other["fingerprint"]["data"]


def test_the_usual_stride_said_aloud_changes_no_hash(folders: tuple[Path, Path]) -> None:
    from trainables.changes import differences

    # Of rows of 24 tokens.
    usual, other = made(folders), made(folders, "--doc-stride", "8")
    assert usual["plan"]["data"]["train_windows"] == other["plan"]["data"]["train_windows"]
    assert usual["fingerprint"] == other["fingerprint"]
    assert [p["hash"] for p in usual["plan"]["points"]] == [p["hash"] for p in other["plan"]["points"]]
    assert differences(other, prepare.load_data(other["config"], other["plan"]))[0] == []


@pytest.mark.parametrize(
    ("arguments", "values", "words"),
    [
        ((), {"--method": "ptp"}, "--method ptp is not defined for squad2, because"),
        ((), {"--method": "pea"}, "--method pea is not defined for squad2, because"),
        (("--recipe", "published"), {"--method": "kd"}, "--method kd was not published for squad2; choose"),
        (("--augmented", "rows.tsv"), {}, "--augmented .*rows.tsv does not go with squad2"),
        (("--doc-stride", "22"), {}, "--doc-stride 22 does not fit max_length=24"),
        (("--set", "classifier_dropout=0.3"), {}, "--set classifier_dropout=0.3 plays no part: a student of type bert"),
        (("--teacher-set", "classifier_dropout=0"), {}, "--teacher-set classifier_dropout=0 plays no part: a teacher"),
        (("--doc-stride", "-1"), {}, "--doc-stride -1 is too small"),
        (("--null-threshold", "nan"), {}, "--null-threshold nan must be a finite number"),
        (("--null-threshold", "1"), {"--task": "squad"}, "take --task squad2"),
    ],
)
def test_what_does_not_go_is_one_sentence(
    folders: tuple[Path, Path], arguments: tuple[str, ...], values: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        made(folders, *arguments, **values)
    assert "\n" not in str(caught.value)


def test_a_teachers_steps_are_counted_in_windows(folders: tuple[Path, Path]) -> None:
    data = made(folders)["plan"]["data"]
    assert data["train_rows"] < data["train_windows"]
    words = [f"batch_size={data['train_rows'] + 1}", "drop_last=true"]
    found = made(folders, *(part for word in words for part in ("--teacher-set", word)))
    assert found["plan"]["teacher"]["training"]["drop_last"]


def test_published_losses_that_read_padding_ask_the_teacher_itself(folders: tuple[Path, Path]) -> None:
    found = made(folders)["plan"]
    method = methods.get("lwd")
    point = {"method": "lwd", "params": method.resolve({"mse_alpha": 0}, "published"), "id": "p0"}
    asked = {**found, "recipe": "published", "points": [point], "search": {}}
    data = prepare.load_data(made(folders)["config"], found)

    source = teacher_source.plan_source(method, asked, data, 10**9)

    assert source["kind"] == "online"
    assert "reads logits at padded places too" in source["reason"]


@pytest.fixture(scope="module")
def ready(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of one point, prepared in this process, with the teacher's outputs on disk."""
    import torch

    threads = torch.get_num_threads()
    place = tmp_path_factory.mktemp("sweep")
    short = ("--trials", "1", "--epochs", "2", "--teacher-epochs", "1", "--allow-weak-teacher")
    fixed = ("--set", "lr=1e-3", "--set", "batch_size=8", "--max-train-rows", "24")
    header = made(folders, *short, *fixed, "--artifacts", str(place / "store"))
    write_json(place / SWEEP, header)
    planned, lines = header["plan"], []
    data = prepare.load_data(header["config"], planned)
    found = prepare.make_teacher(planned, data, "own", lines.append, None, teacher_source.kept_outputs(planned))
    assert any("24 training rows are read in" in line for line in lines)
    assert Store(planned["artifacts"]).facts(found.rows)["train"]["windows"] == planned["data"]["train_windows"]
    student = planned["student"]
    facts = {
        "teacher": {"path": str(found.folder / "model"), "outputs": str(found.outputs), "outputs_dev": None},
        "student": {"path": student["path"], "kept": student["kept"]},
        "data": {"path": str(found.rows)},
    }
    write_json(place / PREPARED, facts)
    torch.set_num_threads(threads)
    return place


def train(sweep: Path, point: str, until: int | None = None) -> list[dict[str, Any]]:
    reported: list[dict[str, Any]] = []

    def report(row: dict[str, Any]) -> None:
        reported.append(row)
        if row["evaluation"] == until:
            raise SystemExit

    try:
        trial.train_point(sweep, point, 0, report)
    except SystemExit:
        assert until is not None
    return reported


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_trial_reads_from_disk_and_leaves_what_statistics_read(ready: Path, tmp_path: Path) -> None:
    for name in (SWEEP, PREPARED):
        shutil.copy(ready / name, tmp_path / name)
    rows = train(tmp_path, "p00")

    assert [row["failure"] for row in rows] == [None, None]
    record = read(tmp_path)
    file = tmp_path / "trials" / "p00" / "predictions-best.npz"
    best = max(rows, key=lambda row: row["value"])
    assert statistics.recomputed(record, file) == pytest.approx(best["value"])
    logits, labels = statistics.load_predictions(file) or (np.zeros(0), np.zeros(0))
    assert logits.shape == (20, 3)
    assert labels.tolist() == tiny.data("squad2", 40, 20).dev.labels.tolist()
    assert best["value"] == best["metrics"]["squad_f1"] == pytest.approx(logits[:, 1].mean())
    assert best["metrics"]["em"] == pytest.approx(logits[:, 0].mean())
    # The student is one of the library's for question answering.
    config = json.loads((tmp_path / "trials" / "p00" / "student" / "config.json").read_text())
    assert config["architectures"] == ["BertForQuestionAnswering"]


def test_a_killed_trial_goes_on(ready: Path, tmp_path: Path) -> None:
    for folder in ("straight", "killed"):
        (tmp_path / folder).mkdir()
        for name in (SWEEP, PREPARED):
            shutil.copy(ready / name, tmp_path / folder / name)
    straight = train(tmp_path / "straight", "ft")

    train(tmp_path / "killed", "ft", until=1)
    again = train(tmp_path / "killed", "ft")

    assert timeless(again) == timeless(straight)


def test_other_tasks_have_no_words_of_windows() -> None:
    assert windows.words({"data": {"train_rows": 5}}) == ""
    assert windows.rows({"data": {"train_rows": 5}}) == 5
    data = tiny.data("cola")
    assert windows.planned(data, 48) == {}
    assert registry.get("cola").kind == "classification"
