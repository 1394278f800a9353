"""The real command with several sizes, and several methods, on a tiny BERT: killed in the middle, resumed, proven."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from analysis import compare, verify
from tests.trainables.commands import NO_DASHBOARD, command, evaluations, here, on_ray
from trainables import status, sweep
from trainables.families import read_family
from trainables.record import FINISHED
from trainables.spending import used

pytestmark = pytest.mark.slow

SWEEP = "trainables.sweep"


def test_two_sizes_killed_and_resumed(ray: None, tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    typed = [
        *("--layers", "1,2", "--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--out", str(parent)),
        *("--artifacts", str(tmp_path / "store"), "--teacher-lr", "1e-3", "--teacher-epochs", "2"),
        *("--allow-weak-teacher", "--set", "lr=1e-3", "--set", "batch_size=8", "--epochs", "2", "--trials", "2"),
        # One worker: starting another takes longer than all of its work.
        *("--max-concurrent", "1", *NO_DASHBOARD),
    ]
    killed = command(SWEEP, *typed, when=evaluations(3))
    assert killed.code < 0
    assert killed.text.count("Teacher: fine-tuning") == 1
    started = {name: [line for line in killed.lines if f" {name} " in line] for name in ("1L", "2L")}
    assert all(started.values()), killed.text
    before = {
        name: {t.id: len(t.evaluations) for t in record.trials.values() if t.state in FINISHED}
        for name, record in read_family(parent).records().items()
    }

    told = here(status.main, str(parent))
    assert "State: interrupted, no driver holds it." in told.text
    assert f"Continue with: python -m trainables.sweep --resume {parent}" in told.text

    done = on_ray(sweep.main, "--resume", str(parent))
    assert done.code == 0, done.text
    assert f"Resuming {parent}: {sum(map(len, before.values()))} of 6 trials of 2 sweeps are finished." in done.text
    for name, record in read_family(parent).records().items():
        assert all(trial.state in FINISHED for trial in record.trials.values())
        assert record.plan["layers"] == int(name[0])
        assert record.prepared is not None
        assert (parent / name / "student" / "config.json").is_file()
        # What was finished was not run again.
        assert all(len(record.trials[point].evaluations) == count for point, count in before[name].items())
        assert all(record.trials[point].attempts == 1 for point in before[name])
    keys = {record.prepared["teacher"]["key"] for record in read_family(parent).records().values() if record.prepared}
    assert len(keys) == 1
    with (parent / "family.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["sweep"], row["state"], row["finished"]) for row in rows] == [
        ("1L", "complete", "3"),
        ("2L", "complete", "3"),
    ]
    assert int(rows[0]["parameters"]) < int(rows[1]["parameters"])
    verified = here(verify.main, str(parent))
    assert verified.code == 0, verified.text


def test_three_methods_killed_and_resumed(ray: None, tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    typed = [
        *("--method", "ft,kd,emd", "--layers", "1", "--teacher", str(tiny_encoder), "--data-dir", str(tiny_data)),
        *("--artifacts", str(tmp_path / "store"), "--teacher-lr", "1e-3", "--teacher-epochs", "2", "--epochs", "1"),
        *("--allow-weak-teacher", "--set", "batch_size=8", "--trials", "1", "--out", str(parent)),
        # One worker: starting another takes longer than all of its work.
        *("--max-concurrent", "1", *NO_DASHBOARD),
    ]
    killed = command(SWEEP, *typed, when=evaluations(2))
    assert killed.code < 0
    assert killed.text.count("Teacher: fine-tuning") == 1
    done = on_ray(sweep.main, "--resume", str(parent))
    assert done.code == 0, done.text
    assert f"Report of all: {parent / 'compare.html'}" in done.text
    records = read_family(parent).records()
    assert list(records) == ["ft", "kd", "emd"]
    spent = {name: used(record) for name, record in records.items()}
    first = {name: used(record, 1) for name, record in records.items()}
    for name, record in records.items():
        assert record.left == 0
        assert all(trial.state in FINISHED for trial in record.trials.values())
        assert not any(trial.is_baseline for trial in record.trials.values())
        # Each has run its point, and what it used since is no more than the dearest took and the points at work.
        assert spent[name] >= first[name]
        assert record.prepared is not None
        assert (record.prepared["teacher"]["outputs_seconds"] is None) == (name == "ft")
    assert len({record.prepared["teacher"]["key"] for record in records.values() if record.prepared}) == 1
    # A method with points to spare has used as much as the dearest one did for its first.
    for name in ("kd", "emd"):
        if records[name].left_out:
            assert spent[name] >= max(first.values()) - 1e-9 or first[name] == max(first.values())
    told = here(compare.main, str(parent))
    assert told.code == 0, told.text
    assert told.lines[1].startswith("ft ")
    verified = here(verify.main, str(parent))
    assert verified.code == 0, verified.text
