"""Frames, figures and statistics of a sweep."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import state, summary, tables
from tests.analysis.conftest import Build
from trainables import statistics
from trainables.record import read


def test_trials(sweep: Build) -> None:
    record = read(sweep())
    frame = tables.trials(record).set_index("id")
    assert list(frame.index) == list(record.trials)
    for trial in record.trials.values():
        row = frame.loc[trial.id]
        assert row["state"] == trial.state
        assert row["score"] == trial.score
        assert row["low"] < row["score"] < row["high"]
        assert row["epochs_run"] == len(trial.evaluations)
        assert row["seconds"] == trial.seconds
        if trial.stop is None:
            assert math.isnan(row["stopped_at"])
        else:
            assert (row["stopped_at"], row["cutoff"]) == (trial.stop["rung"], trial.stop["cutoff"])
        for name, value in trial.params.items():
            assert row[name] == value
    assert tables.varying(record) == ["alpha", "beta", "T", "lr"]
    assert tables.fixed(record) == {"theta": 1.0}


def test_evaluations(sweep: Build) -> None:
    record = read(sweep())
    frame = tables.evaluations(record)
    assert len(frame) == sum(len(trial.evaluations) for trial in record.trials.values())
    assert {"id", "epoch", "value", "accuracy", "term_total", "rung", "cutoff", "stop"} <= set(frame)
    assert list(tables.evaluations(read(sweep(events=0)))["id"]) == []


def test_paired_difference(sweep: Build) -> None:
    record = read(sweep(dev_rows=800))
    a, b = record.trials["p03"], record.trials["ft"]
    found, back = statistics.paired(record, a, b), statistics.paired(record, b, a)
    assert found is not None
    assert back is not None
    assert found.value == (a.score or 0) - (b.score or 0) == -back.value
    assert found.low < found.value < found.high
    assert found.probability_better == pytest.approx(1 - back.probability_better)
    alone = statistics.paired(record, a, a)
    assert alone is not None
    assert (alone.value, alone.low, alone.high) == (0, 0, 0)
    # Both answer the same rows, so their difference is known better than two separate intervals would say.
    one, two = statistics.trial_interval(record, a), statistics.trial_interval(record, b)
    assert one is not None
    assert two is not None
    assert found.high - found.low < math.hypot(one.high - one.low, two.high - two.low)


def test_no_paired_difference_on_other_rows(sweep: Build) -> None:
    record = read(sweep())
    a, b = record.trials["p03"], record.trials["ft"]
    with np.load(b.predictions()) as stored:
        logits, labels = stored["logits"], stored["labels"]
    # Reversed rows score the same, but answer other questions.
    np.savez(b.predictions(), logits=logits[::-1], labels=labels[::-1])
    assert statistics.trial_interval(record, b) is not None
    assert statistics.paired(record, a, b) is None


def test_progress_counts(sweep: Build) -> None:
    found = state.progress(read(sweep(events=20)), running=True)
    assert found.word == "running"
    assert found.resume is None
    assert "at work" in found.sentence
    assert state.progress(read(sweep(events=0, prepared=False)), running=True).sentence.endswith("preparing.")


def test_command_is_quoted(sweep: Build) -> None:
    record = read(sweep())
    record.header["command"] = ["--data-dir", "my data", "--set", "beta=0.1,0.2"]
    assert summary.command(record) == "python -m trainables.sweep --data-dir 'my data' --set beta=0.1,0.2"
