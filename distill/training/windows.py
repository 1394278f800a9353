"""Rows of a span task as windows: the question, and so much of the context as goes beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.tasks.base import Answer, Examples, Task, Windows
from distill.tasks.decoding import Spans, of_examples
from distill.tasks.windows import question_limit, stride
from distill.training.batching import Tokens

# Rows that are tokenised at a time.
_ROWS = 2_000


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
    each other and share `stride` tokens. A window's label is where the row's first answer begins and ends in it, or the
    first token where it does not hold all of that.

    Args:
        tokenizer: A fast one of the transformers library.
        predicted: Whether answers will be read off the windows, which takes what leads back to text.

    Raises:
        UserError: Windows would not move.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    shared, limit = stride(windows, max_length, special), question_limit(max_length, special)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("ids", "types", "rows", "begins", "ends")}
    sizes, labels, found = [0], [], np.zeros(len(examples), dtype=bool)
    assert examples.second is not None
    assert examples.answers is not None
    for start in range(0, len(examples), _ROWS):
        part = slice(start, start + _ROWS)
        encoded = tokenizer(
            _cut(list(examples.first[part]), tokenizer, limit),
            list(examples.second[part]),
            truncation="only_second",
            max_length=max_length,
            stride=shared,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_token_type_ids=True,
            return_attention_mask=False,
            padding=False,
        )
        for number, within in enumerate(encoded["overflow_to_sample_mapping"]):
            row, length = start + within, len(encoded["input_ids"][number])
            of_context = np.array([side == 1 for side in encoded.sequence_ids(number)])
            offsets = np.where(of_context[:, None], np.array(encoded["offset_mapping"][number]), -1)
            accepted = examples.answers[row]
            label = _label(accepted[0], offsets, of_context) if accepted else None
            found[row] |= label is not None or not accepted
            labels.append(label or (0, 0))
            sizes.append(length)
            parts["ids"].append(np.array(encoded["input_ids"][number], dtype=np.int32))
            parts["types"].append(np.array(encoded["token_type_ids"][number], dtype=np.int8))
            parts["rows"].append(np.array([row]))
            if predicted:
                parts["begins"].append(offsets[:, 0].astype(np.int32))
                parts["ends"].append(offsets[:, 1].astype(np.int32))
    whole = {name: np.concatenate(arrays) for name, arrays in parts.items() if arrays}
    spans = None
    if predicted:
        threshold = windows.null_threshold if task.unanswerable else None
        back = {name: whole[name] for name in ("rows", "begins", "ends")}
        spans = Spans(**back, **of_examples(examples, threshold))
    tokens = Tokens(
        ids=whole["ids"],
        types=whole["types"],
        offsets=np.cumsum(sizes).astype(np.int64),
        labels=np.array(labels, dtype=np.int64),
        pad=int(tokenizer.pad_token_id),
        spans=spans,
    )
    return Windowed(tokens, int((~found).sum()))


def _label(answer: Answer, offsets: np.ndarray, of_context: np.ndarray) -> tuple[int, int] | None:
    """Positions of an answer's first and last token in a window; None where the window does not hold all of it.

    Args:
        offsets: int64 [S, 2], characters of each token of the context.
        of_context: bool [S], which tokens are of it: one stretch.
    """
    places = np.flatnonzero(of_context)
    if len(places) == 0:
        return None
    begins, ends = offsets[places].T
    last = answer.start + len(answer.text)
    if begins[0] > answer.start or ends[-1] < last:
        return None
    # The token in which the answer begins, and the first that reaches its end.
    first, final = int(np.searchsorted(begins, answer.start, "right")) - 1, int(np.searchsorted(ends, last, "left"))
    return (int(places[first]), int(places[final])) if first <= final else None


def _cut(questions: list[str], tokenizer: Any, limit: int) -> list[str]:
    """Questions with at most so many tokens, cut behind one where there are more."""
    encoded = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False)
    return [
        question if len(offsets) <= limit else question[: offsets[limit - 1][1]]
        for question, offsets in zip(questions, encoded["offset_mapping"], strict=True)
    ]
