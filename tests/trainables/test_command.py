"""The real command from end to end on a tiny BERT: a whole run, kills, interrupts, resumes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from analysis import verify
from tests.trainables.commands import NO_DASHBOARD, Done, command, evaluations, here, on_ray
from trainables import sweep
from trainables.record import COMPLETE, FAIL, PRUNED, Record, read

pytestmark = pytest.mark.slow

SWEEP, VERIFY = "trainables.sweep", "analysis.verify"
Arguments = Callable[..., list[str]]


@pytest.fixture(scope="module")
def arguments(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Arguments:
    """Options of a sweep of 4 points and a baseline, 4 epochs each, whose scores differ."""
    store = tmp_path_factory.mktemp("store")

    def make(out: Path, *more: str) -> list[str]:
        return [
            *("--layers", "2", "--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--out", str(out)),
            *("--artifacts", str(store), "--teacher-lr", "1e-3", "--teacher-epochs", "3", "--allow-weak-teacher"),
            *("--set", "lr=1e-3,3e-4", "--set", "batch_size=8", "--epochs", "4", "--trials", "4"),
            *(*NO_DASHBOARD, *more),
        ]

    return make


@pytest.fixture(scope="module")
def whole(arguments: Arguments, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """An unbroken sweep with early stopping."""
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    return command(SWEEP, *arguments(folder, "--dashboard", "ray"), environment={}), folder


@pytest.fixture(scope="module")
def plain(ray: None, arguments: Arguments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken sweep without early stopping, one trial after the other: what runs beside one plays no part."""
    folder = tmp_path_factory.mktemp("plain") / "sweep"
    done = on_ray(sweep.main, *arguments(folder, "--scheduler", "none", "--max-concurrent", "1"))
    assert done.code == 0, done.text
    return folder


def values(record: Record) -> dict[tuple[str, int], Any]:
    """Everything that an evaluation measured, but for the time it took."""
    return {
        (trial.id, number): {name: row[name] for name in ("value", "metrics", "terms", "lr", "steps", "epoch")}
        for trial in record.trials.values()
        for number, row in trial.evaluations.items()
    }


def proven(folder: Path) -> None:
    done = here(verify.main, str(folder))
    assert done.code == 0, done.text
    assert "fault" not in done.text


def finished(folder: Path) -> dict[str, str]:
    """The finished trials with their states."""
    return {t.id: t.state for t in read(folder).trials.values() if t.state in (COMPLETE, PRUNED, FAIL)}


def untouched(folder: Path, before: dict[str, str], rows: int) -> None:
    """No row after the first `rows` is about a trial that was finished then."""
    assert {row.get("point") for row in read(folder).rows[rows:]} & set(before) == set()


def test_whole_run(whole: tuple[Done, Path]) -> None:
    done, folder = whole
    assert done.code == 0, done.text
    record = read(folder)
    assert [t.state for t in record.trials.values()].count(PRUNED) + [t.state for t in record.trials.values()].count(
        COMPLETE
    ) == 5
    assert record.trials["ft"].state == COMPLETE
    assert len({str(v) for v in values(record).values()}) == len(values(record)), "the toy is too simple to compare"
    for name in ("report.html", "report.md", "trials.csv", "best.yaml", "study.journal", "student/config.json"):
        assert (folder / name).is_file(), name
    for sentence in (
        "Sweep: BERT-EMD on cola",
        "rungs at epochs 1, 2",
        "Ray dashboard: http",
        "Student: ",
        "Report: ",
        "Result: ",
    ):
        assert sentence in done.text
    assert "Traceback" not in done.text
    assert len(done.lines) < 100
    verified = command(VERIFY, str(folder))
    assert verified.code == 0, verified.text
    assert "fault" not in verified.text


