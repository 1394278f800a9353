"""A task judged by another metric than its own. Imports without torch."""

from __future__ import annotations

import difflib
from dataclasses import replace

from distill.errors import UserError
from distill.tasks import metrics
from distill.tasks.base import Task


def judged_by(task: Task, metric: str | None, where: str = "--metric") -> Task:
    """The task with `metric` in the place of its own, which then stands first among those shown beside it.

    Everyone who judges answers asks the task, so what this gives back decides which evaluation of a student and of its
    teacher is the best one, what is stopped early, and what the report tells.

    Args:
        metric: its name; None leaves the task as it is, as does its own.
        where: a person named it, for messages.

    Raises:
        UserError: there is no such metric, or it judges tasks of another kind or number of labels, or what it leaves
            out of a task lets worthless answers win.
    """
    if metric is None or metric == task.metric:
        return task
    fitting = metrics.fitting(task.kind, task.num_labels, task.unanswerable)
    if metric not in metrics.names():
        close = difflib.get_close_matches(metric.lower().replace("-", "_"), fitting, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"{where} {metric} is unknown{hint} ({task.name} can be judged by {', '.join(fitting)})")
    if metric not in fitting:
        raise UserError(
            f"{where} {metric} does not judge {task.name}{_because(task, metric)}; choose one of {', '.join(fitting)}."
        )
    own = task.official or task.metric
    also = tuple(name for name in dict.fromkeys((own, *task.also)) if name != metric)
    return replace(task, metric=metric, also=also, official=None if metric == own else own)


def _because(task: Task, metric: str) -> str:
    """Why a metric does not judge a task, to follow the task's name."""
    if task.kind == metrics.get(metric).kind == "span":
        return " alone: never to answer is perfect by it" if task.unanswerable else ", where every row has an answer"
    if task.kind == "classification":
        return f", which has {task.num_labels} labels"
    return {"regression": ", whose labels are numbers", "span": ", whose answers are stretches of text"}[task.kind]
