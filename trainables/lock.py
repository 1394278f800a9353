"""One writer per sweep folder: an advisory lock that a killed process cannot leave behind."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO

from distill.errors import UserError
from trainables.record import LOCK


class SweepLock:
    """Holds `<folder>/lock` while this process writes the sweep.

    The kernel drops the lock with the process, also after kill -9; the file's text only names the holder.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / LOCK
        self._stream: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            UserError: Another process holds it; its host and number are named.
        """
        stream = self._file.open("a+")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.seek(0)
            holder = stream.read().strip() or "an unknown process"
            stream.close()
            raise UserError(
                f"{self._file.parent} is being written by another sweep ({holder}); wait for it or name another --out."
            ) from error
        stream.seek(0)
        stream.truncate()
        json.dump({"host": socket.gethostname(), "pid": os.getpid()}, stream)
        stream.flush()
        self._stream = stream

    def release(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def is_held(folder: Path) -> bool:
    """Whether some process writes the sweep right now."""
    file = folder / LOCK
    if not file.exists():
        return False
    with file.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
