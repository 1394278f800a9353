"""What a sweep's folder takes on disk. Imports neither Ray nor torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trainables.record import TRIALS

STUDENTS, STATES, REST = "students", "states", "rest"


def usage(folder: Path) -> dict[str, int]:
    """Bytes below a sweep's folder: `folder` in all, and of it `students`, `states` (to go on from) and `rest`.

    Files that a running sweep removes meanwhile are passed over.
    """
    found = {STUDENTS: 0, STATES: 0, REST: 0}
    for parts, size in _files(folder, ()):
        found[_kind(parts)] += size
    return {"folder": sum(found.values()), **found}


def _kind(parts: tuple[str, ...]) -> str:
    """Which of the three a file belongs to, by its path below the sweep's folder."""
    below = parts[2:] if parts[0] == TRIALS else parts
    # A student is written beside its place first, under a name that begins with a point.
    if len(below) > 1 and below[0].lstrip(".").partition(".")[0] == "student":
        return STUDENTS
    return STATES if parts[0] == TRIALS and below and below[0].startswith("state-") else REST


def _files(folder: Path | str, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, (*parts, entry.name))
            else:
                yield (*parts, entry.name), entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
