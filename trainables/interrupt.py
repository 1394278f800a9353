"""Ending a sweep before its end: Ctrl-C, a termination signal, a limit, or a disk that takes no more."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class _Stop:
    requested: bool = False
    reason: str | None = None
    # Which of the session's limits ended it; None where none did.
    limit: str | None = None
    # When and how a limit of time will end it.
    deadline: tuple[float, str, str] | None = None


_STOP = _Stop()


def stop_requested() -> bool:
    """Whether Ctrl-C, a termination signal, a limit or `halt` asked the sweep to end."""
    if not _STOP.requested and _STOP.deadline is not None and time.monotonic() >= _STOP.deadline[0]:
        halt(*_STOP.deadline[1:])
    return _STOP.requested


def halt(reason: str, limit: str | None = None) -> None:
    """End the sweep as Ctrl-C does: going on would only make every trial fail, or a limit was reached.

    Args:
        limit: Name of the limit.
    """
    if _STOP.reason is None:
        _STOP.requested, _STOP.reason, _STOP.limit = True, reason, limit


def expire(deadline: float, reason: str, limit: str) -> None:
    """`halt` as soon as the monotonic clock shows `deadline`, in seconds; `catch_signals` forgets it."""
    _STOP.deadline = (deadline, reason, limit)


def halted() -> str | None:
    """Why the sweep had to end, if it had to."""
    return _STOP.reason


def limit_reached() -> str | None:
    """Which limit ended the sweep, if one did."""
    return _STOP.limit


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

    _STOP.requested, _STOP.reason, _STOP.limit, _STOP.deadline = False, None, None, None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
