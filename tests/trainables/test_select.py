"""Rows held out of the training set choose; dev is predicted for the report, and nothing that is decided reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.artifacts import Store
from distill.errors import UserError
from distill.tasks.holdout import doubles
from distill.tasks.metrics import get
from distill.training.batching import Tokens
from tests.conftest import sentences, write_cola
from tests.trainables.test_trial import train
from trainables import changes, plan, prepare, select
from trainables.config import SweepConfig, check, from_namespace, read_config
from trainables.describe import describe
from trainables.record import PREPARED, SWEEP, TRIALS, Record, read
from trainables.recorder import Recorder, write_json
from trainables.resources import Machine

HELD_OUT = "train-holdout:0.25"
ROWS, TRAINED, HELD = 320, 239, 81


@pytest.fixture(scope="module")
def asked(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """What is asked of a sweep of two points and the baseline on data that has its dev labels in another order."""
    base = tmp_path_factory.mktemp("asked")
    (base / "plain").mkdir()
    (base / "permuted").mkdir()
    write_cola(base / "plain", train=ROWS)
    file = write_cola(base / "permuted", train=ROWS) / "CoLA" / "dev.tsv"
    rows = sentences(60, 2)
    labels = np.random.default_rng(0).permutation([label for _, label in rows])
    lines = [f"made\t{label}\t\t{text}\n" for (text, _), label in zip(rows, labels, strict=True)]
    file.write_text("".join(lines), encoding="utf-8")

    def ask(data: str = "plain", **changes: Any) -> dict[str, Any]:
        return {
            **{"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(base / data), "epochs": 4, "trials": 2},
            **{"artifacts": str(base / "store"), "teacher_epochs": 3, "teacher_lr": 3e-3},
            **{"allow_weak_teacher": True, "set": ["lr=3e-3", "batch_size=16"], "select_on": HELD_OUT},
            **changes,
        }

    return ask


@pytest.fixture(scope="module")
def ready(asked: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Two sweeps that are prepared and not begun; their dev labels differ and nothing else."""
    import torch

    made: dict[str, Path] = {}

    def get_ready(data: str) -> Path:
        if data in made:
            return made[data]
        threads = torch.get_num_threads()
        folder = tmp_path_factory.mktemp(data)
        header = plan.make(from_namespace(asked(data), []), Machine(1, 0, True))
        rows = prepare.load_data(header["config"], header["plan"])
        found = prepare.make_teacher(header["plan"], rows, "own", lambda line: None)
        student = header["plan"]["student"]
        teacher = {
            **{"path": str(found.folder / "model"), "score": found.own["score"], "content": found.own["content"]},
            **{"curve": found.own["curve"], "report": select.teacher_on_dev(found.own, found.read, found.reading)},
        }
        facts = {
            "teacher": teacher,
            "student": {"path": student["path"], "kept": student["kept"]},
            "data": {"path": str(found.rows), "dev_rows": len(rows.reported)},
        }
        write_json(folder / SWEEP, header)
        write_json(folder / PREPARED, facts)
        torch.set_num_threads(threads)
        return made.setdefault(data, folder)

    return get_ready


@pytest.fixture(scope="module")
def ran(ready: Callable[[str], Path]) -> Callable[[str], Record]:
    """The same with all points run to their end, one after the other, through the recorder."""

    def run(data: str) -> Record:
        recorder = Recorder(ready(data))
        for trial in recorder.record.unfinished():
            recorder.started(trial.id, attempt=1)
            for row in train(recorder.path, trial.id):
                if recorder.evaluation(trial.id, row):
                    break
        recorder.close()
        return read(recorder.path)

    return run


def test_the_plan_names_the_rows(ready: Callable[[str], Path]) -> None:
    header = json.loads((ready("plain") / SWEEP).read_text())
    found = header["plan"]["select_on"]
    assert (found["kind"], found["share"], found["rows"]) == ("train-holdout", 0.25, HELD)
    data = header["plan"]["data"]
    assert (data["train_rows"], data["choosing_rows"], data["dev_rows"]) == (TRAINED, HELD, 60)
    text = "\n".join(describe(header))
    assert f"{TRAINED} training rows, {HELD} held out of them choose epoch and configuration" in text
    assert f"({found['doubles']} of them stand among the training rows too), 60 dev rows for the report alone" in text
    assert found["doubles"] > 10


