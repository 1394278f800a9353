"""A made-up inference task in the manner of MNLI: does the second sentence follow from the first, or contradict it?

Every construction knows some forms of sentences and what they mean, draws a premise among them, and one hypothesis for
each label. The same word speaks for one label in one premise and for another in the next: what follows from "a lamp"
follows from "an old lamp", but what follows from "no old lamp" follows from "no lamp".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

from distill.tasks import made_up_families as families
from distill.tasks import made_up_lexicon as lexicon
from distill.tasks import made_up_meanings as meanings
from distill.tasks.base import Examples
from distill.tasks.made_up_families import Row, somebody
from distill.tasks.made_up_words import Phrase, Words, be, tidy

VERSION = "1"
"""Part of the data's identity: it changes with every change of the generated sentences."""

LABELS = ("contradiction", "entailment", "neutral")
TRAIN_ROWS = 4200
DEV_ROWS = 900


class Claim(NamedTuple):
    """A quantifier over a restrictor and a predicate, each with what narrows it: "some (old lamp) (bought in May)"."""

    quantifier: str
    restrictor: frozenset[str] = frozenset()
    predicate: frozenset[str] = frozenset()

    def denied(self) -> Claim:
        return self._replace(quantifier={"all": "not all", "some": "no", "not all": "all", "no": "some"}[self[0]])


def follows(premise: Claim, claim: Claim) -> bool:
    """Whether a claim follows from another one, where there is something that all the restrictors are true of."""
    if premise.quantifier in ("not all", "no"):
        return claim.quantifier in ("not all", "no") and follows(claim.denied(), premise.denied())
    if claim.quantifier in ("not all", "no") or not claim.predicate <= premise.predicate:
        return False
    if premise.quantifier == "all":
        return claim.quantifier == "some" or premise.restrictor <= claim.restrictor
    return claim.quantifier == "some" and claim.restrictor <= premise.restrictor


@cache
def _label(premise: Claim, claim: Claim) -> str:
    if follows(premise, claim):
        return "entailment"
    return "contradiction" if follows(premise, claim.denied()) else "neutral"


def _family(w: Words, premise: str, choices: Mapping[str, Sequence[str]]) -> list[Row]:
    """One row for each label, its hypothesis drawn of the choices."""
    return [Row(LABELS.index(name), tidy(premise), tidy(w.pick(texts))) for name, texts in sorted(choices.items())]


def _claims(w: Words, claims: Sequence[Claim], text: Callable[[Claim], str]) -> list[Row]:
    """A family on the claims: a premise that all labels have a hypothesis for, no two of them alike."""
    premises = []
    for premise in claims:
        found: dict[str, list[Claim]] = {}
        for claim in claims:
            # Differing in one thing, or two where one of them is the quantifier, they are neither trivial nor tangled.
            turned = premise.quantifier != claim.quantifier
            apart = len(premise.restrictor ^ claim.restrictor) + len(premise.predicate ^ claim.predicate)
            if turned + apart > 0 and apart <= 1:
                found.setdefault(_label(premise, claim), []).append(claim)
        if len(found) == len(LABELS):
            premises.append((premise, found))
    premise, found = w.pick(premises)
    return _family(w, text(premise), {name: [text(claim) for claim in fitting] for name, fitting in found.items()})


def modifiers(w: Words) -> list[Row]:
    """Mary bought an old lamp. She bought a lamp (follows), bought no lamp (no), bought an old lamp in May (who knows).

    The same with a word for many things ("instrument") in the place of a thing with an adjective.
    """
    subject, verb = somebody(w), w.pick((w.word(lexicon.FIND), w.word(meanings.SAME_VERBS)[0]))
    when = w.pick((w.word(meanings.TIMES), w.place(), w.word(lexicon.MANNERS)))
    if w.chance():
        kind, member = w.word(meanings.KINDS)
        plain, narrow = f"a {kind.singular}", f"a {member.singular}"
    else:
        noun = w.word(lexicon.THINGS).singular
        plain, narrow = f"a {noun}", f"a {w.word(lexicon.THING_ADJECTIVES).plain} {noun}"

    def text(claim: Claim) -> str:
        thing = narrow if "narrow" in claim.predicate else plain
        finite = f"did not {verb.base}" if claim.quantifier == "no" else verb.past
        return f"{subject} {finite} {thing} {when if 'when' in claim.predicate else ''}."

    narrowed = [frozenset(chosen) for chosen in ((), ("narrow",), ("when",), ("narrow", "when"))]
    return _claims(w, [Claim(q, frozenset(), p) for q, p in product(("some", "no"), narrowed)], text)


def quantifiers(w: Words) -> list[Row]:
    """All of the boys laughed. Some of the boys laughed, none of them did, all of the boys laughed in the house."""
    noun, adjective = w.word(lexicon.PERSONS).plural, w.word(lexicon.PERSON_ADJECTIVES).plain
    verb, where = w.word(lexicon.INTRANSITIVE).past, w.pick((w.place(), w.word(meanings.TIMES)))
    words = {"all": "all", "some": "some", "no": "none", "not all": "not all"}

    def text(claim: Claim) -> str:
        head = f"{adjective if claim.restrictor else ''} {noun}"
        return f"{words[claim.quantifier]} of the {head} {verb} {where if claim.predicate else ''}."

    narrowed = (frozenset[str](), frozenset({"narrow"}))
    return _claims(w, [Claim(*parts) for parts in product(("all", "some", "no", "not all"), narrowed, narrowed)], text)


