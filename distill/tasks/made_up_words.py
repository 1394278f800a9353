"""Phrases of the made-up acceptability data: seeded draws of noun phrases and verb groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, NamedTuple, TypeVar

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_lexicon import Noun, Table, Verb

T = TypeVar("T")

Edit = Literal[
    "agreement",
    "auxiliary",
    "case",
    "comparison",
    "coordination",
    "definiteness",
    "determiner",
    "double_tense",
    "ellipsis",
    "expletive",
    "extra_object",
    "filled_gap",
    "inversion",
    "island",
    "missing_argument",
    "order",
    "preposition",
    "pronoun",
    "reflexive",
    "relative",
    "selection",
    "unlicensed",
]
Style = Literal["past", "present", "progressive", "was", "perfect", "modal", "not", "did_not"]


class Draft(NamedTuple):
    """One acceptable sentence and its minimal unacceptable edits."""

    good: str
    bad: Mapping[Edit, str]


@dataclass(frozen=True)
class Phrase:
    """A noun phrase with what agreement and binding need to know of it; ``f"{phrase}"`` is its text."""

    text: str
    plural: bool = False
    gender: str = ""

    def __str__(self) -> str:
        return self.text

    def then(self, more: str) -> Phrase:
        """The same phrase with a modifier behind it."""
        return replace(self, text=f"{self.text} {more}")

    @property
    def reflexive(self) -> str:
        return reflexive(self.plural, self.gender)

    @property
    def he(self) -> str:
        return "they" if self.plural else {"m": "he", "f": "she", "": "it"}[self.gender]

    @property
    def him(self) -> str:
        return "them" if self.plural else {"m": "him", "f": "her", "": "it"}[self.gender]


def reflexive(plural: bool, gender: str) -> str:
    """The third person reflexive pronoun."""
    return "themselves" if plural else {"m": "himself", "f": "herself", "": "itself"}[gender]


def be(plural: bool, past: bool = False) -> str:
    """The form of "be" in the third person."""
    return ("were" if plural else "was") if past else ("are" if plural else "is")


def have(plural: bool) -> str:
    """The present form of "have" in the third person."""
    return "have" if plural else "has"


def do(plural: bool) -> str:
    """The present form of "do" in the third person."""
    return "do" if plural else "does"


def parts(verb: Verb, style: Style, plural: bool) -> tuple[str, str]:
    """Auxiliary and main verb of a finite verb group, as a question needs them ("did", "buy")."""
    if style in ("past", "did_not"):
        return "did", verb.base
    if style in ("present", "not"):
        return do(plural), verb.base
    if style == "progressive":
        return be(plural), verb.ing
    if style == "was":
        return be(plural, past=True), verb.ing
    if style == "perfect":
        return have(plural), verb.participle
    return "will", verb.base


def group(verb: Verb, style: Style, plural: bool) -> str:
    """A finite verb group in a statement ("buys", "has bought", "did not buy")."""
    if style == "past":
        return verb.past
    if style == "present":
        return verb.base if plural else verb.third
    auxiliary, main = parts(verb, style, plural)
    negation = "not " if style in ("not", "did_not") else ""
    return f"{auxiliary} {negation}{main}"


def wrong_forms(verb: Verb, style: Style) -> list[str]:
    """Forms that can't stand behind the auxiliary of ``style``; never a form that happens to be right."""
    right = parts(verb, style, False)[1]
    forms = {
        "progressive": [verb.base, verb.third],
        "was": [verb.base, verb.third],
        "perfect": [verb.base, verb.ing, verb.third, verb.past],
    }.get(style, [verb.past, verb.third])
    # "is hurt" and the like would be a passive.
    also_right = verb.participle if style in ("progressive", "was") else right
    return [form for form in forms if form not in (right, also_right)]


def tidy(text: str) -> str:
    """Capital letter, "an" before a vowel, single spaces; ``text`` brings its own final mark.

    The lexicon has no word like "useful" or "honest", whose first letter and sound disagree on "an".
    """
    text = re.sub(r" ([.,?])", r"\1", " ".join(text.split()))
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return text[0].upper() + text[1:]


