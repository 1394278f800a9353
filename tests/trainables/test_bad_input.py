"""What a person gets wrong: one sentence, exit code 2, nothing on disk changed."""

from __future__ import annotations

import hashlib
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import write_cola
from tests.trainables.sweeps import create
from trainables import sweep, teacher

Refused = Callable[..., str]


def snapshot(place: Path) -> dict[str, str]:
    return {
        str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "folder"
        for file in sorted(place.rglob("*"))
    }


@pytest.fixture
def refused(
    tmp_path: Path,
    tiny_encoder: Path,
    tiny_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Refused:
    """Runs the command on the tiny models and asserts that it refuses; gives its sentence."""
    shutil.copytree(tiny_encoder, tmp_path / "bert")
    shutil.copytree(tiny_data, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISTILL_TUNE_ARTIFACTS", str(tmp_path / "store"))

    def run(*arguments: str, models: bool = True) -> str:
        before = snapshot(tmp_path)
        defaults = ("--layers", "2", "--teacher", "bert", "--data-dir", "data") if models else ()
        code = sweep.main([*defaults, *arguments])
        said = capsys.readouterr().err
        assert code == 2, said
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        assert "Traceback" not in said
        assert snapshot(tmp_path) == before
        return said

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--method edm", ("--method edm is unknown", "emd")),
        ("--task colla", ("colla", "cola")),
        ("--task rte", ("RTE",)),
        ("--layers 9", ("--layers 9", "4 layers", "1 to 4")),
        ("--student-layers 1,5", ("--student-layers 1,5", "4 layers")),
        ("--student-layers 3,1", ("ascend",)),
        ("--student-layers 1,2,3", ("3 layers", "--layers 2")),
        ("--teacher nowhere", ("--teacher", "nowhere")),
        ("--teacher data", ("config.json",)),
        ("--data-dir nowhere", ("--data-dir", "nowhere")),
        ("--set alhpa=1", ("--set alhpa", "alpha")),
        ("--set alpha=2", ("alpha=2", "outside")),
        ("--set alpha=x", ("alpha=x",)),
        ("--set update=frozn", ("update=frozn", "frozen")),
        ("--set batch_size=0", ("batch_size=0",)),
        ("--set max_length=8,16", ("one value",)),
        ("--set batch_size=nan", ("batch_size=nan",)),
        ("--set epochs=3 --epochs 4", ("--set epochs=3", "--epochs 4", "disagree")),
        ("--set max_length=512", ("max_length=512", "128 positions")),
        ("--cpus-per-trial 999", ("--cpus-per-trial 999", "999 >")),
        ("--gpus-per-trial 64", ("--gpus-per-trial 64", "64 >")),
        ("--epochs 1 --grace 1", ("no rung below 1 epoch;", "--scheduler none")),
        ("--grace 10", ("--grace 10",)),
        ("--config nowhere.yaml", ("nowhere.yaml",)),
        ("--resume nowhere", ("--resume continues",)),
        ("--out data", ("not an empty folder",)),
        ("--out bert/config.json", ("not an empty folder",)),
        ("--max-train-rows 1", ("--max-train-rows",)),
    ],
)
def test_bad_input(refused: Refused, arguments: str, said: tuple[str, ...]) -> None:
    sentence = refused(*arguments.split())
    for word in said:
        assert word in sentence


@pytest.mark.parametrize("split", ["train.tsv", "dev.tsv"])
def test_missing_rows(refused: Refused, split: str) -> None:
    (Path("data") / "CoLA" / split).unlink()
    assert split in refused()


@pytest.mark.parametrize(
    ("line", "said"),
    [("made\t1\ttoo few columns", "columns"), ("made\t7\t\twrong label", "label"), ("made\t1\t\t", "empty")],
)
def test_malformed_rows_name_file_and_line(refused: Refused, line: str, said: str) -> None:
    file = Path("data") / "CoLA" / "train.tsv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:41], line, *lines[41:]]) + "\n")
    sentence = refused()
    assert "train.tsv, line 42" in sentence
    assert said in sentence


def test_bytes_that_are_no_text(refused: Refused) -> None:
    file = Path("data") / "CoLA" / "dev.tsv"
    file.write_bytes(file.read_bytes() + b"made\t1\t\tcaf\xe9\n")
    assert "UTF-8" in refused()


def test_no_layers(refused: Refused) -> None:
    assert "--layers is missing" in refused("--teacher", "bert", "--data-dir", "data", models=False)


def test_a_folder_with_another_sweep(refused: Refused, tmp_path: Path) -> None:
    create(tmp_path / "old").close()
    assert "--resume" in refused("--out", "old")


def test_too_little_disk(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10**9, 10**9, 1000))
    assert "too little disk" in refused("--out", "new")


def test_what_resume_refuses(refused: Refused, tmp_path: Path) -> None:
    assert "holds no sweep" in refused("--resume", "nowhere", models=False)
    assert "--epochs" in refused("--resume", "old", "--epochs", "3", models=False)


def test_no_embedded_encoder(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    from distill.models import embedded

    monkeypatch.setattr(embedded, "PACKAGE", "a_package_that_nobody_has")
    sentence = refused("--layers", "2", models=False)
    assert "pip install" in sentence
    assert "--teacher" in sentence


def test_no_published_row_is_said_and_not_refused(
    tmp_path: Path, tiny_encoder: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--layers", "2", "--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--dry-run"]
    assert sweep.main([*arguments, "--out", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    assert "no published row for task cola with 2 layers" in said
    assert "nearest: cola with 4" in said
    assert not (tmp_path / "new").exists()


def test_a_teacher_no_better_than_chance(
    tmp_path: Path,
    tiny_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Refused by both commands with the numbers; the sweep leaves no folder in the way of the mended command."""
    from trainables import engine, places

    data = write_cola(tmp_path / "data", train=40)
    models = ["--teacher", str(tiny_encoder), "--data-dir", str(data), "--artifacts", str(tmp_path / "store")]
    models += ["--teacher-epochs", "1", "--teacher-lr", "1e-7"]
    assert teacher.main(models) == 2
    said = capsys.readouterr()
    assert "interval" in said.err
    assert "--allow-weak-teacher" in said.err
    assert "epoch 1 of 1" in said.out
    assert teacher.main([*models, "--allow-weak-teacher"]) == 0
    assert "found in the store" in capsys.readouterr().out

    monkeypatch.setattr(engine, "start_ray", lambda plan, dashboard, address: None)
    monkeypatch.setattr(places.Places, "check", lambda self: None)
    monkeypatch.setattr(engine, "catch_signals", lambda say: None)
    out = tmp_path / "sweep"
    assert sweep.main([*models, "--layers", "2", "--out", str(out)]) == 2
    assert "interval" in capsys.readouterr().err
    assert not out.exists()
