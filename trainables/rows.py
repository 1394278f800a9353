"""The rows of a sweep that exists, read again. Imports without torch and Ray."""

from __future__ import annotations

from typing import Any

from distill.tasks import rows as origins
from distill.tasks import windows
from distill.tasks.augmented import with_augmented
from distill.tasks.base import TaskData
from distill.tasks.planned import task_of
from trainables import own_data, select


def load_data(config: dict[str, Any], plan: dict[str, Any]) -> TaskData:
    """The rows that the plan was made for, read or generated again.

    Args:
        config: What was asked, as the record has it.

    Raises:
        UserError: They cannot be read.
    """
    if config.get("task_file"):
        data = own_data.again(config, plan)
    else:
        hub = plan["data"].get("hub") or {}
        data = origins.read(task_of(plan), plan["data"]["origin"], config["data_dir"], hub.get("revision"))
    if file := config.get("augmented"):
        data = with_augmented(data, file)
    if config["max_train_rows"] and config["max_train_rows"] < len(data.train):
        data = data.limit_train(config["max_train_rows"], config["seed"])
    data = windows.asked(data, config.get("doc_stride"), config.get("null_threshold"))
    return select.split(data, config.get("select_on", "dev"), config["seed"])
