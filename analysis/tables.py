"""A sweep as data frames: one row a trial, or one row an evaluation."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.style import parameter
from trainables.record import Record, Trial
from trainables.statistics import trial_interval

_FRONT = ["id", "origin", "method", "recipe", "seed", "state"]
_BACK = [
    "score",
    "low",
    "high",
    "chosen_by",
    "best_epoch",
    "last",
    "epochs_run",
    "stopped_at",
    "cutoff",
    "seconds",
    "cause",
]


def parameter_names(record: Record) -> list[str]:
    """Hyper-parameters of all points: the axes in their order, then any that only points have."""
    names = [axis["name"] for axis in record.plan.get("axes", [])]
    for trial in record.trials.values():
        names += [name for name in trial.params if name not in names]
    return [name for name in names if any(name in trial.params for trial in record.trials.values())]


def varying(record: Record) -> list[str]:
    """Hyper-parameters that differ among the distilled points."""
    return [name for name in parameter_names(record) if len(_values(record, name)) > 1]


def fixed(record: Record) -> dict[str, Any]:
    """Hyper-parameters that all distilled points share, with their value."""
    return {name: values[0] for name in parameter_names(record) if len(values := _values(record, name)) == 1}


def worded(record: Record, name: str, value: Any) -> str:
    """A value for people; of one that is none of its own, what is taken in its place."""
    unset, words = (record.plan.get("unset") or {}).get(name) or (None, "")
    return words if unset is not None and value == unset else parameter(value)


def trials(record: Record, intervals: bool = True) -> pd.DataFrame:
    """One row per trial, in the order of the plan.

    Columns: id, origin, method, recipe, seed, state, one per hyper-parameter, then `score` (of the best evaluation, on
    dev) with `low` and `high` (95 % bootstrap interval over the dev rows), `chosen_by` (the value that made it the
    best: the score itself, unless held-out rows choose), `best_epoch`, `last` (the value of the rows that choose at the
    end), `epochs_run`, `stopped_at` (rung, in epochs) with its `cutoff`, `seconds` (training and
    evaluation) and `cause` of a failure or of a stop by hand. Only `seconds` depends on the machine's speed.

    Args:
        record: The sweep.
        intervals: Whether to fill `low` and `high`, which reads the predictions.
    """
    names = parameter_names(record)
    rows = [_row(record, trial, names, intervals) for trial in record.trials.values()]
    return pd.DataFrame(rows, columns=[*_FRONT, *names, *_BACK])


def evaluations(record: Record) -> pd.DataFrame:
    """One row per (trial, evaluation): id, evaluation, epoch, value, metrics, terms (`term_…`), lr, …

    Values are of the rows that choose; where these are held out, evaluations that were the best yet have dev's metrics
    too (`dev_…`), and where there are splits beside dev theirs (`mismatched_…`).
    """
    rows = []
    for trial in record.trials.values():
        for _, row in sorted(trial.evaluations.items()):
            decision = row.get("decision") or {}
            found = {"id": trial.id, **{key: row.get(key) for key in ("evaluation", "epoch", "value")}}
            found |= row.get("metrics") or {}
            found |= {f"dev_{name}": value for name, value in (row.get("reported") or {}).items()}
            found |= {name.replace("/", "_"): value for name, value in (row.get("further") or {}).items()}
            found |= {f"term_{name}": value for name, value in (row.get("terms") or {}).items()}
            found |= {key: row.get(key) for key in ("lr", "steps", "seconds")}
            rows.append(found | {key: decision.get(key) for key in ("rung", "cutoff", "stop")})
    return pd.DataFrame(rows, columns=None if rows else ["id", "evaluation", "epoch", "value"])


def _values(record: Record, name: str) -> list[Any]:
    found: list[Any] = []
    for trial in record.trials.values():
        if not trial.is_baseline and name in trial.params and trial.params[name] not in found:
            found.append(trial.params[name])
    return found


def _row(record: Record, trial: Trial, names: list[str], intervals: bool) -> dict[str, Any]:
    found = trial_interval(record, trial) if intervals else None
    best, last, stop = trial.best, trial.last, trial.stop
    return {
        "id": trial.id,
        "origin": trial.point["origin"],
        "method": trial.point["method"],
        "recipe": trial.point.get("recipe") or record.plan["recipe"],
        "seed": trial.point.get("seed"),
        "state": trial.state,
        **{name: trial.params.get(name) for name in names},
        "score": trial.reported,
        "low": None if found is None else found.low,
        "high": None if found is None else found.high,
        "chosen_by": trial.score,
        "best_epoch": None if best is None else best["epoch"],
        "last": None if last is None else last["value"],
        "epochs_run": 0.0 if last is None else last["epoch"],
        "stopped_at": None if stop is None else stop["rung"],
        "cutoff": None if stop is None else stop["cutoff"],
        "seconds": trial.seconds,
        "cause": trial.cause,
    }
