"""`python -m search_spaces`: what it prints, in how many columns, and what it refuses."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

import search_spaces
from search_spaces import show
from search_spaces.__main__ import main

EMD = search_spaces.load("emd")


@pytest.fixture(params=[80, 120])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def joined(text: str) -> str:
    """The text with its lines put together again."""
    return " ".join(text.split())


def test_everything_is_listed(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    whole = printed(capsys)
    assert max(map(len, whole.splitlines())) <= columns
    for method in search_spaces.methods():
        space, block = search_spaces.load(method), printed(capsys, "--method", method)
        assert f"{method}: {space.title}" in block
        assert set(block.splitlines()) <= set(whole.splitlines())
        for axis in space.axes:
            line = next(line for line in block.splitlines() if line.split()[:1] == [axis.name])
            assert line.split()[1] == search_spaces.format_params({"x": axis.default}).split()[1]
            elsewhere = ", else by --set" if axis.settable else ""
            assert line.endswith("both recipes" if len(axis.recipes) == 2 else f"{axis.recipes[0]}{elsewhere}")
    lines = {line.split()[0]: joined(line) for line in printed(capsys, "--method", "emd").splitlines() if line}
    assert lines["lr"] == "lr 3e-05 2e-05, 3e-05, 5e-05, 0.0001* both recipes"
    assert lines["alpha"] == "alpha 1 1, 0.8° both recipes"
    assert lines["T_emd"] == "T_emd 1 1, 5, 10 published"
    assert lines["tasks:"] == "tasks: cola, mnli, mrpc, qqp, qnli, rte, sst2, stsb"
    assert joined(printed(capsys, "--method", "emd")).endswith(show.SETTINGS)
    assert lines["layers:"] == "layers: 4, 6 (16 published rows)"


def test_many_values_go_on_in_further_lines() -> None:
    lr = EMD.axis("lr")
    many = tuple(search_spaces.Value(n / 1e4, "published", "x") for n in range(1, 60))
    wide = dataclasses.replace(EMD, axes=(dataclasses.replace(lr, values=many),))
    lines = show.overview(wide, 80)
    assert max(map(len, lines)) <= 80
    assert all(f" {n / 1e4:g}" in "".join(lines) for n in range(1, 60))


def test_one_method(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--method", "ft")
    assert "ft: " in out
    assert "emd" not in out


@pytest.mark.parametrize("recipe", search_spaces.RECIPES)
def test_rows_are_shown_with_their_sources(columns: int, recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--method", "emd", "--task", "RTE", "--layers", "4", "--recipe", recipe, "--show")
    assert max(map(len, out.splitlines())) <= columns
    text = joined(out)
    row = EMD.row("rte", 4)
    assert row is not None
    assert "search_spaces/emd.yaml" in text
    assert row.source in text
    acting = EMD.active(recipe)
    assert f"rte, 4 layers: {search_spaces.format_params(row.values, [a.name for a in acting])}" in text
    assert text.count(" layers: ") == 1
    assert all(f"{v.grade}: {v.source}" in text for axis in acting for v in axis.values)
    assert f"{len(EMD.points('rte', 4, recipe))} points in the grid" in text
    assert "the published one first." in text
    assert ("Without effect in recipe modern: T_emd." in text) is (recipe == "modern")


def test_a_setting_that_is_no_axis_is_not_called_without_effect(capsys: pytest.CaptureFixture[str]) -> None:
    for method, name, recipe in (
        ("ptp", "t2", "modern"),
        ("ted", "filter_batch", "modern"),
        ("tinybert", "batch_size", "published"),
    ):
        text = joined(printed(capsys, "--method", method, "--show", "--recipe", recipe))
        assert f"No axis, but open to --set, in recipe {recipe}: {name}." in text
        assert "Without effect" not in text


def test_rows_of_a_task_of_a_size_and_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, count in [(["--task", "rte"], 2), (["--layers", "6"], 8), ([], 16), (["--layers", "3"], 0)]:
        out = printed(capsys, "--method", "emd", "--show", *arguments)
        assert sum(" layers: " in line for line in out.splitlines()) == count
        assert ("No published row with 3 layers." in out) is (count == 0)
    out = joined(printed(capsys, "--method", "emd", "--show", "--task", "rte", "--layers", "3"))
    assert EMD.missing_row("rte", 3) in out
    assert "No published row." in printed(capsys, "--method", "ft", "--show")


def test_what_it_dumps_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for method in search_spaces.methods():
        file = tmp_path / f"{method}.yaml"
        file.write_text(printed(capsys, "--method", method, "--yaml"))
        assert search_spaces.from_file(file, method) == search_spaces.load(method)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--method", "emdx"], "--method: unknown method 'emdx'; did you mean 'emd'? (known: "),
        (["--method", "emd", "--show", "--task", "col"], "--task: unknown task 'col'; did you mean 'cola'? (known: "),
        (["--method", "emd", "--show", "--recipe", "modrn"], "--recipe: unknown recipe 'modrn'; did you mean 'modern'"),
        (["--method", "emd", "--show", "--layers", "0"], "--layers 0 is too small; the least is 1."),
        (["--method", "emd", "--show", "--layers", "x"], "argument --layers: invalid int value: 'x'; --help lists"),
        (["--method", "emd", "--task", "rte"], "--task says what --show prints; add --show."),
        (["--method", "emd", "--yaml", "--layers", "4"], "--layers says what --show prints; add --show."),
        (["--method", "emd", "--yaml", "--show"], "--show and --yaml exclude each other"),
        (["--show"], "--show needs --method ("),
        (["--yaml"], "--yaml needs --method ("),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_bad_input(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    assert code == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {sentence}")
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_it_needs_no_engine() -> None:
    code = (
        "import runpy, sys; sys.argv = ['search_spaces', '--method', 'emd', '--show']\n"
        "try:\n    runpy.run_module('search_spaces', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print([m for m in ('torch', 'ray', 'numpy', 'distill', 'trainables') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
