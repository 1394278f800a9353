"""What the report tells of metrics beside the one that chooses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from analysis import report
from analysis.also import also
from analysis.further import further
from tests.analysis.conftest import Build
from tests.analysis.test_confirmed import Again
from trainables.record import read


def changed(folder: Path, file: str, change: Any) -> Path:
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))
    return folder


def accuracy(file: Path) -> float:
    with np.load(file) as stored:
        return float(np.mean(stored["logits"].argmax(1) == stored["labels"]))


def test_every_network_is_judged_by_the_other_metrics_too(sweep: Build) -> None:
    folder = changed(
        sweep(), "sweep.json", lambda header: header["plan"].update(also={"accuracy": "share of right rows"})
    )
    changed(folder, "prepared.json", lambda made: made["teacher"].update(metrics={"mcc": 0.5, "accuracy": 0.75}))
    best = read(folder).best_trial()
    assert best is not None
    own, undistilled = (accuracy(folder / "trials" / name / "predictions-best.npz") for name in (best.id, "ft"))
    told = (
        f"By share of right rows, which chose nothing: the best student ({best.id}) {own:.3f}, the undistilled student "
        f"(ft) {undistilled:.3f}, the teacher 0.750."
    )
    assert also(read(folder)) == [told]
    report.write(folder, running=False)
    assert told in (folder / "report.md").read_text()
    assert told in (folder / "report.html").read_text()


def test_records_without_titles_or_a_judged_teacher_are_read(sweep: Build) -> None:
    (told,) = also(read(sweep(baseline=False)))
    assert told.startswith("By accuracy, which chose nothing: the best student (p")
    assert "teacher" not in told


def test_it_is_of_dev_where_held_out_rows_chose(sweep: Build) -> None:
    folder = sweep(held_out=200, points=2, fail=())
    best = read(folder).best_trial()
    assert best is not None
    assert f"({best.id}) {accuracy(best.folder / 'predictions-report.npz'):.3f}" in also(read(folder))[0]


def test_nothing_is_told_before_there_is_a_score(sweep: Build) -> None:
    assert also(read(sweep(fail_all=True))) == []


def test_sentences_on_metrics_and_on_splits_are_of_the_same_student(tmp_path: Path) -> None:
    """After confirming runs it is the run whose student stands for the sweep."""
    again = Again(tmp_path)
    again.runs("p00", (590, 604, 578))
    again.runs("p01", (560, 570, 550))
    record = again.record
    name = record.plan["metric"]
    for trial in (*record.trials.values(), *record.confirming.values()):
        assert trial.best is not None
        trial.best["further"] = {f"mismatched/{name}": 0.25}
        trial.best["metrics"] = {name: 0.5, "macro_f1": 0.5}
    record.prepared = {**(record.prepared or {}), "further": {"mismatched": {"rows": 9, "teacher": 0.5}}}
    best = record.student_trial()
    assert best is not None
    assert best.id == "p00-c2"
    for told in (also(record)[0], further(record)[0]):
        assert "the best student (p00-c2) " in told
