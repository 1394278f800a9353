"""A made-up task of questions about paragraphs in the manner of SQuAD 2.0.

A paragraph tells some facts, several of which share a person, an action or a thing. A question is about one of them,
and its answer is a stretch of the paragraph; a third of the questions ask for what the paragraph does not tell, most of
them though all their words stand in it.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

from distill.tasks import made_up_families as families
from distill.tasks import made_up_lexicon as lexicon
from distill.tasks import made_up_meanings as meanings
from distill.tasks.base import Answer, Examples
from distill.tasks.made_up_families import Row
from distill.tasks.made_up_lexicon import Verb
from distill.tasks.made_up_words import Words, tidy

VERSION = "4"
"""Part of the data's identity: it changes with every change of the generated sentences."""

TRAIN_ROWS = 3600
DEV_ROWS = 750

_FACTS = (3, 4, 5, 6, 7, 8)
_KINDS = ("who", "what", "where", "when")


class Fact(NamedTuple):
    """One sentence of a paragraph; `when` may stand at its beginning."""

    who: str
    did: Verb
    what: str
    where: str
    when: str
    fronted: bool

    def text(self) -> str:
        core = f"{self.who} {self.did.past} {self.what} {self.where}"
        return tidy(f"{self.when}, {core}." if self.fronted else f"{core} {self.when}.")


def _facts(w: Words, count: int, shared: float) -> list[Fact]:
    """Facts no two of which agree in two of who, did and what; at chance `shared` one agrees with another in one."""
    found: list[Fact] = []
    while len(found) < count:
        again, old = w.pick(("who", "did", "what")), w.pick(found) if found and w.chance(shared) else None
        if old is not None and again == "who":
            who = old.who
        else:
            who = f"{w.name()}" if w.chance(0.4) else f"the {w.word(lexicon.PERSONS).singular}"
        did = old.did if old is not None and again == "did" else w.word(meanings.DEEDS)
        what = old.what if old is not None and again == "what" else f"the {w.word(lexicon.THINGS).singular}"
        fact = Fact(who, did, what, w.place(), w.word(meanings.TIMES), w.chance(0.25))
        if all((who == f.who) + (did == f.did) + (what == f.what) < 2 for f in found):
            found.append(fact)
    return found


def _question(kind: str, who: str, did: Verb, what: str) -> str:
    if kind == "who":
        return f"Who {did.past} {what}?"
    if kind == "what":
        return f"What did {who} {did.base}?"
    return f"{kind.capitalize()} did {who} {did.base} {what}?"


def _answer(texts: list[str], number: int, sought: str) -> Answer:
    """Where a part of a fact stands in the paragraph, as it is written there."""
    text, start = texts[number], sum(len(text) + 1 for text in texts[:number])
    place = text.lower().index(sought.lower())
    return Answer(text[place : place + len(sought)], start + place)


def _untold(facts: list[Fact], kind: str) -> list[tuple[str, Verb, str]]:
    """Who, did and what of questions that the facts do not answer, each made of two facts."""
    found = []
    for fact, other in permutations(facts, 2):
        if kind == "who":
            mixed = [(fact.who, fact.did, other.what)]
            told = any((f.did, f.what) == mixed[0][1:] for f in facts)
        elif kind == "what":
            mixed = [(fact.who, other.did, fact.what)]
            told = any((f.who, f.did) == mixed[0][:2] for f in facts)
        else:
            mixed = [(other.who, fact.did, fact.what), (fact.who, fact.did, other.what)]
            told = fact.who == other.who or fact.what == other.what
        found += [] if told else mixed
    return found


def single(w: Words) -> list[Row]:
    """Mary bought the lamp near the house in May. Where did Mary buy the lamp? And not: who found the key?"""
    fact, other = _facts(w, 2, 0.0)
    kinds, text = list(_KINDS), fact.text()
    rows = [_told(fact, kinds.pop(int(w.pick(range(len(kinds))))), [text], 0) for _ in range(2)]
    return [*rows, Row(0, _question(w.pick(_KINDS), other.who, other.did, other.what), text, ())]


def double(w: Words) -> list[Row]:
    """Mary bought the lamp near the house in May. Tom found the key near the hotel at noon. Who found the key?"""
    return _asked(w, _facts(w, 2, 0.0))


def short(w: Words) -> list[Row]:
    """The same with three facts."""
    return _asked(w, _facts(w, 3, 0.0))


def paragraph(w: Words) -> list[Row]:
    """The same with more facts, which share persons, deeds and things: Mary found the lamp, Tom found the key."""
    return _asked(w, _facts(w, w.pick(_FACTS), 0.6))


def _told(fact: Fact, kind: str, texts: list[str], number: int) -> Row:
    """A question that fact `number` of a paragraph answers."""
    question = _question(kind, fact.who, fact.did, fact.what)
    return Row(1, question, " ".join(texts), (_answer(texts, number, getattr(fact, kind)),))


def _asked(w: Words, facts: list[Fact]) -> list[Row]:
    """Two questions that the facts answer, and one that they don't."""
    texts = [fact.text() for fact in facts]
    context = " ".join(texts)
    numbers, rows = list(range(len(facts))), list[Row]()
    for _ in range(2):
        number = numbers.pop(int(w.pick(range(len(numbers)))))
        rows.append(_told(facts[number], w.pick(_KINDS), texts, number))
    kind = w.pick(_KINDS)
    choices = _untold(facts, kind)
    while not choices:
        kind = w.pick(_KINDS)
        choices = _untold(facts, kind)
    return [*rows, Row(0, _question(kind, *w.pick(choices)), context, ())]


# A small encoder learns first what kind of words answers which question, for which one or two facts are enough, then to
# find a fact among many by any of its words. Without rows that teach the one it answers nothing for long, and without
# many that teach the other all networks soon answer alike.
_TURNS = families.turns({single: 2, double: 2, short: 2, paragraph: 3})


def generate_examples(
    seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS
) -> tuple[list[Row], list[Row]]:
    """Train and dev rows; see `made_up_families.rows`."""
    return families.rows("made_up_span", seed, _TURNS, train_rows, dev_rows)


def splits(seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS) -> tuple[Examples, Examples]:
    """Train and dev of one data set: questions and paragraphs, with label 0 where there is no answer."""
    train, dev = generate_examples(seed, train_rows, dev_rows)
    return families.examples(train), families.examples(dev)
