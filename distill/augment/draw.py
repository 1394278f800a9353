"""The random part of Algorithm 1 of TinyBERT (Jiao et al., 2020): copies of a text with some words replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slot:
    """A word that may be replaced.

    Attributes:
        start, end: Where it stands in its text.
        candidates: What may take its place; at least one, the word itself may be among them.
    """

    start: int
    end: int
    candidates: tuple[str, ...]


def stream(seed: int, row: int, side: int) -> np.random.RandomState:
    """The random numbers of one text: they depend on nothing but the seed and where it stands.

    Args:
        row: Number of the row in the training split.
        side: 0 for its first text, 1 for its second.
    """
    # RandomState: its streams are frozen across numpy versions, those of default_rng are not.
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, 2, row, side])))


def copies(text: str, slots: Sequence[Slot], share: float, attempts: int, draws: np.random.RandomState) -> list[str]:
    """Different copies of a text, itself not among them; at most one for each attempt.

    Every attempt replaces each slot with probability `share` by one of its candidates, all equally likely. For each
    attempt and slot two numbers are drawn: whether, and by which.

    Args:
        slots: In their order, without overlap.
        share: Between 0 and 1.
        draws: Of this text alone.
    """
    if not slots:
        return []
    drawn = draws.random_sample((attempts, len(slots), 2))
    chosen = (drawn[:, :, 1] * [len(slot.candidates) for slot in slots]).astype(np.int64)
    found = {text: None}
    for replaced, choice in zip(drawn[:, :, 0] < share, chosen, strict=True):
        parts, place = [], 0
        for slot, new, index in zip(slots, replaced.tolist(), choice.tolist(), strict=True):
            if new:
                parts += [text[place : slot.start], slot.candidates[index]]
                place = slot.end
        found["".join([*parts, text[place:]])] = None
    del found[text]
    return list(found)
