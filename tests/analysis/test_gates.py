"""Pictures of gates and of what targets are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis import observed, seen_tables
from tests.analysis.conftest import Build
from trainables.record import read

SHARES = [[0.625, 0.375, 0.0], [0.25, 0.149, 0.601]]


def gates(number: int, **changes: Any) -> dict[str, Any]:
    found = {
        "layers": [2, 3],
        "open": [0.5, 0.4 + 0.01 * number],
        "spread": [0.2, 0.1],
        "size": [1.0, 0.99],
        "moved": [0.01 * number, 0.02 * number],
    }
    return {**found, **changes}


def drawn_of(sweep: Build, *rows: dict[str, Any]) -> Any:
    record = read(sweep())
    best = record.best_trial()
    assert best is not None
    file: Path = best.folder / "seen.jsonl"
    file.write_text("".join(json.dumps({"evaluation": n, **row}) + "\n" for n, row in enumerate(rows, 1)))
    return observed.observed(record)


def test_what_targets_are_made_of(sweep: Build) -> None:
    drawn = drawn_of(sweep, *(4 * [{"target_shares": SHARES}]))
    ((title, figure),) = drawn.figures.items()
    assert title.startswith("what the targets are made of (epoch ")
    (heat,) = figure.data
    assert [list(row) for row in heat.z] == SHARES
    assert [list(row) for row in heat.text] == [["62", "38", ""], ["25", "15", "60"]]
    assert (list(heat.x), list(heat.y)) == ([1, 2, 3], [1, 2])
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("teacher layer", "student layer")
    assert len(drawn.notes) == 1


def test_gates_over_the_epochs(sweep: Build) -> None:
    drawn = drawn_of(sweep, *({"gates": gates(n)} for n in range(1, 5)))
    ((title, figure),) = drawn.figures.items()
    assert title == "gates by teacher layer"
    assert len(figure.data) == 4 * 2
    assert list(figure.data[1].y) == pytest.approx([0.41, 0.42, 0.43, 0.44])
    assert list(figure.data[7].y) == pytest.approx([2.0, 4.0, 6.0, 8.0]), "in per cent"
    assert sorted(note.text for note in figure.layout.annotations) == [*(4 * ["2"]), *(4 * ["3"])]
    assert figure.layout.yaxis.title.text == "openness"
    assert figure.layout.yaxis4.title.text == "moved, in %"
    assert len(drawn.notes) == 1


def test_frozen_gates_do_not_move_and_have_no_panel_for_it(sweep: Build) -> None:
    still = gates(1)
    del still["moved"]
    drawn = drawn_of(sweep, *(4 * [{"gates": still}]))
    assert len(drawn.figures["gates by teacher layer"].data) == 3 * 2


def test_gates_of_another_shape_are_drawn_by_it(sweep: Build) -> None:
    drawn = drawn_of(sweep, *(4 * [{"gates": gates(1, size=[1.0]), "target_shares": [0.5, 0.5]}]))
    assert drawn.notes == []
    assert all(figure.data[0].type == "heatmap" for figure in drawn.figures.values())


def test_tables_have_the_final_values(sweep: Build) -> None:
    folder = sweep()
    drawn_of(lambda: folder, *(4 * [{"gates": gates(2), "target_shares": SHARES, "flow": 1.0}]))
    targets, table, others = seen_tables.seen_tables(read(folder))
    assert targets.rows == [("1", "62.5", "37.5", "0.0"), ("2", "25.0", "14.9", "60.1")]
    assert table.head == ("teacher layer", "openness", "its spread", "size of the sum", "moved, in %")
    assert table.rows == [("2", "0.5", "0.2", "1", "2"), ("3", "0.42", "0.1", "0.99", "4")]
    assert others.title.endswith(": flow.")
