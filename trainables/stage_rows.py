"""What a trial leaves of the stages before the one that reports: a line for each of their evaluations, in its folder.

No decision reads them, so they are not in the record, but for their time; they tell a person how far a trial is.
Imports no torch, no Ray.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STAGES = "stages.jsonl"


def append(folder: Path, row: dict[str, Any]) -> None:
    """Add an evaluation."""
    with (folder / STAGES).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def keep_first(folder: Path, count: int) -> None:
    """Drop all lines after the first `count`, which are going to be repeated."""
    file = folder / STAGES
    if file.exists():
        kept = file.read_text(encoding="utf-8", errors="replace").splitlines()[:count]
        temporary = file.with_name(f".{file.name}")
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        temporary.replace(file)


def newest(folder: Path) -> dict[str, Any] | None:
    """The last evaluation that was written whole; None where there is none, or it is on another machine."""
    whole = _whole(folder)
    return dict(json.loads(whole[-1])) if whole else None


def seconds(folder: Path) -> float:
    """Time of all of them, which the record hears of with the first evaluation of the stage that reports."""
    return sum(float(json.loads(line)["seconds"]) for line in _whole(folder))


def _whole(folder: Path) -> list[str]:
    try:
        lines = (folder / STAGES).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    # What stands behind the last newline is still being written.
    return [line for line in lines[:-1] if line]


def words(row: dict[str, Any]) -> str:
    """ "stage intermediate, epoch 2 of 10, loss 0.123"."""
    return f"stage {row['stage']}, epoch {row['epoch']:g} of {row['epochs']}, loss {row['value']:.3g}"
