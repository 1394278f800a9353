"""The metrics by name."""

from __future__ import annotations

from distill.tasks.scoring import classes, reals, spans
from distill.tasks.scoring.metric import Metric

_METRICS: dict[str, Metric] = {metric.name: metric for metric in (*classes.METRICS, *reals.METRICS, *spans.METRICS)}


def get(name: str | Metric) -> Metric:
    """The metric called `name` (a `Metric` is handed through).

    Raises:
        ValueError: no such metric.
    """
    if isinstance(name, Metric):
        return name
    if name not in _METRICS:
        raise ValueError(f"unknown metric {name!r} (known: {', '.join(_METRICS)})")
    return _METRICS[name]


def names() -> tuple[str, ...]:
    """Names of all metrics."""
    return tuple(_METRICS)


def fitting(kind: str, labels: int, unanswerable: bool = False) -> tuple[str, ...]:
    """Names of the metrics that may judge tasks of a kind with so many labels; arguments as in `Metric.judges`."""
    return tuple(metric.name for metric in _METRICS.values() if metric.judges(kind, labels, unanswerable))
