"""The metrics that a task shows beside the one that chooses: what the networks score by these, in sentences."""

from __future__ import annotations

from analysis.called import called
from analysis.choice import teacher_on_dev
from analysis.style import number
from trainables.record import Record, Trial


def also(record: Record) -> list[str]:
    """One sentence for each further metric, on dev; none before a student has a score.

    They are those of the evaluation that the plan's metric chose, so another one may have been better by them.
    """
    networks = {
        "the best student": record.student_trial(),
        f"the {called(record).baseline}": record.best_trial(baseline=True),
    }
    values = {who: _values(trial) for who, trial in networks.items()}
    teacher = teacher_on_dev(record).get("metrics") or {}
    names = [name for name in values["the best student"] if name != record.plan["metric"]]
    told = []
    for name in names:
        shown = [
            f"{who} ({trial.id}) {number(values[who][name])}"
            for who, trial in networks.items()
            if trial is not None and values[who].get(name) is not None
        ]
        shown += [f"the teacher {number(teacher[name])}"] if teacher.get(name) is not None else []
        title = (record.plan.get("also") or {}).get(name, name)
        told.append(f"By {title}, which chose nothing: {', '.join(shown)}.")
    return told


def _values(trial: Trial | None) -> dict[str, float | None]:
    """Metrics of a trial's student on dev."""
    best = None if trial is None else trial.best
    return {} if best is None else dict(best.get("reported") or best.get("metrics") or {})
