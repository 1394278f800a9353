"""What a person handed to `distill.run`, as the checked folders and rows that training starts from."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from distill.arguments import folder_of, whole_number
from distill.errors import UserError
from distill.models import embedded
from distill.models.cutting import check_cut
from distill.models.folder import EncoderFolder, hub_id, inspect
from distill.models.layers import Rule, chosen
from distill.models.repeats import uncut
from distill.tasks import registry
from distill.tasks.augmented import with_augmented
from distill.tasks.base import TaskData
from distill.tasks.holdout import hold_out, parse
from distill.tasks.rows import read
from distill.tasks.tokens import load_tokenizer
from distill.teacher.recipe import origin_of

Model = str | os.PathLike[str] | nn.Module


@dataclass(frozen=True)
class Encoder:
    """A model as a checked folder.

    Attributes:
        name: What people call it.
        folder: Its shape, and where it lies.
    """

    name: str
    folder: EncoderFolder

    @property
    def path(self) -> Path:
        return self.folder.path


def find_model(given: Model, what: str, tokenizer: Any, stack: ExitStack, say: Callable[[str], None]) -> Encoder:
    """Folder of a model that a person named or has in memory.

    Args:
        given: Folder, hub id (`ID` or `ID@REVISION`; a folder of that name goes first), or a loaded model, which is
            copied and stays as it is.
        what: The argument that named it, for messages.
        tokenizer: Folder, hub id or tokenizer that goes with a loaded model; None takes the one of the folder or id
            that the model came from.
        stack: Keeps the copy of a loaded model until it is closed.
        say: Takes lines about downloads.

    Raises:
        UserError: There is no such model, it is of a kind that is not supported, or no tokenizer is known for it.
    """
    if isinstance(given, nn.Module):
        return Encoder(type(given).__name__, _saved(given, what, tokenizer, stack, say))
    if not isinstance(given, (str, os.PathLike)):
        raise UserError(f"{what} is a {type(given).__name__}; give a folder, a hub id or a loaded model.")
    path = _place(given, what, say)
    name = str(given) if isinstance(given, str) and hub_id(given) else path.name
    if origin_of(path) == "embedded":
        name = embedded.NAME
    return Encoder(name, inspect(path, what, str(given)))


def _place(given: str | os.PathLike[str], what: str, say: Callable[[str], None]) -> Path:
    """A folder as it is, a hub id as the folder of its snapshot."""
    named = hub_id(given) if isinstance(given, str) else None
    if named is None:
        return Path(given).expanduser().absolute()
    from distill.models.hub import fetch

    return fetch(*named, what, say=say)


def _saved(model: nn.Module, what: str, tokenizer: Any, stack: ExitStack, say: Callable[[str], None]) -> EncoderFolder:
    """A loaded model and its tokenizer as a folder that lasts until `stack` is closed."""
    if not callable(getattr(model, "save_pretrained", None)):
        raise UserError(f"{what} is a {type(model).__name__}; loaded models must come from the transformers library.")
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="distill-")))
    origin = tokenizer if tokenizer is not None else getattr(getattr(model, "config", None), "_name_or_path", None)
    if not origin:
        raise UserError(f"{what} is a loaded model without a known tokenizer; name its folder or hub id as tokenizer=.")
    words = origin
    if isinstance(origin, (str, os.PathLike)):
        if tokenizer is None and hub_id(str(origin)) is None and not Path(origin).is_dir():
            raise UserError(f"{what} was loaded from {origin}, which is no longer there; name its tokenizer=.")
        words = load_tokenizer(_place(str(origin), "tokenizer", say))
    model.save_pretrained(folder)  # type: ignore[operator]
    words.save_pretrained(folder)
    return inspect(folder, what, type(model).__name__)


def find_student(
    given: int | Sequence[int] | Model,
    teacher: Encoder | None,
    stack: ExitStack,
    say: Callable[[str], None],
    tokenizer: Any = None,
    rule: Rule = "evenly",
    method: str = "",
) -> tuple[Encoder, tuple[int, ...] | None]:
    """The encoder that the student starts from, and the layers it keeps of it (None: all).

    Args:
        rule: Which layers a mere number of them means.
        method: Who asks, for messages.

    Raises:
        UserError: It does not fit the teacher, or does not exist.
    """
    if isinstance(given, int) or (isinstance(given, Sequence) and not isinstance(given, str)):
        if teacher is None:
            raise UserError("student names layers, but there is no teacher to take them from; name an encoder.")
        uncut(teacher.folder.sharing, f"teacher {teacher.name}")
        check_cut(teacher.folder.model_type, f"teacher {teacher.name}", method)
        if isinstance(given, int):
            if not 1 <= given <= teacher.folder.layers or isinstance(given, bool):
                raise UserError(f"student={given!r} does not fit a teacher of {teacher.folder.layers} layers.")
            return teacher, chosen(rule, given, teacher.folder.layers)
        kept = tuple(given)
        if not all(isinstance(layer, int) and 1 <= layer <= teacher.folder.layers for layer in kept) or not kept:
            raise UserError(f"student={list(given)!r} must name layers from 1 to {teacher.folder.layers}.")
        if list(kept) != sorted(set(kept)):
            raise UserError(f"student={list(given)!r} must ascend, each layer named once.")
        return teacher, kept
    student = find_model(given, "student", tokenizer, stack, say)
    if teacher is not None and not _share_vocabulary(teacher, student):
        raise UserError(
            f"student {student.name} and teacher {teacher.name} split text into different tokens: both must share one "
            "vocabulary."
        )
    return student, None


def _share_vocabulary(teacher: Encoder, student: Encoder) -> bool:
    from distill.tasks.tokens import same_vocabulary

    return teacher.folder.vocabulary == student.folder.vocabulary and same_vocabulary(teacher.path, student.path)


def find_data(
    given: str | TaskData,
    data_dir: str | os.PathLike[str] | None,
    rows: int | None,
    seed: int,
    select_on: str = "dev",
    augmented: str | os.PathLike[str] | None = None,
) -> TaskData:
    """The rows of a task.

    Args:
        given: Rows, or the name of a task: made-up data, files below `data_dir`, or, without it, the hub's.
        data_dir: Folder in GLUE's layout.
        rows: Training rows to draw; all when None.
        seed: Of the draw.
        select_on: "dev", or "train-holdout:SHARE" for rows that are to be held out.
        augmented: File with the rows that the student trains on, all of them, instead of the task's own.

    Raises:
        UserError: There is no such task, its rows cannot be had, `rows` is too small, or so many cannot be held out.
    """
    if isinstance(given, TaskData):
        if data_dir is not None:
            raise UserError("data_dir goes with the name of a task; data holds the rows already.")
        data = given
    elif not isinstance(given, str):
        raise UserError(f"data is a {type(given).__name__}; give the name of a task or a TaskData.")
    else:
        task = registry.get(given, "data")
        place = folder_of("data_dir", data_dir)
        origin = "local" if place is not None else "embedded" if task.made_up else "hub"
        data = read(task, origin, place)
    if augmented is not None:
        if data.augmented is not None:
            raise UserError("data holds augmented rows already; leave augmented out.")
        if not isinstance(augmented, (str, os.PathLike)):
            raise UserError(f"augmented is {augmented!r}, expected a file.")
        data = with_augmented(data, augmented, "augmented")
    if rows is not None and whole_number("max_train_rows", rows, 2) < len(data.train):
        data = data.limit_train(rows, seed)
    share = parse(str(select_on), "select_on")
    if share is not None and data.report is not None:
        raise UserError(f"select_on {select_on}: data holds rows out already; leave select_on out.")
    return data if share is None else hold_out(data, share, seed, "select_on")
