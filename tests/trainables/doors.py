"""A tiny function for a person's own Tuner, and a stand-in for the session of Ray Tune that it reports to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from trainables.config import from_namespace
from trainables.door_plan import plan_trials

OPTIONS: dict[str, Any] = {
    **{"layers": 2, "epochs": 3, "batch_size": 16, "max_train_rows": 80},
    **{"teacher_epochs": 1, "allow_weak_teacher": True, "source": "local"},
}
LR = 1e-3


def spec_of(encoder: Path, data: Path, store: Path) -> dict[str, Any]:
    """What `trainable` would carry, for calls of the trial without Ray."""
    values = {
        **{name: value for name, value in OPTIONS.items() if name != "batch_size"},
        **{"teacher": str(encoder), "data_dir": str(data), "artifacts": str(store), "set": ["batch_size=16"]},
        **{"baseline": False, "scheduler": "none", "trials": 1},
    }
    return plan_trials(from_namespace(values, []), lambda line: None)


@dataclass
class Session:
    """What Tune would have seen: rows, and a copy of each checkpoint.

    Attributes:
        until: The report of this evaluation ends the trial, as Ray does.
    """

    folder: Path
    until: int | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[tune.Checkpoint] = field(default_factory=list)

    def report(self, row: dict[str, Any], *, checkpoint: tune.Checkpoint) -> None:
        kept = self.folder / f"{len(self.rows):03d}"
        shutil.copytree(checkpoint.path, kept)
        self.rows.append(row)
        self.checkpoints.append(tune.Checkpoint.from_directory(kept))
        if row["evaluation"] == self.until:
            raise SystemExit


@contextmanager
def session(folder: Path, start: tune.Checkpoint | None = None, until: int | None = None) -> Iterator[Session]:
    """Let calls of the trial report here; `start` is the checkpoint that Tune offers."""
    found = Session(folder, until)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "report", found.report)
        patch.setattr(tune, "get_checkpoint", lambda: start)
        try:
            yield found
        except SystemExit:
            assert until is not None


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
