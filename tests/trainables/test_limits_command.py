"""The real command with a time budget: how it ends, what it says, and how it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainables.commands import NO_DASHBOARD, command, here, on_ray
from trainables import status, sweep
from trainables.record import COMPLETE, WAITING, read

pytestmark = pytest.mark.slow

SWEEP = "trainables.sweep"


def test_a_budget_that_is_used_up_at_once_and_one_that_suffices(
    ray: None, tiny_encoder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    done = command(
        SWEEP,
        *("--layers", "2", "--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--out", str(folder)),
        *("--artifacts", str(tmp_path / "store"), "--teacher-lr", "1e-3", "--teacher-epochs", "1"),
        *("--allow-weak-teacher", "--set", "batch_size=8", "--epochs", "1", "--trials", "1", "--scheduler", "none"),
        # One worker: starting another takes longer than all of its work.
        *("--max-concurrent", "1", *NO_DASHBOARD),
        *("--time-budget", "1s", "--max-failures", "2", "--gpus-per-trial", "auto"),
    )
    assert done.code == 3, done.text
    assert "Note: --gpus-per-trial auto: there is no GPU here, so trials take none." in done.text
    assert "Stopped: the time budget of 1s is used up." in done.text
    assert "Traceback" not in done.text
    record = read(folder)
    assert {trial.state for trial in record.trials.values()} == {WAITING}
    assert "Not run: p00, ft." in done.text
    assert done.lines[-1].strip().endswith(f"--resume {folder} --max-failures 2")
    assert "Nothing was trained in these 1s: starting was not done after" in done.text
    told = here(status.main, str(folder))
    assert "Ended because the time budget of 1s is used up." in told.text

    refused = here(sweep.main, "--resume", str(folder), "--time-budget", "an hour")
    assert refused.code == 2
    assert "--time-budget an hour is not a time" in refused.text
    done = on_ray(sweep.main, "--resume", str(folder), "--time-budget", "1h")
    assert done.code == 0, done.text
    record = read(folder)
    assert {trial.state for trial in record.trials.values()} == {COMPLETE}
    sessions = [row for row in record.rows if row["kind"] == "session"]
    assert [row["limits"]["time_budget"] for row in sessions] == ["1s", "1h"]
    assert [row["limits"]["max_failures"] for row in sessions] == [2, 2]
    assert sessions[1]["argv"] == ["--resume", str(folder), "--time-budget", "1h"]
    assert record.halt is None
