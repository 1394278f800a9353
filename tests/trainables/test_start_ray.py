"""A machine on which Ray does not come up: one sentence, and nothing of Ray left behind."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from distill.errors import UserError
from tests.trainables.commands import ROOT
from trainables import engine

PLAN = {"cpus": 2, "resources": {"gpus": 0}}


@pytest.mark.parametrize(
    "error", [Exception("The last lines of dashboard.log:\n\n timed out"), TimeoutError("node"), RuntimeError("gcs")]
)
def test_what_kept_ray_from_starting_is_said_in_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    ended = []

    def init(**options: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    with pytest.raises(UserError, match="Ray could not be started") as caught:
        engine.start_ray(PLAN)
    assert "\n" not in str(caught.value)
    assert str(error).split()[-1] in str(caught.value)
    assert ended == [True]


def test_a_mistake_of_ours_is_not_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def init(**options: Any) -> None:
        raise KeyError("num_cpus")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(KeyError):
        engine.start_ray(PLAN)


@pytest.mark.slow
def test_sigterm_stops_as_an_interrupt_does() -> None:
    """Ray takes the signal as it starts, below what Python knows of: only another process shows who has it."""
    code = f"""
import os, signal, time
from trainables import engine
engine.catch_signals(print)
engine.start_ray({PLAN}, dashboard=False)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.2)
print(engine.stop_requested())
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=180, cwd=ROOT, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("Stopping: ")
    assert found.stdout.endswith("True\n")
