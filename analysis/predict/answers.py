"""A student's answers to rows: its logits in the task's order of labels, or texts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from analysis.predict.command import BATCH, LENGTH
from analysis.predict.place import Found
from analysis.predict.rows import Split
from analysis.predict.said import Answers, Texts
from distill.errors import UserError
from distill.models.folder import check_configuration
from distill.models.labels import label_order
from distill.models.student import load_classifier
from distill.tasks.base import Task, Windows
from distill.tasks.tokens import load_tokenizer
from distill.training.batching import tokenise
from distill.training.predictions import predict, predicted_answers
from distill.training.settings import usual
from distill.training.windows import tokenise_windows

Say = Callable[[str], None]
# Seconds between two lines of progress.
_SILENCE = 10.0


@dataclass(frozen=True)
class Student:
    """A student that is ready to answer.

    Attributes:
        order: For each label of the task the output of the folder's classifier that answers it.
        windows: How contexts are read, of a span task.
        batch: Rows at a time.
        length: Tokens of the longest row.
    """

    model: Any
    tokenizer: Any
    folder: Path
    order: tuple[int, ...]
    device: str
    batch: int
    length: int
    windows: Windows


def load(found: Found, task: Task, asked: argparse.Namespace) -> Student:
    """Load a student with its own tokenizer.

    Args:
        asked: Device (None takes a GPU where there is one), batch and length, and how contexts are read (None takes
            what the sweep has).

    Raises:
        UserError: It cannot be loaded, the device is not there, or rows may be longer than it can read.
    """
    device, length = asked.device, asked.max_length
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: there is no GPU here; leave it out.")
    used = device or ("cuda" if torch.cuda.is_available() else "cpu")
    shape = check_configuration(found.model, "The student in", str(found.model))
    training = found.plan.get("training") or {}
    known = training.get("max_length") or usual(task).get("max_length", LENGTH)
    longest = length or min(int(known), shape.positions)
    if longest > shape.positions:
        raise UserError(
            f"--max-length {longest} exceeds the {shape.positions} positions of the student; name {shape.positions}, "
            "or less."
        )
    return Student(
        model=load_classifier(found.model, task).to(used).eval(),
        tokenizer=load_tokenizer(found.tokenizer),
        folder=found.model,
        order=label_order(found.model, task) if task.kind == "classification" else (),
        device=used,
        batch=asked.batch_size or int(training.get("evaluation_batch", BATCH)),
        length=longest,
        windows=_windows(found, task, asked),
    )


def _windows(found: Found, task: Task, asked: argparse.Namespace) -> Windows:
    """How contexts are read: as asked, else as in the sweep."""
    given = {"doc_stride": asked.doc_stride, "null_threshold": asked.null_threshold}
    for name, value in given.items():
        if value is not None and (task.kind != "span" or (name == "null_threshold" and not task.unanswerable)):
            raise UserError(f"--{name.replace('_', '-')} {value:g} plays no part in {task.name}; leave it out.")
    planned = found.plan.get("data") or {}
    stride = planned.get("doc_stride") if asked.doc_stride is None else asked.doc_stride
    threshold = planned.get("null_threshold") if asked.null_threshold is None else asked.null_threshold
    return Windows(stride, float(threshold or 0.0))


def answer(student: Student, task: Task, split: Split, say: Say) -> Answers | Texts:
    """What a student says of rows, with a line of progress now and then.

    Raises:
        UserError: The GPU's memory does not suffice, or contexts cannot be read in windows as asked.
    """
    started = time.monotonic()
    if task.kind == "span":
        how = student.length, task, student.windows
        tokens = tokenise_windows(split.examples, student.tokenizer, *how).tokens
        with _telling(student, len(tokens), say):
            texts, ahead = predicted_answers(student.model, tokens, student.batch, student.device)
        return Texts(texts, ahead, time.monotonic() - started)
    tokens = tokenise(split.examples, student.tokenizer, student.length)
    with _telling(student, len(tokens), say):
        logits = predict(student.model, tokens, student.batch, student.device)
    return Answers(task.units(logits), time.monotonic() - started)


@contextmanager
def _telling(student: Student, rows: int, say: Say) -> Iterator[None]:
    """Say now and then how many rows (windows, of a span task) the student has been through."""
    done, told = 0, time.monotonic()

    def count(_: Any, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        nonlocal done, told
        done += len(named["input_ids"])
        if time.monotonic() - told > _SILENCE:
            told = time.monotonic()
            say(f"{done} of {rows} rows.")

    hook = student.model.register_forward_hook(count, with_kwargs=True)
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise UserError("The GPU's memory does not suffice; lower --batch-size or --max-length.") from None
    finally:
        hook.remove()
