"""Broken files: one sentence with the file and the row, whatever reads them."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.tasks import glue, own, registry, squad, unlabelled
from distill.tasks.own import Options

GOOD = "text,label\none,a\ntwo,b\n"
ROWS = [{"text": "one", "label": "a"}, {"text": "two", "label": "b"}]
SCORES = "text,label\none,1.5\ntwo,2\n"

BROKEN = {
    "missing column": (
        "text,Label\none,a\n",
        r"train.csv has no column 'label' \(it has 'text', 'Label'\); name one with --label-column.",
    ),
    "missing text column": (
        "review,label\none,a\n",
        r"train.csv has no column 'text' \(it has 'review', 'label'\); name one with --text-column.",
    ),
    "semicolons": (
        "text;label\none;a\n",
        r"train.csv has no column 'label': its header \(text;label\) seems to part cells by semicolons; save it with",
    ),
    "no label": ("text,label\none,a\ntwo,\n", "train.csv, line 3: column 'label' is empty; every row needs a label"),
    "no text": ("text,label\none,a\n ,b\n", "train.csv, line 3: the text in column 'text' is empty"),
    "NaN score": ("text,label\none,1.5\ntwo,nan\n", "train.csv, line 3: the score 'nan' is not a finite number"),
    "infinite score": ("text,label\none,1.5\ntwo,inf\n", "train.csv, line 3: the score 'inf' is not a finite number"),
    "open quote": (
        'text,label\none,a\n"two,b\nthree,a\n',
        "train.csv, line 3: a quote that is opened here is never closed; close it",
    ),
    "text behind a quote": (
        'text,label\none,a\n"two" words,b\n',
        "train.csv, line 3: text follows the closing quote of a cell; double the quotes",
    ),
    "empty": ("", "train.csv is empty; rows of the task are expected"),
    "header alone": ("text,label\n", "train.csv has 0 rows; at least 2 are needed"),
    "one class": ("text,label\none,a\ntwo,a\n", "train.csv: every row has the label 'a'; at least two different"),
    "duplicate header": (
        "text,label,text\none,a,x\n",
        "train.csv, line 1: the header names 'text' more than once; once is expected.",
    ),
    "too many cells": ("text,label\none, two,a\n", "train.csv, line 2: 3 cells where the header has 2; put texts with"),
    "too few cells": ("text,label\none,a\ntwo\n", "train.csv, line 3: 1 cell where the header has 2"),
}


def refused(train: Path, dev: Path, options: Options | None = None) -> str:
    with pytest.raises(UserError) as caught:
        own.read(train, dev, options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_table_is_refused_in_one_sentence(tmp_path: Path, fault: str) -> None:
    content, said = BROKEN[fault]
    (tmp_path / "train.csv").write_text(content, encoding="utf-8")
    (tmp_path / "dev.csv").write_text(SCORES if "score" in fault else GOOD, encoding="utf-8")
    options = Options(kind="regression") if "infinite" in fault else None
    assert re.search(said, refused(tmp_path / "train.csv", tmp_path / "dev.csv", options))


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    train, dev = tmp_path / "train.csv", tmp_path / "dev.csv"
    dev.write_text(GOOD)
    train.write_bytes("text,label\none,a\ncafé,b\n".encode("latin-1"))
    assert f"{train}, line 3: not UTF-8" in refused(train, dev)
    train.write_bytes(GOOD.encode("utf-16"))
    assert f"{train} is not UTF-8 text (it looks like UTF-16" in refused(train, dev)


def test_parquet_that_broke_off_and_other_things_of_that_name(tmp_path: Path) -> None:
    import pandas as pd

    dev, train = tmp_path / "dev.csv", tmp_path / "train.parquet"
    dev.write_text(GOOD)
    rows = pd.DataFrame({"text": [f"text {i}" for i in range(1000)], "label": ["a", "b"] * 500})
    rows.to_parquet(train)
    whole = train.read_bytes()
    assert len(own.read(train, dev).train) == 1000
    train.write_bytes(whole[: len(whole) // 2])
    assert f"{train} is no whole Parquet file (" in refused(train, dev)
    train.write_bytes(b"")
    assert f"{train} is no whole Parquet file (" in refused(train, dev)
    rows.assign(label=[None, *rows.label[1:]]).to_parquet(train)
    assert f"{train}, row 1: column 'label' is empty" in refused(train, dev)
    pd.DataFrame({"text": [["a"], ["b"]], "label": ["a", "b"]}).to_parquet(train)
    assert f"{train}, row 1: column 'text' holds ['a'] where a text is expected" in refused(train, dev)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.jsonl", '{"text": "a", "label": 1}\n{"text": "b"\n', "line 2: this is not JSON"),
        ("train.jsonl", '{"text": "a", "label": 1}\n[1]\n', "line 2: this is no JSON object"),
        ("train.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2: column 'label' is empty"),
        (
            "train.jsonl",
            '{"text": "a", "label": 0.5}\n{"text": "b", "label": NaN}\n',
            "line 2: the score 'nan' is not a finite number",
        ),
        ("train.json", '[{"text": "a", "label": 1},\n {"text"]', "line 2: this is not JSON"),
        ("train.json", '[{"text": "a", "label": 1}, 3]', "row 2: this is no JSON object"),
        ("train.json", '{"text": ["a", "b"], "label": [1]}', "the columns differ in length"),
        ("train.json", '{"version": "v2.0", "data": []}', "is in SQuAD's form; name the task, as with --task squad2"),
        ("train.json", "3", "holds neither a list of records nor an object of columns"),
        ("train.json", "[]", "is empty; rows of the task are expected"),
        ("train.xlsx", "x", "ends in '.xlsx'; .csv, .tsv, .jsonl, .ndjson, .json and .parquet are read"),
        (
            "train.jsonl",
            '{"text": "a", "label": 1}\n{"text": "\\ud83d", "label": 2}\n',
            "line 2: the text in column 'text' has half of a character",
        ),
        (
            "train.json",
            '[{"text": "a", "label": "x"}, {"text": "b", "label": "\\ud83d"}]',
            "row 2: the label in column 'label' has half of a character",
        ),
        ("train.jsonl", '{"text": "a", "label": 1}\n' + '{"a":' * 100_000, "line 2: this JSON is nested too deeply"),
        ("train.json", "[" * 100_000, ": this JSON is nested too deeply"),
        ("train.jsonl", f'{{"text": "a", "label": {"9" * 5000}}}', "line 1: a whole number has more than 4300 digits"),
        ("train.json", f'[{{"text": "a", "label": {"9" * 5000}}}]', ": a whole number has more than 4300 digits"),
        (
            "train.jsonl",
            '{"text": "a", "label": 1}\n{"text": "b", "text": "c", "label": 2}\n',
            "line 2 names 'text' more than once; once is expected",
        ),
        (
            "train.json",
            '[{"text": "a", "label": 1}, {"text": "b", "label": 1, "label": 2}]',
            "row 2 names 'label' more than once",
        ),
        ("train.json", '{"text": ["a"], "label": [1],\n "text": ["b"]}', "train.json names 'text' more than once"),
        ("train.json", '{"text": {"0": "a", "0": "b"}, "label": {"0": 1}}', "column 'text' names '0' more than once"),
    ],
)
def test_broken_json_and_other_endings(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "dev.csv").write_text(GOOD, encoding="utf-8")
    message = refused(tmp_path / name, tmp_path / "dev.csv")
    assert said in message
    assert str(tmp_path / name) in message


def test_half_a_character_in_what_python_holds_and_in_rows_without_labels(tmp_path: Path) -> None:
    half = "\ud83d"
    rows = [{"text": "one", "label": "a"}, {"text": f"two {half}", "label": "b"}]
    with pytest.raises(UserError, match="--dev-file, row 2: the text in column 'text' has half of a character"):
        own.read([rows[0], {"text": "two", "label": "b"}], rows)
    with pytest.raises(UserError, match="--task-file, row 2: the label in column 'label' has half of a character"):
        own.read([rows[0], {"text": "two", "label": half}], rows)
    file, task = tmp_path / "new.json", own.read(ROWS, ROWS).task
    for row, said in (
        ({"text": half}, "the text in column 'text'"),
        ({"text": "b", "id": half}, "the name in column 'id'"),
    ):
        file.write_text(json.dumps([{"id": "1", "text": "a"}, {"id": "2", **row}]))
        with pytest.raises(UserError, match=rf"new\.json, row 2: {said} has half of a character"):
            unlabelled.read(task, file)


def test_half_a_character_in_questions(tmp_path: Path) -> None:
    file, squad2 = tmp_path / "dev.json", registry.get("squad2")
    answer = {"text": "a", "answer_start": 0}
    asked = [{"id": name, "question": f"why {name}?", "answers": [answer]} for name in ("q1", "q2")]
    content = {"version": "2", "data": [{"paragraphs": [{"context": "a b", "qas": asked}]}]}
    asked[1]["question"] = "\ud83d"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"dev\.json, question q2: 'question' has half of a character"):
        squad.read(file, squad2)
    asked[1]["question"] = "why?"
    file.write_text(json.dumps(content))
    assert len(squad.read(file, squad2)) == 2


def test_a_line_of_a_million_characters(tmp_path: Path) -> None:
    long = "word " * 200_000
    for name, content, place in (
        ("long.csv", f'text,label\n"{long}",a\ntwo,b\n', "line 2"),
        ("long.tsv", f"text\tlabel\none\ta\n{long}\tb\n", "line 3"),
        ("long.jsonl", f'{{"text": "{long}", "label": "a"}}\n{{"text": "two", "label": "b"}}\n', "line 1"),
        ("long.json", json.dumps([{"text": "one", "label": "a"}, {"text": long, "label": "b"}]), "row 2"),
    ):
        file = tmp_path / name
        file.write_text(content)
        started = time.monotonic()
        said = f"{file}, {place}: the text in column 'text' has 1,000,000 characters, and 200,000 are the most"
        assert said in refused(file, file)
        assert time.monotonic() - started < 2


def test_a_long_text_is_read_whole(tmp_path: Path) -> None:
    long = "word " * 39_999 + "words"
    (tmp_path / "long.csv").write_text(f'text,label\n"{long}",a\ntwo,b\n')
    assert own.read(tmp_path / "long.csv", tmp_path / "long.csv").train.first == (long, "two")


def test_a_line_of_a_million_characters_in_a_known_tasks_files(tmp_path: Path) -> None:
    folder = tmp_path / "SST-2"
    folder.mkdir()
    for name in ("train.tsv", "dev.tsv"):
        (folder / name).write_text("sentence\tlabel\ngood\t1\nbad\t0\n")
    (folder / "dev.tsv").write_text(f"sentence\tlabel\ngood\t1\n{'x' * 1_000_000}\t0\n")
    with pytest.raises(UserError, match=r"dev\.tsv, line 3: the text in column 'sentence' has 1,000,000 characters"):
        glue.load(registry.get("sst2"), tmp_path)


@pytest.mark.parametrize("name", ["mine.tsv", "mine.jsonl", "mine.csv"])
def test_lines_that_end_in_cr_alone(tmp_path: Path, name: str) -> None:
    content = {
        "mine.tsv": "text\tlabel\rone\ta\rtwo\tb\r",
        "mine.jsonl": '{"text": "one", "label": "a"}\r{"text": "two", "label": "b"}\r',
        "mine.csv": "text,label\rone,a\rtwo,b\r",
    }[name]
    file = tmp_path / name
    file.write_bytes(content.encode())
    if name == "mine.csv":
        assert own.read(file, file).train.first == ("one", "two")
        return
    said = f"{file} ends its lines with CR alone, as old programs do; save it with LF or CRLF."
    assert refused(file, file) == said
    if name == "mine.tsv":
        with pytest.raises(UserError, match="ends its lines with CR alone"):
            glue.read_split(registry.get("sst2"), file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--task-file .*none\.csv: there is no such file\."):
        own.read(tmp_path / "none.csv", tmp_path / "dev.csv")
