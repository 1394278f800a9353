"""The function under real Tuners: early stopping, workers that are reused and killed, restoring, faulty configs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.schedulers import ASHAScheduler

import trainables
from tests.trainables.doors import OPTIONS, session, timeless
from trainables.door_trial import train

pytestmark = pytest.mark.slow
RATES = [1e-3, 2e-3, 5e-3]
VALUES = ("mcc", "accuracy", "best", "epoch", "terms/total", "terms/hidden")


@pytest.fixture(scope="module", autouse=True)
def no_loggers(ray: None) -> None:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuner")


@pytest.fixture(scope="module")
def function(tiny_encoder: Path, tiny_data: Path, place: Path) -> Callable[[dict[str, Any]], None]:
    import torch

    threads = torch.get_num_threads()
    places = {"teacher": tiny_encoder, "data_dir": tiny_data, "artifacts": place / "store"}
    made = trainables.trainable("emd", **OPTIONS, **places, progress=lambda line: None)
    torch.set_num_threads(threads)
    return made


class Killer(tune.Callback):
    """Kills the worker of the trial with this learning rate when Tune has its first checkpoint, once.

    That it did so stands in a file: a restored Tuner has its callbacks as they were before the first trial.
    """

    def __init__(self, lr: float, done: Path) -> None:
        self.lr = lr
        self.done = done

    def on_checkpoint(self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **_: Any) -> None:
        if trial.config.get("lr") == self.lr and not self.done.exists():
            self.done.touch()
            os.kill(trial.last_result["pid"], signal.SIGKILL)


def expected(function: Any, lr: float, folder: Path) -> list[dict[str, Any]]:
    """The rows of the same trial in this process, never interrupted."""
    spec = next(cell.cell_contents for cell in function.__closure__ if isinstance(cell.cell_contents, dict))
    with session(folder) as seen:
        train(spec, {"lr": lr})
    return timeless(seen.rows)


def told(result: Any) -> list[dict[str, Any]]:
    return [{name: row[name] for name in VALUES} for row in result.metrics_dataframe.to_dict("records")]


def config(place: Path, name: str, *callbacks: tune.Callback, retries: int = 0) -> tune.RunConfig:
    return tune.RunConfig(
        name=name,
        storage_path=str(place),
        failure_config=tune.FailureConfig(max_failures=retries),
        checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        callbacks=[tune.logger.JsonLoggerCallback(), *callbacks],
        verbose=0,
    )


def test_a_killed_worker_goes_on_bit_for_bit_beside_reused_ones(ray: None, function: Any, place: Path) -> None:
    killer = Killer(RATES[1], place / "killed-once")
    results = tune.Tuner(
        function,
        param_space={"lr": tune.grid_search(RATES)},
        tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
        run_config=config(place, "killed", killer, retries=1),
    ).fit()
    assert killer.done.exists()
    assert results.num_errors == 0
    for lr, result in zip(RATES, results, strict=True):
        wanted = expected(function, lr, place / f"straight-{lr}")
        assert told(result) == [{name: row[name] for name in VALUES} for row in wanted]
    folder = trainables.student_of(results.get_best_result("best", "max"), place / "student")
    from transformers import AutoModelForSequenceClassification

    assert AutoModelForSequenceClassification.from_pretrained(folder).config.num_hidden_layers == 2


def test_an_errored_trial_is_restored_and_a_faulty_config_fails_alone(ray: None, function: Any, place: Path) -> None:
    space = {"lr": RATES[0], "batchsize": tune.grid_search([8])}
    faulty = tune.Tuner(function, param_space=space, run_config=config(place, "faulty")).fit()
    assert "did you mean batch_size?" in str(faulty[0].error)
    with pytest.raises(Exception, match="no checkpoint"):
        trainables.student_of(faulty[0])
    cut = tune.Tuner(
        function,
        param_space={"lr": tune.grid_search(RATES[:1])},
        run_config=config(place, "cut", Killer(RATES[0], place / "cut-once")),
    ).fit()
    assert cut.num_errors == 1
    assert told(cut[0])[-1]["epoch"] == 1.0
    (result,) = tune.Tuner.restore(str(place / "cut"), function, resume_errored=True).fit()
    assert result.error is None
    wanted = expected(function, RATES[0], place / "straight-restored")
    assert told(result) == [{name: row[name] for name in VALUES} for row in wanted]


def test_asha_stops_by_epochs(ray: None, function: Any, place: Path) -> None:
    # A tiny network scores nothing in one epoch, but its loss falls or does not.
    judged = {"metric": "terms/total", "mode": "min"}
    scheduler = ASHAScheduler(time_attr="epoch", **judged, max_t=3, grace_period=1, reduction_factor=3)
    results = tune.Tuner(
        function,
        param_space={"lr": tune.grid_search([1e-3, 1e-8, 1e-7]), "seed": 1},
        tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True, scheduler=scheduler),
        run_config=config(place, "asha"),
    ).fit()
    assert results.num_errors == 0
    epochs = [result.metrics["epoch"] for result in results]
    assert epochs[0] == 3.0
    assert min(epochs) == 1.0
