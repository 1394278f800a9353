"""Proof that dev rows were looked at as `--select-on` says: for the report, and for nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from trainables.record import COMPLETE, PRUNED, Record, Trial
from trainables.statistics import load_predictions, recomputed


def check_reported(record: Record) -> Iterator[str | None]:
    """One item per fact: None where it holds, else a sentence.

    Where held-out rows choose, just those evaluations carry numbers of dev that were the best of their trial so far,
    and the files of finished trials hold as many rows of each kind as the plan says and give the recorded numbers.
    """
    for trial in record.everything():
        best: float | None = None
        for _, row in sorted(trial.evaluations.items()):
            leads = row["value"] is not None and (best is None or row["value"] > best)
            best = row["value"] if leads else best
            yield _place(record, row, leads)
        if record.held_out and trial.best is not None and trial.state in (COMPLETE, PRUNED):
            yield from _files(record, trial)


def _place(record: Record, row: dict[str, Any], leads: bool) -> str | None:
    """Whether an evaluation carries numbers of dev when it should, and only then."""
    what = f"Row {row['seq']}, evaluation {row['evaluation']} of {row['point']},"
    found = row.get("reported")
    if found is None:
        return f"{what} was the best so far but has no numbers on dev." if record.held_out and leads else None
    if not record.held_out:
        return f"{what} reports numbers on other rows, but dev is what chooses."
    if not leads:
        return f"{what} has numbers on dev although it was not the best so far."
    return None if record.plan["metric"] in found else f"{what} has no {record.plan['metric']} on dev."


def _files(record: Record, trial: Trial) -> Iterator[str | None]:
    """Whether the predictions that chose and those on dev are of the rows and of the values that the record names."""
    planned = {"best": record.held_out, "report": record.plan["data"]["dev_rows"]}
    for which, rows in planned.items():
        found = load_predictions(trial.predictions(which))
        if found is not None:
            where = trial.predictions(which).relative_to(record.path)
            same = len(found[1]) == rows
            yield None if same else f"{where} answers {len(found[1])} rows, the plan has {rows} there."
    file = trial.predictions("report")
    if not file.exists():
        return
    where, value, said = file.relative_to(record.path), recomputed(record, file), trial.reported
    if value is None:
        yield f"{where} can't be read."
    elif said is None:
        yield None if math.isnan(value) else f"{where} gives {value}, but the record has no finite value there."
    else:
        same = math.isclose(value, said, rel_tol=0.0, abs_tol=1e-12)
        yield None if same else f"{where} gives {value}, the record says {said}."
