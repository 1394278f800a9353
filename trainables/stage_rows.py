"""What a trial leaves of the stages before the one that reports: a line for each of their evaluations, in its folder.

No decision reads them, so they are not in the record; they tell a person how far a trial is. Imports no torch, no Ray.
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


def spent(folder: Path) -> dict[str, float] | None:
    """`seconds` and `steps` of all of them; None where there is none."""
    file = folder / STAGES
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    return {name: sum(row[name] for row in rows) for name in ("seconds", "steps")} if rows else None


def newest(folder: Path) -> dict[str, Any] | None:
    """The last evaluation that was written whole; None where there is none, or it is on another machine."""
    try:
        lines = (folder / STAGES).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return None
    # What stands behind the last newline is still being written.
    whole = [line for line in lines[:-1] if line]
    return dict(json.loads(whole[-1])) if whole else None


def words(row: dict[str, Any]) -> str:
    """ "stage intermediate, epoch 2 of 10, loss 0.123"."""
    return f"stage {row['stage']}, epoch {row['epoch']:g} of {row['epochs']}, loss {row['value']:.3g}"
