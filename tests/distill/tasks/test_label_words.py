"""Labels as files have them: missing ones, several a row, numbers of equal value, and those of the hub."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import distill
from distill.errors import UserError
from distill.tasks import get, given_files, own

# In the order of stanfordnlp/snli.
NAMES = ["entailment", "neutral", "contradiction"]


def rows(*labels: Any) -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "label": label} for i, label in enumerate(labels)]


def write(file: Path, table: list[dict[str, Any]]) -> Path:
    """`table` in the form that the file's ending says."""
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in table))
    else:
        part = "," if file.suffix == ".csv" else "\t"
        lines = [part.join(table[0]), *(part.join(map(str, row.values())) for row in table)]
        file.write_text("\n".join(lines) + "\n")
    return file


def dataset(table: list[dict[str, Any]], names: list[str]) -> Any:
    from datasets import ClassLabel, Dataset

    return Dataset.from_list(table).cast_column("label", ClassLabel(names=names))


@pytest.mark.parametrize("ending", ["dataset", "parquet"])
def test_class_labels_have_their_names_and_those_without_one_are_left_out(tmp_path: Path, ending: str) -> None:
    kept: Any = dataset(rows(0, -1, 1, 1, -1), ["red", "blue"])
    if ending == "parquet":
        kept.to_parquet(tmp_path / "colours.parquet")
        kept = tmp_path / "colours.parquet"
    data = own.read(kept, kept)
    assert data.task.labels == ("blue", "red")
    assert (data.train.first, data.train.labels.tolist()) == (("text 0", "text 2", "text 3"), [1, 0, 0])
    assert data.dev.first == data.train.first
    assert [note.rpartition(": ")[2] for note in data.notes[1:]] == ["2 rows without a label (-1) left out"] * 2


def test_a_number_without_a_name_in_parquet_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    dataset(rows(0, 1, 1), ["red", "blue"]).to_parquet(tmp_path / "colours.parquet")
    schema = pq.read_schema(tmp_path / "colours.parquet")
    for metadata, said in ((schema.metadata, "row 3: the class label 2 in column 'label' has no name"), ({}, None)):
        table = pa.table({"text": ["a", "b", "c"], "label": [0, 1, 2]}, schema=schema.with_metadata(metadata))
        pq.write_table(table, tmp_path / "other.parquet")
        if said is None:
            assert own.read(tmp_path / "other.parquet", rows(0, 1)).task.labels == ("0", "1", "2")
            continue
        with pytest.raises(UserError, match=said):
            own.read(tmp_path / "other.parquet", rows(0, 1))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv"])
def test_minus_one_beside_0_1_2_is_no_label(tmp_path: Path, ending: str) -> None:
    file = write(tmp_path / f"mine.{ending}", rows(2, -1, 0, 1))
    data = own.read(file, file)
    assert data.task.labels == ("0", "1", "2")
    assert (data.train.first, data.train.labels.tolist()) == (("text 0", "text 2", "text 3"), [2, 0, 1])
    told = "-1" if ending == "jsonl" else "'-1'"
    assert data.notes[1:] == (f"{file}: 1 rows without a label ({told}) left out",) * 2


def test_minus_one_that_is_a_class_and_dev_rows_without_a_label() -> None:
    scale = own.read(rows(-1, 0, 1), rows(-1, 0, 1))
    assert scale.task.labels == ("-1", "0", "1")
    assert scale.notes[0].endswith(" Where -1 says that there is no label, leave these rows out of the file.")
    assert own.read(rows(-2, -1, 0, 1), rows(-2, -1)).task.labels == ("-2", "-1", "0", "1")
    assert own.read(rows(-1, 1, 2, 3), rows(-1, 1)).task.labels == ("-1", "1", "2", "3")
    data = own.read(rows(0, 1, 0), rows(1, -1, 0))
    assert (data.dev.first, data.notes[1:]) == (
        ("text 0", "text 2"),
        ("--dev-file: 1 rows without a label (-1) left out",),
    )
    with pytest.raises(UserError, match=r"--dev-file, row 2: unknown label '-1'"):
        own.read(rows("a", "b"), rows("a", -1))


