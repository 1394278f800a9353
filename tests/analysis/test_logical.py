"""What the report says of students whose layers run twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from analysis.logical import logical, passes, teachers
from analysis.summary import sizes, summarise
from tests.fake_sweep import Fake
from trainables.record import SWEEP, Record, read

SWAP = {"mode": "swap", "layers": [1, 2, 3, 4, 3, 4]}
SHARE = {"mode": "share", "layers": [1, 2, 3, 4, 1, 2, 3, 4]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep whose best point shares."""
    made = Fake(tmp_path_factory.mktemp("sweep"), points=4)
    made.write()
    best = read(made.folder).best_trial()
    assert best is not None
    header = json.loads((made.folder / SWEEP).read_text())
    for point in header["plan"]["points"]:
        point["sharing"] = SWAP if point["id"] == best.id else SHARE if point["origin"] == "grid" else None
    (made.folder / SWEEP).write_text(json.dumps(header))
    return made.folder


def changed(record: Record, **student: Any) -> Record:
    record.plan["student"].update(student)
    return record


def test_every_way_is_shown_with_its_points(folder: Path) -> None:
    record = read(folder)
    best = record.best_trial()
    assert best is not None
    found = {one.words: one for one in passes(record)}
    swapped = found["The top 2 of 4 layers run twice: 6 logical layers; ⇄ marks where queries and keys are exchanged."]
    assert (swapped.points, swapped.cells) == (best.id, ("1", "2", "3", "4", "3 ⇄", "4 ⇄"))
    shared = found["4 layers run twice: 8 logical layers."]
    assert shared.cells == tuple("12341234")
    assert "ft" not in shared.points


def test_the_comparison_names_both_counts(folder: Path) -> None:
    shown = {network.role: sizes(network)[0] for network in summarise(read(folder)).networks}
    assert shown["best"] == "4, run as 6"
    assert shown["baseline"] == "4"


def test_a_student_that_shares_by_itself_does_so_in_every_point(folder: Path) -> None:
    record = changed(read(folder), sharing={"mode": "swap", "repeated": 4})
    assert {logical(record, trial) for trial in record.trials.values()} == {8}
    assert [one.cells for one in passes(record)] == [("1", "2", "3", "4", "1 ⇄", "2 ⇄", "3 ⇄", "4 ⇄")]


def test_a_teacher_that_shares_has_both_counts(folder: Path) -> None:
    """What is trained counts its passes; the plan, and whoever compares sizes, the layers that have weights."""
    record = read(folder)
    assert record.prepared is not None
    assert teachers(record)[1] is None
    record.plan["teacher"] |= {"layers": 6, "sharing": {"mode": "swap", "repeated": 3}}
    record.prepared["teacher"]["layers"] = 9
    assert teachers(record) == (6, 9)
    shown = {network.role: sizes(network)[0] for network in summarise(record).networks}
    assert shown["teacher"] == "6, run as 9"
    assert shown["baseline"] == "4"
    found = next(one for one in passes(record) if not one.points)
    assert found.words.startswith("The teacher: the top 3 of 6 layers run twice: 9 logical layers;")
    assert found.cells == ("1", "2", "3", "4", "5", "6", "4 ⇄", "5 ⇄", "6 ⇄")


def test_runs_outside_of_the_search_are_as_the_student_comes(folder: Path) -> None:
    record = read(folder)
    assert logical(record, None) is None
    assert logical(changed(record, sharing={"mode": "share", "repeated": 2}), None) == 6


def test_records_of_before_say_nothing(folder: Path) -> None:
    record = read(folder)
    for trial in record.trials.values():
        trial.point.pop("sharing", None)
    assert passes(record) == []


def test_the_report_has_the_table(folder: Path) -> None:
    report.write(folder)
    assert "| physical layer | 1 | 2 | 3 | 4 | 3 ⇄ | 4 ⇄ |" in (folder / "report.md").read_text()
    page = (folder / "report.html").read_text()
    assert "Layers that run twice" in page
    assert '<td class="n">3 ⇄</td>' in page