def test_dev_is_predicted_whenever_the_student_is_the_best_yet(ran: Callable[[str], Record]) -> None:
    record = ran("plain")
    folder, rows = record.path, [row for _, row in sorted(record.trials["p02"].evaluations.items())]
    values = [row["value"] for row in rows]
    leads = [value > max(values[:i], default=-2) for i, value in enumerate(values)]
    assert [row["reported"] is not None for row in rows] == leads
    assert not all(leads), "some evaluation must not be the best for this test to tell"
    best = rows[max(i for i, lead in enumerate(leads) if lead)]
    with np.load(folder / TRIALS / "p02" / "predictions-report.npz") as saved:
        logits, labels = saved["logits"], saved["labels"]
    assert labels.tolist() == [label for _, label in sentences(60, 2)]
    assert best["reported"] == {name: get(name).compute(logits, labels) for name in ("mcc", "accuracy")}
    with np.load(folder / TRIALS / "p02" / "predictions-best.npz") as saved:
        assert len(saved["labels"]) == HELD


def test_the_student_gives_the_reported_predictions(ran: Callable[[str], Record]) -> None:
    from distill.models.student import load_classifier
    from distill.tasks import registry
    from distill.training.predictions import predict

    folder = ran("plain").path
    student = load_classifier(folder / TRIALS / "p02" / "student", registry.get("cola"))
    path = json.loads((folder / PREPARED).read_text())["data"]["path"]
    rows = Tokens.load(Path(path) / "report.npz")
    with np.load(folder / TRIALS / "p02" / "predictions-report.npz") as saved:
        np.testing.assert_allclose(predict(student, rows, 64), saved["logits"], atol=1e-6)


def test_cut_and_continued_bit_for_bit(ran: Callable[[str], Record], tmp_path: Path) -> None:
    straight = ran("plain")
    for name in (SWEEP, PREPARED):
        shutil.copy(straight.path / name, tmp_path / name)
    rows: list[dict[str, Any]] = []
    for cut in (1, 3, None):
        rows += train(tmp_path, "p02", recorded=len(rows), until=cut)
    names = ("evaluation", "value", "metrics", "reported", "terms")
    recorded = [row for _, row in sorted(straight.trials["p02"].evaluations.items())]
    assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in recorded]
    files = [folder / TRIALS / "p02" / "predictions-report.npz" for folder in (tmp_path, straight.path)]
    with np.load(files[0]) as cut_up, np.load(files[1]) as whole:
        assert np.array_equal(cut_up["logits"], whole["logits"])


def test_labels_of_dev_change_no_decision(ran: Callable[[str], Record]) -> None:
    """Values, rungs, states, best evaluations and the teacher: all alike; only what is reported differs."""
    plain, permuted = ran("plain"), ran("permuted")

    def decided(record: Record) -> list[dict[str, Any]]:
        apart = ("reported", "seconds", "time")
        return [{name: value for name, value in row.items() if name not in apart} for row in record.rows]

    assert decided(plain) == decided(permuted)
    assert any(row.get("decision") for row in plain.rows)
    best = plain.best_trial(), permuted.best_trial()
    assert best[0]
    assert best[1]
    assert (best[0].id, best[0].score) == (best[1].id, best[1].score)
    assert [trial.reported for trial in plain.everything()] != [trial.reported for trial in permuted.everything()]
    assert plain.prepared
    assert permuted.prepared
    teachers = plain.prepared["teacher"], permuted.prepared["teacher"]
    for name in ("content", "curve", "score"):
        assert teachers[0][name] == teachers[1][name]
    assert teachers[0]["report"]["score"] != teachers[1]["report"]["score"]


