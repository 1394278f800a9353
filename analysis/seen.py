"""What a method wanted seen of a trial, as its `seen.jsonl` tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import plotly.graph_objects as go

from analysis.logical import logical
from trainables.record import Record, Trial

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """Observations of one trial.

    Attributes:
        rows: One per evaluation, in their order, with the key "evaluation".
        at: The one of the trial's best evaluation (the last where that has none), without that key.
        when: Which evaluation `at` is of, in words.
    """

    record: Record
    trial: Trial
    rows: list[dict[str, Any]]
    at: dict[str, Any]
    when: str

    def epoch(self, row: dict[str, Any]) -> float:
        """Epoch at which a row was written; may be a fraction."""
        return float(row["evaluation"]) / float(self.record.plan["evaluations_per_epoch"])

    def layers(self, side: str) -> int | None:
        """Layers of "student" or "teacher", those of the student counted twice that run twice."""
        if side == "student" and (twice := logical(self.record, self.trial)):
            return twice
        found: int | None = ((self.record.prepared or {}).get(side) or {}).get("layers")
        return found


@dataclass(frozen=True)
class Picture:
    """A drawing of what was seen under one key.

    Attributes:
        draw: Gives figures by title, or none where what was recorded has another shape.
        note: How to read them, one sentence.
        every: Whether they show all trials of the sweep rather than one.
    """

    draw: Callable[[Seen], dict[str, go.Figure]]
    note: str
    every: bool = False


def seen(record: Record, trial: Trial) -> Seen | None:
    """Observations of a trial; None where it has none or no score."""
    rows = observations(trial)
    if not rows or trial.best is None:
        return None
    at = next((row for row in rows if row["evaluation"] == trial.best["evaluation"]), rows[-1])
    epoch = float(at["evaluation"]) / float(record.plan["evaluations_per_epoch"])
    content = {key: value for key, value in at.items() if key != "evaluation"}
    return Seen(record, trial, rows, content, f"epoch {epoch:g}")


def observations(trial: Trial) -> list[dict[str, Any]]:
    """Lines of the trial's `seen.jsonl`, the last of each evaluation; torn lines are passed over."""
    found = dict(lines(trial.folder / "seen.jsonl", lambda row: (int(row["evaluation"]), row)))
    return [found[key] for key in sorted(found)]


def lines(file: Path, take: Callable[[Any], T]) -> list[T]:
    """What `take` makes of each line of a file of JSON; torn lines are passed over, and there need not be a file."""
    found: list[T] = []
    if not file.exists():
        return found
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(take(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            continue
    return found
