"""Which parts of a teacher's outputs can be kept on disk, in which form, how large. Imports no torch, no numpy."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, TypeVar

from distill.methods.base import Shape

if TYPE_CHECKING:
    import numpy as np

# One value a row and layer, kept exactly; and one value a token and layer, or a pair of tokens, rounded to float16.
SMALL, LARGE = ("logits", "cls"), ("hidden", "scores")
WORDS = {"logits": "logits", "cls": "[CLS]", "hidden": "hidden states", "scores": "attention scores"}
# Largest number that float16 holds.
FLOAT16_MOST = 65504.0

Length = TypeVar("Length", int, "np.ndarray")


def kept(needs: Collection[str]) -> tuple[str, ...]:
    """What an artifact keeps for these needs: logits and [CLS] always, a large part only where it is needed."""
    return (*SMALL, *(part for part in LARGE if part in needs))


def bytes_each(part: str) -> int:
    """Bytes of one number of a part on disk."""
    return 4 if part in SMALL else 2


def row_shape(part: str, teacher: Shape, labels: int, length: int) -> tuple[int, ...]:
    """Shape of a part of one row of `length` tokens, without padding."""
    return {
        "logits": (labels,),
        "cls": (teacher.layers + 1, teacher.hidden_size),
        "hidden": (teacher.layers + 1, length, teacher.hidden_size),
        "scores": (teacher.layers, teacher.heads, length, length),
    }[part]


def row_numbers(part: str, teacher: Shape, labels: int, lengths: Length) -> Length:
    """How many numbers a part of one row, or of each of many rows, has."""
    per_row = {"logits": labels, "cls": (teacher.layers + 1) * teacher.hidden_size}
    if part in per_row:
        return lengths * 0 + per_row[part]
    if part == "hidden":
        return lengths * ((teacher.layers + 1) * teacher.hidden_size)
    return lengths * lengths * (teacher.layers * teacher.heads)


def size(parts: Collection[str], teacher: Shape, labels: int, lengths: np.ndarray) -> int:
    """Bytes on disk of some parts of all rows.

    Args:
        lengths: Tokens of each row [n].
    """
    wide = lengths.astype("int64")
    return sum(bytes_each(part) * int(row_numbers(part, teacher, labels, wide).sum()) for part in parts)