# Places on a scale from -2 to 2 of which each phrase is true: nobody is both short and tall, and some are neither.
_SCALE = {"{a}": {1, 2}, "very {a}": {2}, "{b}": {-1, -2}, "very {b}": {-2}}
_DEGREES = {**_SCALE, **{f"not {words}": {-2, -1, 0, 1, 2} - places for words, places in _SCALE.items()}}


def _of_sets(w: Words, meant: dict[str, set[int]]) -> list[Row]:
    """A family of sentences, each with the cases that it is true of."""
    premises = []
    for premise, cases in meant.items():
        found: dict[str, list[str]] = {}
        for text, others in meant.items():
            if text != premise:
                name = "entailment" if cases <= others else "neutral" if cases & others else "contradiction"
                found.setdefault(name, []).append(text)
        if len(found) == len(LABELS):
            premises.append((premise, found))
    return _family(w, *w.pick(premises))


def degrees(w: Words) -> list[Row]:
    """The lamp was not heavy. It was heavy (no), was not very heavy (follows), was light (who knows)."""
    person = w.chance()
    pair = w.word(meanings.PERSON_OPPOSITES if person else meanings.THING_OPPOSITES)
    pair = w.pick((pair, pair.turned()))
    subject = w.phrase(lexicon.PERSONS if person else lexicon.THINGS, None, definite=True)
    start = f"{subject} {be(subject.plural, w.chance())}"
    return _of_sets(
        w, {f"{start} {words.format(a=pair.one, b=pair.other)}.": cases for words, cases in _DEGREES.items()}
    )


def connectives(w: Words) -> list[Row]:
    """The boy or the girl laughed. The boy laughed (who knows), neither of them did (no), the king or ... (follows)."""
    one, two, three = (somebody(w, False) for _ in range(3))
    verb, when = w.word(lexicon.INTRANSITIVE), w.pick(("", w.word(meanings.TIMES), w.place()))
    # A case is a number whose binary digits say who did it.
    did = [{case for case in range(8) if case >> person & 1} for person in range(3)]
    every = set(range(8))
    meant = {}
    for a, b in ((0, 1), (1, 0), (0, 2), (1, 2)):
        first, second = ((one, two, three)[person] for person in (a, b))
        meant[f"{first} and {second} {verb.past} {when}."] = did[a] & did[b]
        meant[f"{first} or {second} {verb.past} {when}."] = did[a] | did[b]
        meant[f"neither {first} nor {second} {verb.past} {when}."] = every - did[a] - did[b]
    for person, name in enumerate((one, two, three)):
        meant[f"{name} {verb.past} {when}."] = did[person]
        meant[f"{name} did not {verb.base} {when}."] = every - did[person]
    return _of_sets(w, meant)


def roles(w: Words) -> list[Row]:
    """The boy thanked the girl. The girl was thanked by the boy, or was not; the boy was thanked by the girl."""
    one, two, verb = somebody(w), somebody(w), w.word(lexicon.ADMIRE)
    when = w.pick(("", w.word(meanings.TIMES)))

    def text(agent: Phrase, patient: Phrase, holds: bool, passive: bool) -> str:
        if passive:
            middle = f"{be(patient.plural, True)} {'' if holds else 'not'} {verb.participle}"
            return f"{patient} {middle} by {agent} {when}."
        return f"{agent} {verb.past if holds else f'did not {verb.base}'} {patient} {when}."

    holds, passive = w.chance(), w.chance()
    choices = {
        "entailment": [text(one, two, holds, not passive)],
        "contradiction": [text(one, two, not holds, not passive)],
        "neutral": [text(two, one, w.chance(), w.chance())],
    }
    return _family(w, text(one, two, holds, passive), choices)


def events(w: Words) -> list[Row]:
    """The boy slept before the girl laughed. She laughed after (before) the boy slept, or the king."""
    first, second, third = (somebody(w) for _ in range(3))
    one, two = (w.word(lexicon.INTRANSITIVE).past for _ in range(2))

    def text(early: str, late: str) -> str:
        word, main, clause = w.pick((("before", early, late), ("after", late, early)))
        return w.pick((f"{main} {word} {clause}.", f"{word} {clause}, {main}."))

    early, late = f"{first} {one}", f"{second} {two}"
    base = text(early, late)
    same = text(early, late)
    while tidy(same) == tidy(base):
        same = text(early, late)
    other = w.pick((text(f"{third} {one}", late), text(early, f"{third} {two}")))
    return _family(w, base, {"entailment": [same], "contradiction": [text(late, early)], "neutral": [other]})


# The first ones are what a small encoder learns first; the others leave room above it.
_TURNS = families.turns({modifiers: 8, connectives: 5, degrees: 5, quantifiers: 3, roles: 1, events: 1})


def generate_examples(
    seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS
) -> tuple[list[Row], list[Row]]:
    """Train and dev rows; see `made_up_families.rows`."""
    return families.rows("made_up_nli", seed, _TURNS, train_rows, dev_rows)


def splits(seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS) -> tuple[Examples, Examples]:
    """Train and dev of one data set: premises and hypotheses with the ids of `LABELS`."""
    train, dev = generate_examples(seed, train_rows, dev_rows)
    return families.examples(train), families.examples(dev)
