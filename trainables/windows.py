"""What a plan says of span tasks, whose rows are read as windows. Imports without torch and Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.tasks import windows
from distill.tasks.base import TaskData
from distill.training.settings import Training


def count(data: TaskData, training: Training, encoder: Path) -> int:
    """How many rows training goes through in an epoch: those of the task, or their windows, exactly.

    How often dev is looked at depends on it, so no estimate would do.

    Args:
        data: As students read it.
        encoder: Folder with the tokenizer.

    Raises:
        UserError: The tokenizer cannot be loaded, or windows would not move.
    """
    if data.task.kind != "span":
        return len(data.train)
    key = (data.fingerprint(), str(encoder), training.max_length)
    if key not in _COUNTED:
        # Late: nothing else in a plan takes a tokenizer.
        from distill.tasks.tokens import load_tokenizer

        _COUNTED[key] = windows.counted(data, load_tokenizer(encoder), training.max_length)
    return _COUNTED[key]


def fingerprint(data: TaskData, training: dict[str, Any]) -> str:
    """Hash of the rows as they are read, for which the usual stride is one however it was asked for.

    Args:
        training: Numbers of a plan.
    """
    return windows.as_hashed(data, training["max_length"]).fingerprint()


# The sweeps of one command have their rows in common.
_COUNTED: dict[tuple[str, str, int], int] = {}


def planned(data: TaskData, counted: int) -> dict[str, Any]:
    """What stands in a plan's part "data" of the windows; nothing of other tasks."""
    if data.task.kind != "span":
        return {}
    found = {"train_windows": counted, "doc_stride": data.windows.doc_stride}
    return found | ({"null_threshold": data.windows.null_threshold} if data.task.unanswerable else {})


def rows(plan: dict[str, Any]) -> int:
    """How many rows, or windows, of a plan training goes through in an epoch."""
    return int(plan["data"].get("train_windows") or plan["data"]["train_rows"])


def words(plan: dict[str, Any]) -> str:
    """Of the windows, for people; empty where there are none."""
    data = plan["data"]
    if "train_windows" not in data:
        return ""
    threshold = data.get("null_threshold")
    none = "" if threshold is None else f", no answer where none is ahead of the best by more than {threshold:g}"
    stride = "" if data["doc_stride"] is None else f" that share {data['doc_stride']} tokens"
    return f", {data['train_windows']} training windows{stride}{none}"
