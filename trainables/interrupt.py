"""Ending a sweep before its end: Ctrl-C, a termination signal, or a disk that takes no more."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class _Stop:
    requested: bool = False
    reason: str | None = None


_STOP = _Stop()


def stop_requested() -> bool:
    """Whether Ctrl-C, a termination signal or `halt` asked the sweep to end."""
    return _STOP.requested


def halt(reason: str) -> None:
    """End the sweep as Ctrl-C does, because going on would only make every trial fail."""
    _STOP.requested, _STOP.reason = True, _STOP.reason or reason


def halted() -> str | None:
    """Why the sweep had to end, if it had to."""
    return _STOP.reason


@contextmanager
def writing() -> Iterator[None]:
    """A record that can't be written (a full disk) ends the sweep; Tune would blame the trial and train it again."""
    try:
        yield
    except OSError as error:
        halt(f"the record cannot be written ({error.strerror})")


def catch_signals(say: Callable[[str], None]) -> None:
    """First Ctrl-C or SIGTERM: stop gracefully. Second: leave at once; the record is whole at any time."""

    def handle(number: int, frame: FrameType | None) -> None:
        if _STOP.requested:
            os._exit(130)
        _STOP.requested = True
        say("Stopping: running trials end at their last evaluation; press Ctrl-C again to leave at once.")

    _STOP.requested, _STOP.reason = False, None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
