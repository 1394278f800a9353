"""Labelled rows beside dev, such as MNLI's mismatched ones: answered for the report, and read by no decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from distill.artifacts import Store
from distill.models.folder import Head
from distill.tasks.base import Task, TaskData
from distill.training.batching import Tokens
from trainables.building import build
from trainables.last_look import LastLook
from trainables.orders import TokensOrder
from trainables.teacher_work import ReadingOrder, Say


def orders(plan: dict[str, Any], data: TaskData) -> dict[str, TokensOrder]:
    """How the rows of each split are tokenised, by its name: on their own, so that no other artifact changes."""
    place, length = (plan["artifacts"], plan["teacher"]["path"]), plan["training"]["max_length"]
    alone = replace(data, report=None, augmented=None, beside=())
    return {
        name: TokensOrder(*place, replace(alone, train=rows, dev=rows), length, f"Rows {name}")
        for name, rows in data.beside
    }


def prepare(
    plan: dict[str, Any],
    data: TaskData,
    teacher: Path,
    head: Head,
    say: Say,
    stopped: Callable[[], bool] | None = None,
) -> dict[str, dict[str, Any]]:
    """What `prepared.json` says of each split: its tokenised rows, their number, and the teacher's metric there.

    Args:
        teacher: Artifact of the teacher.
        head: Through which the trials read it.
        say, stopped: As in `trainables.building.build`.
    """
    found = orders(plan, data)
    places = dict(zip(found, build(list(found.values()), plan, say, stopped), strict=True))
    batch = plan["training"]["evaluation_batch"]
    readings = [
        ReadingOrder(plan["artifacts"], str(teacher), str(path), data.task, head, batch, plan["numerics"])
        for path in places.values()
    ]
    read = dict(zip(found, build(readings, plan, say, stopped), strict=True))
    store = Store(plan["artifacts"])
    return {
        name: {"path": str(places[name]), "rows": len(rows), "teacher": store.facts(read[name])["score"]}
        for name, rows in data.beside
    }


def looks(prepared: dict[str, Any], task: Task, batch: int, device: str) -> dict[str, LastLook]:
    """A look at each split, by its name."""
    found = prepared.get("further") or {}
    return {name: LastLook(_rows(split["path"]), task, batch, device) for name, split in found.items()}


@lru_cache(maxsize=4)
def _rows(path: str) -> Tokens:
    """Loaded once per process."""
    return Tokens.load(Path(path) / "dev.npz")
