"""A sweep that a limit ended: report, status and proof say why, and name what is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis import report
from analysis.facts import facts
from analysis.state import progress
from analysis.verify import verify
from tests.fake_sweep import build
from trainables.record import read
from trainables.status import describe, status

REASON = "the time budget of 90m is used up"


def append(folder: Path, **row: Any) -> None:
    before = read(folder).rows
    row = {"seq": len(before), "time": before[-1]["time"], **row}
    with (folder / "rows.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    build(tmp_path, events=20)
    append(tmp_path, kind="halt", reason=REASON, limit="time_budget")
    return tmp_path


def test_the_report_says_why_and_names_every_point_that_is_left(ended: Path) -> None:
    record = read(ended)
    found = progress(record)
    assert found.word == "interrupted"
    assert found.sentence.endswith(f"The session ended because {REASON}.")
    named = " ".join(found.left)
    open_ones = [trial.id for trial in record.unfinished()]
    assert open_ones
    for trial in record.trials.values():
        assert (f" {trial.id}," in named.replace(".", ",") or f" {trial.id} (" in named) == (trial.id in open_ones)
    page = report.write(ended).read_text()
    markdown = (ended / "report.md").read_text()
    for text in (page, markdown):
        assert REASON in text
        assert all(sentence in text for sentence in found.left)


def test_points_that_began_are_told_from_those_that_did_not(ended: Path) -> None:
    record = read(ended)
    begun = [trial for trial in record.unfinished() if trial.attempts]
    not_run, *rest = progress(record).left
    assert not_run.startswith("Not run: ")
    assert not any(trial.id in not_run for trial in begun)
    for trial in begun:
        assert f"{trial.id} ({len(trial.evaluations)} of {record.plan['evaluations']} evaluations)" in rest[0]


def test_a_further_session_takes_the_reason_away(ended: Path) -> None:
    assert status(ended)["halt"] == REASON
    assert f"Ended because {REASON}." in describe(status(ended))
    append(ended, kind="session", number=2, argv=[])
    assert status(ended)["halt"] is None
    assert REASON not in " ".join(describe(status(ended)))
    assert REASON not in progress(read(ended)).sentence


def test_a_finished_or_killed_sweep_names_nothing(tmp_path: Path) -> None:
    build(tmp_path / "whole")
    assert progress(read(tmp_path / "whole")).left == ()
    build(tmp_path / "killed", events=20)
    assert "because" not in progress(read(tmp_path / "killed")).sentence
    assert progress(read(tmp_path / "killed")).left


def test_the_report_says_with_what_trials_went_on_that_ran_out_of_memory(ended: Path) -> None:
    assert "out of memory" not in dict(facts(read(ended)))
    trial = next(t for t in read(ended).unfinished() if t.state == "RUNNING")
    row = {"kind": "retry", "point": trial.id, "reason": "out of memory", "resources": {"CPU": 1.0, "GPU": 1.0}}
    append(ended, **row, micro=4, attempt=1)
    wanted = f"{trial.id} went on with 1 GPU, each batch in 4 parts (the same but for rounding and dropout's draws)"
    assert dict(facts(read(ended)))["out of memory"] == wanted


def test_the_proof_follows_trials_that_ran_out_of_memory(ended: Path) -> None:
    trial = next(t for t in read(ended).unfinished() if t.state == "RUNNING")
    row = {"kind": "retry", "point": trial.id, "reason": "out of memory", "resources": {"CPU": 1.0, "GPU": 1.0}}
    append(ended, **row, micro=1, attempt=1)
    assert read(ended).trials[trial.id].state == "WAITING"
    states = next(check for check in verify(ended) if check.title.startswith("states"))
    assert states.faults == []
    # A trial that does not run cannot run out of memory.
    append(ended, **row, micro=1, attempt=1)
    states = next(check for check in verify(ended) if check.title.startswith("states"))
    assert len(states.faults) == 1
    assert f"sends {trial.id} back although it was WAITING" in states.faults[0]
