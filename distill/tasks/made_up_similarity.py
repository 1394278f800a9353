"""A made-up similarity task in the manner of STS-B: in how many things do two sentences agree, from 0 to 5?

The things are who did it, what was done, to what (or whom), where and when. Other words for the same thing agree, and
so does another order; the same two persons with their parts exchanged agree in neither.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np

from distill.tasks import made_up_families as families
from distill.tasks import made_up_lexicon as lexicon
from distill.tasks import made_up_meanings as meanings
from distill.tasks.base import Examples
from distill.tasks.made_up_families import Row
from distill.tasks.made_up_lexicon import Noun, Verb
from distill.tasks.made_up_words import Words, tidy

VERSION = "1"
"""Part of the data's identity: it changes with every change of the generated sentences."""

TRAIN_ROWS = 3000
DEV_ROWS = 800

T = TypeVar("T")


class Told(NamedTuple):
    """What a sentence says: the five things, in singular and past."""

    who: Noun
    did: Verb
    what: Noun
    where: str
    when: str


def _sentence(w: Words, told: Told) -> str:
    who, what = f"the {told.who.singular}", f"the {told.what.singular}"
    core = f"{who} {told.did.past} {what}"
    if w.chance(0.25):
        core = f"{what} was {told.did.participle} by {who}"
    return tidy(
        w.pick((f"{core} {told.where} {told.when}.", f"{told.when} {core} {told.where}."))
        if w.chance(0.8)
        else tidy(f"{told.where} {core} {told.when}.")
    )


def _family(w: Words, base: Told, same: Told, other: Told, levels: tuple[int, ...]) -> list[Row]:
    """Rows that agree in so many things, drawn anew for each."""
    first, found = _sentence(w, base), list[Row]()
    for level in levels:
        places = list(range(len(base)))
        agreeing = [places.pop(int(w.pick(range(len(places))))) for _ in range(level)]
        mixed = Told._make(same[i] if i in agreeing else other[i] for i in range(len(base)))
        second = _sentence(w, mixed)
        while second == first:
            second = _sentence(w, mixed)
        found.append(Row(level, first, second) if w.chance() else Row(level, second, first))
    return found


def _turned(w: Words, pair: tuple[T, T]) -> tuple[T, T]:
    return pair if w.chance() else pair[::-1]


def _levels(w: Words) -> tuple[int, ...]:
    """A low, a middling and a high one."""
    return tuple(w.pick(pair) for pair in ((0, 1), (2, 3), (4, 5)))


def things(w: Words) -> list[Row]:
    """On Monday the doctor bought a lamp near the house. The lamp was bought by the king near the house in May: 3."""
    base, other = (
        Told(w.word(lexicon.PERSONS), w.word(meanings.DEEDS), w.word(lexicon.THINGS), w.place(), w.word(meanings.TIMES))
        for _ in range(2)
    )
    return _family(w, base, base, other, _levels(w))


def synonyms(w: Words) -> list[Row]:
    """The same, where words for the same thing change: the doctor bought the car, the physician purchased the bike."""
    persons, deeds, things = w.word(meanings.SAME_PERSONS), w.word(meanings.SAME_VERBS), w.word(meanings.SAME_THINGS)
    who, did, what = _turned(w, persons), _turned(w, deeds), _turned(w, things)
    where, when = w.place(), w.word(meanings.TIMES)
    other = Told(
        w.pick(w.word(meanings.SAME_PERSONS)),
        w.pick(w.word(meanings.SAME_VERBS)),
        w.pick(w.word(meanings.SAME_THINGS)),
        w.place(),
        w.word(meanings.TIMES),
    )
    one, two = (Told(who[i], did[i], what[i], where, when) for i in (0, 1))
    return _family(w, one, two, other, _levels(w))


def exchanged(w: Words) -> list[Row]:
    """The boy thanked the king near the house in May. The king thanked the boy near the house in May: 3."""
    one, two = w.word(lexicon.PERSONS), w.word(lexicon.PERSONS)
    # Who is escorted is accompanied.
    did, did_not = (w.word(lexicon.ADMIRE, lambda verb: verb.base != "escort") for _ in range(2))
    base = Told(one, did, two, w.place(), w.word(meanings.TIMES))
    turned = base._replace(who=two, what=one)
    other = Told(two, did_not, one, w.place(), w.word(meanings.TIMES))
    first = _sentence(w, base)
    second = _sentence(w, base)
    while second == first:
        second = _sentence(w, base)
    rows = [Row(5, first, second), Row(3, first, _sentence(w, turned))]
    less = w.pick((Told(*other[:3], base.where, other.when), Told(*other[:4], base.when)))
    return [*rows, Row(1, first, _sentence(w, less))]


_TURNS = families.turns({things: 5, synonyms: 3, exchanged: 1})


def generate_examples(
    seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS
) -> tuple[list[Row], list[Row]]:
    """Train and dev rows; see `made_up_families.rows`."""
    return families.rows("made_up_similarity", seed, _TURNS, train_rows, dev_rows)


def splits(seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS) -> tuple[Examples, Examples]:
    """Train and dev of one data set: pairs with scores from 0 to 5."""
    train, dev = generate_examples(seed, train_rows, dev_rows)
    return families.examples(train, np.float32), families.examples(dev, np.float32)
