"""How far the augmentation is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distill.output import say

# Takes the source rows that are done (with fractions) and the rows that are written.
Show = Callable[[float, int], None]
# Seconds between two plain lines.
_SILENCE = 30.0


@contextmanager
def showing(total: int, begun: int, clock: Callable[[], float] = time.monotonic) -> Iterator[Show]:
    """Tell how far the work is as long as the context lasts.

    Args:
        total: Rows of the task.
        begun: How many of them were done before.
        clock: Seconds.
    """
    if sys.stdout.isatty():
        with _bar(total, begun) as show:
            yield show
        return
    started = told = clock()

    def tell(done: float, made: int) -> None:
        nonlocal told
        now = clock()
        if now - told < _SILENCE:
            return
        told = now
        left = f", about {_words((now - started) / (done - begun) * (total - done))} left" if done > begun else ""
        say(f"Augmenting: {int(done)} of {total} rows ({100 * done / total:.0f} %), {made} rows written{left}.")

    yield tell


@contextmanager
def _bar(total: int, begun: int) -> Iterator[Show]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("Augmenting"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f} rows, {task.fields[made]} written"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=total, completed=begun, made=0)
        yield lambda done, made: progress.update(task, completed=done, made=made)


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
