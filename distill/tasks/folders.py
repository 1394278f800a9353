"""Where a task's files lie below a folder that a person names. Imports without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill.errors import UserError
from distill.tasks import registry
from distill.tasks.base import Task


def find_folder(task: Task, data_dir: Path, alone: bool = True) -> Path:
    """The folder of `task`'s files: a sub-folder of `data_dir`, or `data_dir` itself.

    Args:
        alone: Whether it must hold the training file.

    Raises:
        UserError: No such folder, or several that could be meant, or it is that of another task.
    """
    if not data_dir.is_dir():
        raise UserError(f"--data-dir: there is no folder {data_dir}")
    # Of tweet_eval/sentiment either folder may be named.
    *before, last = ((part,) for part in task.folder.split("/"))
    parts = [*before, (*last, *task.other_folders)]
    for start in range(len(parts)):
        if (found := _below(data_dir, parts[start:])) is not None:
            return found
    named = (task.train_file, *(form.train for form in task.forms))
    if alone and not any((data_dir / name).is_file() for name in named):
        other = "".join(f", nor {form.train} with {form.dev}" for form in task.forms)
        raise UserError(
            f"--data-dir: {data_dir} has no folder {task.folder} with {task.train_file} and {task.dev_file}{other}"
        )
    own = _key(data_dir.resolve().name)
    others = {key: known for known in map(registry.get, registry.names()) for key in _keys(known)}
    if own not in _keys(task) and own in others and not _told_apart(task, others[own], data_dir):
        # Several tasks share column names, so the reading alone would not notice.
        raise UserError(f"--data-dir: {data_dir} holds {others[own].name}, but the task is {task.name}")
    return data_dir


def is_folder_of(task: Task, folder: Path) -> bool:
    """Whether a folder has a name of a task's, in any spelling."""
    return _key(folder.resolve().name) in _keys(task)


def _told_apart(task: Task, other: Task, folder: Path) -> bool:
    """Whether a folder that is called as another task's has the task's own file, by a name that the other's has not."""
    return task.train_file != other.train_file and (folder / task.train_file).is_file()


def _below(folder: Path, parts: Sequence[Sequence[str]]) -> Path | None:
    """The folder `parts` lead to, each by any of its names in any spelling; None where there is none.

    Raises:
        UserError: Several could be meant, and none of them is spelled exactly as the first name.
    """
    for names in parts:
        wanted = {_key(name) for name in names}
        found = sorted(path for path in folder.iterdir() if path.is_dir() and _key(path.name) in wanted)
        exact = [path for path in found if path.name == names[0]]
        if len(found) > 1 and not exact:
            several = " and ".join(path.name for path in found)
            raise UserError(f"--data-dir: {folder} holds {several}; keep one of them, or name it with --data-dir")
        if not found:
            return None
        folder = (exact or found)[0]
    return folder


def _keys(task: Task) -> set[str]:
    return {_key(name) for name in (task.folder, *task.other_folders)}


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
