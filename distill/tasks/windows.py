"""Windows over contexts that are longer than a row: how many tokens they share, and how many there are.

Imports without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np

from distill.errors import UserError
from distill.tasks.base import TaskData, Windows

# Tokens that two windows share, and that are kept of a question, where a row is long enough for them.
_STRIDE, _QUESTION = 128, 64
# Texts that are tokenised at a time.
_TEXTS = 10_000


FLAGS = ("--doc-stride", "--null-threshold")


def asked(
    data: TaskData, doc_stride: int | None, null_threshold: float | None, flags: Sequence[str] = FLAGS
) -> TaskData:
    """The same rows, read and answered as a person asks.

    Args:
        doc_stride, null_threshold: As in `Windows`; None leaves what is usual.
        flags: How a person says the two, for messages.

    Raises:
        UserError: The task has no windows, or no threshold, or a number is none that windows can have.
    """
    given = [
        (flag, value) for flag, value in zip(flags, (doc_stride, null_threshold), strict=True) if value is not None
    ]
    if not given:
        return data
    if data.task.kind != "span":
        raise UserError(
            f"{given[0][0]} {given[0][1]:g} plays no part: rows of {data.task.name} are not searched for an answer; "
            "leave it out."
        )
    if null_threshold is not None and not data.task.unanswerable:
        raise UserError(
            f"{flags[1]} {null_threshold:g} plays no part: every row of {data.task.name} has an answer; leave it out."
        )
    if doc_stride is not None and (not isinstance(doc_stride, Integral) or doc_stride < 0):
        raise UserError(f"{flags[0]} {doc_stride} must be a whole number of tokens, at least 0.")
    if null_threshold is not None and not math.isfinite(null_threshold):
        raise UserError(f"{flags[1]} {null_threshold:g} must be a finite number.")
    found = data.windows
    return replace(
        data,
        windows=Windows(
            found.doc_stride if doc_stride is None else doc_stride,
            found.null_threshold if null_threshold is None else null_threshold,
        ),
    )


def question_limit(max_length: int, special: int) -> int:
    """How many tokens are kept of a question: 64, or half of what a row holds beside its special tokens.

    Args:
        special: Special tokens of a pair.
    """
    return max(1, min(_QUESTION, (max_length - special) // 2))


def stride(windows: Windows, max_length: int, special: int) -> int:
    """Tokens that two windows over one context share.

    Args:
        special: Special tokens of a pair.

    Raises:
        UserError: Beside the longest question a window would not move.
    """
    limit = max_length - special - question_limit(max_length, special) - 1
    found = usual_stride(max_length) if windows.doc_stride is None else windows.doc_stride
    if windows.doc_stride is None:
        found = max(0, min(found, limit))
    if limit < 0 or found > limit:
        what = f"--doc-stride {found}" if windows.doc_stride is not None else "a window"
        raise UserError(
            f"{what} does not fit max_length={max_length}, of which a question may take "
            f"{question_limit(max_length, special)} tokens: "
            + (f"at most {limit}, or a larger max_length." if limit >= 0 else "take a larger max_length.")
        )
    return found


def as_hashed(data: TaskData, max_length: int) -> TaskData:
    """The same rows with None for a stride that is the usual one, however it was asked for."""
    if data.windows.doc_stride != usual_stride(max_length):
        return data
    return replace(data, windows=replace(data.windows, doc_stride=None))


def usual_stride(max_length: int) -> int:
    """Tokens that two windows over one context share where nobody says how many."""
    return min(_STRIDE, max_length // 3)


def lengths(questions: np.ndarray, contexts: np.ndarray, max_length: int, shared: int, special: int) -> np.ndarray:
    """Tokens of every window of every row, in order, int64 [F].

    Args:
        questions, contexts: Tokens of each row's two texts, int64 [n], without special ones.
        shared: Tokens that two windows share.
        special: Special tokens of a pair.
    """
    questions = np.minimum(questions, question_limit(max_length, special))
    room = max_length - special - questions
    behind = np.maximum(contexts - room, 0)
    counts = 1 + -(-behind // (room - shared))
    found = np.repeat(questions + special + room, counts)
    final = contexts - (counts - 1) * (room - shared)
    found[np.cumsum(counts) - 1] = questions + special + final
    return found


def counted(data: TaskData, tokenizer: Any, max_length: int) -> int:
    """How many windows the training rows have, exactly.

    Args:
        tokenizer: A fast one of the transformers library.

    Raises:
        UserError: As `stride`.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    questions, contexts = (_tokens(column, tokenizer) for column in (data.train.first, data.train.second or ()))
    shared = stride(data.windows, max_length, special)
    return len(lengths(questions, contexts, max_length, shared, special))


def estimated(questions: np.ndarray, contexts: np.ndarray, max_length: int, windows: Windows) -> np.ndarray:
    """`lengths` of texts whose tokens are only estimated, of a tokenizer with three special tokens."""
    special = 3
    return lengths(questions, contexts, max_length, stride(windows, max_length, special), special)


def _tokens(column: Sequence[str], tokenizer: Any) -> np.ndarray:
    """Tokens of each text, int64 [n]; a text that many rows share is read once."""
    places: dict[str, int] = {}
    numbers = [places.setdefault(text, len(places)) for text in column]
    distinct, sizes = list(places), []
    for start in range(0, len(distinct), _TEXTS):
        encoded = tokenizer(distinct[start : start + _TEXTS], add_special_tokens=False, verbose=False)
        sizes += [len(ids) for ids in encoded["input_ids"]]
    return np.array(sizes, dtype=np.int64)[numbers]
