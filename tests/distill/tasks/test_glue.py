"""Reading GLUE's layout: the forms files come in, and every way they can be wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from distill.errors import UserError
from distill.tasks import Examples, get, names
from distill.tasks.glue import load, load_made_up

COLA_ROWS = [
    ("gj04", "1", "", "The sailors rode the breeze."),
    ("cj99", "0", "*", "As you eat the most."),
    ("cj99", "1", "", 'He said "go, now'),
]
COLA_TEXTS = ("The sailors rode the breeze.", "As you eat the most.", 'He said "go, now')


def _write(path: Path, rows: Sequence[tuple[str, ...]], end: str = "\n", bom: bool = False, last: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = end.join("\t".join(row) for row in rows) + (end if last else "")
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode("utf-8"))


def _cola(root: Path, folder: str = "CoLA") -> Path:
    for name in ("train.tsv", "dev.tsv"):
        _write(root / folder / name, COLA_ROWS)
    return root


# --- forms that are read ---


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "rows",
    [
        COLA_ROWS,
        [("source", "label", "mark", "sentence"), *COLA_ROWS],
        [("sentence", "label"), *[(row[3], row[1]) for row in COLA_ROWS]],
        [("sentence", "label", "idx"), *[(row[3], row[1], "7") for row in COLA_ROWS]],
        [("Label", "Sentence "), *[(row[1], row[3]) for row in COLA_ROWS]],
    ],
    ids=["no header", "header of four", "hub export", "hub export with index", "label first, capitals"],
)
def test_cola_in_all_its_forms(tmp_path: Path, rows: list[tuple[str, ...]], end: str, bom: bool, last: bool) -> None:
    for name in ("train.tsv", "dev.tsv"):
        _write(tmp_path / "CoLA" / name, rows, end, bom, last)
    data = load(get("cola"), tmp_path)
    assert data.train.first == data.dev.first == COLA_TEXTS
    assert data.train.second is None
    assert data.train.labels.tolist() == [1, 0, 1]
    assert data.train.labels.dtype == np.int64
    assert data.notes == ()
    assert str(tmp_path / "CoLA") in data.source


@pytest.mark.parametrize(
    "name", [name for name in names() if get(name).header and not (get(name).made_up or get(name).kind == "span")]
)
def test_tasks_with_a_header_find_their_columns_by_name(tmp_path: Path, name: str) -> None:
    task = get(name)
    columns = [
        "extra",
        task.label_column,
        task.first_column,
        *([task.second_column] if task.second_column else []),
    ]
    labels = list(task.labels) or ["0.0", "2.5", "5"]
    rows = [("x", label, f'"one {i}', *([f"two's {i}"] if task.pair else [])) for i, label in enumerate(labels)]
    _write(tmp_path / task.folder / "train.tsv", [tuple(columns), *rows], bom=True)
    _write(tmp_path / task.folder / task.dev_file, [tuple(columns[::-1]), *[row[::-1] for row in rows]])
    data = load(task, tmp_path)
    assert data.train.first == data.dev.first == tuple(f'"one {i}' for i in range(len(labels)))
    assert data.train.second == (tuple(f"two's {i}" for i in range(len(labels))) if task.pair else None)
    expected = [0.0, 2.5, 5.0] if task.kind == "regression" else list(range(len(labels)))
    assert data.train.labels.tolist() == data.dev.labels.tolist() == expected
    assert data.train.labels.dtype == (np.float32 if task.kind == "regression" else np.int64)


def test_only_line_feeds_end_a_line_and_outer_white_space_goes(tmp_path: Path) -> None:
    odd = "a\u2028b\x0bc\x85d\x1ee\rf"
    _cola(tmp_path)
    _write(tmp_path / "CoLA" / "train.tsv", [("s", "1", "", f"  {odd} "), ("s", "0", "", "café")])
    assert load(get("cola"), tmp_path).train.first == (odd, "café")


def test_blank_lines_at_the_end_are_no_rows(tmp_path: Path) -> None:
    _cola(tmp_path)
    with (tmp_path / "CoLA" / "train.tsv").open("a") as file:
        file.write("\n \r\n\n")
    assert len(load(get("cola"), tmp_path).train) == 3


@pytest.mark.parametrize("folder", ["CoLA", "cola", "COLA", "Co-LA"])
def test_the_folder_is_found_in_any_spelling(tmp_path: Path, folder: str) -> None:
    _cola(tmp_path, folder)
    assert load(get("cola"), tmp_path).train.first == COLA_TEXTS
    assert load(get("cola"), str(tmp_path / folder)).train.first == COLA_TEXTS  # the folder itself


def test_a_folder_of_any_name_that_holds_the_files(tmp_path: Path) -> None:
    _cola(tmp_path, "my-own-sentences")
    assert len(load(get("cola"), tmp_path / "my-own-sentences").train) == 3


def test_of_several_spellings_the_exact_one_is_taken_or_none(tmp_path: Path) -> None:
    for folder in ("SST2", "sst-2"):
        for name in ("train.tsv", "dev.tsv"):
            _write(tmp_path / folder / name, [("sentence", "label"), ("good", "1"), ("bad", "0")])
    if len(list(tmp_path.iterdir())) != 2:
        pytest.skip("a file system that ignores case")
    with pytest.raises(UserError, match="holds SST2 and sst-2; keep one of them"):
        load(get("sst2"), tmp_path)
    for name in ("train.tsv", "dev.tsv"):
        _write(tmp_path / "SST-2" / name, [("sentence", "label"), ("fine", "1"), ("awful", "0")])
    assert load(get("sst2"), tmp_path).train.first == ("fine", "awful")


def test_the_fingerprint_does_not_depend_on_the_form(tmp_path: Path) -> None:
    plain = load(get("cola"), _cola(tmp_path / "a"))
    for name in ("train.tsv", "dev.tsv"):
        rows = [("sentence", "label"), *[(row[3], row[1]) for row in COLA_ROWS]]
        _write(tmp_path / "b" / "cola" / name, rows, end="\r\n", bom=True)
    assert load(get("cola"), tmp_path / "b").fingerprint() == plain.fingerprint()


# --- what is refused, and with which sentence ---


def _refused(task: str, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(get(task), folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [*COLA_ROWS, ("gj04", "1", "a sentence")],
            "line 4: 3 columns found where 4 separated by tabs are expected, or a header with 'label', 'sentence'",
        ),
        ([*COLA_ROWS, ("one column",)], "line 4: 1 column found where 4 "),
        ([("sentence", "label"), ("good", "1"), ("bad", "0", "more")], "line 3: 3 columns found where 2 "),
        ([*COLA_ROWS[:2], ("",), *COLA_ROWS], "line 3: 1 column found where 4 "),
        ([("A sentence", "1"), ("Another", "0")], "line 1: 2 columns found where 4 "),
        ([*COLA_ROWS, ("gj04", "2", "", "x")], "line 4: unknown label '2' (known: 0, 1)"),
        ([*COLA_ROWS, ("gj04", "", "", "x")], "line 4: unknown label '' (known: 0, 1)"),
        ([*COLA_ROWS, ("gj04", "1", "", "  ")], "line 4: the text in column 'sentence' is empty"),
        (
            [("sentence", "label"), *[(row[3], "1") for row in COLA_ROWS]],
            "every row has the label '1'; at least two",
        ),
        (COLA_ROWS[:1], "has 1 row; at least 2 are needed"),
        ([("sentence", "label")], "has 0 rows; at least 2 are needed"),
        (
            [("sentence", "label", "label"), ("x", "1", "1")],
            "line 1: the header names 'label' more than once",
        ),
    ],
)
@pytest.mark.parametrize("split", ["train.tsv", "dev.tsv"])
def test_malformed_cola_is_refused(tmp_path: Path, rows: list[tuple[str, ...]], said: str, split: str) -> None:
    _cola(tmp_path)
    path = tmp_path / "CoLA" / split
    _write(path, rows)
    message = _refused("cola", tmp_path)
    assert message.startswith(str(path))
    assert said in message


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        (
            "rte",
            [("index", "sentence1", "label"), ("0", "a", "entailment")],
            "line 1: the header lacks 'sentence2' (expected 'label', 'sentence1', 'sentence2'; "
            "found: index, sentence1, label)",
        ),
        (
            "rte",
            [("0", "a", "b", "entailment")],
            "line 1: the header lacks 'label', 'sentence1', 'sentence2'",
        ),
        (
            "rte",
            [("index", "sentence1", "sentence2", "label"), ("0", "a", "b", "not_entailmant")],
            "line 2: unknown label 'not_entailmant' (known: entailment, not_entailment); "
            "did you mean 'not_entailment'?",
        ),
        (
            "rte",
            [("index", "sentence1", "sentence2", "label"), ("0", "a", "", "entailment")],
            "line 2: the text in column 'sentence2' is empty",
        ),
        ("mrpc", [("Quality", "#1 String", "#2 String"), ("1", "a")], "line 2: 2 columns found where 3 "),
        (
            "stsb",
            [("sentence1", "sentence2", "score"), ("a", "b", "nan")],
            "line 2: the score 'nan' is not a finite",
        ),
        (
            "stsb",
            [("sentence1", "sentence2", "score"), ("a", "b", "inf")],
            "line 2: the score 'inf' is not a finite",
        ),
        (
            "stsb",
            [("sentence1", "sentence2", "score"), ("a", "b", "five")],
            "line 2: the score 'five' is not a",
        ),
        (
            "stsb",
            [("sentence1", "sentence2", "score"), ("a", "b", "5"), ("c", "d", "5.0")],
            "every row has the score '5'; at least two different ones",
        ),
    ],
)
def test_malformed_files_with_a_header_are_refused(
    tmp_path: Path, name: str, rows: list[tuple[str, ...]], said: str
) -> None:
    path = tmp_path / get(name).folder / "train.tsv"
    _write(path, rows)
    _write(path.with_name("dev.tsv"), rows)
    message = _refused(name, tmp_path)
    assert message.startswith(str(path))
    assert said in message


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (b"gj04\t1\t\tfine\ncj99\t0\t*\tcaf\xe9\n", "line 2: not UTF-8; save the file as UTF-8"),
        ("gj04\t1\t\tfine\n".encode("utf-16"), "is not UTF-8 text (it looks like UTF-16"),
        ("gj04\t1\t\tfine\n".encode("utf-16-le"), "is not UTF-8 text (it looks like UTF-16"),
    ],
)
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    _cola(tmp_path)
    path = tmp_path / "CoLA" / "dev.tsv"
    path.write_bytes(raw)
    message = _refused("cola", tmp_path)
    assert message.startswith(str(path))
    assert said in message


def test_missing_folders_and_files_are_named(tmp_path: Path) -> None:
    assert f"--data-dir: there is no folder {tmp_path / 'nowhere'}" in _refused("cola", tmp_path / "nowhere")
    assert f"{tmp_path} has no folder CoLA with train.tsv and dev.tsv" in _refused("cola", tmp_path)
    _cola(tmp_path)
    (tmp_path / "CoLA" / "dev.tsv").unlink()
    assert f"cola needs the file {tmp_path / 'CoLA' / 'dev.tsv'}, which is missing" in _refused("cola", tmp_path)
    assert "dev.tsv, which is missing" in _refused("cola", tmp_path / "CoLA")


def test_mnli_wants_the_matched_split(tmp_path: Path) -> None:
    rows = [("sentence1", "sentence2", "gold_label"), ("a", "b", "neutral"), ("a", "b", "entailment")]
    _write(tmp_path / "MNLI" / "train.tsv", rows)
    _write(tmp_path / "MNLI" / "dev.tsv", rows)
    assert "dev_matched.tsv, which is missing" in _refused("mnli", tmp_path)
    _write(tmp_path / "MNLI" / "dev_matched.tsv", rows)
    assert load(get("mnli"), tmp_path).dev.labels.tolist() == [2, 1]


def test_the_folder_of_another_task_is_not_mistaken_for_this_one(tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv"):
        _write(tmp_path / "SST-2" / name, [("sentence", "label"), ("good", "1"), ("bad", "0")])
    assert "SST-2 holds sst2, but the task is cola" in _refused("cola", tmp_path / "SST-2")


# --- torn lines ---


def _qqp(root: Path, torn: list[tuple[str, ...]]) -> Path:
    columns = ("id", "question1", "question2", "is_duplicate")
    rows = [(str(i), f"q {i}", f"r {i}", str(i % 2)) for i in range(20000)]
    _write(root / "QQP" / "train.tsv", [columns, *rows[:100], *torn, *rows[100:]])
    _write(root / "QQP" / "dev.tsv", [columns, *rows[:10]])
    return root


def test_a_published_file_with_a_few_torn_lines_is_read_and_said(tmp_path: Path) -> None:
    data = load(get("qqp"), _qqp(tmp_path, [("7", "half a question"), ("8", "whole", "", "1")]))
    assert len(data.train) == 20000
    assert data.notes == (f"{tmp_path / 'QQP' / 'train.tsv'}: 2 torn lines left out (lines 102, 103)",)


def test_more_torn_lines_than_published_are_refused(tmp_path: Path) -> None:
    message = _refused("qqp", _qqp(tmp_path, [("7", "half"), ("8", "whole", "", "1"), ("9", "half")]))
    assert "line 104: 2 columns found where 4 " in message


def test_a_wrong_label_is_never_just_left_out(tmp_path: Path) -> None:
    assert "line 102: unknown label 'x'" in _refused("qqp", _qqp(tmp_path, [("7", "a", "b", "x")]))


# --- made-up data ---


def test_made_up_data_is_generated_and_never_read(tmp_path: Path) -> None:
    task = get("cola-made-up")
    data = load_made_up(task, seed=3)
    assert data.task is task
    assert "seed 3" in data.source
    assert data.fingerprint() == load_made_up(task, seed=3).fingerprint() != load_made_up(task).fingerprint()
    assert len(data.train) > len(data.dev) > 100
    assert not set(data.train.first) & set(data.dev.first)
    for split in (data.train, data.dev):
        assert set(split.labels.tolist()) == {0, 1}
        assert max(np.bincount(split.labels)) / len(split) <= 0.6
    assert "is generated, not read" in _refused("cola-made-up", _cola(tmp_path))
    with pytest.raises(ValueError, match="nothing to generate"):
        load_made_up(get("cola"))


def test_a_generator_that_gives_other_rows_than_the_tasks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = (Examples(("a", "b"), None, np.array([0, label])) for label in (1, 2))
    module = SimpleNamespace(VERSION=4, splits=lambda seed: (good, good))
    monkeypatch.setitem(sys.modules, "made_up_for_this_test", module)
    task = replace(get("cola-made-up"), generator="made_up_for_this_test")
    assert load_made_up(task, seed=5).source == "made up by made_up_for_this_test version 4, seed 5"
    module.splits = lambda seed: (good, bad)
    with pytest.raises(ValueError, match="labels 0 to 1"):
        load_made_up(task)
    module.splits = lambda seed: (good, replace(good, second=("c", "d")))
    with pytest.raises(ValueError, match="of the form that cola-made-up has"):
        load_made_up(task)


# --- the real files, where there are any ---

COUNTS = {
    "cola": (8551, 1043),
    "mrpc": (3668, 408),
    "rte": (2490, 277),
    "sst2": (67349, 872),
    "wnli": (635, 71),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_real_files(name: str) -> None:
    root = os.environ.get("DISTILL_TUNE_DATA")
    if not root or not (Path(root) / get(name).folder).is_dir():
        pytest.skip(f"DISTILL_TUNE_DATA names no folder with {get(name).folder}")
    data = load(get(name), root)
    assert (len(data.train), len(data.dev)) == COUNTS[name]
    assert data.notes == ()
    lines = (Path(root) / get(name).folder / "dev.tsv").read_text(encoding="utf-8-sig").split("\n")
    for text in (*data.dev.first[:5], *data.dev.first[-5:], *(data.dev.second or ())[:5]):
        assert any(text in line for line in lines)
