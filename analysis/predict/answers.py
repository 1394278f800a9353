"""A student's answers to rows: its logits in the task's order of labels, or texts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.predict.command import BATCH, LENGTH
from analysis.predict.place import Found
from analysis.predict.rows import Split
from distill.errors import UserError
from distill.models.folder import check_configuration
from distill.models.student import load_classifier
from distill.tasks.base import Task
from distill.tasks.tokens import load_tokenizer
from distill.teacher.ready import label_order
from distill.training.batching import Tokens, tokenise
from distill.training.predictions import predict

Say = Callable[[str], None]
# Seconds between two lines of progress.
_SILENCE = 10.0


@dataclass(frozen=True)
class Student:
    """A student that is ready to answer.

    Attributes:
        order: For each label of the task the output that answers it.
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


@dataclass(frozen=True, eq=False)
class Answers:
    """What the student says of the rows of a split.

    Attributes:
        logits: float32 [n, C], in the task's order of labels.
    """

    logits: np.ndarray
    seconds: float

    @property
    def chosen(self) -> np.ndarray:
        """Ids of the labels [n]."""
        found: np.ndarray = self.logits.argmax(1)
        return found

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float64 [n, C]."""
        raised = np.exp(self.logits.astype(np.float64) - self.logits.max(1, keepdims=True))
        found: np.ndarray = raised / raised.sum(1, keepdims=True)
        return found


def load(found: Found, task: Task, device: str | None, batch: int | None, length: int | None) -> Student:
    """Load a student with its own tokenizer.

    Args:
        device: None takes a GPU where there is one.
        batch, length: None takes the sweep's.

    Raises:
        UserError: It cannot be loaded, the device is not there, or rows may be longer than it can read.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: there is no GPU here; leave it out.")
    used = device or ("cuda" if torch.cuda.is_available() else "cpu")
    shape = check_configuration(found.model, "The student in", str(found.model))
    training = found.plan.get("training") or {}
    longest = length or min(int(training.get("max_length", LENGTH)), shape.positions)
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
        batch=batch or int(training.get("evaluation_batch", BATCH)),
        length=longest,
    )


def answer(student: Student, task: Task, split: Split, say: Say) -> Answers:
    """What a student says of rows, with a line of progress now and then.

    Raises:
        UserError: The GPU's memory does not suffice.
    """
    started = time.monotonic()
    tokens = tokenise(split.examples, student.tokenizer, student.length)
    logits = _logits(student, tokens, say)
    if student.order:
        logits = logits[:, list(student.order)]
    return Answers(logits, time.monotonic() - started)


def _logits(student: Student, tokens: Tokens, say: Say) -> np.ndarray:
    done, told = 0, time.monotonic()

    def count(_: Any, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        nonlocal done, told
        done += len(named["input_ids"])
        if time.monotonic() - told > _SILENCE:
            told = time.monotonic()
            say(f"{done} of {len(tokens)} rows.")

    hook = student.model.register_forward_hook(count, with_kwargs=True)
    try:
        return predict(student.model, tokens, student.batch, student.device)
    except torch.cuda.OutOfMemoryError:
        raise UserError("The GPU's memory does not suffice; lower --batch-size or --max-length.") from None
    finally:
        hook.remove()
