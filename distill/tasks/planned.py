"""The task of a plan: as it is known by name, judged by the metric that was chosen. Imports without torch and Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill.tasks import own
from distill.tasks.base import Task
from distill.tasks.judged import judged_by


def task_of(plan: Mapping[str, Any]) -> Task:
    """The task that a plan is for, or what a worker was given of one (`task`, `metric` and an own task's definition).

    Raises:
        UserError: This version knows no such task.
    """
    return judged_by(own.of(plan), plan["metric"])
