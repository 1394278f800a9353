"""What Ray does with a result: the record of the trial's sweep decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from trainables import retry, stop
from trainables.interrupt import halt, writing
from trainables.recorder import Recorder


class PointScheduler(FIFOScheduler):
    """Writes every result down and stops what the record's stopping rule stops.

    The rule lives in the recorder, keyed by point and refilled from the record, because Ray's own schedulers key by
    trial ids, which are new in every session, and forget what they knew at a restart.

    Args:
        recorders: By the path of their sweep.
    """

    def __init__(self, recorders: Mapping[str, Recorder]) -> None:
        super().__init__()
        self._recorders = dict(recorders)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        with writing():
            return _decide(self._recorders[trial.config["sweep"]], trial.config["point"], result)
        return str(TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The last value was judged when it was reported."""


def _decide(recorder: Recorder, point: str, result: dict[str, Any]) -> str:
    if result.get("halt"):
        halt(str(result["halt"]))
        return TrialScheduler.STOP
    if result.get("failure"):
        retry.failed(recorder, point, str(result["failure"]))
        return TrialScheduler.STOP
    if "evaluation" not in result:
        return TrialScheduler.CONTINUE
    # Ray hands schedulers a flat result, "terms/soft" for terms["soft"].
    nested = {
        name: {key.partition("/")[2]: value for key, value in result.items() if key.startswith(f"{name}/")}
        for name in ("metrics", "terms", "reported", "further")
    }
    # One that is told again may be behind the trial's files, so that no trial can end there.
    again = result["evaluation"] in recorder.record.trial(point).evaluations
    if recorder.evaluation(point, {**result, **nested, "reported": nested["reported"] or None}):
        return TrialScheduler.STOP
    if not again and point in stop.asked(recorder.path):
        recorder.stopped(point)
        return TrialScheduler.STOP
    return TrialScheduler.CONTINUE
