"""Splits beside dev, such as MNLI's mismatched rows: what the networks score there, in sentences."""

from __future__ import annotations

from analysis.style import number, plural
from trainables.record import Record, Trial


def further(record: Record) -> list[str]:
    """One sentence for each split that decided nothing; none while no student has been there."""
    found = (record.prepared or {}).get("further") or {}
    networks = {"the best student": record.student_trial(), "the undistilled student": record.best_trial(baseline=True)}
    told = []
    for name, split in found.items():
        scores = {who: _score(record, trial, name) for who, trial in networks.items()}
        if all(score is None for score in scores.values()):
            continue
        shown = [
            f"{who} ({trial.id}) {number(scores[who])}"
            for who, trial in networks.items()
            if trial is not None and scores[who] is not None
        ]
        told.append(
            f"On the {plural(split['rows'], f'{name} row')}, which decided nothing, {record.plan['metric_title']} is: "
            f"{', '.join(shown)}, the teacher {number(split['teacher'])}."
        )
    return told


def _score(record: Record, trial: Trial | None, split: str) -> float | None:
    """The metric of a trial's student on a split."""
    best = None if trial is None else trial.best
    value = None if best is None else (best.get("further") or {}).get(f"{split}/{record.plan['metric']}")
    return None if value is None else float(value)
