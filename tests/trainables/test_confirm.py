"""The command that tries the best points again, and `--confirm`: run by real Ray, killed and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.verify import verify
from tests.trainables.commands import NO_DASHBOARD, command, evaluations, on_ray
from tests.trainables.sweeps import create
from trainables import confirm, sweep
from trainables.record import COMPLETE, FINISHED, ROWS, read


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1"], "--seeds 1 is too small; the least is 2, because an interval needs two runs."),
        (["--top", "0"], "--top 0 is too small; the least is 1."),
        ([], "holds no sweep"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert confirm.main([str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_sweep_that_runs_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = create(tmp_path / "s", points=2, epochs=1, scheduler="none")
    rows = (sweep.path / ROWS).read_bytes() if (sweep.path / ROWS).exists() else b""
    assert confirm.main([str(sweep.path)]) == 2
    error = capsys.readouterr().err
    assert "is being written by another sweep" in error
    assert len(error.splitlines()) == 1
    assert (sweep.path / ROWS).read_bytes() == rows
    sweep.close()


def test_the_parent_of_several_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "family.json").write_text(json.dumps({"schema": 1, "children": [{"name": "2L"}, {"name": "4L"}]}))
    assert confirm.main([str(tmp_path)]) == 2
    assert "holds several sweeps; confirm takes one of them" in capsys.readouterr().err


@pytest.mark.slow
def test_the_real_command(
    ray: None, tiny_encoder: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sweep with `--confirm 1x2`, killed between the confirming runs and resumed."""
    folder, store = tmp_path / "sweep", tmp_path / "store"
    given = ["--layers", "2", "--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--artifacts", str(store)]
    given += ["--teacher-lr", "1e-3", "--teacher-epochs", "2", "--allow-weak-teacher", "--set", "lr=1e-3,3e-4"]
    given += ["--epochs", "2", "--max-train-rows", "64", "--trials", "2", "--scheduler", "none"]
    # One worker: starting another takes longer than all of its work.
    given += ["--max-concurrent", "1", *NO_DASHBOARD]
    # Three searched trials of two evaluations each, then the first confirming ones.
    cut = command("trainables.sweep", *given, "--confirm", "1x2", "--out", str(folder), when=evaluations(8))
    assert cut.code < 0, cut.text
    best = read(folder).best_trial()
    assert best is not None
    wanted = [f"{of}-c{place}" for place in (1, 2) for of in ("ft", "kd", best.id)]
    assert list(read(folder).confirming) == wanted
    assert any(trial.state not in FINISHED for trial in read(folder).confirming.values())

    done = on_ray(sweep.main, "--resume", str(folder))
    assert done.code == 0, done.text
    record = read(folder)
    assert {trial.state for trial in record.everything()} == {COMPLETE}
    assert record.confirmed_best() == best.id
    first = {point: [row["terms"] for row in t.evaluations.values()] for point, t in record.confirming.items()}
    assert len({json.dumps(terms) for terms in first.values()}) == 6
    kd = record.confirming["kd-c1"].point
    assert (kd["params"]["lr"], kd["method"]) == (best.params["lr"], "kd")
    student = record.student_trial()
    assert student is not None
    kept = [trial.id for trial in record.confirming.values() if (trial.folder / "student").is_dir()]
    assert kept == [student.id]
    assert (folder / "student" / "model.safetensors").read_bytes() == (
        student.folder / "student" / "model.safetensors"
    ).read_bytes()
    assert (folder / "best.yaml").read_text().startswith(f"# Best of 1 confirmed point: {best.id}, mean ")
    assert "Confirmed with fresh seeds" in (folder / "report.md").read_text()
    assert len((folder / "confirm.csv").read_text().splitlines()) == 7
    assert [fault for check in verify(folder) for fault in check.faults] == []

    rows = (folder / ROWS).read_bytes()
    assert confirm.main([str(folder), "--top", "1", "--seeds", "2"]) == 2
    assert "Nothing is new" in capsys.readouterr().err
    assert confirm.main([str(folder), "--top", "1", "--seeds", "3", "--dry-run"]) == 0
    assert f"  {best.id}  " in capsys.readouterr().out
    assert (folder / ROWS).read_bytes() == rows
