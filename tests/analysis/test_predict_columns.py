"""Which task, which columns and which form of file predictions have where names alone would mislead."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.predict import files, place, rows, words
from analysis.predict.said import Answers
from distill.tasks import registry
from distill.tasks.base import Windows
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


@pytest.mark.parametrize(
    ("labels", "header"),
    [
        (("no", "yes"), "id,label,no,yes"),
        (("label", "yes"), "id,label,p_label,p_yes"),
        (("p_id", "id"), "id,label,p_p_id,p_id"),
    ],
)
def test_columns_of_probabilities_are_told_from_the_others(
    swept: Path, tmp_path: Path, labels: tuple[str, str], header: str
) -> None:
    file = write(tmp_path / "new.csv", "words", ["a dog runs"])
    found = place.find(swept)
    (split,) = rows.read(found, place.task_of(found, None), asked(file))
    task = replace(COLA, labels=labels)
    made = Answers(np.zeros((1, 2), dtype=np.float32), 0.0)
    (text,) = files.content(task, split, made).values()
    assert text == f"{header}\n0,{labels[0]},0.500000,0.500000\n"


@pytest.mark.parametrize(
    ("task", "length", "windows", "told"),
    [
        ("squad2", 384, Windows(None, 0.5), []),
        ("squad2", 384, Windows(128, 0.5), []),
        ("squad2", 384, Windows(None, -1.0), ["--null-threshold 0.5"]),
        ("squad2", 384, Windows(64, 0.5), ["--doc-stride 128"]),
        ("squad2", 96, Windows(64, 0.0), ["--max-length 384", "--doc-stride 128", "--null-threshold 0.5"]),
        ("cola", 384, Windows(), []),
        ("cola", 96, Windows(), ["--max-length 384"]),
    ],
)
def test_what_was_given_otherwise_than_in_the_sweep(task: str, length: int, windows: Windows, told: list[str]) -> None:
    plan = {"training": {"max_length": 384}, "data": {"doc_stride": None, "null_threshold": 0.5}}
    found: Any = SimpleNamespace(plan=plan)
    assert words.otherwise(found, registry.get(task), length, windows) == told


def test_names_of_dev_rows_of_a_known_task_in_a_file_of_ones_own(swept: Path, tmp_path: Path) -> None:
    file = str(write(tmp_path / "a.csv", "id,words,label", ["r2,a dog runs,1", "r1,the cat,0"]))
    found = place.find(swept)
    assert found.record is not None
    config = found.record.header["config"] | {"task_file": file, "dev_file": file}
    named = replace(found, record=replace(found.record, header=found.record.header | {"config": config}))
    given = argparse.Namespace(file=None, split="dev", data_dir=None)
    (split,) = rows.read(named, place.task_of(named, None), given)
    assert split.examples.ids == ("r2", "r1")
