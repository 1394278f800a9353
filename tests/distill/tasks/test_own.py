"""A person's own classes, pairs and scores: every form of file, the labels that are found, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import distill
from distill.errors import UserError
from distill.tasks import own, registry, tables
from distill.tasks.own import Options

ROWS = [
    {"text": 'good, "very"', "label": "pos"},
    {"text": "bad\tor worse", "label": "neg"},
    {"text": "é ok", "label": "neutral"},
    {"text": "good again", "label": "pos"},
]
FORMS = ("csv", "jsonl", "ndjson", "json", "columns.json", "pandas.json", "lines.json", "parquet")


def write(place: Path, form: str, rows: list[dict[str, Any]]) -> Path:
    """`rows` in one of `FORMS`."""
    import pandas as pd

    frame, file = pd.DataFrame(rows), place / f"reviews.{form.rpartition('.')[2]}"
    if form == "csv":
        frame.to_csv(file, index=False)
    elif form in ("jsonl", "ndjson", "lines.json"):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif form == "json":
        file.write_text(json.dumps(rows), encoding="utf-8")
    elif form == "columns.json":
        file.write_text(json.dumps(frame.to_dict("list")), encoding="utf-8")
    elif form == "pandas.json":
        frame.to_json(file)
    else:
        frame.to_parquet(file)
    return file


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    file = write(tmp_path, form, ROWS)
    data = own.read(file, file)
    assert data.task.labels == ("neg", "neutral", "pos")
    assert (data.task.kind, data.task.metric, data.task.name) == ("classification", "accuracy", "reviews")
    assert data.train.first == ('good, "very"', "bad\tor worse", "é ok", "good again")
    assert data.train.labels.tolist() == [2, 0, 1, 2]
    assert data.notes == ("The labels are 3 classes (neg, neutral, pos); --label-kind reads them otherwise.",)
    assert data.fingerprint() == own.read(ROWS, ROWS).fingerprint()


def test_tabs_part_plain_cells(tmp_path: Path) -> None:
    file = tmp_path / "mine.tsv"
    file.write_bytes(b'\xef\xbb\xbfscore\tleft\tright\r\n1\t"a\tb"\r\n2.5\tc\td\r\n\r\n')
    data = own.read(file, file, Options("left", "right", "score"))
    assert (data.train.first, data.train.second) == (('"a', "c"), ('b"', "d"))
    assert (data.task.kind, data.task.metric) == ("regression", "pearson_spearman")
    assert data.train.labels.tolist() == [1.0, 2.5]
    assert data.train.labels.dtype == np.float32
    assert data.notes == (
        "The labels are scores; --label-kind reads them otherwise. They run from 1 to 2.5 and are learned from 1.75 in "
        "steps of 1.",
    )


def test_a_cell_in_quotes_may_hold_lines_and_messages_count_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text('text,label\n"one\ntwo ""three""",a\nfour,b\nfive,c,d\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.csv, line 5: 3 cells where the header has 2; put texts with commas"):
        tables.read(file, "--task-file")
    file.write_text('text,label\n"one\ntwo ""three""",a\nfour,b\n', encoding="utf-8")
    assert tables.read(file, "--task-file").column("text", "") == ['one\ntwo "three"', "four"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([10, 9, 100, 9], ("9", "10", "100")),
        ([1.0, 0.0, 1.0, 0.0], ("0", "1")),
        ([True, False, True, True], ("false", "true")),
        (["b", "B", "a", "b"], ("B", "a", "b")),
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["1", "x", "10", "2"], ("1", "10", "2", "x")),
    ],
)
def test_label_words_are_sorted_and_numbers_by_their_size(values: list[Any], labels: tuple[str, ...]) -> None:
    rows = [{"text": str(i), "label": value} for i, value in enumerate(values)]
    assert own.read(rows, rows).task.labels == labels


def test_the_kind_of_labels_is_guessed_or_said() -> None:
    whole = [{"text": str(i), "label": i % 3} for i in range(6)]
    assert own.read(whole, whole).task.kind == "classification"
    said = own.read(whole, whole, Options(kind="regression"))
    assert (said.task.kind, said.task.labels, said.notes) == (
        "regression",
        (),
        ("The labels are scores. They run from 0 to 2 and are learned from 1 in steps of 1.",),
    )
    halves = [{"text": str(i), "label": i / 2} for i in range(6)]
    assert own.read(halves, halves).task.kind == "regression"
    assert own.read(halves, halves, Options(kind="classification")).task.labels == ("0", "0.5", "1", "1.5", "2", "2.5")
    with pytest.raises(UserError, match="--label-kind score is unknown; choose classification or regression"):
        own.read(whole, whole, Options(kind="score"))
    many = [{"text": str(i), "label": f"id{i}"} for i in range(60)]
    with pytest.raises(UserError, match="has 60 different values in 60 rows, too many for classes; name another with"):
        own.read(many, many)


