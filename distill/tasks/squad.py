"""Questions whose answers stand in a context: the JSON files of SQuAD, 1.1 and 2.0, and the same rows from the hub.

Imports without torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distill.errors import UserError
from distill.tasks import tables
from distill.tasks.base import Answer, Examples, Task, TaskData
from distill.tasks.folders import find_folder
from distill.tasks.texts import fault

# (id, question, context, accepted answers)
Row = tuple[str, str, str, tuple[Answer, ...]]
_SHOWN = 60
_SHIFTS = (0, 1, -1, 2, -2)


def load(task: Task, data_dir: str | os.PathLike[str]) -> TaskData:
    """Reads the training and development files of a span task.

    Accepted: ``data_dir/<folder>`` by any of its names (case and hyphens don't matter) or the task's own folder; in it
    the files by their official names, or one file each whose name begins with ``train`` or ``dev`` and ends with
    ``.json``.

    Raises:
        UserError: As `training`, or a file is missing.
    """
    folder = find_folder(task, Path(data_dir), alone=False)
    train, dev = (_file(task, folder, name) for name in (task.train_file, task.dev_file))
    rows, notes = training(train, task)
    return TaskData(task, rows, read(dev, task), f"{folder} ({train.name}, {dev.name})", notes)


def training(path: str | os.PathLike[str], task: Task) -> tuple[Examples, tuple[str, ...]]:
    """The rows of a training file as `read` gives them, and what a person should know of them.

    Raises:
        UserError: As `read`; or rows of the task may have no answer, and the file is one of SQuAD 1.1, where all have.
    """
    path = Path(path)
    content = _content(path)
    rows = _examples(task, _rows(task, content, str(path)), str(path))
    if not task.unanswerable or not rows.labels.all():
        return rows, ()
    if str(content.get("version", "")).strip().lower().removeprefix("v") == "1.1":
        raise UserError(
            f"{path} is of SQuAD 1.1, where every question has an answer; take --task squad, or a training file for "
            f"{task.name}"
        )
    return rows, (f"{path}: every question has an answer, so nothing teaches when one of {task.name} has none.",)


def read(path: str | os.PathLike[str], task: Task) -> Examples:
    """The rows of one file in SQuAD's form: `data`, in it `paragraphs`, in these `context` and `qas`.

    Questions are stripped of white space at both ends; contexts stay as they are, because answers count their
    characters; white space around an answer is taken off. What is written under `plausible_answers` is not read.

    Raises:
        UserError: The file cannot be read or is malformed; one sentence that names it and, where there is one, the id
            of the question.
    """
    path = Path(path)
    return _examples(task, _rows(task, _content(path), str(path)), str(path))


def questions(path: str | os.PathLike[str], task: Task) -> Examples:
    """The questions of one file, one or more, with no look at their answers, which may lack: for predictions.

    Raises:
        UserError: As `read`.
    """
    path, asked = Path(path), replace(task, unanswerable=True)
    return _examples(asked, _rows(asked, _bare(_content(path)), str(path)), str(path), least=1)


def refuse_columns(task: Task, text: str | None = None, pair: str | None = None, label: str | None = None) -> None:
    """Raise UserError where a person names columns of files of a span task, which have none."""
    for option, name in (("--text-column", text), ("--pair-column", pair), ("--label-column", label)):
        if name is not None:
            raise UserError(
                f"{option} {name}: files of {task.name} are in SQuAD's form, which has no columns; leave it out."
            )


def _bare(content: Any) -> Any:
    """The content of a file, every question of it without an answer."""
    if isinstance(content, list):
        return [_bare(entry) for entry in content]
    if not isinstance(content, dict):
        return content
    if "question" in content:
        return {**content, "answers": [], "is_impossible": True}
    return {name: _bare(value) for name, value in content.items()}


def from_columns(task: Task, columns: Mapping[str, Iterable[Any]], where: str) -> Examples:
    """The rows of a split as data sets on the hub have them.

    Args:
        columns: `id`, `question`, `context`, and `answers` with lists `text` and `answer_start`.
        where: What to call it in messages.

    Raises:
        UserError: As `read`.
    """

    def rows() -> Iterator[Row]:
        names = ("id", "question", "context", "answers")
        for number, (name, question, context, answers) in enumerate(zip(*(columns[n] for n in names), strict=True)):
            at = f"{where}, question {name if isinstance(name, str) else number}"
            texts, starts = _field(answers, "text", list, at), _field(answers, "answer_start", list, at)
            if len(texts) != len(starts):
                raise UserError(f"{at}: {len(texts)} texts of answers have {len(starts)} places in the context.")
            listed = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
            qa = {"id": name, "question": question, "answers": listed, "is_impossible": not listed}
            yield _row(task, qa, _filled({"context": context}, "context", at), where, number)

    return _examples(task, rows(), where)


def _content(path: Path) -> Any:
    try:
        return tables.parsed(tables.text_of(path), str(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg})") from None


def _rows(task: Task, content: Any, where: str) -> Iterator[Row]:
    for article, entry in enumerate(_field(content, "data", list, where), start=1):
        at = f"{where}, article {article}"
        for paragraph, found in enumerate(_field(entry, "paragraphs", list, at), start=1):
            here = f"{at}, paragraph {paragraph}"
            context = _filled(found, "context", here)
            for number, qa in enumerate(_field(found, "qas", list, here), start=1):
                yield _row(task, qa, context, where, f"{number} of article {article}, paragraph {paragraph}")


def _row(task: Task, qa: Any, context: str, where: str, number: object) -> Row:
    name = _filled(qa, "id", f"{where}, question {number}")
    at = f"{where}, question {name[:_SHOWN]}"
    question = _filled(qa, "question", at).strip()
    listed = _field(qa, "answers", list, at)
    none = qa.get("is_impossible", False)
    if not isinstance(none, bool):
        raise UserError(f"{at}: is_impossible is {str(none)[:_SHOWN]!r}, where true or false is expected")
    if none and not task.unanswerable:
        raise UserError(
            f"{at}: it has no answer, but {task.name} knows only questions that have one; take --task squad2"
        )
    if none and listed:
        raise UserError(f"{at}: it is marked is_impossible, but has answers; one of the two is wrong")
    if not none and not listed:
        remedy = ", and it is not marked is_impossible" if task.unanswerable else ""
        raise UserError(f"{at}: it has no answer{remedy}")
    return name, question, context, tuple(_answer(answer, context, at) for answer in listed)


def _answer(answer: Any, context: str, at: str) -> Answer:
    raw, start = _filled(answer, "text", at), _field(answer, "answer_start", int, at)
    text = raw.strip()
    first = start + raw.index(text)
    # In the published files an answer with white space around it may stand some characters beside its place.
    for shift in _SHIFTS if text != raw else (0,):
        if first + shift >= 0 and not isinstance(start, bool) and context.startswith(text, first + shift):
            return Answer(text, first + shift)
    raise UserError(
        f"{at}: the answer {raw[:_SHOWN]!r} does not stand in the context at character {start}; correct answer_start "
        "or text"
    )


_WORDS = {list: "a list", int: "a whole number", str: "a text"}


def _field(holder: Any, name: str, kind: type, at: str) -> Any:
    """A value of a JSON object, of the type that is expected."""
    if not isinstance(holder, dict):
        raise UserError(f"{at}: an object with {name!r} is expected, not {_shown(holder)}")
    if name not in holder:
        raise UserError(f"{at}: {name!r} is missing")
    if not isinstance(holder[name], kind):
        raise UserError(f"{at}: {name!r} must be {_WORDS[kind]}, not {_shown(holder[name])}")
    return holder[name]


def _filled(holder: Any, name: str, at: str) -> str:
    text: str = _field(holder, name, str, at)
    if not text.strip():
        raise UserError(f"{at}: {name!r} is empty")
    if problem := fault(text):
        raise UserError(f"{at}: {name!r} {problem}")
    return text


def _shown(value: Any) -> str:
    return repr(value)[:_SHOWN]


def _examples(task: Task, rows: Iterable[Row], where: str, least: int = 2) -> Examples:
    found = list(rows)
    if len(found) < least:
        needed = f"{least} {'is' if least == 1 else 'are'} needed"
        raise UserError(f"{where} has {len(found) or 'no'} question{'s' * (not found)}; at least {needed}")
    ids, questions, contexts, answers = zip(*found, strict=True)
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise UserError(f"{where}: two questions have the id {name[:_SHOWN]}; each needs one of its own")
        seen.add(name)
    labels = np.array([bool(accepted) for accepted in answers], dtype=np.int64)
    return Examples(questions, contexts, labels, answers, ids)


def _file(task: Task, folder: Path, official: str) -> Path:
    """A file by its official name; else the only one that begins as that does."""
    if (folder / official).is_file():
        return folder / official
    start = official.partition("-")[0]
    found = sorted(path for path in folder.glob(f"{start}*.json") if path.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(path.name for path in found)
        raise UserError(f"--data-dir: {folder} has no {official}, and {several} could each be meant; keep one of them")
    raise UserError(f"--data-dir: {task.name} needs the file {folder / official}, which is missing")
