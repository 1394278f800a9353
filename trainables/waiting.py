"""Waiting for something that another process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(happened: Callable[[], bool], patience: float, every: float) -> bool:
    """Ask every `every` seconds for `patience` seconds at most; the last answer."""
    end = time.monotonic() + patience
    while not happened():
        if time.monotonic() >= end:
            return False
        time.sleep(every)
    return True
