"""The Optuna studies of a sweep held against its rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

from trainables.record import COMPLETE, FINISHED, JOURNAL, PRUNED, Record, Trial

STUDY, CONFIRMING = "search", "confirm"


def check_study(record: Record) -> Iterator[str | None]:
    """One item per trial of the study: None where state, value and intermediate values agree with the rows.

    Yields nothing where there is no journal. The event of the very last row may be missing from the study of
    an unfinished sweep: the row is written first, and a kill may fall between the two.
    """
    file = record.path / JOURNAL
    if not file.exists():
        return
    yield from _check(record, STUDY, record.trials)
    # Of the confirming runs there is a study from the first one on.
    if record.confirming:
        yield from _check(record, CONFIRMING, record.confirming)


def _check(record: Record, name: str, trials: dict[str, Trial]) -> Iterator[str | None]:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    logging.getLogger("optuna").setLevel(logging.WARNING)
    file = record.path / JOURNAL
    try:
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(file)))
        study = optuna.load_study(study_name=name, storage=storage)
    except (KeyError, ValueError) as error:
        yield f"{file.name} can't be read as a study named {name}: {error}."
        return
    frozen = {trial.user_attrs.get("id"): trial for trial in study.get_trials(deepcopy=False)}
    late = record.rows[-1].get("point") if record.rows and record.unfinished() else None
    for trial in trials.values():
        if trial.id not in frozen:
            yield f"{file.name} has no trial {trial.id}."
        else:
            yield _fault(trial, frozen[trial.id], lags=trial.id == late, row=record.rows[-1])
    left_out = {point["id"] for point in record.left_out}
    for id in frozen:
        if id not in trials and id not in left_out:
            yield f"{file.name} has a trial {id} that the plan does not list."


def _fault(trial: Trial, frozen: Any, lags: bool, row: dict[str, Any]) -> str | None:
    values = {number: evaluation["value"] for number, evaluation in trial.evaluations.items()}
    states, scores = {trial.state}, {trial.score if trial.state in (COMPLETE, PRUNED) else None}
    missing: set[int] = set()
    if lags:
        # What the last row said may not have reached the study.
        states |= {"RUNNING", "WAITING"}
        scores |= {None}
        missing = {row["evaluation"]} if row["kind"] == "evaluation" else {max(values, default=0)}
    if frozen.state.name not in states:
        return f"The study has {trial.id} as {frozen.state.name}, the rows as {trial.state}."
    value = frozen.values[0] if frozen.values else None
    if trial.state in FINISHED and value not in scores:
        return f"The study gives {trial.id} the value {value}, the rows {trial.score}."
    for number in sorted({*values, *frozen.intermediate_values} - missing):
        there, here = frozen.intermediate_values.get(number), values.get(number)
        # The study has no word for a value that is not finite but nan itself.
        if there is not None and math.isnan(there):
            there = None if number in values else there
        if there != here:
            return f"The study has {there} for evaluation {number} of {trial.id}, the rows {here}."
    return None
