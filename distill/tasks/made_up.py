"""A made-up English acceptability task in the manner of CoLA, generated from a grammar.

Every sentence comes from one of the constructions in the ``made_up_*`` modules, each of which builds an
acceptable sentence and minimal edits of it that are unacceptable. One sentence of each such family enters
the data, so no sentence can be judged by comparing it with its partner. Part of the vocabulary occurs in dev
only.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple, get_args

import numpy as np

from distill.tasks import (
    made_up_agreement,
    made_up_arguments,
    made_up_binding,
    made_up_licensing,
    made_up_movement,
)
from distill.tasks.base import Examples
from distill.tasks.made_up_words import Edit, Words, tidy

VERSION = "6"
"""Part of the data's identity: it changes with every change of the generated sentences."""

TRAIN_ROWS = 4000
DEV_ROWS = 800

CONSTRUCTIONS = (
    *made_up_agreement.CONSTRUCTIONS,
    *made_up_binding.CONSTRUCTIONS,
    *made_up_arguments.CONSTRUCTIONS,
    *made_up_movement.CONSTRUCTIONS,
    *made_up_licensing.CONSTRUCTIONS,
)
# Constructions that are hard to learn from so few sentences: they leave room above any model.
_RARE = (
    made_up_agreement.subject_verb,
    made_up_agreement.coordinated_subject,
    made_up_agreement.determiner_number,
    made_up_agreement.polar_question,
    made_up_agreement.partitive,
    made_up_binding.reflexive_object,
    made_up_binding.reflexive_in_clause,
    made_up_binding.reflexive_under_control,
    made_up_binding.each_other,
    made_up_binding.tag_question,
    made_up_binding.ellipsis,
    made_up_arguments.intransitive,
    made_up_arguments.transitive,
    made_up_arguments.passive,
    made_up_arguments.dative,
    made_up_movement.object_relative,
    made_up_movement.subject_relative,
    made_up_movement.comparative,
    made_up_movement.verb_coordination,
    made_up_licensing.conditional,
)
# Constructions that a small encoder learns first. Without many of them training idles before it starts, and the
# luck of a seed would decide between a model that knows nothing and one that knows most.
_COMMON = (
    made_up_agreement.there_is,
    made_up_arguments.that_or_whether,
    made_up_arguments.particle_verb,
    made_up_arguments.make_or_force,
    made_up_movement.trace_after_that,
    made_up_movement.cleft,
    made_up_movement.correlative,
    made_up_licensing.ever,
    made_up_licensing.anything,
    made_up_licensing.yet,
    made_up_licensing.adverb_place,
)
_TURNS = tuple(made for made in CONSTRUCTIONS for _ in range(1 if made in _RARE else 10 if made in _COMMON else 4))
EDITS: tuple[str, ...] = get_args(Edit)

_ACCEPTABLE = 0.55
_HELD_OUT_IN_DEV = 0.2


class Example(NamedTuple):
    """One row with its origin; ``edit`` is empty for an acceptable sentence (label 1)."""

    sentence: str
    label: int
    construction: str
    edit: str


def generate(
    seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Generate the train and dev rows of one data set.

    Args:
        seed: Any integer; the same seed gives the same rows in every process and Python version.
        train_rows: Number of train rows.
        dev_rows: Number of dev rows; dev does not depend on ``train_rows``.

    Returns:
        Train and dev rows ``(sentence, label)`` with label 1 for acceptable and 0 for unacceptable.

    Raises:
        ValueError: A number of rows is negative.
    """
    train, dev = generate_examples(seed, train_rows, dev_rows)
    return [(row.sentence, row.label) for row in train], [(row.sentence, row.label) for row in dev]


def splits(seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS) -> tuple[Examples, Examples]:
    """Train and dev of one data set: sentences with label 1 for acceptable and 0 for unacceptable."""

    def split(rows: list[tuple[str, int]]) -> Examples:
        return Examples(tuple(text for text, _ in rows), None, np.asarray([label for _, label in rows], dtype=np.int64))

    train, dev = generate(seed, train_rows, dev_rows)
    return split(train), split(dev)


def generate_examples(
    seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS
) -> tuple[list[Example], list[Example]]:
    """The rows of :func:`generate`, each with the construction and the edit that it came from."""
    if train_rows < 0 or dev_rows < 0:
        raise ValueError(f"train_rows and dev_rows must not be negative, got {train_rows} and {dev_rows}")
    taken: set[str] = set()
    dev = _split(Random(f"made_up {seed} dev"), dev_rows, _HELD_OUT_IN_DEV, False, taken)
    train = _split(Random(f"made_up {seed} train"), train_rows, 0.0, True, taken)
    return train, dev


def key(sentence: str) -> str:
    """What makes two sentences the same: their words, without case and punctuation."""
    return " ".join(re.findall(r"[a-z']+", sentence.lower()))


def _split(rng: Random, rows: int, held_out: float, pairs: bool, taken: set[str]) -> list[Example]:
    """``rows`` examples, none of whose families touches a sentence in ``taken``; adds its own to it.

    With ``pairs`` a family gives its acceptable sentence and one edit, otherwise only one of the two.
    """
    words = Words(rng, held_out)
    examples: list[Example] = []
    families = 0
    while len(examples) < rows:
        # In turn, so that every construction has its share.
        construction = _TURNS[families % len(_TURNS)]
        words.begin()
        good, bad = construction(words)
        members = [key(tidy(text)) for text in (good, *bad.values())]
        # "claims that that man" is English, but reads like a slip.
        if any(member in taken or "that that" in member for member in members):
            continue
        families += 1
        taken.update(members)
        edit = words.pick(tuple(bad))
        pair = [
            Example(tidy(good), 1, construction.__name__, ""),
            Example(tidy(bad[edit]), 0, construction.__name__, edit),
        ]
        examples += pair if pairs else [pair[0] if words.chance(_ACCEPTABLE) else pair[1]]
    del examples[rows:]
    for last in range(len(examples) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        examples[last], examples[other] = examples[other], examples[last]
    return examples
