"""Printing to a standard output that may go away: `| head -1`, a pager that is left, a terminal that hangs up."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

# What a shell reports of a program that a closed pipe ended: 128 and SIGPIPE.
GONE = 141
# Nobody reads the pipe any more; the terminal hung up.
_ERRORS = (errno.EPIPE, errno.EIO)


@contextlib.contextmanager
def surviving(stream: TextIO | None = None) -> Iterator[None]:
    """Write to `stream`; when its reader is gone, what is written now and later goes nowhere.

    Args:
        stream: Standard output when None.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _ERRORS:
            raise
        _silence(stream or sys.stdout)


def say(text: str, stream: TextIO | None = None) -> None:
    """One plain line, at once; work goes on when nobody reads it any more.

    Args:
        stream: Standard output when None.
    """
    with surviving(stream):
        print(text, file=stream, flush=True)


def show(text: str) -> None:
    """One plain line of a command that only prints.

    Raises:
        SystemExit: With `GONE`: nobody reads it any more, so there is nothing left to do.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        if error.errno not in _ERRORS:
            raise
        _silence(sys.stdout)
        raise SystemExit(GONE) from None


def _silence(stream: TextIO) -> None:
    """Point the descriptor at nothing: the interpreter flushes at its end what the stream still holds."""
    # What is no file has no descriptor, and nothing flushes it.
    with contextlib.suppress(io.UnsupportedOperation):
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


__all__ = ["GONE", "say", "show", "surviving"]
