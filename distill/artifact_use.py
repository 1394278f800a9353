"""Who uses an artifact, and when it was used last: one empty file in `.marks` for each artifact.

The file's lock says that a process uses or builds the artifact, its time of change when that was last begun. Sealed
files are never touched. A process that takes or builds an artifact holds a shared lock on its mark until it ends; the
kernel drops the lock with the process, also after kill -9, so nothing stale can keep an artifact for ever. Whoever
removes an artifact needs the lock alone. Marks are never removed: a lock on a mark that is gone would protect nothing.
`fuser STORE/.marks/NAME` names the processes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARKS = ".marks"
_held: dict[Path, int] = {}


def hold(place: Path, name: str) -> None:
    """Keep an artifact from being removed until this process ends, and note that it is used now.

    In a store that may only be read nothing can be noted, and the lock is taken where a mark is there.

    Args:
        place: The store's folder.
        name: `<kind>-<key>`.
    """
    file = place / MARKS / name
    descriptor = _held.get(file)
    if descriptor is None or not _same(descriptor, file):
        descriptor = _open(file)
        if descriptor is None:
            return
        try:
            # Waits only for the instant in which somebody moves the artifact out of the way.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError:
            # A file system without locks.
            os.close(descriptor)
            return
        _held[file] = descriptor
    try:
        os.utime(descriptor)
    except OSError:
        # Somebody else's mark, or a store that may only be read.
        return


def release(place: Path, name: str) -> None:
    """Let go of an artifact before this process ends."""
    if (descriptor := _held.pop(place / MARKS / name, None)) is not None:
        os.close(descriptor)


@contextmanager
def alone(place: Path, name: str) -> Iterator[bool]:
    """Whether no process uses or builds an artifact; while the context lasts, none can begin to.

    Not knowing, where marks cannot be locked, counts as used.
    """
    descriptor = _open(place / MARKS / name)
    if descriptor is None:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free
    finally:
        os.close(descriptor)


def busy(place: Path, name: str) -> bool:
    """Whether a process uses or builds an artifact; asking leaves no mark."""
    try:
        descriptor = os.open(place / MARKS / name, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def last_used(place: Path, name: str) -> float | None:
    """When the artifact was last taken or built, in seconds since 1970; None where nobody noted it."""
    try:
        return (place / MARKS / name).stat().st_mtime
    except OSError:
        return None


def _open(file: Path) -> int | None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        pass
    try:
        return os.open(file, os.O_RDONLY)
    except OSError:
        return None


def _same(descriptor: int, file: Path) -> bool:
    """Whether an open mark is still the one that lies there; a store may be removed and made anew."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except OSError:
        return False
