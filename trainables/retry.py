"""What follows when a trial ran out of memory: more of a GPU, smaller pieces of a batch, or the end of the trial."""

from __future__ import annotations

from distill import methods
from trainables.record import OUT_OF_MEMORY, Record, Trial
from trainables.recorder import Recorder
from trainables.steps import batch_rows

_REMEDY = "begin a sweep with a smaller --set batch_size (--set accumulation=2 keeps the rows of a step)"


def given(record: Record, trial: Trial) -> dict[str, float]:
    """ "CPU" and "GPU" of a trial's next start."""
    if trial.retry is not None:
        return {name: float(share) for name, share in trial.retry["resources"].items()}
    resources = record.resources
    return {"CPU": resources["cpus_per_trial"], "GPU": resources["gpus_per_trial"]}


def micro(trial: Trial) -> int:
    """Parts into which a trial's next start cuts each batch; 1 leaves batches whole."""
    return 1 if trial.retry is None else int(trial.retry["micro"])


def next_try(record: Record, trial: Trial) -> tuple[dict[str, float], int] | None:
    """Resources and parts of a batch for a trial that ran out of memory; None where nothing more can be done.

    A share of a GPU becomes a whole one. Then batches are cut, in 2, 4, 8, … parts, but only where every stage of the
    method declares that parts give its loss and gradient exactly: another loss would be another point of the grid.
    """
    resources, parts = given(record, trial), micro(trial)
    if 0 < resources["GPU"] < 1:
        return {**resources, "GPU": 1.0}, parts
    method, rows = methods.get(trial.point["method"]), batch_rows(record.plan, trial.point)
    if parts >= rows or not all(stage.additive for stage in method.stages):
        return None
    return resources, min(2 * parts, rows)


def failed(recorder: Recorder, point: str, cause: str) -> None:
    """A trial reported a failure: let it try again where it ran out of memory and something is left to try."""
    trial = recorder.record.trial(point)
    if not cause.startswith(OUT_OF_MEMORY):
        recorder.failed(point, cause)
    elif (found := next_try(recorder.record, trial)) is None:
        recorder.failed(point, f"{cause.rstrip('.')}; {_REMEDY}")
    else:
        recorder.retry(point, cause, *found)
