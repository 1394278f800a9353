"""The picture of a sweep over the threshold of pre-training: labels and scores of all its trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import observed, seen_tables
from tests.analysis.conftest import Build
from trainables.record import Record, read

TS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
ROWS, DEV = 8551, 1043


def counts(t: float, t2: float, rows: int) -> list[int]:
    """Of a teacher that is right in 95 of 100 rows and mostly sure."""
    right, wrong = round(0.95 * rows), rows - round(0.95 * rows)
    sure, wrongly = (round(share) for share in (right * (1 - 0.4 * t**12), wrong * (1 - 0.9 * t2**3)))
    return [sure, right - sure, wrongly, wrong - wrongly]


def thresholds(folder: Path, *t2: float) -> Record:
    """Let the trials of a sweep differ in t, and in t2 where that is given, and have seen what such a teacher makes."""
    header = json.loads((folder / "sweep.json").read_text())
    distilled = [point for point in header["plan"]["points"] if point["origin"] != "baseline"]
    for number, point in enumerate(distilled):
        t, other = TS[number % len(TS)], t2[number % len(t2)] if t2 else 0.0
        point["params"] = {"t": t, "t2": other, "ptp_lr": 2e-5, "then": "pkd", "lr": 5e-5}
        point["label"] = f"t {t:g}"
        found = {"train": counts(t, other or t, ROWS), "dev": counts(t, other or t, DEV)}
        file = folder / "trials" / point["id"] / "seen.jsonl"
        if file.exists():
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            lines = (json.dumps({"evaluation": row["evaluation"], "ptp_labels": found}) for row in rows)
            file.write_text("".join(f"{line}\n" for line in lines))
    header["plan"] |= {"method": "pea", "method_title": "Pea-KD", "layers": 3, "axes": []}
    (folder / "sweep.json").write_text(json.dumps(header))
    return read(folder)


def drawn(record: Record) -> Any:
    ((title, figure),) = observed.observed(record).figures.items()
    assert title == "labels of the pre-training, and the scores of all trials, by t"
    return figure


def test_each_threshold_has_its_bars_and_its_scores(sweep: Build) -> None:
    record = thresholds(sweep(points=12))
    figure = drawn(record)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert len(bars) == 4
    for place, bar in enumerate(bars):
        assert list(bar.x) == [f"{t:g}" for t in TS]
        assert list(bar.y) == [counts(t, t, ROWS)[place] for t in TS]
        assert bar.text[0] == f"{bar.y[0]:,}"
    assert f"of {DEV:,} dev rows" in bars[0].customdata[0]
    scored = {trial.id: trial for trial in record.trials.values() if not trial.is_baseline and trial.score is not None}
    marks = [(x, y) for trace in figure.data if trace.type == "scatter" for x, y in zip(trace.x, trace.y, strict=True)]
    assert sorted(marks) == sorted((f"{trial.params['t']:g}", trial.score) for trial in scored.values())
    names = [str(note.text) for note in figure.layout.annotations]
    for side in ("right", "wrong"):
        assert sum(f"teacher {side}:" in name and "unconfident" in name for name in names) == 1


def test_rows_of_a_threshold_add_up(sweep: Build) -> None:
    bars = [trace for trace in drawn(thresholds(sweep(points=12))).data if trace.type == "bar"]
    assert list(np.sum([bar.y for bar in bars], axis=0)) == [ROWS] * len(TS)


def test_two_thresholds_make_a_place_of_their_own(sweep: Build) -> None:
    figure = drawn(thresholds(sweep(points=6), 0.6, 0.0))
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert list(bars[0].x)[:2] == ["0.6<br>t2 0.6", "0.7<br>t2 0.7"]
    assert "0.8<br>t2 0.6" in bars[0].x
    assert figure.layout.xaxis3.title.text == "thresholds t and t2"


def test_many_thresholds_have_no_numbers_above_their_bars(sweep: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.analysis.test_label_counts.TS", tuple(0.5 + 0.04 * place for place in range(12)))
    bars = [trace for trace in drawn(thresholds(sweep(points=12))).data if trace.type == "bar"]
    assert len(bars[0].x) == 12
    assert all(bar.text is None for bar in bars)


@pytest.mark.parametrize("events", [6, 12])
def test_a_sweep_under_way_shows_what_it_has(sweep: Build, events: int) -> None:
    record = thresholds(sweep(points=6, events=events))
    figures = observed.observed(record).figures
    seen = {t.params["t"] for t in record.trials.values() if (t.folder / "seen.jsonl").exists() and not t.is_baseline}
    for figure in figures.values():
        assert list(next(trace for trace in figure.data if trace.type == "bar").x) == [f"{t:g}" for t in sorted(seen)]


def test_counts_of_another_shape_are_drawn_by_it(sweep: Build) -> None:
    record = thresholds(sweep(points=2))
    for trial in record.trials.values():
        file = trial.folder / "seen.jsonl"
        if file.exists():
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            file.write_text("".join(json.dumps({**row, "ptp_labels": {"train": [1, 2]}}) + "\n" for row in rows))
    assert list(observed.observed(record).figures) == ["ptp labels · train"]


def test_the_same_counts_stand_in_a_table(sweep: Build) -> None:
    record = thresholds(sweep(points=12))
    (table,) = seen_tables.seen_tables(record)
    assert table.head == ("t", "right, confident", "right, unconfident", "wrong, confident", "wrong, unconfident")
    wanted = [f"{own:,} ({dev:,})" for own, dev in zip(counts(0.6, 0.6, ROWS), counts(0.6, 0.6, DEV), strict=True)]
    assert table.rows[0] == ("0.6", *wanted)
    assert len(table.rows) == len(TS)


def test_the_heading_speaks_of_all_trials(sweep: Build) -> None:
    assert observed.observed(thresholds(sweep(points=3))).which == "in the trials"
    assert observed.observed(read(sweep(points=3))).which == "in the best trial"
