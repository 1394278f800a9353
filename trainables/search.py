"""Which point Ray runs next: one searcher over the records of one or several sweeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ray.tune.search import Searcher

from trainables import retry
from trainables.interrupt import stop_requested, writing
from trainables.record import FINISHED, WAITING
from trainables.recorder import Recorder
from trainables.shares import Shares
from trainables.spending import rule
from trainables.suggest import suggest


class PointSearcher(Searcher):
    """Hands out unfinished points, in the order of each plan, and of several sweeps in turn.

    Where the sweeps have device-seconds to share, that one is next which has used least, and one that has had its share
    starts nothing further.

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
        self._shares = Shares(self._recorders)
        self._shared = any(rule(recorder.record) for recorder in self._recorders)
        # What Ray runs: the recorder and the point by Ray's id of the trial.
        self._running: dict[str, tuple[Recorder, str]] = {}

    def suggest(self, trial_id: str) -> Any:
        for recorder in self._turns():
            free = self._shares.may_start(recorder.record)
            point = self._waits(recorder, free)
            if point is None and free and recorder.record.to_suggest and not stop_requested():
                point = self._suggested(recorder)
            if point is not None:
                self._running[trial_id] = (recorder, point)
                self._shares.starts(recorder.record, point)
                return config_of(recorder, point)
        # Ray never asks again after the end, and those that run may need another try, or let a share grow.
        return None if self._running else Searcher.FINISHED

    def _turns(self) -> Iterator[Recorder]:
        """The sweeps in the order in which they are asked for a point."""
        if self._shared:
            yield from (self._recorders[number] for number in self._shares.order())
            return
        for _ in self._recorders:
            recorder = self._recorders[self._turn % len(self._recorders)]
            self._turn += 1
            yield recorder

    def _waits(self, recorder: Recorder, free: bool) -> str | None:
        """The first point of a sweep that waits and may run; one that a person stopped meanwhile is passed over.

        Args:
            free: Whether the sweep may start points that it has not begun.
        """
        record, waiting = recorder.record, self._waiting[str(recorder.path)]
        waiting[:] = [id for id in waiting if record.trial(id).state not in FINISHED]
        barred = set() if free else self._shares.barred(record)
        found = next((id for id in waiting if id not in barred), None)
        if found is not None:
            waiting.remove(found)
        return found

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
        self._shares.ends(recorder.record, point)
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
