"""What Ray Tune tells callbacks and not schedulers: starts and errors of trials; and a wish to stop one."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.exceptions import RayActorError

from distill import methods
from trainables import stage_rows, stop
from trainables.interrupt import stop_requested, writing
from trainables.record import FINISHED, RUNNING, Trial
from trainables.recorder import Recorder

# Until a cluster notices that a node is gone, it goes on placing workers there. So often a worker may die before its
# trial began, a second apart, without that counting among the deaths that the trial is granted.
UNBORN, PAUSE = 60, 1.0


class PointCallback(tune.Callback):
    """Starts and errors of one sweep's trials, which schedulers do not hear of."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._begun: set[str] = set()
        self._unborn: Counter[str] = Counter()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if not is_of(self._recorder, trial):
            return
        self._begun.add(trial.trial_id)
        with writing():
            deaths = trial.num_failures - self._unborn[trial.trial_id]
            self._recorder.started(trial.config["point"], attempt=deaths + 1)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Ray is about to try a trial again whose worker died."""
        if not is_of(self._recorder, trial):
            return
        name = trial.trial_id
        if name in self._begun:
            self._begun.discard(name)
        elif self._unborn[name] < UNBORN and _worker_died(trial):
            self._unborn[name] += 1
            trial.max_failures += 1
            time.sleep(PAUSE)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        point = trial.config["point"]
        if stop_requested() or not is_of(self._recorder, trial):
            # Workers may be ended together with the sweep; that is no fault of the point.
            return
        file = Path(trial.local_path or ".") / "error.txt"
        text = file.read_text().strip().splitlines()[-1] if file.exists() else "the worker died"
        with writing():
            self._recorder.failed(point, f"process died {trial.num_failures} times: {text[:300]}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial that ended by itself without all its evaluations must not stay open."""
        if not is_of(self._recorder, trial):
            return
        record = self._recorder.record.trial(trial.config["point"])
        # One that ran out of memory waits for another try.
        if record.state == RUNNING and not stop_requested():
            with writing():
                self._recorder.failed(record.id, f"ended after {len(record.evaluations)} evaluations without a reason")


class StopCallback(tune.Callback):
    """Ends trials that a person wants stopped, not only at their next evaluation.

    Ray's `request_stop_trial` fills a queue that nothing reads, and `stop_trial` may hand the worker, which still
    trains, to the next trial. So the worker is ended, and the trial with it once its files are found whole; else Ray
    starts it again, and it ends at the evaluation that it had been writing.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._next = 0.0
        self._ended: set[str] = set()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() < self._next or stop_requested():
            return
        self._next = time.monotonic() + 1
        trials = [trial for trial in trials if is_of(self._recorder, trial)]
        with writing():
            for point in stop.asked(self._recorder.path):
                self._answer(point, [trial for trial in trials if trial.config["point"] == point])
        for trial in trials:
            # Also one that Ray was about to start when it was stopped.
            if self._recorder.record.trial(trial.config["point"]).by_hand and _kill(trial):
                trial.max_failures = 0

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Requests for trials that ended since the last look are answered by their end."""
        for point in stop.asked(self._recorder.path):
            trial = _trial(self._recorder, point)
            if trial is None or trial.state in FINISHED:
                stop.answer(self._recorder.path, point)

    def _answer(self, point: str, ours: list[Any]) -> None:
        recorder, trial = self._recorder, _trial(self._recorder, point)
        if trial is not None and trial.state not in FINISHED:
            if point in self._ended:
                return
            self._ended.add(point)
            killed = [one for one in ours if _kill(one)]
            if not (stop.released(trial, stop.PATIENCE) and stop.whole(recorder.record, trial)):
                for one in killed:
                    # The kill shall not count among the deaths that a trial is granted.
                    one.max_failures += 1
                return
            recorder.stopped(point)
        stop.answer(recorder.path, point)


class StageCallback(tune.Callback):
    """Tells listeners how far trials are in stages that report nothing: Ray does not hear of these."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._next = 0.0
        self._told: dict[str, tuple[str, int]] = {}
        names = {point["method"] for point in recorder.record.plan["points"]}
        self._staged = {name for name in names if any(not stage.reporting for stage in methods.get(name).stages)}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if not self._staged or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 1
        self.look()

    def look(self) -> None:
        """Read what the trials at work have written of such stages."""
        for trial in self._recorder.record.everything():
            if trial.state != RUNNING or trial.evaluations or trial.point["method"] not in self._staged:
                continue
            row = stage_rows.newest(trial.folder)
            if row is not None and self._told.get(trial.id) != (row["stage"], row["evaluation"]):
                self._told[trial.id] = row["stage"], row["evaluation"]
                for listener in self._recorder.listeners:
                    listener("stage", trial, row)


def _worker_died(trial: Any) -> bool:
    """Whether a trial's last failure was the death of its worker, not an error of its function."""
    # Where Ray has just written it; its own reader looks in the storage, where it comes later.
    file = trial.pickled_error_file
    return file is not None and isinstance(cloudpickle.loads(Path(file).read_bytes()), RayActorError)


def _trial(recorder: Recorder, point: str) -> Trial | None:
    return next((trial for trial in recorder.record.everything() if trial.id == point), None)


def is_of(recorder: Recorder, trial: Any) -> bool:
    """Whether a Ray trial is of this recorder's sweep; several may run at once."""
    return bool(trial.config["sweep"] == str(recorder.path))


def _kill(trial: Any) -> bool:
    """End the worker of a Ray trial; whether it had one."""
    import ray

    actor = trial.temporary_state.ray_actor
    if trial.status != "RUNNING" or actor is None:
        return False
    ray.kill(actor)
    return True
