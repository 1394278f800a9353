"""The rows of a task from where they come, alike behind every door. Imports without torch."""

from __future__ import annotations

import os

from distill.tasks import glue, squad
from distill.tasks.base import Task, TaskData


def read(
    task: Task,
    origin: str,
    data_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    named: bool = False,
) -> TaskData:
    """All rows of a task.

    Args:
        origin: "hub", "local" or "embedded".
        data_dir: The folder, where the origin is "local".
        revision: Commit, where it is "hub"; None is the newest.
        named: Whether rows of files get the names of `table.row_names`, which predictions carry.

    Raises:
        HubUnreachable: The hub does not answer, and its cache does not have them.
        UserError: They cannot be read.
    """
    if origin == "embedded":
        return glue.load_made_up(task, seed=0)
    if origin == "hub":
        from distill.tasks import hub

        return hub.load(task, revision)
    if origin != "local" or data_dir is None:
        raise ValueError(f"no rows come from {origin!r} without a folder")
    return squad.load(task, data_dir) if task.kind == "span" else glue.load(task, data_dir, named)
