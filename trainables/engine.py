"""Ray Tune's part: one searcher, one scheduler pair and one callback, all speaking to the recorder."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from distill.errors import UserError
from trainables.lock import holder
from trainables.record import FINISHED, Trial
from trainables.recorder import Recorder
from trainables.resources import detect
from trainables.rungs import milestones

# A killed worker or a lost node is worth another try; errors of the program are not (see trial.py).
RETRIES = 2


class PointSearcher(Searcher):
    """Hands out the record's unfinished points in the order of the plan."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(metric="value", mode="max")
        self._recorder = recorder
        self._waiting = [trial.id for trial in recorder.record.unfinished()]

    def suggest(self, trial_id: str) -> Any:
        if not self._waiting:
            return Searcher.FINISHED
        trial = self._recorder.record.trials[self._waiting.pop(0)]
        return {
            "point": trial.id,
            "sweep": str(self._recorder.path),
            "recorded": len(trial.evaluations),
            **trial.params,
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to learn: the order is fixed."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the record is the authority."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


@contextmanager
def _writing() -> Iterator[None]:
    """A record that can't be written (a full disk) ends the sweep; Tune would blame the trial and train it again."""
    try:
        yield
    except OSError as error:
        halt(f"the record cannot be written ({error.strerror})")


def _record(recorder: Recorder, trial: Any, result: dict[str, Any]) -> str:
    """Write a result down; what the record says of the point decides."""
    with _writing():
        return _decide(recorder, trial, result)
    return TrialScheduler.STOP


def _decide(recorder: Recorder, trial: Any, result: dict[str, Any]) -> str:
    point = trial.config["point"]
    if result.get("halt"):
        halt(str(result["halt"]))
        return TrialScheduler.STOP
    if result.get("failure"):
        recorder.failed(point, str(result["failure"]))
        return TrialScheduler.STOP
    if "evaluation" not in result:
        return TrialScheduler.CONTINUE
    # Ray hands schedulers a flat result, "terms/soft" for terms["soft"].
    nested = {
        name: {key.partition("/")[2]: value for key, value in result.items() if key.startswith(f"{name}/")}
        for name in ("metrics", "terms")
    }
    return TrialScheduler.STOP if recorder.evaluation(point, {**result, **nested}) else TrialScheduler.CONTINUE


class PointASHA(AsyncHyperBandScheduler):
    """ASHA keyed by point, whose rungs live in the recorder and so survive the process.

    Ray's own scheduler keys rungs by trial id, which is new in every session, and forgets them at a restart.
    """

    def __init__(self, recorder: Recorder, max_epochs: int, grace: int, reduction_factor: float) -> None:
        super().__init__(
            time_attr="epoch",
            max_t=max_epochs,
            grace_period=grace,
            reduction_factor=reduction_factor,
        )
        self._recorder = recorder
        asked = milestones(max_epochs, grace, reduction_factor)
        own = recorder.ladder.milestones if recorder.ladder else ()
        if asked != own:
            raise RuntimeError(f"rungs {asked} were asked for, the scheduler has {own}")

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return _record(self._recorder, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The last value was judged when it was reported."""


class PointFIFO(FIFOScheduler):
    """No early stopping; every result is recorded."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return _record(self._recorder, trial, result)


class PointCallback(tune.Callback):
    """Starts and errors of trials, which schedulers do not hear of."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with _writing():
            self._recorder.started(trial.config["point"], attempt=trial.num_failures + 1)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        point = trial.config["point"]
        if stop_requested():
            # Workers may be ended together with the sweep; that is no fault of the point.
            return
        file = Path(trial.local_path or ".") / "error.txt"
        text = file.read_text().strip().splitlines()[-1] if file.exists() else "the worker died"
        with _writing():
            self._recorder.failed(point, f"process died {trial.num_failures} times: {text[:300]}")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial that ended by itself without all its evaluations must not stay open."""
        record = self._recorder.record.trials[trial.config["point"]]
        if record.state not in FINISHED and not stop_requested():
            with _writing():
                self._recorder.failed(record.id, f"ended after {len(record.evaluations)} evaluations without a reason")


@dataclass
class _Stop:
    requested: bool = False
    reason: str | None = None


_STOP = _Stop()


def stop_requested() -> bool:
    """Whether Ctrl-C, a termination signal or `halt` asked the sweep to end."""
    return _STOP.requested


def halt(reason: str) -> None:
    """End the sweep as Ctrl-C does, because going on would only make every trial fail."""
    _STOP.requested, _STOP.reason = True, _STOP.reason or reason


def halted() -> str | None:
    """Why the sweep had to end, if it had to."""
    return _STOP.reason


class _Stopper(tune.Stopper):
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return _STOP.requested


def catch_signals(say: Callable[[str], None]) -> None:
    """First Ctrl-C or SIGTERM: stop gracefully. Second: leave at once; the record is whole at any time."""

    def handle(number: int, frame: FrameType | None) -> None:
        if _STOP.requested:
            os._exit(130)
        _STOP.requested = True
        say("Stopping: running trials end at their last evaluation; press Ctrl-C again to leave at once.")

    _STOP.requested, _STOP.reason = False, None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def start_ray(plan: dict[str, Any], dashboard: bool = True) -> str | None:
    """Start Ray on this machine with the plan's cores and GPUs; the dashboard's address, if it runs."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    context = ray.init(
        # A cluster that RAY_ADDRESS names, or that somebody left running, has other resources than the plan.
        address="local",
        num_cpus=plan["cpus"],
        num_gpus=min(plan["resources"]["gpus"], detect().gpus),
        include_dashboard=dashboard,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=True,
        object_store_memory=200 * 1024 * 1024,
    )
    url = context.dashboard_url
    return f"http://{url}" if url else None


def _await_orphans(waiting: list[Trial], patience: float = 60.0) -> None:
    """Wait until no worker of a killed session writes a trial that is to be continued.

    Workers notice within seconds that their driver is gone, but until then they train on.

    Raises:
        UserError: One is still at work after `patience` seconds; its process is named.
    """
    end = time.monotonic() + patience
    for trial in waiting:
        while (process := holder(trial.folder)) is not None:
            if time.monotonic() > end:
                raise UserError(
                    f"{trial.folder} is still being written by a worker of an earlier session "
                    f"(process {process['pid']} on {process['host']}); end that process and resume again."
                )
            time.sleep(0.2)


def run(recorder: Recorder, function: Callable[[dict[str, Any]], None]) -> None:
    """Run every unfinished point of the record.

    Args:
        function: Trains one point given its config and reports through `ray.tune.report`; a stand-in with tabulated
            curves serves in tests.
    """
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "1")
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    plan = recorder.record.plan
    waiting = recorder.record.unfinished()
    if not waiting:
        return
    _await_orphans(waiting)
    scheduler: TrialScheduler
    if plan["scheduler"]["name"] == "asha":
        asha = plan["scheduler"]
        scheduler = PointASHA(recorder, plan["epochs"], asha["grace"], asha["reduction_factor"])
    else:
        scheduler = PointFIFO(recorder)
    resources = plan["resources"]

    # The function's name is what Ray's dashboard shows for a worker. A wrapper carries it, because a function
    # renamed in place would be pickled by value, and with it the per-process memo of teacher and data.
    def named(config: dict[str, Any]) -> None:
        function(config)

    named.__name__ = named.__qualname__ = worker_name(plan)
    trainable = tune.with_resources(named, {"cpu": resources["cpus_per_trial"], "gpu": resources["gpus_per_trial"]})
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            metric="value",
            mode="max",
            num_samples=len(waiting),
            max_concurrent_trials=resources["max_concurrent"],
            search_alg=PointSearcher(recorder),
            scheduler=scheduler,
            reuse_actors=True,
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name=f"session-{recorder.record.sessions:03d}",
            storage_path=str(recorder.path / "ray"),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[PointCallback(recorder)],
            stop=_Stopper(),
            verbose=0,
            # Ray's stand-in for stdout has no isatty, which transformers asks for; failures go to failure.txt.
            log_to_file=False,
        ),
    )
    tuner.fit()


def worker_name(plan: dict[str, Any]) -> str:
    """Method, task and size, such as `emd_cola_4L`: how Ray's dashboard names the actors."""
    return f"{plan['method']}_{plan['task']}_{plan['layers']}L".replace("-", "_")


def trial_name(trial: Any) -> str:
    """`p03-7a7fd_00001`: the point as in the record, and Ray's own number of this session's try."""
    return f"{trial.config['point']}-{trial.trial_id}"


__all__ = [
    "PointASHA",
    "PointCallback",
    "PointFIFO",
    "PointSearcher",
    "catch_signals",
    "run",
    "start_ray",
]