def test_the_record_proves_itself(ran: Callable[[str], Record]) -> None:
    from analysis.verify import verify

    record = ran("plain")
    assert not [check.faults for check in verify(record.path) if check.faults]
    trial = record.best_trial()
    assert trial
    assert trial.best
    assert trial.reported == trial.best["reported"]["mcc"] != trial.score
    assert trial.predictions("report").name == "predictions-report.npz"


def test_the_teacher_never_saw_the_rows_that_choose(ready: Callable[[str], Path]) -> None:
    record = read(ready("plain"))
    assert record.prepared is not None
    folder = Path(record.prepared["teacher"]["path"]).parent
    with np.load(folder / "predictions.npz") as chose, np.load(folder / "predictions-report.npz") as reported:
        assert len(chose["labels"]) == HELD
        assert reported["labels"].tolist() == [label for _, label in sentences(60, 2)]
        assert record.prepared["teacher"]["report"]["score"] == get("mcc").compute(
            reported["logits"], reported["labels"]
        )
    tokens = Path(record.prepared["data"]["path"])
    sizes = {name: len(Tokens.load(tokens / f"{name}.npz")) for name in ("train", "dev", "report")}
    assert sizes == {"train": TRAINED, "dev": HELD, "report": 60}


def test_without_holding_out_nothing_is_new(asked: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """Neither the key of the tokens nor their files know of it."""
    from distill.tasks import tokens

    config = from_namespace(asked(select_on="dev", artifacts=str(tmp_path)), [])
    header, data = plan.make_with_rows(config, Machine(1, 0, True))
    assert header["plan"]["select_on"] == {"kind": "dev", "share": None, "rows": 60, "doubles": doubles(data)}
    told = select.words(header["plan"])
    assert told == f"320 training rows, 60 dev rows ({doubles(data)} of them stand among the training rows too)"
    assert select.words({**header["plan"], "select_on": {"kind": "dev"}}) == "320 training rows, 60 dev rows"
    assert header["plan"]["data"]["choosing_rows"] is None
    folder = tokens.prepare(Store(tmp_path), data, Path(str(config.teacher)), 32)
    assert sorted(file.name for file in folder.glob("*.npz")) == ["dev.npz", "train.npz"]


def test_the_rows_that_choose_are_part_of_every_point(asked: Callable[..., dict[str, Any]]) -> None:
    def hashes(**changes: Any) -> set[str]:
        header = plan.make(from_namespace(asked(**changes), []), Machine(1, 0, True))
        return {point["hash"] for point in header["plan"]["points"]}

    kinds = [hashes(), hashes(select_on="dev"), hashes(select_on="train-holdout:0.3")]
    assert len(set.union(*kinds)) == sum(map(len, kinds))


def test_going_on_with_other_rows_is_refused(asked: Callable[..., dict[str, Any]]) -> None:
    header = plan.make(from_namespace(asked(), []), Machine(1, 0, True))
    same = prepare.load_data(header["config"], header["plan"])
    changes.refuse_changed(header, same, allowed=False)
    other = prepare.load_data({**header["config"], "select_on": "train-holdout:0.3"}, header["plan"])
    with pytest.raises(UserError, match=r"changed since the sweep began: the rows of cola"):
        changes.refuse_changed(header, other, allowed=True)


def test_a_ready_teacher_may_have_seen_them(
    asked: Callable[..., dict[str, Any]], ready: Callable[[str], Path], tmp_path: Path
) -> None:
    record = read(ready("plain"))
    assert record.prepared is not None
    values = asked(teacher=record.prepared["teacher"]["path"], artifacts=str(tmp_path))
    for name in ("teacher_epochs", "teacher_lr"):
        values.pop(name)
    header = plan.make(from_namespace(values, []), Machine(1, 0, True))
    assert header["plan"]["teacher"]["mode"] == "ready"
    assert select.UNKNOWN_TEACHER in header["plan"]["notices"]


def test_it_is_read_from_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("layers: 2\nselect_on: train-holdout:0.1\n")
    assert read_config(str(file))["select_on"] == "train-holdout:0.1"
    with pytest.raises(UserError, match=r"^--select-on train is neither dev nor train-holdout:SHARE"):
        check(SweepConfig(layers=2, select_on="train"))
