"""Distances between filtered layers: a line a pair over the epochs, and all pairs at the best evaluation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analysis.filter_distances import KEY, distances
from analysis.observed import PICTURES
from analysis.seen import Seen
from analysis.seen_tables import seen_tables
from tests.analysis.conftest import Build
from trainables.record import read


def row(evaluation: int, *values: float) -> dict[str, Any]:
    count = range(1, len(values) + 1)
    seen = {"student": list(count), "teacher": [3 * place for place in count], "distance": list(values)}
    return {"evaluation": evaluation, KEY: seen}


@pytest.fixture
def found(sweep: Build) -> Seen:
    record = read(sweep())
    best = record.best_trial()
    assert best is not None
    rows = [row(1, 2.0, 1.5, 3.0), row(2, 1.0, 0.5, 2.0), row(3, 0.9, 0.25, 1.75)]
    return Seen(record, best, rows, {KEY: rows[1][KEY]}, "epoch 2")


def test_lines_and_bars(found: Seen) -> None:
    drawn = distances(found)
    lines, bars = drawn.values()
    assert list(drawn) == ["distance between filtered layers", "distance between filtered layers (epoch 2)"]
    assert [list(trace.y) for trace in lines.data] == [[2.0, 1.0, 0.9], [1.5, 0.5, 0.25], [3.0, 2.0, 1.75]]
    assert sorted(str(note.text) for note in lines.layout.annotations) == ["1 ↔ 3", "2 ↔ 6", "3 ↔ 9"]
    (trace,) = bars.data
    assert list(trace.x) == ["1 ↔ 3", "2 ↔ 6", "3 ↔ 9"]
    assert list(trace.y) == [1.0, 0.5, 2.0]
    assert PICTURES[KEY].draw is distances


def test_one_evaluation_has_no_line(found: Seen) -> None:
    alone = Seen(found.record, found.trial, found.rows[1:2], found.at, found.when)
    assert list(distances(alone)) == ["distance between filtered layers (epoch 2)"]


@pytest.mark.parametrize("value", [None, 3, {}, {"student": [1], "teacher": [1, 2], "distance": [0.5]}])
def test_another_shape_is_not_drawn(found: Seen, value: Any) -> None:
    assert distances(Seen(found.record, found.trial, found.rows, {KEY: value}, found.when)) == {}


def test_the_table_has_the_first_and_the_best_evaluation(sweep: Build) -> None:
    record = read(sweep())
    best = record.best_trial()
    assert best is not None
    assert best.best is not None
    rows = [row(1, 2.0, 1.5), *(row(number, 1.0 / number, 0.5) for number in range(2, 5))]
    (best.folder / "seen.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in rows))
    (table,) = seen_tables(record)
    last = rows[best.best["evaluation"] - 1][KEY]["distance"]
    assert table.rows == [("1 ↔ 3", "2", f"{last[0]:.4g}"), ("2 ↔ 6", "1.5", f"{last[1]:.4g}")]
