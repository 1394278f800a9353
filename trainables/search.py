"""Which point Ray runs next: one searcher over the records of one or several sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.tune.search import Searcher

from trainables.record import FINISHED
from trainables.recorder import Recorder


class PointSearcher(Searcher):
    """Hands out unfinished points, in the order of each plan, and of several sweeps in turn."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        super().__init__(metric="value", mode="max")
        self._recorders = list(recorders)
        self._waiting = {
            str(recorder.path): [trial.id for trial in recorder.record.unfinished()] for recorder in recorders
        }
        self._turn = 0

    def suggest(self, trial_id: str) -> Any:
        for _ in self._recorders:
            recorder = self._recorders[self._turn % len(self._recorders)]
            self._turn += 1
            waiting = self._waiting[str(recorder.path)]
            while waiting:
                trial = recorder.record.trial(waiting.pop(0))
                # A person may have stopped it while it waited.
                if trial.state not in FINISHED:
                    return config_of(recorder, trial.id)
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to learn: what a trial brought stands in the record."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the record is the authority."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


def config_of(recorder: Recorder, point: str) -> dict[str, Any]:
    """What Ray's worker is told: the sweep's folder, the point, and for people its hyper-parameters."""
    trial, resources = recorder.record.trial(point), recorder.record.plan["resources"]
    return {
        "point": trial.id,
        "sweep": str(recorder.path),
        "recorded": len(trial.evaluations),
        "resources": {"CPU": resources["cpus_per_trial"], "GPU": resources["gpus_per_trial"]},
        **trial.params,
    }
