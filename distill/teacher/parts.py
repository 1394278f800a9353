"""Which parts of a teacher's outputs can be kept on disk, in which form, how large. Imports no torch, no numpy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from distill.methods.base import LAYERED, Shape

if TYPE_CHECKING:
    import numpy as np

    from distill.tasks.base import Task

# Layers that are kept of a large part, as `Outputs.layers` has them; None is all.
Layers = tuple[int, ...] | None
# How many logits a row has; None where each of its tokens has one as start and one as end of an answer.
Labels = int | None
# The rows that are answered to: those that train, or those that choose.
Split = Literal["train", "dev"]

# One value a row and layer, kept exactly; and one value a token and layer, or a pair of tokens, rounded to float16.
SMALL, LARGE = ("logits", "cls"), LAYERED
WORDS = {
    "logits": "logits",
    "cls": "[CLS]",
    "hidden": "hidden states",
    "scores": "attention scores",
    "query": "queries",
    "key": "keys",
    "value": "values",
}
# Largest number that float16 holds.
FLOAT16_MOST = 65504.0

Length = TypeVar("Length", int, "np.ndarray")


def labels_of(task: Task) -> Labels:
    """How many logits a row of a task has."""
    return None if task.kind == "span" else task.num_labels


def kept(needs: Collection[str]) -> tuple[str, ...]:
    """What an artifact keeps for these needs: logits and [CLS] always, a large part only where it is needed."""
    return (*SMALL, *(part for part in LARGE if part in needs))


@dataclass(frozen=True)
class Kept:
    """What an artifact holds of a teacher's outputs.

    Attributes:
        parts: See `kept`.
        layers: Which layers of the large ones.
        split: Of which rows.
    """

    parts: tuple[str, ...]
    layers: Layers = None
    split: Split = "train"

    def __post_init__(self) -> None:
        # Small parts have all layers, so a choice would make another artifact of the same content.
        if not set(self.parts) & set(LARGE):
            object.__setattr__(self, "layers", None)


def bytes_each(part: str) -> int:
    """Bytes of one number of a part on disk."""
    return 4 if part in SMALL else 2


def depth(part: str, teacher: Shape, layers: Layers = None) -> int:
    """How many layers a part holds, the embedding output of hidden states among them."""
    if layers is None or part == "cls":
        return teacher.layers + (part in ("cls", "hidden"))
    return sum(layer > 0 or part == "hidden" for layer in layers)


def row_shape(part: str, teacher: Shape, labels: Labels, length: int, layers: Layers = None) -> tuple[int, ...]:
    """Shape of a part of one row of `length` tokens, without padding."""
    if part == "logits":
        return (2, length) if labels is None else (labels,)
    deep = depth(part, teacher, layers)
    if part == "cls":
        return (deep, teacher.hidden_size)
    return (deep, teacher.heads, length, length) if part == "scores" else (deep, length, teacher.hidden_size)


def row_numbers(part: str, teacher: Shape, labels: Labels, lengths: Length, layers: Layers = None) -> Length:
    """How many numbers a part of one row, or of each of many rows, has."""
    if part == "logits":
        return lengths * 2 if labels is None else lengths * 0 + labels
    deep = depth(part, teacher, layers)
    if part == "cls":
        return lengths * 0 + deep * teacher.hidden_size
    return lengths * lengths * (deep * teacher.heads) if part == "scores" else lengths * (deep * teacher.hidden_size)


def size(parts: Collection[str], teacher: Shape, labels: Labels, lengths: np.ndarray, layers: Layers = None) -> int:
    """Bytes on disk of some parts of all rows.

    Args:
        lengths: Tokens of each row [n].
        layers: What is kept of a large part.
    """
    wide = lengths.astype("int64")
    return sum(bytes_each(part) * int(row_numbers(part, teacher, labels, wide, layers).sum()) for part in parts)
