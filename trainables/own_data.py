"""`--task-file` and what goes with it: rows that a person names file by file. Imports without torch and Ray."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distill.errors import UserError

if TYPE_CHECKING:
    from distill.tasks.base import Task, TaskData
    from trainables.config import SweepConfig

_BESIDE = ("dev_file", "dev_split", "text_column", "pair_column", "label_column", "label_kind")
# What a task is called in a config that makes one of its own.
OWN = ""


def settle(values: dict[str, Any]) -> dict[str, Any]:
    """The options by name, with files as absolute paths and, where files make a task of their own, no known one."""
    if not values.get("task_file"):
        return values
    from trainables.config import absolute

    values = {"task": OWN, **values}
    if not _on_hub(values["task_file"]):
        values["task_file"] = absolute(values["task_file"])
    if values.get("dev_file"):
        values["dev_file"] = absolute(values["dev_file"])
    return values


def _on_hub(text: str) -> bool:
    from distill.tasks.own import hub_data

    return hub_data(text) is not None


def check(config: SweepConfig) -> None:
    """Raise UserError where options contradict each other, before anything is read."""
    if config.task_file is None:
        for name in _BESIDE:
            if (value := getattr(config, name)) is not None:
                raise UserError(f"--{name.replace('_', '-')} {value} goes with --task-file; name that file too.")
        return
    flag, hub = f"--task-file {config.task_file}", _on_hub(config.task_file)
    if config.data_dir:
        raise UserError(f"{flag} and --data-dir {config.data_dir} both name the rows; leave one of them out.")
    if config.source == "embedded" or (config.source == "hub" and not hub) or (config.source == "local" and hub):
        what = "a data set on the hub" if hub else "a file"
        raise UserError(f"{flag} is {what}, which --source {config.source} excludes; leave one of them out.")
    if hub and config.dev_file and config.dev_split:
        raise UserError(f"{flag}: --dev-file and --dev-split both name the rows that choose; leave one of them out.")
    if not hub and config.dev_split:
        raise UserError(f"{flag} is a file, which has no splits; leave --dev-split out.")
    if config.task != OWN:
        _check_known(config, flag, hub)


def _check_known(config: SweepConfig, flag: str, hub: bool) -> None:
    from distill.tasks import registry
    from distill.tasks.squad import refuse_columns

    task = registry.get(config.task)
    remedy = f"leave --task {config.task} out for a task of your own"
    if task.made_up:
        raise UserError(f"{flag}: the data of {task.name} is generated; choose another --task, or {remedy}.")
    if hub:
        if task.hub is not None and re.split("[:@]", config.task_file or "")[0] == task.hub.repository:
            remedy = f"leave --task-file out, because --task {config.task} reads {task.hub.repository} itself"
        raise UserError(f"{flag} is no file with rows of {task.name}; name one, or {remedy}.")
    if config.dev_file is None:
        raise UserError(f"{flag}: rows of {task.name} that choose are missing; name their file with --dev-file.")
    if config.label_kind is not None:
        raise UserError(f"--label-kind {config.label_kind}: {task.name} says what its labels are; {remedy}.")
    if task.kind == "span":
        refuse_columns(task, config.text_column, config.pair_column, config.label_column)
    if config.pair_column is not None and not task.pair:
        raise UserError(f"--pair-column {config.pair_column}: {task.name} has one text a row; {remedy}.")


def read(config: SweepConfig, task: Task | None, revision: str | None = None) -> TaskData:
    """The rows that `--task-file` names.

    Args:
        task: The known one whose rows they are; None makes one of them.
        revision: Commit of a data set on the hub; None is the newest.

    Raises:
        UserError: They cannot be read.
    """
    from distill.tasks import given_files, own

    assert config.task_file is not None
    if task is not None:
        assert config.dev_file is not None
        columns = config.text_column, config.pair_column, config.label_column
        return given_files.load(task, config.task_file, config.dev_file, *columns)
    wanted = {
        "text": config.text_column,
        "pair": config.pair_column,
        "label": config.label_column,
        "kind": config.label_kind,
        "dev_split": config.dev_split,
    }
    options = replace(own.Options(), **{name: value for name, value in wanted.items() if value is not None})
    return own.read(config.task_file, config.dev_file, options, revision=revision)


def again(config: dict[str, Any], plan: dict[str, Any]) -> TaskData:
    """The rows of a plan, read again: those of a data set on the hub at the plan's commit.

    Args:
        config: What was asked, as the record has it.

    Raises:
        UserError: They cannot be read.
    """
    from distill.tasks.judged import judged_by
    from distill.tasks.own import PLANNED
    from distill.tasks.planned import task_of
    from trainables.config import SweepConfig

    hub = plan["data"].get("hub")
    named: dict[str, Any] = {name: config.get(name) for name in ("task_file", *_BESIDE)}
    asked = replace(SweepConfig(), **named)
    if hub:
        asked = replace(asked, task_file=f"{hub['id']}:{hub['config']}")
    data = read(asked, None if PLANNED in plan else task_of(plan), hub and hub["revision"])
    # Labels are those of the files as they are now: where these have changed, so does the fingerprint.
    return replace(data, task=judged_by(data.task, plan["metric"]))
