"""Made-up data out of families: rows that differ by as little as their labels allow. Imports without torch.

A construction builds one row for each label, of the same words as far as that goes, so that no word, and no length,
gives a label away. Train has whole families, dev one row of each, and part of the vocabulary occurs in dev only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.base import Answer, Examples
from distill.tasks.made_up_words import Phrase, Words

_HELD_OUT_IN_DEV = 0.2
# So often in a row may a construction make what is there already.
_PATIENCE = 1000


class Row(NamedTuple):
    """One row with the name of its construction; `answers` is that of a question about the second text."""

    label: float
    first: str
    second: str | None = None
    answers: tuple[Answer, ...] | None = None
    construction: str = ""


Construction = Callable[[Words], Sequence[Row]]


def turns(shares: dict[Construction, int]) -> tuple[Construction, ...]:
    """Constructions in the order in which they have their turn, each as often as its share says."""
    most = max(shares.values())
    return tuple(made for place in range(most) for made, share in shares.items() if place < share)


def rows(
    name: str, seed: int, order: Sequence[Construction], train_rows: int, dev_rows: int
) -> tuple[list[Row], list[Row]]:
    """Train and dev rows of one data set.

    Args:
        name: Of the data set; another one draws other words from the same seed.
        seed: Any integer; the same seed gives the same rows in every process and Python version.
        order: The constructions in turn.
        dev_rows: Dev does not depend on `train_rows`.

    Raises:
        ValueError: A number of rows is negative, or more than a construction can make.
    """
    if train_rows < 0 or dev_rows < 0:
        raise ValueError(f"train_rows and dev_rows must not be negative, got {train_rows} and {dev_rows}")
    taken: set[str] = set()
    dev = _split(Random(f"{name} {seed} dev"), order, dev_rows, _HELD_OUT_IN_DEV, False, taken)
    return _split(Random(f"{name} {seed} train"), order, train_rows, 0.0, True, taken), dev


def examples(made: Sequence[Row], dtype: type[np.generic] = np.int64) -> Examples:
    """Rows as the examples of one split, with labels of type `dtype`."""
    seconds = tuple(row.second for row in made if row.second is not None)
    answers = tuple(row.answers for row in made if row.answers is not None)
    return Examples(
        tuple(row.first for row in made),
        seconds or None,
        np.asarray([row.label for row in made], dtype=dtype),
        answers or None,
    )


def somebody(w: Words, plural: bool | None = None) -> Phrase:
    """A certain person: a name or a noun phrase with "the", which means the same wherever it stands in a sentence."""
    if not plural and w.chance(0.25):
        return w.name()
    return w.phrase(lexicon.PERSONS, plural, definite=True)


def key(row: Row) -> str:
    """What makes two rows the same: the words of their texts, without case and punctuation."""
    return " / ".join(" ".join(re.findall(r"[a-z']+", text.lower())) for text in (row.first, row.second or ""))


def _split(
    rng: Random, order: Sequence[Construction], count: int, held_out: float, whole: bool, taken: set[str]
) -> list[Row]:
    """`count` rows, none of whose families touches one in `taken`; adds its own to it.

    With `whole` all rows of a family are there, otherwise one.
    """
    words = Words(rng, held_out)
    found: list[Row] = []
    families = refused = 0
    while len(found) < count:
        construction = order[families % len(order)]
        words.begin()
        family = [row._replace(construction=construction.__name__) for row in construction(words)]
        members = {key(row) for row in family}
        if len(members) < len(family) or members & taken:
            refused += 1
            if refused > _PATIENCE:
                raise ValueError(f"{construction.__name__} makes no rows but those that are there already")
            continue
        refused = 0
        families += 1
        taken |= members
        found += family if whole else [words.pick(family)]
    del found[count:]
    for last in range(len(found) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        found[last], found[other] = found[other], found[last]
    return found
