"""Rows of a span task as windows: the question, and so much of the context as goes beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.tasks.base import Answer, Examples, Task, Windows
from distill.tasks.decoding import Spans, of_examples
from distill.tasks.windows import question_limit, stride
from distill.training.batching import Tokens

# Texts that are tokenised at a time.
_TEXTS = 2_000


@dataclass(frozen=True)
class Windowed:
    """A split in windows.

    Attributes:
        unfound: How many rows have an answer that stands in no window as a whole.
    """

    tokens: Tokens
    unfound: int


def tokenise_windows(
    examples: Examples, tokenizer: Any, max_length: int, task: Task, windows: Windows, predicted: bool = True
) -> Windowed:
    """Tokenise the rows of a span task.

    Questions are cut to `question_limit` tokens; a context that is too long is read in several windows, which follow
    each other and share `stride` tokens, as the tokenizer's own overflow has it. A window's label is where the row's
    first answer begins and ends in it, or the first token where it does not hold all of that.

    Args:
        tokenizer: A fast one of the transformers library.
        predicted: Whether answers will be read off the windows, which takes what leads back to text.

    Raises:
        UserError: Windows would not move.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    shared, limit = stride(windows, max_length, special), question_limit(max_length, special)
    form, labels = _form(tokenizer), []
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("ids", "types", "begins", "ends")}
    rows, sizes, found = [], [0], np.zeros(len(examples), dtype=bool)
    assert examples.second is not None
    assert examples.answers is not None
    # Several questions share a context, which is read once.
    questions, contexts = _Texts(examples.first, tokenizer), _Texts(examples.second, tokenizer)
    for row, accepted in enumerate(examples.answers):
        asked, (ids, begins, ends) = questions[row][0][:limit], contexts[row]
        room, before = max_length - special - len(asked), form.before(asked)
        place = _place(accepted[0], begins, ends) if accepted else None
        found[row] = not accepted
        start = 0
        while True:
            end = min(start + room, len(ids))
            label = (0, 0)
            if place is not None and start <= place[0] and place[1] < end:
                label = (len(before) + place[0] - start, len(before) + place[1] - start)
                found[row] = True
            labels.append(label)
            rows.append(row)
            sizes.append(len(before) + end - start + len(form.end))
            parts["ids"] += [before, ids[start:end], form.end]
            parts["types"] += [form.types(len(asked), end - start)]
            if predicted:
                around = np.full(len(before), -1, dtype=np.int32), np.full(len(form.end), -1, dtype=np.int32)
                parts["begins"] += [around[0], begins[start:end], around[1]]
                parts["ends"] += [around[0], ends[start:end], around[1]]
            if end == len(ids):
                break
            start += room - shared
    whole = {name: np.concatenate(arrays) for name, arrays in parts.items() if arrays}
    spans = None
    if predicted:
        threshold = windows.null_threshold if task.unanswerable else None
        numbers = np.array(rows, dtype=np.int64)
        spans = Spans(numbers, whole["begins"], whole["ends"], **of_examples(examples, threshold))
    tokens = Tokens(
        ids=whole["ids"],
        types=whole["types"],
        offsets=np.cumsum(sizes).astype(np.int64),
        labels=np.array(labels, dtype=np.int64),
        pad=int(tokenizer.pad_token_id),
        spans=spans,
    )
    return Windowed(tokens, int((~found).sum()))


class _Texts:
    """Ids, and the characters that each token begins and ends with, of texts that may stand in many rows."""

    def __init__(self, column: Sequence[str], tokenizer: Any) -> None:
        places: dict[str, int] = {}
        self._numbers = [places.setdefault(text, len(places)) for text in column]
        self._read: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        distinct = list(places)
        for start in range(0, len(distinct), _TEXTS):
            encoded = tokenizer(
                distinct[start : start + _TEXTS],
                add_special_tokens=False,
                return_offsets_mapping=True,
                return_attention_mask=False,
                verbose=False,
            )
            for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
                begins, ends = np.array(offsets, dtype=np.int32).reshape(-1, 2).T
                self._read.append((np.array(ids, dtype=np.int32), begins, ends))

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._read[self._numbers[row]]


@dataclass(frozen=True)
class _Form:
    """How a tokenizer puts two texts together: special tokens, and the segment of each part, in their order."""

    start: np.ndarray
    middle: np.ndarray
    end: np.ndarray
    segments: tuple[np.ndarray, int, np.ndarray, int, np.ndarray]

    def before(self, question: np.ndarray) -> np.ndarray:
        """All ids before those of the context."""
        return np.concatenate([self.start, question, self.middle])

    def types(self, question: int, context: int) -> np.ndarray:
        """Segments of a window with so many tokens of both texts."""
        start, first, middle, second, end = self.segments
        sides = np.full(question, first, dtype=np.int8), np.full(context, second, dtype=np.int8)
        return np.concatenate([start, sides[0], middle, sides[1], end])


def _form(tokenizer: Any) -> _Form:
    encoded = tokenizer("a", "a", return_token_type_ids=True)
    sides = encoded.sequence_ids(0)
    ids = np.array(encoded["input_ids"], dtype=np.int32)
    types = np.array(encoded["token_type_ids"], dtype=np.int8)
    first, second = ([place for place, side in enumerate(sides) if side == text] for text in (0, 1))
    cuts = (slice(0, first[0]), slice(first[-1] + 1, second[0]), slice(second[-1] + 1, None))
    before, between, behind = (types[cut] for cut in cuts)
    segments = (before, int(types[first[0]]), between, int(types[second[0]]), behind)
    start, middle, end = (ids[cut] for cut in cuts)
    return _Form(start, middle, end, segments)


def _place(answer: Answer, begins: np.ndarray, ends: np.ndarray) -> tuple[int, int] | None:
    """The first and the last token of a context that an answer has a character of; None where there is none.

    Args:
        begins, ends: Characters of each token.
    """
    first = int(np.searchsorted(ends, answer.start, "right"))
    last = int(np.searchsorted(begins, answer.start + len(answer.text), "left")) - 1
    return (first, last) if first <= last else None
