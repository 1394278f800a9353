"""What a report says was made before the trials, and what that means beside a student without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis import before, report, verdict
from tests.analysis.conftest import Build
from trainables.record import Record, read

FILTERS = [0.69, 0.71, 0.93]
STAGES = [
    {"stage": "finetune", "epochs": 3, "lr": 5e-5, "batch_size": 32, "keep": "best-metric", "teacher": False},
    {"stage": "distill", "epochs": 4, "lr": 5e-5, "batch_size": 32, "keep": "last", "teacher": True},
]


def curve(values: list[float]) -> list[dict[str, float]]:
    return [{"epoch": float(place), "value": value} for place, value in enumerate(values, 1)]


def staged(folder: Path, old: bool = False, **more: Any) -> Record:
    """A sweep whose points share what two stages leave; as earlier versions wrote it when `old`."""
    file = folder / "prepared.json"
    prepared = json.loads(file.read_text())
    filters = {"stage": "teacher-filters", "seconds": 99.0, "failure": None, "curve": curve(FILTERS)}
    shared = {"stage": "finetune", "seconds": 9.0, "failure": None, "seed": 0, "points": 8, "curve": curve([0.6, 0.7])}
    if not old:
        filters |= {"trials": ["p00", "p01"], "epochs": 3, "keep": "last", "made": True}
        shared |= {"trials": ["p00", "p01"], "epochs": 3, "keep": "best-metric", "made": False}
    prepared["teacher"]["outputs_seconds"] = 23.4
    file.write_text(json.dumps({**prepared, "beside": {"a": filters}, "stages": {"b": shared | more}}))
    header = json.loads((folder / "sweep.json").read_text())
    header["plan"]["teacher"] |= {"mode": "finetune", "keep": "best", "training": {"epochs": 4}}
    for point in header["plan"]["points"]:
        if not old:
            point["stages"] = STAGES if point["origin"] != "baseline" else STAGES[1:]
    (folder / "sweep.json").write_text(json.dumps(header))
    return read(folder)


def test_each_thing_has_a_line(sweep: Build) -> None:
    found = before.before(staged(sweep()))
    assert found is not None
    assert found.rows == [
        ("teacher, fine-tuned", "all", "4", "–", "best metric", "1 min 34 s", "–"),
        ("teacher's answers", "all", "–", "–", "–", "23.4 device-seconds", "–"),
        ("teacher-filters", "p00, p01", "3", "0.690 → 0.930", "last", "1 min 39 s", "made"),
        ("finetune", "p00, p01", "3", "0.600 → 0.700", "best metric", "9 s", "found in the store"),
    ]


def test_the_whole_time_has_the_trials_in_it(sweep: Build) -> None:
    record = staged(sweep())
    found = before.before(record)
    assert found is not None
    whole = 93.5 + 99.0 + 9.0 + sum(trial.seconds for trial in record.everything())
    assert found.notes[0].startswith(f"{before.duration(whole)} in all: 1 min 34 s for the teacher, 1 min 48 s for")


def test_a_loss_that_rose_is_told_with_what_was_kept(sweep: Build) -> None:
    found = before.before(staged(sweep()))
    assert found is not None
    rose = "the loss rose from 0.690 (epoch 1) to 0.930 at the end, and the last weights were kept."
    assert f"Teacher-filters: {rose}" in found.notes
    kept = before.before(staged(sweep(), keep="best"))
    assert kept is not None
    assert not any(note.startswith("Finetune") for note in kept.notes)


def test_an_older_record_is_read(sweep: Build) -> None:
    record = staged(sweep(), old=True)
    found = before.before(record)
    assert found is not None
    assert found.rows[-1] == ("finetune", "8 points", "2", "0.600 → 0.700", "–", "9 s", "–")
    assert "the record does not say which weights were kept" in found.notes[1]
    assert before.earlier(record, record.trials["p00"]) == {"finetune": 2.0}


def test_pictures_mark_what_was_kept(sweep: Build) -> None:
    drawn = before.pictures(before.before(staged(sweep())))
    assert list(drawn) == ["teacher-filters", "finetune"]
    line, mark = drawn["teacher-filters"].data
    assert list(line.y) == FILTERS
    assert list(mark.y) == [0.93]
    assert len(drawn["finetune"].data) == 1


def test_stages_of_a_trial_of_its_own_have_a_line(sweep: Build) -> None:
    folder = sweep()
    rows = [{"stage": "pretrain", "epoch": e, "epochs": 2, "value": 1.0 / e, "seconds": 5.0} for e in (1.0, 2.0)]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"stage": "pre'
    (folder / "trials" / "p00" / "stages.jsonl").write_text(text)
    found = before.before(read(folder))
    assert found is not None
    assert found.rows[-1] == ("pretrain", "p00", "2", "1.000 → 0.500", "–", "10 s", "in its own trial")


def test_both_forms_have_the_section(sweep: Build) -> None:
    folder = sweep()
    staged(folder)
    report.write(folder)
    assert "| teacher-filters | p00, p01 | 3 | 0.690 → 0.930 | last |" in (folder / "report.md").read_text()
    page = (folder / "report.html").read_text()
    assert "<h2>Made before the trials</h2>" in page
    assert "the orange mark is what was handed on" in page


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (True, "The undistilled student was trained for 4 epochs; the distilled students for 4 after 3 of finetune"),
        (False, "The distilled students were trained for 4 epochs after 3 of finetune"),
    ],
)
def test_longer_training_is_held_against_the_numbers(sweep: Build, baseline: bool, words: str) -> None:
    record = staged(sweep(baseline=baseline))
    assert any(line.startswith(f"{words}, all on the same rows") for line in verdict.caveats(record))
    record.trials["p00"].point["stages"] = STAGES[1:]
    assert any("after 0 to 3 of finetune" in line for line in verdict.caveats(record))


def test_students_of_one_stage_have_no_such_sentence(sweep: Build) -> None:
    assert not any(" after " in line for line in verdict.caveats(read(sweep())))