def test_labels_of_dev_are_those_of_training(tmp_path: Path) -> None:
    dev = write(tmp_path, "csv", [ROWS[0], {"text": "x", "label": "negg"}])
    with pytest.raises(UserError, match=r"reviews\.csv, line 3: unknown label 'negg' \(known: neg, neutral, pos\)"):
        own.read(ROWS, dev)
    with pytest.raises(UserError, match=r"--task-file .*csv has no rows beside it .*; name a file of them with"):
        own.read(dev)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("reviews.csv", "reviews"),
        ("Hotel Reviews/train.csv", "hotel-reviews"),
        ("x/train-00000-of-00001.parquet", "x"),
        ("cola.csv", "cola-own"),
        ("SST-2/train.tsv", "sst-2-own"),
    ],
)
def test_a_task_is_called_after_its_file_and_never_as_a_known_one(file: str, name: str, tmp_path: Path) -> None:
    assert own._unlike_known(own._stem(tmp_path / file, None)) == name
    assert own.read(ROWS, ROWS, name="mine").task.name == "mine"
    assert distill.own_data(ROWS, ROWS, name=Path(file).stem).task.name == Path(file).stem.replace("cola", "cola-own")
    assert distill.own_data(ROWS, ROWS, name="SST 2").task.name == "sst-2-own"
    assert own.read(ROWS, ROWS).task.name == "rows"


def test_a_plan_carries_the_whole_task() -> None:
    rows = [{"a": "x", "b": "y", "score": 0.5}, {"a": "z", "b": "w", "score": 1}]
    for options, table in ((Options(), ROWS), (Options("a", "b", "score"), rows)):
        task = own.read(table, table, options).task
        plan = json.loads(json.dumps({"task": task.name, own.PLANNED: own.definition(task)}))
        assert own.of(plan) == task
    assert own.of({"task": "cola"}) == registry.get("cola")


def test_frames_and_data_sets_of_the_library(tmp_path: Path) -> None:
    import pandas as pd
    from datasets import ClassLabel, Dataset, Features, Value

    words = ["neutral", "pos", "neg"]
    dataset = Dataset.from_list(
        [{"text": row["text"], "label": words.index(row["label"])} for row in ROWS],
        features=Features({"text": Value("string"), "label": ClassLabel(names=words)}),
    )
    expected = own.read(ROWS, ROWS).fingerprint()
    assert own.read(dataset, pd.DataFrame(ROWS)).fingerprint() == expected
    with pytest.raises(UserError, match="--task-file is a int; give a file, columns by name"):
        own.read(3, ROWS)


def test_columns_that_are_named_twice() -> None:
    with pytest.raises(UserError, match="The column 'text' is named twice: each of text, pair and label needs one"):
        own.read(ROWS, ROWS, Options(pair="text"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("org/name", ("org/name", None, None)),
        ("org/name:plain_text", ("org/name", "plain_text", None)),
        ("org/name:a@refs/convert/parquet", ("org/name", "a", "refs/convert/parquet")),
        ("org/name@main", ("org/name", None, "main")),
        ("folder/train.csv", None),
        ("train", None),
        ("/abs/name", None),
    ],
)
def test_names_of_data_sets_on_the_hub(text: str, found: tuple[Any, ...] | None) -> None:
    hub = own.hub_data(text)
    assert (None if hub is None else (hub.repository, hub.config, hub.revision)) == found


def test_files_that_are_missing_are_no_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("data/train.txt", "data/rows.ndjson", "mine/train", "mine/a:b"):
        assert own.hub_data(name) is None
        with pytest.raises(UserError, match=f"--task-file {name}: there is no such file"):
            own.read(name, name)
    assert own.hub_data("other/train") is not None


@pytest.mark.parametrize(
    ("scores", "center", "scale"),
    [((0, 100), 48, 64), ((1990, 1998, 2006), 1998, 8), ((0.001, 0.003), 0.00195, 2**-10)],
)
def test_scores_are_learned_from_their_mean_in_a_power_of_two_near_their_spread(
    scores: tuple[float, ...], center: float, scale: float
) -> None:
    rows = [{"text": str(i), "label": score} for i, score in enumerate(scores)]
    found = own.read(rows, rows, Options(kind="regression"))
    assert found.task.scale == scale
    assert found.task.center == pytest.approx(center, rel=2e-3)
    assert abs(found.task.center - np.mean(scores)) <= scale / 8
    # Rows keep their own units, and a plan the task's.
    assert found.train.labels.tolist() == [np.float32(score) for score in scores]
    assert own.of({own.PLANNED: own.definition(found.task)}) == found.task
