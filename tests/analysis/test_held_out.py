"""A sweep whose held-out rows chose: what is said stands on dev, and the record proves that dev decided nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import report, tables, verify
from analysis.best import best_yaml
from analysis.claims import compare, rivals_on_dev, tied
from analysis.summary import summarise
from analysis.verdict import caveats, judge, networks
from distill.tasks import metrics
from tests import fake_sweep
from tests.analysis.posed import LABELS, Pose, right
from trainables.record import Record, Trial, read
from trainables.statistics import paired, teacher_interval, trial_interval

HELD, DEV = 380, 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_sweep.build(tmp_path_factory.mktemp("held"), held_out=HELD, dev_rows=DEV, journal=True)


@pytest.fixture(scope="module")
def record(folder: Path) -> Record:
    return read(folder)


def on_dev(trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    with np.load(trial.folder / "predictions-report.npz") as saved:
        return saved["logits"], saved["labels"]


def test_what_a_trial_reports(record: Record) -> None:
    for trial in record.trials.values():
        assert trial.reported == metrics.get("mcc").compute(*on_dev(trial)) != trial.score
        assert trial.predictions("report").name == "predictions-report.npz"
        assert trial.predictions().name == "predictions-best.npz"
    assert (record.held_out, record.metric) == (HELD, "held-out mcc")


def test_where_dev_chooses_the_report_is_the_best(tmp_path: Path) -> None:
    plain = read(fake_sweep.build(tmp_path))
    assert (plain.held_out, plain.metric) == (0, "mcc")
    for trial in plain.trials.values():
        assert trial.reported == trial.score
        assert trial.predictions("report") == trial.predictions("best")
    assert teacher_interval(plain) == teacher_interval(plain, "best")


def test_the_choice_follows_the_held_out_rows(record: Record) -> None:
    best = record.best_trial()
    distilled = [trial for trial in record.trials.values() if not trial.is_baseline]
    assert best is not None
    assert best.score == max(trial.score or -1 for trial in distilled)


def test_intervals_and_differences_are_of_dev(record: Record) -> None:
    best, base = record.best_trial(), record.best_trial(baseline=True)
    assert best is not None
    assert base is not None
    found = trial_interval(record, best)
    assert found == metrics.bootstrap_interval("mcc", *on_dev(best))
    chose = trial_interval(record, best, "best")
    assert chose is not None
    assert (chose.n, chose.value) == (HELD, best.score)
    difference = paired(record, best, base)
    assert difference is not None
    assert difference.n == DEV
    assert difference.value == pytest.approx(best.reported - base.reported)  # type: ignore[operator]


def test_the_teacher_is_compared_on_dev(record: Record) -> None:
    assert record.prepared is not None
    teacher, best = record.prepared["teacher"], record.best_trial()
    found, chose = teacher_interval(record), teacher_interval(record, "best")
    assert found is not None
    assert chose is not None
    assert (found.value, found.n) == (teacher["report"]["score"], DEV)
    assert (chose.value, chose.n) == (teacher["score"], HELD)
    assert best is not None
    by_role = {network.role: network for network in networks(record)}
    assert by_role["teacher"].score == teacher["report"]["score"]
    assert by_role["best"].score == best.reported
    assert by_role["best"].share == pytest.approx(best.reported / teacher["report"]["score"])


def test_the_words(record: Record) -> None:
    best = record.best_trial()
    assert best is not None
    said = judge(record, finished=True)
    assert f"Matthews correlation {best.reported:.3f}" in said.best
    assert f"chosen by {best.score:.3f} on 380 held-out training rows." in said.best
    assert "600 made-up dev rows" in str(said.against)
    assert "widened" not in str(said.against)
    against = caveats(record)
    assert "chosen on 380 rows held out of the training set; figures show these." in against[0]
    assert against[1].startswith("2 of the held-out rows stand among the training rows")
    text = " ".join(against)
    assert "which flatters it" not in text
    assert "evaluations on dev" not in text
    yaml = str(best_yaml(record))
    assert f"{best.reported:.4f} on dev of" in yaml
    assert f"chosen by {best.score:.3f} on 380 held-out" in yaml


def test_tables_show_both(record: Record, folder: Path) -> None:
    table = tables.trials(record).set_index("id")
    for name, trial in record.trials.items():
        assert table.loc[name, "score"] == trial.reported
        assert table.loc[name, "chosen_by"] == trial.score
    lines = summarise(record).lines
    assert [line.rank for line in lines] == sorted((line.rank for line in lines), reverse=True)  # type: ignore[type-var]
    page = report.write(folder).read_text(encoding="utf-8")
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "| Matthews correlation on dev | 95 % interval | on held-out rows |" in text
    assert "on held-<br>out rows" in page
    assert "All of it on the 380 held-out rows that choose, not on dev." in page
    written = pd.read_csv(folder / "trials.csv")
    assert written["score"].tolist() == pytest.approx([trial.reported for trial in record.trials.values()])
    evaluations = tables.evaluations(record)
    assert evaluations["dev_mcc"].notna().any()


def test_no_claim_where_only_the_choice_is_large(tmp_path: Path) -> None:
    """Far ahead on the rows that chose, equal on dev: nothing is shown; and dev needs no widening for the choice."""
    pose = Pose(tmp_path)
    pose.record.header["plan"]["select_on"] = {"kind": "train-holdout", "share": 0.5, "rows": len(LABELS), "doubles": 0}
    best = pose.trial("p0", right((0, 900)))
    base = pose.baseline(right((0, 500)))
    pose.crowd(20)
    for trial, answers in ((best, right((0, 600))), (base, right((0, 598)))):
        report_on_dev(trial, answers)
    assert rivals_on_dev(pose.record) == 1
    said = compare(pose.record, best, base, "distilled", "nothing is shown")
    assert said.tone == "even"
    assert said.difference is not None
    assert said.difference == said.widened
    assert said.difference.value == pytest.approx(0.002)
    report_on_dev(best, right((0, 630)))
    assert compare(pose.record, best, base, "distilled", "nothing is shown").tone == "ahead"


def test_those_ahead_on_dev_are_told(tmp_path: Path) -> None:
    pose = Pose(tmp_path)
    pose.record.header["plan"]["select_on"] = {"kind": "train-holdout", "share": 0.5, "rows": len(LABELS), "doubles": 0}
    best, ahead, behind = (pose.trial(f"p{i}", right((0, 900 - i))) for i in range(3))
    for trial, count in ((best, 600), (ahead, 700), (behind, 500)):
        report_on_dev(trial, right((0, count)))
    assert pose.record.best_trial() is best
    assert tied(pose.record, best) == ([ahead], 2)
    (line,) = [line for line in caveats(pose.record) if "other points" in line]
    assert (
        line == "1 of the 2 other points' scored trials is not shown to be behind the chosen one by these dev rows: p1."
    )


def report_on_dev(trial: Trial, answers: np.ndarray) -> None:
    """Let the best evaluation of a posed trial have answered the dev rows so."""
    assert trial.best is not None
    trial.metric = "accuracy"
    trial.best["reported"] = {"accuracy": float(answers.mean())}
    said = np.where(answers, LABELS, 1 - LABELS)
    np.savez(trial.predictions("report"), logits=np.eye(2, dtype=np.float32)[said], labels=LABELS)


Change = Callable[[dict[str, Any]], None]
ROW = [
    ("has no numbers on dev", lambda row: row.update(reported=None)),
    ("the record says 0.99", lambda row: row["reported"].update(mcc=0.99)),
    ("has no mcc on dev", lambda row: row.update(reported={"accuracy": 0.5})),
]


@pytest.mark.parametrize(("words", "change"), ROW)
def test_a_changed_report_is_found(tmp_path: Path, words: str, change: Change) -> None:
    folder = fake_sweep.build(tmp_path, held_out=HELD)
    edit(folder, lambda rows: change(next(row for row in reversed(rows) if row.get("reported"))))
    assert words in " ".join(faults(folder)["dev decided what it was to decide, and no more"])


def test_numbers_on_dev_where_none_belong_are_found(tmp_path: Path) -> None:
    folder = fake_sweep.build(tmp_path, scheduler="none")
    edit(folder, lambda rows: next(row for row in rows if "metrics" in row).update(reported={"mcc": 0.5}))
    assert "but dev is what chooses" in str(faults(folder))


def test_predictions_of_other_rows_are_found(tmp_path: Path) -> None:
    folder = fake_sweep.build(tmp_path, held_out=HELD)
    trial = next(trial for trial in read(folder).trials.values() if trial.state == "COMPLETE")
    trial.predictions("report").write_bytes(trial.predictions("best").read_bytes())
    said = " ".join(faults(folder)["dev decided what it was to decide, and no more"])
    assert f"answers {HELD} rows, the plan has {DEV} there" in said
    assert "gives" in said


def test_an_untouched_record_holds(folder: Path) -> None:
    assert faults(folder) == {}


def faults(folder: Path) -> dict[str, list[str]]:
    return {check.title: check.faults for check in verify.verify(folder) if check.faults}


def edit(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    file = folder / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change(rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
