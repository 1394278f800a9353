"""Going on after Ray ended a worker because a node's memory ran low, at which Tune ends itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distill.errors import UserError
from trainables import engine
from trainables.interrupt import stop_requested
from trainables.recorder import Recorder


def run(
    recorders: Sequence[Recorder],
    function: Callable[[dict[str, Any]], None],
    renew: Callable[[], object],
    say: Callable[[str], None],
) -> None:
    """`engine.run`, again and again while trials get on: each continues from the last state that it kept.

    Args:
        renew: Shuts Ray down, which frees what it holds for the trials, and starts it as it was.
        say: Takes a line where Ray ended a worker.

    Raises:
        UserError: Workers were ended over and over, and no trial reached an evaluation meanwhile.
    """
    before, idle = -1, 0
    while True:
        try:
            return engine.run(recorders, function)
        except engine.MemoryLow:
            if stop_requested():
                return
        reached = sum(len(trial.evaluations) for recorder in recorders for trial in recorder.record.everything())
        before, idle = reached, idle + 1 if reached == before else 1
        if idle > engine.RETRIES:
            raise UserError(
                f"Memory ran low, and Ray ended workers {idle} times without a new evaluation of any trial: end other "
                "programs and resume, or begin a sweep with a smaller --max-concurrent."
            )
        say("Memory ran low, and Ray ended a worker; every trial goes on from the last state that it kept.")
        renew()
