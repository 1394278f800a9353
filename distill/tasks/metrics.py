"""How answers are judged: the metrics of the tasks, their bootstrap intervals, and the verdict on a teacher."""

from __future__ import annotations

from distill.tasks.scoring.intervals import Difference, Interval, bootstrap_interval, paired_bootstrap
from distill.tasks.scoring.known import fitting, get, names
from distill.tasks.scoring.metric import Metric
from distill.tasks.scoring.verdict import Verdict, better_label_permutation, other_scale, teacher_verdict

__all__ = [
    "Difference",
    "Interval",
    "Metric",
    "Verdict",
    "better_label_permutation",
    "bootstrap_interval",
    "fitting",
    "get",
    "names",
    "other_scale",
    "paired_bootstrap",
    "teacher_verdict",
]
