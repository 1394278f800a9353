"""`python -m distill.augment` as a person meets it: a file, a cut and a second try, one sentence for what is wrong."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.augment import command, progress, rows
from distill.augment.masked import MaskedModel
from distill.augment.partial import Partial
from distill.errors import UserError
from distill.tasks import glue, registry
from distill.tasks.augmented import counted, with_augmented
from tests.conftest import write_cola
from tests.distill.augment import masks

Run = Callable[..., int]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masks.bert(tmp_path_factory.mktemp("masked") / "bert")


@pytest.fixture
def run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder with `data`, `bert` and `vectors.txt`; small parts, so that it can be cut."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rows, "PART", 5)
    write_cola(Path("data"), train=23, dev=12)
    shutil.copytree(model, "bert")
    Path("vectors.txt").write_text("friends 1 0\nteachers 1 0.1\ncats 0 1\n")

    def command_line(*arguments: str, out: str = "aug.tsv", name: str = "bert") -> int:
        given = ["--task", "cola", "--data-dir", "data", "--model", name, "--out", out, "--copies", "6"]
        return command.main([*given, *arguments])

    return command_line


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_file_that_the_task_s_reader_reads(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    data = with_augmented(glue.load(registry.get("cola"), "data"), "aug.tsv")
    found = counted(data, "aug.tsv")
    assert found["originals"] == found["own_rows"] == 23
    assert found["rows"] > 2 * 23
    printed = said(capsys)
    assert "Augmenting 23 training rows of cola" in printed
    assert f"aug.tsv: {found['rows']} rows from 23" in printed
    assert sorted(path.name for path in Path().iterdir()) == ["aug.tsv", "bert", "data", "vectors.txt"]


def test_the_same_command_goes_on_after_a_cut(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(out="straight.tsv") == 0
    real, calls = MaskedModel.likeliest, 0

    def cut(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(MaskedModel, "likeliest", cut)
        assert run() == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not Path("aug.tsv").exists()
    # A kill may come in the middle of a line.
    with Path(".aug.tsv.partial").open("a") as stream:
        stream.write("half a li")
    assert run("--batch", "3") == 0
    assert "Going on behind row 10 of 23" in said(capsys)
    assert Path("aug.tsv").read_bytes() == Path("straight.tsv").read_bytes()
    assert list(Path().glob(".*")) == []


def test_a_cut_before_the_first_part_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(MaskedModel, "likeliest", cut)
    assert run() == 130
    assert sorted(path.name for path in Path().iterdir()) == ["bert", "data", "vectors.txt"]


def test_rows_of_another_command_are_not_thrown_away(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise UserError("--out: the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "one_line", lambda found: found)
        patched.setattr(Partial, "finish", full)
        assert run() == 2
    before = Path(".aug.tsv.partial").read_bytes()
    capsys.readouterr()
    for change in (["--seed", "1"], ["--share", "0.5"], ["--candidates", "3"], ["--vectors", "vectors.txt"]):
        assert run(*change) == 2
        error = capsys.readouterr().err
        assert "holds the first 23 rows of a command with other options" in error
        assert error.count("\n") == 1
    assert Path(".aug.tsv.partial").read_bytes() == before
    assert run() == 0


def test_two_at_once_are_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Partial(tmp_path / "aug.tsv", {}) as held:
        held.add(["line"], 1, {})
        assert run() == 2
    assert "is being written by another process" in capsys.readouterr().err


def test_part_of_the_rows_are_those_that_a_sweep_draws(run: Run) -> None:
    assert run("--max-train-rows", "9", "--seed", "4") == 0
    whole = glue.load(registry.get("cola"), "data")
    few = whole.limit_train(9, 4).train
    found, _ = glue.read_split(whole.task, Path("aug.tsv"))
    places = [found.first.index(text) for text in dict.fromkeys(few.first)]
    assert places == sorted(places)
    assert places[0] == 0


def test_made_up_data_needs_no_folder(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "BATCH", {"cpu": 64, "cuda": 64})
    given = ["--task", "cola-made-up", "--model", str(model), "--out", str(tmp_path / "a.tsv"), "--max-train-rows", "8"]
    assert command.main(given) == 0
    assert len(glue.read_split(registry.get("cola-made-up"), tmp_path / "a.tsv")[0]) > 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--task", "colla"], "unknown task 'colla'; the nearest known one is 'cola'"),
        (["--data-dir", "nowhere"], "--data-dir: there is no folder nowhere"),
        (["--data-dir", ""], "--data-dir is empty"),
        (["--model", "nowhere/deep/down"], "--model nowhere/deep/down is not a folder"),
        (["--model", "data"], "--model data has no config.json"),
        (["--out", "data"], "data is a folder; name a file in it"),
        (["--out", "vectors.txt"], "vectors.txt is there already"),
        (["--out", "nowhere/aug.tsv"], "there is no folder"),
        (["--vectors", "none.txt"], "--vectors none.txt cannot be read"),
        (["--vectors", "bert/model.safetensors"], "--vectors bert/model.safetensors"),
        (["--copies", "0"], "--copies 0 is too small; the least is 1"),
        (["--candidates", "0"], "--candidates 0 is too small"),
        (["--batch", "0"], "--batch 0 is too small"),
        (["--max-train-rows", "1"], "--max-train-rows 1 is too small; the least is 2"),
        (["--seed", "-1"], "--seed -1 is too small"),
        (["--seed", "4294967296"], "--seed 4294967296 is too large"),
        (["--share", "0"], "--share 0 must lie above 0"),
        (["--share", "nan"], "--share nan must lie above 0"),
        (["--share", "1.5"], "--share 1.5 must lie above 0"),
    ],
)
def test_bad_input_is_one_sentence(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert list(Path().glob("*aug.tsv*")) == []


@pytest.mark.parametrize("arguments", [[], ["--task", "cola"], ["--copies", "many"], ["--shares", "1"]])
def test_bad_options_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(arguments)
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_full_disk(run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run() == 2
    assert "the disk is full; make room, and the same command goes on at row 0" in capsys.readouterr().err


def test_plain_lines_at_least_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter([0.0, 10.0, 31.0, 50.0, 70.0])
    with progress.showing(100, 20, lambda: next(seconds)) as show:
        for done, made in ((22, 60), (25.5, 75), (30, 90), (40.5, 120)):
            show(done, made)
    assert capsys.readouterr().out.splitlines() == [
        "Augmenting: 25 of 100 rows (26 %), 75 rows written, about 7 min left.",
        "Augmenting: 40 of 100 rows (40 %), 120 rows written, about 3 min left.",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with progress.showing(100, 0) as show:
        show(50, 160)
    assert "rows written" not in capsys.readouterr().out
