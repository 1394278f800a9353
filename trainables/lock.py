"""One writer per folder: an advisory lock that a killed process cannot leave behind."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import IO

from distill.errors import UserError
from trainables.record import LOCK


class Held(Exception):
    """Another process writes the folder; its text says which."""


class FolderLock:
    """Holds `<folder>/lock` while this process writes the folder: a driver its sweep, a worker its trial.

    The kernel drops the lock with the process, also after kill -9; the file's text only names the holder.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / LOCK
        self._stream: IO[str] | None = None

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock.

        Args:
            patience: Seconds to wait for another holder.

        Raises:
            Held: Another process still holds it; its host and number are named.
        """
        stream = self._file.open("a+")
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= end:
                    stream.seek(0)
                    holder = stream.read().strip() or "an unknown process"
                    stream.close()
                    raise Held(holder) from error
            time.sleep(0.1)
        stream.seek(0)
        stream.truncate()
        json.dump({"host": socket.gethostname(), "pid": os.getpid()}, stream)
        stream.flush()
        self._stream = stream

    def release(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class SweepLock(FolderLock):
    """The driver's lock, whose refusal a person reads."""

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock.

        Raises:
            UserError: Another process holds it.
        """
        try:
            super().acquire(patience)
        except Held as error:
            raise UserError(
                f"{self._file.parent} is being written by another sweep ({error}); wait for it or name another --out."
            ) from error


def holder(folder: Path) -> str | None:
    """Who writes the folder right now, as host and process number; None when nobody does."""
    if not (folder / LOCK).exists():
        return None
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except Held as error:
        return str(error)
    lock.release()
    return None
