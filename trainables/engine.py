"""Ray Tune's part: one searcher, one scheduler pair and the callbacks, all speaking to the recorder."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from distill.errors import UserError
from trainables import stop
from trainables.callbacks import PointCallback, StopCallback
from trainables.interrupt import catch_signals, halt, halted, stop_requested, writing
from trainables.lock import holder
from trainables.record import FINISHED, Trial
from trainables.recorder import Recorder
from trainables.resources import detect
from trainables.rungs import milestones
from trainables.tensorboard import CurveCallback

# A killed worker or a lost node is worth another try; errors of the program are not (see trial.py).
RETRIES = 2


class PointSearcher(Searcher):
    """Hands out the record's unfinished points in the order of the plan."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(metric="value", mode="max")
        self._recorder = recorder
        self._waiting = [trial.id for trial in recorder.record.unfinished()]

    def suggest(self, trial_id: str) -> Any:
        # A person may have stopped one while it waited.
        self._waiting = [point for point in self._waiting if self._recorder.record.trials[point].state not in FINISHED]
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


def _record(recorder: Recorder, trial: Any, result: dict[str, Any]) -> str:
    """Write a result down; what the record says of the point decides."""
    with writing():
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
    # One that is told again may be behind the trial's files, so that no trial can end there.
    again = result["evaluation"] in recorder.record.trials[point].evaluations
    if recorder.evaluation(point, {**result, **nested}):
        return TrialScheduler.STOP
    if not again and point in stop.asked(recorder.path):
        recorder.stopped(point)
        return TrialScheduler.STOP
    return TrialScheduler.CONTINUE


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


class _Stopper(tune.Stopper):
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return stop_requested()


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
    # A trial that ends without a word fails alone (PointCallback says so), instead of ending the sweep.
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    # A worker's death stands in the record, with its cause; Ray would print it as an error of the program.
    os.environ["TUNE_PRINT_ALL_TRIAL_ERRORS"] = "0"
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "1")
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
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
            callbacks=[PointCallback(recorder), StopCallback(recorder), CurveCallback(recorder)],
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
    "PointFIFO",
    "PointSearcher",
    "catch_signals",
    "halted",
    "run",
    "start_ray",
    "stop_requested",
]
