"""Rows for predictions: GLUE's test and diagnostic files, other forms, and files of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distill.errors import UserError
from distill.tasks import get, unlabelled


def _write(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "file", "split", "header"),
    [
        ("cola", "CoLA/test.tsv", "test", ["index", "sentence"]),
        ("mrpc", "MRPC/test.tsv", "test", ["index", "#1 ID", "#2 ID", "#1 String", "#2 String"]),
        ("qqp", "QQP/test.tsv", "test", ["id", "question1", "question2"]),
        ("mnli", "MNLI/test_matched.tsv", "test_matched", ["index", "genre", "sentence1", "sentence2"]),
        ("mnli", "MNLI/test_mismatched.tsv", "test_mismatched", ["index", "genre", "sentence1", "sentence2"]),
        ("mnli", "MNLI/diagnostic.tsv", "diagnostic", ["index", "sentence1", "sentence2"]),
        ("stsb", "STS-B/test.tsv", "test", ["index", "genre", "year", "sentence1", "sentence2"]),
    ],
)
def test_files_of_glue_without_labels(tmp_path: Path, name: str, file: str, split: str, header: list[str]) -> None:
    task = get(name)
    rows = [[f'{column} "of {row}' if row else "" for column in header] for row in range(3)]
    for row, number in zip(rows, ("7", "3", "12"), strict=True):
        row[0] = number
    _write(tmp_path / file, "\t".join(header), *("\t".join(row) for row in rows))
    found = unlabelled.read(task, tmp_path, split)
    assert found.ids == ("7", "3", "12")
    assert found.first == ("", f'{task.first_column} "of 1', f'{task.first_column} "of 2')
    assert (found.second is None) == (not task.pair)
    if found.second is not None:
        assert found.second[2] == f'{task.second_column} "of 2'
    assert found.labels.tolist() == [0, 0, 0]
    assert found.labels.dtype == (np.float32 if name == "stsb" else np.int64)
    assert unlabelled.read(task, tmp_path / file).ids == found.ids


@pytest.mark.parametrize("name", ["diagnostic/diagnostic.tsv", "diagnostic.tsv", "AX.tsv", "MNLI/AX.tsv"])
@pytest.mark.parametrize("named", ["", "MNLI"])
def test_diagnostic_rows_beside_the_task(tmp_path: Path, name: str, named: str) -> None:
    (tmp_path / "glue" / "MNLI").mkdir(parents=True)
    _write(tmp_path / "glue" / name, "index\tsentence1\tsentence2", "4\ta\tb")
    # What lies beside the folder of all tasks is another's.
    _write(tmp_path / "diagnostic.tsv", "index\tsentence1\tsentence2", "5\tc\td")
    assert unlabelled.read(get("mnli"), tmp_path / "glue" / named, "diagnostic").ids == ("4",)


def test_other_forms_and_labelled_files_are_read_for_their_texts(tmp_path: Path) -> None:
    _write(tmp_path / "tweet_eval" / "sentiment" / "test_text.txt", "one", "two, three")
    tweets = unlabelled.read(get("tweet-sentiment"), tmp_path)
    assert (tweets.first, tweets.ids) == (("one", "two, three"), ("0", "1"))
    _write(tmp_path / "STS-B" / "stsb-en-test.csv", '"a, b",c,5.0', "d,e,?")
    pairs = unlabelled.read(get("stsb"), tmp_path)
    assert (pairs.first, pairs.second, pairs.ids) == (("a, b", "d"), ("c", "e"), ("0", "1"))
    _write(tmp_path / "CoLA" / "dev.tsv", "gj04\t1\t\tgood", "cj99\t0\t*\tbad")
    assert unlabelled.read(get("cola"), tmp_path, "dev").first == ("good", "bad")


def test_an_own_file_needs_no_label_column(tmp_path: Path) -> None:
    own = replace(get("cola"), name="mine", first_column="review", second_column="reply", positions=None, forms=())
    file = _write(tmp_path / "new.csv", "reply,id,review", 'r1,x9,"a, b"', "r2,x3,c")
    found = unlabelled.read(own, file)
    assert (found.first, found.second, found.ids) == (("a, b", "c"), ("r1", "r2"), ("x9", "x3"))
    bare = _write(tmp_path / "new.jsonl", '{"review": "a", "reply": ""}')
    assert unlabelled.read(own, bare).ids == ("0",)


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_a_blank_line_is_a_row_or_refused(tmp_path: Path, ending: str) -> None:
    one = replace(get("cola"), name="mine", first_column="review", positions=None, forms=())
    file = _write(tmp_path / f"new.{ending}", "review", "a", "", "b", "", "")
    assert unlabelled.read(one, file).first == ("a", "", "b")
    part = "\t" if ending == "tsv" else ","
    file = _write(tmp_path / f"new.{ending}", f"id{part}review", f"7{part}a", "", f"8{part}b", "")
    with pytest.raises(UserError, match=rf"new\.{ending}, line 3: 1 cell where the header has 2"):
        unlabelled.read(one, file)
    two = replace(one, second_column="reply")
    file = _write(tmp_path / f"new.{ending}", f"review{part}reply", f"a{part}b", part, f"c{part}d", part)
    assert unlabelled.read(two, file).first == ("a", "", "c", "")


def test_a_tweet_that_is_far_too_long_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "tweet_eval" / "sentiment" / "test_text.txt", "one", "x" * 200_001)
    with pytest.raises(
        UserError, match=r"test_text\.txt, line 2: the text has 200,001 characters, and 200,000 are the"
    ):
        unlabelled.read(get("tweet-sentiment"), tmp_path)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    _write(tmp_path / "MNLI" / "test_matched.tsv", "index\tpremise\tsentence2", "0\ta\tb")
    with pytest.raises(UserError, match=r"has no test.tsv for the split test of mnli \(it has test_matched.tsv\)"):
        unlabelled.read(get("mnli"), tmp_path)
    with pytest.raises(UserError, match=r"test_matched.tsv has no column 'sentence1' \(it has 'index', 'premise'"):
        unlabelled.read(get("mnli"), tmp_path, "test_matched")
    _write(tmp_path / "MNLI" / "diagnostic.tsv", "index\tsentence1\tsentence2", "0\ta\tb", "1\ta")
    with pytest.raises(UserError, match=r"diagnostic.tsv, line 3: 2 cells where the header has 3"):
        unlabelled.read(get("mnli"), tmp_path, "diagnostic")
