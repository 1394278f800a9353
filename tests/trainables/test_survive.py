"""Going on after Ray ended workers for want of memory; Ray's part is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from tests.trainables.sweeps import create, result
from trainables import engine, interrupt, survive
from trainables.recorder import Recorder


def played(sweep: Recorder, monkeypatch: pytest.MonkeyPatch, sessions: list[int]) -> list[str]:
    """What is told and done where each start of Tune brings so many evaluations and ends for memory, and one more does
    not."""
    done: list[str] = []
    left = iter(sessions)

    def run(recorders: Any, function: Any) -> None:
        done.append("run")
        brought = next(left, None)
        if brought is None:
            return
        for _ in range(brought):
            number = len(sweep.record.trial("p00").evaluations) + 1
            sweep.evaluation("p00", result("p00", number))
        raise engine.MemoryLow

    monkeypatch.setattr(engine, "run", run)
    sweep.started("p00", attempt=1)
    survive.run(
        [sweep], lambda config: None, lambda: done.append("renew"), lambda line: done.append(line.split(",")[0])
    )
    return done


def test_every_end_for_memory_is_told_and_ray_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = create(tmp_path / "s", points=1, epochs=4)
    again = ["Memory ran low", "renew", "run"]
    assert played(sweep, monkeypatch, [1, 0, 1, 0]) == ["run", *again, *again, *again, *again]


def test_without_progress_it_ends_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = create(tmp_path / "s", points=1, epochs=4)
    with pytest.raises(UserError, match=r"ended workers 3 times without a new evaluation .* --max-concurrent\.$"):
        played(sweep, monkeypatch, [1, 0, 0, 0])


def test_a_stop_meanwhile_is_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = create(tmp_path / "s", points=1, epochs=4)
    monkeypatch.setattr(survive, "stop_requested", lambda: True)
    assert played(sweep, monkeypatch, [0]) == ["run"]
    assert not interrupt.stop_requested()
