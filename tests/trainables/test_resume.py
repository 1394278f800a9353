"""A sweep that was cut anywhere goes on as if it had never been."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.verify import verify
from tests.trainables.sweeps import create, result
from trainables.record import COMPLETE, FINISHED, JOURNAL, PRUNED, ROWS, RUNNING, read
from trainables.recorder import Recorder

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
PLAN = {"points": 4, "epochs": 5, "factor": 2}


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def play(sweep: Recorder, turns: list[int], limit: int | None = None) -> None:
    """Let the points take turns: at each turn one starts, or reports its next evaluation.

    Args:
        limit: Stop before the record has more rows than this, as a kill would.
    """
    points = list(sweep.record.trials)
    for turn in [*turns, *(n for n in range(len(points)) for _ in range(9))]:
        trial = sweep.record.trials[points[turn % len(points)]]
        if limit is not None and len(sweep.record.rows) >= limit:
            return
        if trial.state in FINISHED:
            continue
        if trial.state != RUNNING:
            sweep.started(trial.id, attempt=1)
        else:
            number = len(trial.evaluations) + 1
            sweep.evaluation(trial.id, result(trial.id, number))


def go_on(sweep: Recorder, rows: list[dict[str, Any]]) -> None:
    """Let happen, in their order, those starts and reports of another sweep's rows that this one has not seen."""
    for row in rows:
        trial = sweep.record.trials[row["point"]]
        if row.get("state") == RUNNING and trial.state not in FINISHED:
            sweep.started(trial.id, attempt=1)
        elif row["kind"] == "evaluation":
            sweep.evaluation(trial.id, result(trial.id, row["evaluation"]))


def told(folder: Path) -> list[dict[str, Any]]:
    """Rows without times and sessions; a start that a later session repeats counts once."""
    seen, kept = set(), []
    for row in read(folder).rows:
        key = (row["kind"], row.get("point"), row.get("evaluation"), row.get("state"))
        if row["kind"] != "session" and key not in seen:
            seen.add(key)
            kept.append({name: value for name, value in row.items() if name not in ("seq", "time")})
    return kept


def study(folder: Path) -> list[tuple[Any, ...]]:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    found = optuna.load_study(study_name="search", storage=storage)
    return [(t.user_attrs["id"], t.state.name, t.values, t.intermediate_values, t.params) for t in found.trials]


@FEW
@given(turns=st.lists(st.integers(0, 4), max_size=30), rows=st.integers(0, 28), torn=st.integers(0, 200))
def test_a_cut_sweep_gives_the_rows_and_decisions_of_an_unbroken_one(turns: list[int], rows: int, torn: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = create(Path(folder) / "whole", **PLAN), create(Path(folder) / "cut", **PLAN)
        play(whole, turns)
        whole.close()
        play(cut, turns)
        cut.close()
        # The kill: some rows are there, a part of the next one, and the journal is anywhere.
        lines = (cut.path / ROWS).read_bytes().splitlines(keepends=True)
        rest = b"".join(lines[rows:])
        (cut.path / ROWS).write_bytes(b"".join(lines[:rows]) + rest[: min(torn, len(lines[rows]) - 1) if rest else 0])
        journal = (cut.path / JOURNAL).read_bytes().splitlines(keepends=True)
        # The journal never runs ahead of the rows, so only lines that old rows account for may be left.
        (cut.path / JOURNAL).write_bytes(b"".join(journal[: 1 + rows]) + journal[0][: torn % 20])
        again = Recorder(cut.path)
        assert len(again.record.rows) >= min(rows, len(lines))
        go_on(again, whole.record.rows)
        again.close()
        assert told(cut.path) == told(whole.path)
        assert {t.state for t in again.record.trials.values()} <= {COMPLETE, PRUNED}
        assert study(cut.path) == study(whole.path)
        faults = [fault for check in verify(cut.path) for fault in check.faults]
        assert faults == []


@pytest.mark.parametrize("file", [ROWS, JOURNAL])
@FEW
@given(offset=st.integers(0, 10_000))
def test_files_torn_at_any_offset_are_mended(file: str, offset: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sweep = create(Path(folder) / "s", **PLAN)
        play(sweep, [0, 1, 0, 2, 1], limit=12)
        sweep.close()
        content = (sweep.path / file).read_bytes()
        keep = offset % (len(content) + 1)
        if file == JOURNAL:
            # What was written before the first row is on disk before any kill that matters.
            keep = max(keep, content.index(b"\n") + 1)
        (sweep.path / file).write_bytes(content[:keep])
        if file == ROWS:
            # The journal is written after the row; older rows mean an older journal.
            (sweep.path / JOURNAL).unlink()
        whole = content[:keep].count(b"\n")
        before = read(sweep.path)
        again = Recorder(sweep.path)
        if file == ROWS:
            assert [row["seq"] for row in again.record.rows[:whole]] == list(range(whole))
            assert len(before.rows) == whole
        assert (sweep.path / file).read_bytes().endswith(b"\n") or not whole
        play(again, [])
        again.close()
        assert [fault for check in verify(again.path) for fault in check.faults] == []
        assert not read(again.path).unfinished()


def test_a_closing_row_that_a_kill_took_is_written_again(place: Path) -> None:
    sweep = create(place / "s", points=2, epochs=2, scheduler="none")
    play(sweep, [0, 0, 0])
    sweep.close()
    lines = (sweep.path / ROWS).read_bytes().splitlines(keepends=True)
    closing = next(i for i, line in enumerate(lines) if json.loads(line).get("state") == COMPLETE)
    (sweep.path / ROWS).write_bytes(b"".join(lines[:closing]))
    (sweep.path / JOURNAL).unlink()
    again = Recorder(sweep.path)
    assert again.record.rows[-1]["state"] == COMPLETE
    assert [t.state for t in again.record.trials.values()].count(COMPLETE) == 1


def test_rungs_are_refilled_and_not_those_of_the_baseline(place: Path) -> None:
    sweep = create(place / "s", **PLAN)
    play(sweep, [0, 1, 2, 3, 4] * 3, limit=16)
    sweep.close()
    again = Recorder(sweep.path)
    assert again.rule == sweep.rule
    assert not any("ft" in rung for rung in again.rule.recorded.values())  # type: ignore[union-attr]


def test_a_lock_of_a_killed_optuna_writer_does_not_block(place: Path) -> None:
    sweep = create(place / "s", points=2)
    sweep.close()
    stale = sweep.path / f"{JOURNAL}.lock"
    os.symlink(sweep.path / JOURNAL, stale)
    (sweep.path / f"{JOURNAL}.lock.rename.0").write_text("")
    again = Recorder(sweep.path)
    play(again, [], limit=4)
    assert not stale.is_symlink()


def test_a_copied_sweep_reads_and_goes_on_elsewhere(place: Path) -> None:
    sweep = create(place / "s", points=2, epochs=3)
    play(sweep, [], limit=3)
    shutil.copytree(sweep.path, place / "copy")
    again = Recorder(place / "copy")
    play(again, [])
    assert not read(place / "copy").unfinished()
    assert read(sweep.path).unfinished()
