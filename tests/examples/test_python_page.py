"""The snippets of docs/python.md: they compile, their names exist, and those without Ray run."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import distill
import search_spaces
import trainables
from distill.training.settings import TRAINING_FIELDS
from trainables.config import SweepConfig

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def snippet(word: str) -> str:
    (found,) = (text for text in SNIPPETS if word in text)
    return found


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` of a chain of attributes that begins with a name, else None."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else None
    return node.id if isinstance(node, ast.Name) else None


def imported(tree: ast.Module) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name: importlib.import_module(alias.name) for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            exec(compile(ast.Module([node], []), "docs/python.md", "exec"), names)
    return names


def test_there_is_a_snippet_for_each_door() -> None:
    assert len(SNIPPETS) == 3


@pytest.mark.parametrize("text", SNIPPETS, ids=["run", "trainable", "command"])
def test_names_and_keywords_exist(text: str) -> None:
    tree = ast.parse(text)
    names = imported(tree)
    checked = 0
    for node in ast.walk(tree):
        chain = dotted(node) if isinstance(node, (ast.Attribute, ast.Name)) else None
        if chain and chain.split(".")[0] in names:
            found = names[chain.split(".")[0]]
            for part in chain.split(".")[1:]:
                found = getattr(found, part)
            checked += 1
        if isinstance(node, ast.Call) and (chain := dotted(node.func)) and chain.split(".")[0] in names:
            function = names[chain.split(".")[0]]
            for part in chain.split(".")[1:]:
                function = getattr(function, part)
            given = {str(keyword.arg): None for keyword in node.keywords}
            inspect.signature(function).bind(*node.args, **given)
            if function is trainables.trainable:
                known = {*(f.name for f in fields(SweepConfig)), *TRAINING_FIELDS, "progress"}
                assert set(given) <= known
            if function is distill.run:
                assert set(given) <= {*inspect.signature(function).parameters, *TRAINING_FIELDS}
    assert checked


def test_the_snippet_without_ray_runs(
    tiny_encoder: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """On a tiny encoder and few rows, all else as it stands."""
    real = distill.run

    def small(**given: Any) -> distill.Distilled:
        given |= {"teacher": tiny_encoder, "student": 2, "data_dir": tiny_data, "artifacts": tmp_path / "store"}
        return real(**given, max_train_rows=32, teacher_settings={"epochs": 1}, allow_weak_teacher=True)

    monkeypatch.setattr(distill, "run", small, raising=False)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet("distill.run("), "docs/python.md", "exec"), {})
    assert "Student: epoch 3 of 3" in capsys.readouterr().out
    assert (tmp_path / "student" / "config.json").exists()


def test_the_space_of_the_tuner_snippet_fits_the_method() -> None:
    """Every name of the space is one that a trial's config may have."""
    from distill import methods

    tree = ast.parse(snippet("trainables.trainable("))
    assert "search_spaces.load('emd').ray('cola', 4)" in ast.unparse(tree)
    known = {hyper.name for hyper in methods.get("emd").hyperparameters} | set(TRAINING_FIELDS)
    assert set(search_spaces.load("emd").ray("cola", 4)) <= known


def test_the_command_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(os.environ, "DISTILL_TUNE_ARTIFACTS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(compile(snippet("trainables.sweep"), "docs/python.md", "exec"), found)
    assert found["code"] == 0
    assert "nothing was started" in capsys.readouterr().out


def test_the_table_of_a_report_is_that_of_the_trial(tmp_path: Path) -> None:
    from distill.training.loop import Evaluation
    from trainables.door_trial import _row

    seen = inspect.signature(Evaluation).parameters
    given: dict[str, Any] = dict.fromkeys(seen, 1.0) | {
        "metrics": {"mcc": 1.0, "accuracy": 1.0},
        "terms": {"total": 1.0},
    }
    row = _row(Evaluation(**given), "mcc", 1.0, {"mcc": 1.0})
    table = set(re.findall(r"`([\w/]+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    documented = {name for name in table if re.fullmatch(r"[a-z]+", name)}
    assert {name for name in row if "/" not in name} <= documented
    assert {"terms/NAME", "dev/NAME"} <= table
