"""What the labels of a classifier's folder are called, and in which order its outputs answer. Imports without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distill.tasks.base import Task

# Words that fine-tuned models use for tasks whose files have numbers, in the order of our ids; by the task's folder.
_WORDS = {
    "CoLA": ("unacceptable", "acceptable"),
    "SST-2": ("negative", "positive"),
    "MRPC": ("not_equivalent", "equivalent"),
    "QQP": ("not_duplicate", "duplicate"),
    "WNLI": ("not_entailment", "entailment"),
}


def label_order(folder: Path, task: Task) -> tuple[int, ...]:
    """For each label of `task` the row of the folder's classifier that answers it.

    Words decide where they are those of the task in any order; where they say nothing (`LABEL_0`) or something else,
    the order is taken as it is, and the teacher's score on dev has to show whether that was right.
    """
    return order_of(words_of(folder), task) or tuple(range(task.num_labels))


def order_of(words: tuple[str, ...], task: Task) -> tuple[int, ...] | None:
    """As `label_order`, but None where the words do not tell."""
    if sorted(words) == sorted(task.labels) and len(set(words)) == len(words):
        # Word for word, because a person's own labels may differ in a sign or in case alone.
        return tuple(words.index(word) for word in task.labels)
    given = [_plain(word) for word in words]
    if len(set(given)) < len(given):
        return None
    for known in (task.labels, _WORDS.get(task.folder, ())):
        wanted = [_plain(word) for word in known]
        if wanted and sorted(given) == sorted(wanted):
            return tuple(given.index(word) for word in wanted)
    return None


def words_of(folder: Path) -> tuple[str, ...]:
    """The folder's names of its labels in the order of their ids, or what stands for none."""
    named = json_of(folder / "config.json").get("id2label") or {}
    return tuple(str(named[key]) for key in sorted(named, key=int)) or ("LABEL_0", "LABEL_1")


def _plain(word: str) -> str:
    return "_".join(word.lower().replace("-", " ").replace("_", " ").split())


def json_of(file: Path) -> dict[str, Any]:
    """The object in a file of JSON; an empty one where there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