class Words:
    """Seeded draws of words and phrases for one split.

    Only ``Random.random`` is used, whose sequence Python guarantees for all versions.
    """

    def __init__(self, rng: Random, held_out: float) -> None:
        """``held_out`` is the chance that a word comes from the held-out part of its table."""
        self._rng = rng
        self._held_out = held_out
        self._used: set[object] = set()

    def chance(self, probability: float = 0.5) -> bool:
        return self._rng.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self._rng.random() * len(options))]

    def begin(self) -> None:
        """Start a sentence: from here on no word repeats one that was drawn before."""
        self._used.clear()

    def word(self, table: Table[T], where: Callable[[T], bool] | None = None) -> T:
        """A word of ``table`` for which ``where`` holds, not drawn yet in this sentence if there is one."""
        options = table.held_out if table.held_out and self.chance(self._held_out) else table.shared
        options = tuple(option for option in options if where is None or where(option))
        options = options or tuple(option for option in table.shared if where is None or where(option))
        word = self.pick(tuple(option for option in options if option not in self._used) or options)
        self._used.add(word)
        return word

    def style(self, verb: Verb, agreeing: bool = False) -> Style:
        """A tense or mood that suits the verb; with ``agreeing`` one that shows the subject's number."""
        styles: list[Style] = ["present", "perfect"]
        if not verb.stative:
            styles.append("progressive")
        if agreeing:
            styles.append("not" if verb.stative else "was")
        else:
            styles += ["past", "past", "modal"]
        return self.pick(styles)

    def auxiliary_style(self, verb: Verb) -> Style:
        """A style with an auxiliary."""
        styles: list[Style] = ["perfect", "modal"] if verb.stative else ["perfect", "modal", "progressive"]
        return self.pick(styles)

    def phrase(
        self, table: Table[Noun], plural: bool | None = None, adjective: float = 0.0, definite: bool = False
    ) -> Phrase:
        """A noun phrase with a determiner and, at chance ``adjective``, an adjective."""
        noun = self.word(table)
        many = self.chance() if plural is None else plural
        if definite or self.chance(0.6):
            determiner = "the"
        elif many:
            determiner = self.pick(("these", "those", "some", "two", "three", "several", "my"))
        else:
            determiner = self.pick(("a", "this", "that", "my", "every", "one"))
        between = f"{self.word(self.adjectives(table)).plain} " if self.chance(adjective) else ""
        return Phrase(f"{determiner} {between}{noun.plural if many else noun.singular}", many, noun.gender)

    def adjectives(self, table: Table[Noun]) -> Table[lexicon.Adjective]:
        persons = table in (lexicon.PERSONS, lexicon.GENDERED)
        return lexicon.PERSON_ADJECTIVES if persons else lexicon.THING_ADJECTIVES

    def person(self, plural: bool | None = None, adjective: float = 0.0) -> Phrase:
        """Somebody: a name or a noun phrase."""
        if not plural and self.chance(0.25):
            return self.name()
        return self.phrase(lexicon.PERSONS, plural, adjective)

    def thing(self, plural: bool | None = None, adjective: float = 0.2) -> Phrase:
        return self.phrase(lexicon.THINGS, plural, adjective)

    def name(self, gender: str | None = None) -> Phrase:
        gender = gender or self.pick(("m", "f"))
        return Phrase(self.word(lexicon.MEN if gender == "m" else lexicon.WOMEN), False, gender)

    def gendered(self, gender: str, plural: bool = False) -> Phrase:
        """A definite person of known gender."""
        if not plural and self.chance(0.3):
            return self.name(gender)
        noun = self.word(lexicon.GENDERED, lambda noun: noun.gender == gender)
        return Phrase(f"the {noun.plural if plural else noun.singular}", plural, gender)

    def place(self) -> str:
        """An adverbial of place."""
        preposition = self.pick(("near", "behind", "in front of"))
        return f"{preposition} the {self.word(lexicon.PLACES).singular}"

    def attractor(self, plural: bool, depth: int = 1) -> str:
        """A modifier for a person whose own noun has the number ``plural``; ``depth`` of them nested."""
        text = ""
        for _ in range(depth):
            kind = lexicon.PERSONS if self.chance(0.6) else lexicon.THINGS
            text += f" {self.word(lexicon.PREPOSITIONS)} {self.phrase(kind, plural, definite=True)}"
        return text.strip()

    def object_clause(self, plural: bool) -> str:
        """A relative clause with an object gap ("that the girls admire") for a person."""
        verb, subject = self.word(lexicon.ADMIRE), self.phrase(lexicon.PERSONS, plural, definite=True)
        return f"{self.pick(('who', 'that'))} {subject} {group(verb, self.style(verb), plural)}"

    def attractor_of(self, phrase: Phrase) -> str:
        """A modifier made of a given phrase."""
        return f"{self.word(lexicon.PREPOSITIONS)} {phrase}"
