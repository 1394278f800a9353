"""Which point Ray runs next: one searcher over the records of one or several sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.tune.search import Searcher

from trainables import retry
from trainables.interrupt import stop_requested, writing
from trainables.record import FINISHED, WAITING
from trainables.recorder import Recorder
from trainables.suggest import suggest


class PointSearcher(Searcher):
    """Hands out unfinished points, in the order of each plan, and of several sweeps in turn.

    Where a sweep's points are suggested, the sampler is asked when the planned ones are given out and a worker is free.
    A point that ran out of memory comes again behind those that wait, so that it keeps no other one from its GPU.
    """

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        super().__init__(metric="value", mode="max")
        self._recorders = list(recorders)
        self._waiting = {
            str(recorder.path): [trial.id for trial in recorder.record.unfinished()] for recorder in recorders
        }
        self._turn = 0
        # What Ray runs: the recorder and the point by Ray's id of the trial.
        self._running: dict[str, tuple[Recorder, str]] = {}

    def suggest(self, trial_id: str) -> Any:
        for _ in self._recorders:
            recorder = self._recorders[self._turn % len(self._recorders)]
            self._turn += 1
            waiting = self._waiting[str(recorder.path)]
            while waiting:
                trial = recorder.record.trial(waiting.pop(0))
                # A person may have stopped it while it waited.
                if trial.state not in FINISHED:
                    self._running[trial_id] = (recorder, trial.id)
                    return config_of(recorder, trial.id)
            if recorder.record.to_suggest and not stop_requested() and (suggested := self._suggested(recorder)):
                self._running[trial_id] = (recorder, suggested)
                return config_of(recorder, suggested)
        # Ray never asks again after the end, and those that run may need another try.
        return None if self._running else Searcher.FINISHED

    def _suggested(self, recorder: Recorder) -> str | None:
        """The id of a new point, in the record before Ray hears of it; None where the sampler finds none."""
        points, k = suggest(recorder.record)
        with writing():
            recorder.suggested(points, k)
            return str(points[0]["id"]) if points else None
        return None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """What a trial brought stands in the record; one that is to be tried again waits there."""
        recorder, point = self._running.pop(trial_id)
        if recorder.record.trial(point).state == WAITING:
            self._waiting[str(recorder.path)].append(point)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the record is the authority."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


def config_of(recorder: Recorder, point: str) -> dict[str, Any]:
    """What Ray's worker is told: the sweep's folder, the point, and for people its hyper-parameters."""
    trial = recorder.record.trial(point)
    return {
        "point": trial.id,
        "sweep": str(recorder.path),
        "recorded": len(trial.evaluations),
        "resources": retry.given(recorder.record, trial),
        "micro": retry.micro(trial),
        **trial.params,
    }
