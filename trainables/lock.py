"""One writer per folder: an advisory lock that a killed process cannot leave behind."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import IO, Any

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
                    found = _read(stream.read())
                    stream.close()
                    known = found["pid"] is not None
                    raise Held(
                        f"process {found['pid']} on {found['host']}" if known else "a process that has just begun"
                    ) from error
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

    # Someone who only looks at the lock holds it for an instant.
    def acquire(self, patience: float = 0.3) -> None:
        """Take the lock.

        Raises:
            UserError: Another process holds it.
        """
        try:
            super().acquire(patience)
        except Held as error:
            raise UserError(
                f"{self._file.parent} is being written by another sweep ({error}); wait for it, or name another folder."
            ) from error


def holder(folder: Path) -> dict[str, Any] | None:
    """Who writes the folder right now, as `host` and `pid`; None when nobody does.

    Only looks: the lock stays free for others but for an instant, and the file is not written.
    """
    try:
        with (folder / LOCK).open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read(stream.read())
    except FileNotFoundError:
        pass
    return None


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        # Taken this instant, and its holder has not signed yet.
        found = None
    return found if isinstance(found, dict) else {"host": None, "pid": None}
