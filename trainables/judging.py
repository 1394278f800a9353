"""By which metric a sweep judges its task: as asked, else as its recipe has it. Imports without torch and Ray."""

from __future__ import annotations

from dataclasses import replace

from distill.methods.base import Method
from distill.published import metric_of
from distill.tasks.judged import judged_by
from distill.tasks.metrics import get
from trainables.config import SweepConfig
from trainables.models import Models
from trainables.points import find_space


def judged(models: Models, config: SweepConfig, method: Method) -> Models:
    """The same teacher and rows, with the task judged by the metric that chooses, and a word where that is not its own.

    Raises:
        UserError: `--metric` does not judge the task.
    """
    of_row = None if config.metric else metric_of(find_space(config, method), config.recipe, models.task)
    where = f"A row of {method.title} has the metric" if of_row else "--metric"
    task = judged_by(models.task, config.metric or of_row, where)
    if task.official is None:
        return models
    whence = f"as {method.title} was published" if of_row else "as --metric asks"
    told = f"{get(task.metric).title} chooses epochs and points, {whence}; {get(task.official).title} stands beside it."
    return replace(
        models, task=task, data=replace(models.data, task=task), notices=(*models.notices, told[0].upper() + told[1:])
    )
