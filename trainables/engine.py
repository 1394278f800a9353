"""Ray Tune's part: one searcher, one scheduler and the callbacks, all speaking to the recorders."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import OutOfMemoryError

from distill.errors import UserError
from trainables import cluster
from trainables.callbacks import PointCallback, StageCallback, StopCallback
from trainables.interrupt import catch_signals, halted, stop_requested
from trainables.lock import holder
from trainables.record import Trial
from trainables.recorder import Recorder
from trainables.resources import detect
from trainables.schedule import PointScheduler
from trainables.search import PointSearcher
from trainables.tensorboard import CurveCallback

# A killed worker or a lost node is worth another try; errors of the program are not (see trial.py).
RETRIES = 2
_CALLBACKS = (PointCallback, StopCallback, StageCallback, CurveCallback)


class MemoryLow(Exception):
    """A node's memory ran low, and Ray ended a worker for it."""


class _Stopper(tune.Stopper):
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return stop_requested()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray, as it starts, takes SIGTERM for itself and would end the process with a trace of its threads."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, handler)


@_signals_kept()
def start_ray(plan: dict[str, Any], dashboard: bool = True, address: str | None = None) -> str | None:
    """Start Ray on this machine with the plan's cores and GPUs; the dashboard's address, if it runs.

    Args:
        address: Of a running cluster, which is joined instead.

    Raises:
        UserError: The cluster cannot be joined, or Ray does not start here.
    """
    import ray

    cluster.keep_tasks_here(False)
    if address is not None:
        return cluster.connect(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        context = ray.init(
            # A cluster that RAY_ADDRESS names, or that somebody left running, has other resources than the plan.
            address="local",
            num_cpus=plan["cpus"],
            num_gpus=min(plan["resources"]["gpus"], detect().gpus),
            # Another sweep on this machine that is told `--address auto` finds it and must not join it.
            resources={cluster.PRIVATE: 1},
            include_dashboard=dashboard,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            object_store_memory=200 * 1024 * 1024,
        )
    except Exception as error:
        # Ray has no type of its own for a part of it that did not come up in time: it raises a bare Exception.
        if type(error) is not Exception and not isinstance(error, (RuntimeError, TimeoutError)):
            raise
        raise _not_started(error) from error
    url = context.dashboard_url
    return f"http://{url}" if url else None


def _not_started(error: Exception) -> UserError:
    """The one sentence for it; ends what of Ray did come up."""
    import ray

    ray.shutdown()
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(
        f"Ray could not be started on this machine ({reason}); wait until other programs leave it processor time and "
        "memory and give the same command again, or join a running cluster with --address."
    )


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


def run(recorders: Sequence[Recorder], function: Callable[[dict[str, Any]], None]) -> None:
    """Run every unfinished point of one or several sweeps at once.

    Args:
        recorders: Open for writing; as many trials run at once as the largest of their plans says.
        function: Trains one point given its config and reports through `ray.tune.report`; a stand-in with tabulated
            curves serves in tests.

    Raises:
        MemoryLow: Ray ended a worker. What it holds for the trials is only free when Ray was shut down.
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
    waiting = [trial for recorder in recorders for trial in recorder.record.unfinished()]
    if not any(recorder.record.left for recorder in recorders):
        return
    _await_orphans(waiting)
    first = recorders[0]

    # The function's name is what Ray's dashboard shows for a worker. A wrapper carries it, because a function
    # renamed in place would be pickled by value, and with it the per-process memo of teacher and data.
    def named(config: dict[str, Any]) -> None:
        function(config)

    named.__name__ = named.__qualname__ = worker_name([recorder.record.plan for recorder in recorders])
    tuner = tune.Tuner(
        tune.with_resources(named, lambda config: tune.PlacementGroupFactory([dict(config["resources"])])),
        tune_config=tune.TuneConfig(
            metric="value",
            mode="max",
            # The searcher says when there are no more.
            num_samples=-1,
            max_concurrent_trials=max(recorder.record.resources["max_concurrent"] for recorder in recorders),
            search_alg=PointSearcher(recorders),
            scheduler=PointScheduler({str(recorder.path): recorder for recorder in recorders}),
            reuse_actors=True,
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name=_unused(first.path / "ray", f"session-{first.record.sessions:03d}"),
            storage_path=str(first.path / "ray"),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            callbacks=[kind(recorder) for recorder in recorders for kind in _CALLBACKS],
            stop=_Stopper(),
            verbose=0,
            # Ray's stand-in for stdout has no isatty, which transformers asks for; failures go to failure.txt.
            log_to_file=False,
        ),
    )
    try:
        tuner.fit()
    except RuntimeError as error:
        # Whatever else a worker dies of is its trial's alone to Tune; at this it ends itself.
        if isinstance(error.__cause__, OutOfMemoryError):
            raise MemoryLow from None
        raise


def _unused(folder: Path, name: str) -> str:
    """The name, with a number behind it where Ray has been started under it before: it would write over its files."""
    numbered = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(name for name in numbered if not (folder / name).exists())


def worker_name(plans: Sequence[dict[str, Any]]) -> str:
    """Methods, task and sizes, such as `emd_cola_4L` or `emd_cola_2_4L`: how Ray's dashboard names the actors."""
    methods, tasks, layers = (dict.fromkeys(str(plan[name]) for plan in plans) for name in ("method", "task", "layers"))
    return "_".join([*methods, *tasks, *layers]).replace("-", "_") + "L"


def trial_name(trial: Any) -> str:
    """`p03-7a7fd_00001`: the point as in the record, and Ray's own number of this session's try."""
    return f"{trial.config['point']}-{trial.trial_id}"


__all__ = [
    "catch_signals",
    "halted",
    "run",
    "start_ray",
    "stop_requested",
]
