"""Whole files of augmented rows: against the algorithm written out, and alike whatever the batches are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.augment.candidates import Candidates
from distill.augment.masked import MaskedModel
from distill.augment.partial import Partial
from distill.augment.rows import header, one_line, write
from distill.augment.vectors import Vectors
from distill.tasks import registry
from distill.tasks.base import Examples, TaskData
from distill.tasks.glue import read_split
from tests.distill.augment import literal, masks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masks.bert(tmp_path_factory.mktemp("masked") / "bert")


@pytest.fixture(scope="module")
def model(folder: Path) -> MaskedModel:
    return masks.loaded(folder)


def file(
    model: MaskedModel,
    out: Path,
    task: str = "cola",
    *,
    rows: Examples | None = None,
    vectors: Vectors | None = None,
    count: int = 4,
    batch: int = 8,
    **how: Any,
) -> tuple[Examples, Counter[str]]:
    """The rows of a written file, read back as the sweep does, and what was counted."""
    known = registry.get(task)
    settings = {"share": 0.4, "attempts": 6, "seed": 3, **how}
    with Partial(out, {"test": task}) as partial:
        given = masks.rows(known) if rows is None else rows
        counts = write(known, given, Candidates(model, vectors, count, batch), partial, **settings)
        partial.finish()
    return read_split(known, out)[0], counts


def plain(rows: Examples) -> list[tuple[str, ...]]:
    sides = (rows.first,) if rows.second is None else (rows.first, rows.second)
    return list(zip(*sides, (str(label) for label in rows.labels), strict=True))


@pytest.mark.parametrize("task", ["cola", "mrpc", "stsb", "mnli"])
def test_as_the_algorithm_written_out(folder: Path, model: MaskedModel, tmp_path: Path, task: str) -> None:
    rows = masks.rows(task, 6)
    found, counts = file(model, tmp_path / "aug.tsv", task, rows=rows)
    wanted = literal.augmented(folder, registry.get(task), rows, count=4, share=0.4, attempts=6, seed=3)
    assert plain(found) == wanted
    assert counts["made"] == len(wanted) > 3 * len(rows)
    assert counts["kept"] == counts["near"] == 0 < counts["doubles"]
    assert found.labels.dtype == rows.labels.dtype


def test_words_of_several_pieces_by_vectors(folder: Path, model: MaskedModel, tmp_path: Path) -> None:
    # "dogs" has no vector and stays; the sign is no word.
    words = ["cats", "boating", "birds", "lion", "."]
    values = np.array([[1, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0.8, 0.05, 0.3], [1, 0, 0.01]], dtype=np.float32)
    near = {"cats": ["birds", "lion"], "birds": ["cats", "lion"], "boating": ["birds", "lion"]}
    vectors = Vectors(words, values)
    assert {word: list(vectors.near(word, 2)) for word in near} == near
    rows = masks.rows("cola", 8)
    found, counts = file(model, tmp_path / "aug.tsv", rows=rows, vectors=vectors, count=2)
    how: dict[str, Any] = {"count": 2, "share": 0.4, "attempts": 6, "seed": 3}
    assert plain(found) == literal.augmented(folder, registry.get("cola"), rows, near=near, **how)
    assert counts["near"] > 0
    assert counts["kept"] > 0


@pytest.mark.parametrize("task", ["cola", "mrpc"])
def test_neither_batches_nor_parts_change_a_byte(model: MaskedModel, tmp_path: Path, task: str) -> None:
    rows = masks.rows(task, 20)
    for number, (batch, part) in enumerate([(1, 1), (3, 7), (64, 500)]):
        file(model, tmp_path / f"{number}.tsv", task, rows=rows, batch=batch, part=part)
    first, *others = (path.read_bytes() for path in sorted(tmp_path.glob("*.tsv")))
    assert others == [first, first]


def test_the_seed_alone_decides(model: MaskedModel, tmp_path: Path) -> None:
    again, other = tmp_path / "again.tsv", tmp_path / "other.tsv"
    first, _ = file(model, tmp_path / "first.tsv")
    assert plain(file(model, again)[0]) == plain(first)
    assert plain(file(model, other, seed=4)[0]) != plain(first)


def test_every_row_comes_first_and_copies_differ_in_one_text(model: MaskedModel, tmp_path: Path) -> None:
    rows = masks.rows("rte", 8)
    assert rows.second is not None
    found, _ = file(model, tmp_path / "aug.tsv", "rte", rows=rows)
    assert found.second is not None
    row, group = -1, set[tuple[str, str]]()
    for first, second, label in zip(found.first, found.second, found.labels, strict=True):
        if row + 1 < len(rows) and (first, second) == (rows.first[row + 1], rows.second[row + 1]):
            row, group = row + 1, set()
        assert label == rows.labels[row]
        assert (first, second) not in group
        assert first == rows.first[row] or second == rows.second[row]
        group.add((first, second))
    assert row == len(rows) - 1


def test_the_share_is_a_probability(model: MaskedModel, tmp_path: Path) -> None:
    rows = masks.rows("cola", 4)
    none, _ = file(model, tmp_path / "none.tsv", rows=rows, share=1e-12)
    assert plain(none) == plain(rows)
    every, _ = file(model, tmp_path / "all.tsv", rows=rows, share=1.0, attempts=40)
    some, _ = file(model, tmp_path / "some.tsv", rows=rows, share=0.1, attempts=40)
    assert len(every) > len(some) > len(rows)


def test_texts_that_would_break_a_line(model: MaskedModel, tmp_path: Path) -> None:
    rows = Examples(("the\told cat\nsleeps", "a dog runs"), None, np.array([0, 1]))
    flat = one_line(rows)
    assert flat.first == ("the old cat sleeps", "a dog runs")
    found, _ = file(model, tmp_path / "aug.tsv", rows=flat)
    assert set(flat.first) <= set(found.first)
    assert one_line(masks.rows("mrpc")).second == masks.rows("mrpc").second


@pytest.mark.parametrize("name", ["cola", "mrpc", "qqp", "mnli", "stsb", "cola-made-up"])
def test_the_header_is_the_task_s_own(name: str) -> None:
    task = registry.get(name)
    wanted = [task.first_column, task.second_column, task.label_column]
    assert header(task).split("\t") == [column for column in wanted if column]


def test_the_teacher_s_data_is_not_touched(model: MaskedModel, tmp_path: Path) -> None:
    rows = masks.rows("cola")
    data = TaskData(registry.get("cola"), rows, rows, "made for a test", augmented=file(model, tmp_path / "a.tsv")[0])
    assert data.of_teacher().fingerprint() == TaskData(data.task, rows, rows, "elsewhere").fingerprint()
