"""Frames, figures and statistics of a sweep."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

from analysis import figures, observed, state, summary, tables
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


def test_learning_curves(sweep: Build) -> None:
    record = read(sweep())
    figure = figures.learning_curves(record)
    assert figure is not None
    lines = {trace.name: trace for trace in figure.data}
    assert set(lines) == {trial.id for trial in record.trials.values() if trial.best}
    assert lines["ft"].line.dash == "dash"
    for trial in record.trials.values():
        marks = lines[trial.id].marker.symbol
        assert (marks[-1] == "x") == (trial.state == "PRUNED")
        assert (marks[-1] == "triangle-down") == (trial.state == "FAIL")
    rungs = [shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1]
    assert rungs == record.plan["scheduler"]["rungs"]
    words = " ".join(str(note.text) for note in figure.layout.annotations)
    assert "teacher" in words
    assert "ft undistilled" in words
    assert "best" in words


def test_names_at_the_ends_keep_apart(sweep: Build) -> None:
    figure = figures.learning_curves(read(sweep(scheduler="none", fail=())))
    assert figure is not None
    low, high = figure.layout.yaxis.range
    per_pixel = (high - low) / (figure.layout.height - 90)
    ends = [note for note in figure.layout.annotations if note.xanchor == "left" and note.x == 4]
    spots = sorted(note.y / per_pixel + note.yshift for note in ends)
    assert len(spots) == 9
    assert min(b - a for a, b in itertools.pairwise(spots)) > 13


def test_effects(sweep: Build) -> None:
    record = read(sweep(embedded=False))
    drawn = figures.effects(record)
    assert list(drawn) == ["alpha", "beta", "T", "lr"]
    assert drawn["beta"].layout.xaxis.type == "log"
    assert drawn["alpha"].layout.xaxis.type == "linear"
    marks = [symbol for trace in drawn["beta"].data for symbol in trace.marker.symbol]
    unfinished = [t for t in record.trials.values() if t.score is not None and t.state in ("PRUNED", "FAIL")]
    assert marks.count("circle-open") == len(unfinished)
    assert len(marks) == sum(t.score is not None and not t.is_baseline for t in record.trials.values())
    assert any(note.text == "published" for note in drawn["beta"].layout.annotations)


def test_effects_of_words(sweep: Build) -> None:
    record = read(sweep(points=3))
    for trial, value in zip(record.trials.values(), ("current", None, "frozen", "v2020"), strict=True):
        trial.point["params"] |= {} if value is None else {"update": value, "joint": value == "frozen"}
    drawn = figures.effects(record)
    assert drawn["update"].layout.xaxis.type == "category"
    assert drawn["joint"].layout.xaxis.type == "category"


def test_best_so_far_never_falls(sweep: Build) -> None:
    figure = figures.best_so_far(read(sweep()))
    assert figure is not None
    line = next(trace for trace in figure.data if trace.mode == "lines")
    assert list(line.y) == sorted(line.y)


def test_loss_terms_are_all_drawn(sweep: Build) -> None:
    figure = figures.loss_terms(read(sweep()))
    assert figure is not None
    words = {str(note.text).removeprefix("<b>").removesuffix("</b>") for note in figure.layout.annotations}
    assert words == {"soft", "hard", "embedding", "attention", "hidden", "total"}


@pytest.mark.parametrize("name", ["learning_curves", "best_so_far", "loss_terms"])
def test_nothing_to_draw(sweep: Build, name: str) -> None:
    record = read(sweep(events=0))
    assert getattr(figures, name)(record) is None
    assert figures.effects(record) == {}
    assert observed.observed(record) == {}


def test_observed(sweep: Build) -> None:
    record = read(sweep(layers=3, teacher_layers=5))
    drawn = observed.observed(record)
    assert len(drawn) == 6
    flow = next(figure for title, figure in drawn.items() if "flow" in title)
    assert np.shape(flow.data[0].z) == (3, 5)
    assert flow.layout.xaxis.title.text == "teacher layer"
    weights = next(figure for title, figure in drawn.items() if "teacher" in title)
    best = record.best_trial()
    assert best is not None
    assert np.shape(weights.data[0].z) == (5, len(best.evaluations))


@pytest.mark.parametrize(
    ("seen", "kinds"),
    [
        ({"gate": 0.5}, ["scatter"]),
        ({"flow": None, "names": ["a"], "ragged": [[1], [1, 2]]}, []),
        ({"gates": [0.1, 0.9], "deep": {"er": [[1.0, 2.0]]}}, ["heatmap", "heatmap"]),
    ],
)
def test_observations_of_any_shape(sweep: Build, seen: dict[str, Any], kinds: list[str]) -> None:
    record = read(sweep())
    best = record.best_trial()
    assert best is not None
    lines = [json.dumps({"evaluation": number, **seen}) for number in (1, 2)]
    (best.folder / "seen.jsonl").write_text("\n".join([*lines, '{"evaluation": 3, "ga']))
    assert [figure.data[0].type for figure in observed.observed(record).values()] == kinds


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
