"""What students are called where no teacher taught them, or not in the stage that reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis import called, report, summary, tables
from tests.analysis.conftest import Build
from trainables.record import Record, read


def asking(folder: Path, *asks: bool) -> Record:
    """Let each stage of all points ask the teacher or not."""
    header = json.loads((folder / "sweep.json").read_text())
    for point in header["plan"]["points"]:
        point["label"] = point["label"].replace("undistilled", "own")
        own = asks if point["origin"] != "baseline" else (False,)
        point["stages"] = [{"stage": f"s{place}", "epochs": 1, "teacher": ask} for place, ask in enumerate(own)]
    (folder / "sweep.json").write_text(json.dumps(header))
    return read(folder)


@pytest.mark.parametrize(
    ("asks", "what", "baseline"),
    [
        ((True,), "distilling", "undistilled student"),
        ((False, True), "distilling", "undistilled student"),
        ((True, False), "BERT-EMD", "undistilled student"),
        ((False,), "BERT-EMD", "plain student"),
    ],
)
def test_names_follow_from_what_asks_the_teacher(
    sweep: Build, asks: tuple[bool, ...], what: str, baseline: str
) -> None:
    found = called.called(asking(sweep(points=3), *asks))
    assert (found.what, found.baseline) == (what, baseline)


def test_a_sweep_without_a_teacher_speaks_of_no_distilling(sweep: Build) -> None:
    folder = sweep(gain=0.0)
    asking(folder, False)
    report.write(folder)
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text().split("<main>")[-1].split("How to reproduce")[0]
        assert "ndistilled" not in text
        assert "distilling" not in text
    assert "does not show that BERT-EMD helped" in (folder / "report.md").read_text()


def test_older_records_say_it_for_all_points(sweep: Build) -> None:
    record = read(sweep(points=2))
    assert called.called(record).taught
    record.header["plan"]["teacher_source"] = {"kind": "cached", "needs": [], "needs_on_dev": []}
    assert not called.called(record).taught


def test_a_value_that_is_none_of_its_own_is_said_in_words(sweep: Build) -> None:
    record = read(sweep(points=2))
    assert tables.worded(record, "theta", 1.0) == "1"
    record.header["plan"]["unset"] = {"theta": [1.0, "that of the run"], "alpha": [0, "found"]}
    assert tables.worded(record, "theta", 1.0) == "that of the run"
    assert tables.worded(record, "alpha", 1.0) == "1"


@pytest.mark.parametrize(("points", "words"), [(1, ""), (8, "Several hyper-parameters change from mark to mark")])
def test_what_a_figure_of_one_value_is_taken_for(sweep: Build, points: int, words: str) -> None:
    assert summary.summarise(read(sweep(points=points))).causes.startswith(words or "Nothing else changes")
