"""`python -m distill.methods`: every setting of a method, also those that no grid has."""

from __future__ import annotations

import pytest

import search_spaces
from distill import methods
from distill.methods.__main__ import main


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", methods.names())
def test_every_setting_with_its_meaning(
    name: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = printed(capsys, "--method", name)
    assert max(map(len, text.splitlines())) <= columns
    joined = " ".join(text.split())
    for hyper in methods.get(name).hyperparameters:
        assert f"{hyper.name} = " in joined
        assert hyper.help in joined
        assert all(choice in joined for choice in hyper.choices)


def test_defaults_of_both_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(capsys, "--method", "lad").split())
    assert "embeddings = pretrained, published random (random, pretrained, teacher): the student's embeddings" in text
    assert "gate_lr = 1e-06 (numbers, 1e-10 to 1): peak" in text
    assert "reverse = false (true or false): merge" in text


def test_all_methods_and_unknown_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.partition(":")[0] for line in printed(capsys).splitlines() if line[:1].strip()] == [*methods.names()]
    assert main(["--method", "tedd"]) == 2
    assert capsys.readouterr().err == "error: --method tedd is unknown; did you mean ted?\n"


@pytest.mark.parametrize("recipe", search_spaces.RECIPES)
@pytest.mark.parametrize("name", search_spaces.methods())
def test_axes_that_are_called_settable_are_read_in_every_recipe(name: str, recipe: str) -> None:
    """And no others: the grid says that those change nothing."""
    method = methods.get(name)
    for axis in search_spaces.load(name).inert(recipe):
        read = method.hyperparameter(axis.name) is None or axis.name in method.resolve({}, recipe)
        assert axis.settable == read, axis.name
