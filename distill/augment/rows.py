"""From a task's training rows to the file of augmented ones, a part of them at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from distill.augment.candidates import Candidates
from distill.augment.draw import Slot, copies, stream
from distill.augment.partial import Partial
from distill.augment.progress import Show
from distill.tasks.base import Examples, Task

# Rows whose words go through the model together: enough for batches of like length, few enough to lose little.
PART = 500
_BREAKING = re.compile(r"[\t\n\r\0]")


def header(task: Task) -> str:
    """The file's first line: the names of the task's columns, by which its reader finds them."""
    columns = [task.first_column, *([task.second_column] if task.second_column else []), task.label_column]
    return "\t".join(columns)


def one_line(rows: Examples) -> Examples:
    """The same rows with a space for everything that would break a line or a column; files of GLUE have none of it."""
    first, *second = (
        tuple(_BREAKING.sub(" ", text) for text in side) for side in (rows.first, rows.second) if side is not None
    )
    return replace(rows, first=first, second=second[0] if second else None)


def write(
    task: Task,
    rows: Examples,
    candidates: Candidates,
    partial: Partial,
    *,
    share: float,
    attempts: int,
    seed: int,
    show: Show = lambda done, made: None,
    part: int | None = None,
) -> Counter[str]:
    """Write every row and its copies, from where `partial` stands.

    A row comes first, then copies of its first text beside its second as it is, then copies of the second beside the
    first as it is, all with its label. Of one row's copies no two are alike. What is written depends on none of `part`,
    of the size of batches, or of how often the work was cut.

    Args:
        share: Probability with which a word is replaced.
        attempts: Copies of a text that are tried.
        seed: Of the draws.
        show: Takes the rows that are done and those that are written.
        part: Rows whose words go through the model together; `PART` when None.

    Returns:
        Counts: `made` rows in the file, `doubles` that were dropped, and those of `candidates`.
    """
    sides = [rows.first] if rows.second is None else [rows.first, rows.second]
    labels = _labels(task, rows)
    counts, begun = Counter(partial.counts), partial.rows
    # A text that comes again keeps its candidates until it has come for the last time.
    ahead = Counter(text for side in sides for text in side[begun:])
    kept: dict[str, tuple[Slot, ...]] = {}
    if begun == 0:
        partial.add([header(task)], 0, counts)
    part = part or PART
    for start in range(begun, len(rows), part):
        end = min(start + part, len(rows))
        before = Counter(candidates.counts)
        new = [text for text in dict.fromkeys(text for side in sides for text in side[start:end]) if text not in kept]
        kept |= zip(new, candidates.of(new, _inside(show, start, end, counts["made"])), strict=True)
        lines: list[str] = []
        for row in range(start, end):
            texts = [side[row] for side in sides]
            lines.append("\t".join([*texts, labels(row)]))
            for place, text in enumerate(texts):
                found = copies(text, kept[text], share, attempts, stream(seed, row, place))
                counts["doubles"] += attempts - len(found) if kept[text] else 0
                for copy in found:
                    lines.append("\t".join([*texts[:place], copy, *texts[place + 1 :], labels(row)]))
                ahead[text] -= 1
                if not ahead[text]:
                    del kept[text]
        counts["made"] += len(lines)
        counts += candidates.counts - before
        partial.add(lines, end, counts)
        show(end, counts["made"])
    return counts


def _inside(show: Show, start: int, end: int, made: int) -> Callable[[float], None]:
    return lambda share: show(start + share * (end - start), made)


def _labels(task: Task, rows: Examples) -> Callable[[int], str]:
    """What stands in the label's column of a row; reading it back gives the same label, or the same float32."""
    if task.kind == "classification":
        return lambda row: task.labels[int(rows.labels[row])]
    return lambda row: str(np.format_float_positional(rows.labels[row], trim="-"))