@pytest.mark.parametrize("several", [["joy", "anger"], [0, 2], {"joy": 1}, b"joy"])
def test_several_labels_a_row_are_refused_with_their_place(several: Any, tmp_path: Path) -> None:
    good = rows("joy", "anger")
    said = r", row 2: column 'label' holds .* where one label or score is expected; name another with --label-column"
    with pytest.raises(UserError, match="--task-file" + said):
        own.read(rows("joy", several, "joy"), good)
    with pytest.raises(UserError, match="--dev-file" + said):
        own.read(good, rows("joy", several))
    if not isinstance(several, bytes):
        file = write(tmp_path / "mine.jsonl", rows("joy", several, "joy"))
        with pytest.raises(UserError, match=r"mine\.jsonl, line 2: column 'label' holds"):
            own.read(file, good)


def test_lists_of_class_labels_are_refused(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, List, Value

    features = Features({"text": Value("string"), "label": List(ClassLabel(names=["joy", "anger"]))})
    several = Dataset.from_list(rows([0, 1], [1]), features=features)
    several.to_parquet(tmp_path / "several.parquet")
    for source in (several, tmp_path / "several.parquet"):
        with pytest.raises(UserError, match=r"row 1: column 'label' holds \[0, 1\] where one label or score"):
            own.read(source, rows("a", "b"))


@pytest.mark.parametrize(
    ("train", "dev", "labels", "found"),
    [
        (["1.0", "0.0"], ["1", "0", "1.00"], ("0", "1"), [1, 0, 1]),
        (["1", "0", "1.0"], ["0.0", "1"], ("0", "1"), [0, 1]),
        (["01", "02"], ["2", "01"], ("01", "02"), [1, 0]),
        (["1.0", "2.5", "2.50"], ["2.500", "1"], ("1", "2.5"), [1, 0]),
        (["9007199254740993", "9007199254740992"], ["9007199254740993", "9007199254740992"], None, [1, 0]),
    ],
)
def test_numbers_of_equal_value_are_one_label(
    train: list[str], dev: list[str], labels: tuple[str, ...] | None, found: list[int]
) -> None:
    options = own.Options(kind="classification")
    data = own.read(rows(*train), rows(*dev), options)
    assert data.task.labels == (labels or tuple(sorted(train)))
    assert data.dev.labels.tolist() == found
    with pytest.raises(UserError, match=r"--dev-file, row 2: unknown label '1' \(known: 1\.0, x\)"):
        own.read(rows("1.0", "x"), rows("x", "1"))


@pytest.mark.parametrize("score", ["1e40", "-1e40", 1e39])
def test_a_score_that_float32_cannot_hold_is_refused(score: Any) -> None:
    with pytest.raises(UserError, match=r"--task-file, row 2: the score '-?1e\+?\d+' is larger than 3\.4e\+38"):
        own.read(rows(0.5, score), rows(0.5, 1))
    assert own.read(rows(0.5, 3e38), rows(0.5, 1)).train.labels.max() < float("inf")


def test_scores_that_float32_cannot_tell_apart_are_one() -> None:
    for one, other in ((2**30 + 0.5, 2**30), (1e-60, 0.0)):
        with pytest.raises(
            UserError, match=r"--task-file: every row has the score .*; at least two different ones are"
        ):
            own.read(rows(one, other), rows(0.5, 1))


def inference(first: str, second: str, label: str, *labels: Any) -> list[dict[str, Any]]:
    return [{first: f"p{i}", second: f"h{i}", label: value} for i, value in enumerate(labels)]


@pytest.mark.parametrize("task", ["snli", "mnli"])
@pytest.mark.parametrize("name", ["mine.jsonl", "mine.csv", "mine.tsv", "mine.txt"])
def test_rows_without_a_gold_label_are_left_out_whatever_the_files_name(tmp_path: Path, task: str, name: str) -> None:
    labels = ("neutral", "-", "entailment")
    file = write(tmp_path / name, inference("sentence1", "sentence2", "gold_label", *labels))
    data = given_files.load(get(task), file, file)
    assert (data.train.first, data.train.labels.tolist()) == (("p0", "p2"), [2, 1])
    assert data.notes == (f"{file}: 1 rows without a label ('-') left out",) * 2
    other = write(tmp_path / f"other{file.suffix}", inference("one", "two", "verdict", *labels))
    named = given_files.load(get(task), other, other, "one", "two", "verdict")
    assert (named.fingerprint(), named.notes) == (
        data.fingerprint(),
        tuple(n.replace("mine", "other") for n in data.notes),
    )


@pytest.mark.parametrize("task", ["snli", "mnli"])
@pytest.mark.parametrize("form", ["jsonl", "csv", "tsv", "parquet", "bare.parquet"])
def test_files_of_the_hubs_columns_have_its_numbers(tmp_path: Path, task: str, form: str) -> None:
    table = inference("premise", "hypothesis", "label", 0, 1, -1, 2, 0)
    file = tmp_path / f"mine.{form}"
    if form == "parquet":
        dataset(table, NAMES).to_parquet(file)
    elif form == "bare.parquet":
        import pandas as pd

        pd.DataFrame(table).to_parquet(file)
    else:
        write(file, table)
    data = given_files.load(get(task), file, file)
    # contradiction, entailment, neutral
    assert data.train.labels.tolist() == [1, 2, 0, 1]
    assert data.train.first == ("p0", "p1", "p3", "p4")
    told = "'-1'" if form in ("csv", "tsv") else "-1"
    read = f"{file}: the labels 0, 1, 2 are read as entailment, neutral, contradiction, as on the hub"
    left = f"{file}: 1 rows without a label ({told}) left out"
    assert data.notes == ((left,) if form == "parquet" else (read, left)) * 2
    if form != "parquet":
        named = given_files.load(get(task), file, file, "premise", "hypothesis", "label")
        assert named.fingerprint() == data.fingerprint()


def test_numbers_in_other_columns_are_no_labels_of_the_hub(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.csv", inference("sentence1", "sentence2", "gold_label", 0, 1, 2))
    with pytest.raises(UserError, match=r"mine\.csv, line 2: unknown label '0' \(known: contradiction, entailment"):
        given_files.load(get("snli"), file, file)
    file = write(tmp_path / "mine.csv", inference("premise", "hypothesis", "label", 0, 1, 3))
    with pytest.raises(UserError, match=r"mine\.csv, line 2: unknown label '0'"):
        given_files.load(get("snli"), file, file)


@pytest.mark.parametrize(
    ("task", "table", "labels"),
    [
        ("mrpc", inference("sentence1", "sentence2", "label", "equivalent", "not_equivalent"), [1, 0]),
        ("mrpc", inference("sentence1", "sentence2", "label", 1, 0), [1, 0]),
        ("rte", inference("sentence1", "sentence2", "label", 0, 1), [0, 1]),
        ("rte", inference("sentence1", "sentence2", "label", "not_entailment", "entailment"), [1, 0]),
        ("wnli", inference("sentence1", "sentence2", "label", "not_entailment", "entailment"), [0, 1]),
        ("cola", [{"sentence": "a", "label": 1}, {"sentence": "b", "label": 0}], [1, 0]),
    ],
)
def test_labels_of_the_hub_are_those_of_glue(
    tmp_path: Path, task: str, table: list[dict[str, Any]], labels: list[int]
) -> None:
    for ending in ("jsonl", "tsv"):
        file = write(tmp_path / f"mine.{ending}", table)
        assert given_files.load(get(task), file, file).train.labels.tolist() == labels


@pytest.mark.parametrize("name", ["mine.tsv", "mine.jsonl"])
def test_a_text_that_is_far_too_long_is_refused_where_torn_rows_are_left_out(tmp_path: Path, name: str) -> None:
    task = replace(get("snli"), torn_share=0.5)
    table = inference("sentence1", "sentence2", "gold_label", "neutral", "entailment", "neutral", "entailment")
    table[1]["sentence1"] = ""
    file = write(tmp_path / name, table)
    assert given_files.load(task, file, file).train.first == ("p0", "p2", "p3")
    table[2]["sentence1"] = "x" * 200_001
    write(file, table)
    place = f"{name}, line {4 if name.endswith('tsv') else 3}"
    with pytest.raises(UserError, match=f"{place}: the text in column 'sentence1' has 200,001 characters, and 200,000"):
        given_files.load(task, file, file)
    if name.endswith("tsv"):
        # A torn line that holds others.
        file.write_text(file.read_text().replace("\th2\tneutral", ""))
        with pytest.raises(UserError, match=f"{place}: a cell has 200,001 characters, and 200,000 are the most"):
            given_files.load(task, file, file)


def test_streams_and_splits_are_no_rows() -> None:
    from datasets import Dataset, DatasetDict

    whole = Dataset.from_list(rows("a", "b"))
    with pytest.raises(
        UserError, match=r"--task-file is a IterableDataset, .*; give a Dataset \(load it without stream"
    ):
        distill.own_data(whole.to_iterable_dataset(), rows("a", "b"))
    with pytest.raises(UserError, match=r"--dev-file holds several splits \(train, test\); give one of them"):
        distill.own_data(whole, DatasetDict({"train": whole, "test": whole}))
