"""Which task, which columns and which form of file predictions have where names alone would mislead."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from analysis.predict import files, place, rows
from distill.tasks import registry
from tests.analysis.test_predict import student, sweep_of, write, write_cola

COLA = registry.get("cola")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of CoLA judged by accuracy, on a file of a person's own whose texts are called `words`."""
    where = tmp_path_factory.mktemp("columns")
    write_cola(where / "CoLA")
    folder = sweep_of(where / "sweep", student(where / "student", "cola"), where)
    header = json.loads((folder / "sweep.json").read_text())
    header["plan"]["metric"] = "accuracy"
    header["config"] |= {"data_dir": None, "text_column": "words", "task_file": "a.csv", "dev_file": "b.csv"}
    (folder / "sweep.json").write_text(json.dumps(header))
    return folder


def asked(file: Path, **more: Any) -> argparse.Namespace:
    usual = {"text_column": None, "pair_column": None, "split": "test", "data_dir": None}
    return argparse.Namespace(file=str(file), **{**usual, **more})


def test_the_task_of_a_sweep_keeps_its_metric_where_it_is_named_again(swept: Path) -> None:
    found = place.find(swept)
    for named in (None, "cola", "CoLA"):
        task = place.task_of(found, named)
        assert (task.metric, task.official) == ("accuracy", "mcc")
    assert place.task_of(found, "rte").metric == "accuracy"
    assert place.task_of(found, "mrpc").official is None


@pytest.mark.parametrize(
    ("name", "header", "row", "written"),
    [
        ("test.tsv", "index\tsentence", "4\ta dog runs", "CoLA.tsv"),
        ("test.tsv", "sentence\tindex", "a dog runs\t4", "cola-test.csv"),
        ("test.tsv", "index\tsentence\tlabel", "4\ta dog runs\t1", "cola-test.csv"),
        ("test.csv", "index,sentence", "4,a dog runs", "cola-test.csv"),
        ("new.tsv", "index\tsentence", "4\ta dog runs", "cola-new.csv"),
    ],
)
def test_the_form_of_the_server_is_for_rows_of_the_server(
    swept: Path, tmp_path: Path, name: str, header: str, row: str, written: str
) -> None:
    file = write(tmp_path / name, header, [row])
    (split,) = rows.read(place.find(swept), COLA, asked(file, text_column="sentence"))
    assert files.names(COLA, split) == [written]
    assert (split.examples.first, split.examples.ids) == (("a dog runs",), ("4",))


def test_columns_are_those_that_the_sweep_was_given(swept: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "new.csv", "words,sentence", ["a dog runs,x"])
    found = place.find(swept)
    task = place.task_of(found, None)
    assert rows.read(found, task, asked(file))[0].examples.first == ("a dog runs",)
    named = place.task_of(found, None, "sentence")
    assert rows.read(found, named, asked(file, text_column="sentence"))[0].examples.first == ("x",)
    # GLUE's own file has GLUE's columns.
    glue = write(tmp_path / "test.tsv", "index\tsentence", ["4\tthe cat"])
    assert rows.read(found, task, asked(glue))[0].examples.first == ("the cat",)