def test_the_student_gives_the_recorded_score(whole: tuple[Done, Path]) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from distill.tasks import glue, metrics, registry

    _, folder = whole
    record = read(folder)
    best = record.best_trial()
    assert best is not None
    model = AutoModelForSequenceClassification.from_pretrained(folder / "student").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "student")
    assert model.config.num_hidden_layers == 2
    data = glue.load(registry.get("cola"), record.header["config"]["data_dir"])
    batch = tokenizer(list(data.dev.first), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
    assert metrics.get("mcc").compute(logits, data.dev.labels) == best.score
    with np.load(best.predictions()) as kept:
        np.testing.assert_allclose(kept["logits"], logits, atol=1e-5)


def test_best_yaml_plans_the_best_point(whole: tuple[Done, Path], tmp_path: Path) -> None:
    _, folder = whole
    done = here(sweep.main, "--config", str(folder / "best.yaml"), "--dry-run", "--out", str(tmp_path / "again"))
    assert done.code == 0, done.text
    assert "Points: 1 and 1 undistilled baseline" in done.text
    best = read(folder).best_trial()
    assert best is not None
    from trainables import plan
    from trainables.config import from_namespace

    header = plan.make(from_namespace({"config": str(folder / "best.yaml")}, []))
    assert header["plan"]["points"][0]["params"] == best.params
    assert header["plan"]["points"][0]["hash"] == best.point["hash"]
    assert yaml.safe_load((folder / "best.yaml").read_text())["set"]["lr"] == best.params["lr"]
    assert not (tmp_path / "again").exists()


def test_kill_and_interrupt_without_early_stopping(arguments: Arguments, plain: Path, tmp_path: Path) -> None:
    """SIGINT to the driver, resume; kill -9 of the process group, resume: the table is that of an unbroken run."""
    folder = tmp_path / "sweep"
    first = command(
        SWEEP, *arguments(folder, "--scheduler", "none"), when=evaluations(4), send=signal.SIGINT, group=False
    )
    assert first.code == 130, first.text
    assert "Stopping" in first.text
    assert f"python -m trainables.sweep --resume {folder}" in first.lines[-1]
    assert "Traceback" not in first.text
    before, rows = finished(folder), len(read(folder).rows)
    assert FAIL not in before.values()
    assert len(before) < 5

    second = command(SWEEP, "--resume", str(folder), when=evaluations(4))
    assert second.code == -signal.SIGKILL
    assert "Resuming" in second.text
    untouched(folder, before, rows)
    before, rows = finished(folder), len(read(folder).rows)
    assert len(before) < 5

    third = command(SWEEP, "--resume", str(folder))
    assert third.code == 0, third.text
    untouched(folder, before, rows)
    unbroken, resumed = (pd.read_csv(f / "trials.csv").drop(columns="seconds") for f in (plain, folder))
    pd.testing.assert_frame_equal(unbroken, resumed, check_exact=True)
    assert values(read(folder)) == values(read(plain))
    assert not any(trial.faults for trial in read(folder).trials.values())
    proven(folder)
    assert on_ray(sweep.main, "--resume", str(folder)).code == 0


def test_kill_of_the_driver_with_early_stopping(
    ray: None, arguments: Arguments, whole: tuple[Done, Path], tmp_path: Path
) -> None:
    """The driver alone is killed, so that its workers live on for a while; the resumed one starts at once."""
    folder = tmp_path / "sweep"
    first = command(SWEEP, *arguments(folder), when=evaluations(6), group=False)
    assert first.code == -signal.SIGKILL
    before, rows = finished(folder), len(read(folder).rows)
    done = on_ray(sweep.main, "--resume", str(folder))
    assert done.code == 0, done.text
    untouched(folder, before, rows)
    mine, theirs = values(read(folder)), values(read(whole[1]))
    both = mine.keys() & theirs.keys()
    assert len(both) >= 10
    assert {key: mine[key] for key in both} == {key: theirs[key] for key in both}
    assert not read(folder).unfinished()
    proven(folder)
    proven(whole[1])


def test_resume_refuses_what_changed(arguments: Arguments, plain: Path, tmp_path: Path) -> None:
    header = json.loads((plain / "sweep.json").read_text())
    header["versions"]["torch"] = "1.0"
    copied = tmp_path / "copy"
    copied.mkdir()
    (copied / "sweep.json").write_text(json.dumps(header))
    done = here(sweep.main, "--resume", str(copied))
    assert done.code == 2
    assert "torch 1.0 →" in done.text
    assert "--allow-changed" in done.text
    assert sorted(os.listdir(copied)) == ["sweep.json"]


def test_interrupt_before_anything_began(arguments: Arguments, tmp_path: Path) -> None:
    """Ctrl-C while the teacher is made, as a terminal sends it: to the whole process group."""
    folder = tmp_path / "sweep"
    before = time.monotonic()
    done = command(
        SWEEP,
        *arguments(folder, "--teacher-epochs", "500"),
        when=lambda lines: "Teacher: epoch 1 " in lines[-1],
        send=signal.SIGINT,
    )
    assert done.code == 130, done.text
    assert "Traceback" not in done.text
    assert "--resume" in done.lines[-1]
    assert time.monotonic() - before < 200
