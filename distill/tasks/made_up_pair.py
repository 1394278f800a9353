"""A made-up paraphrase task in the manner of MRPC: do two sentences say the same?

Each construction builds a sentence, another way of saying it (label 1), and a sentence of much the same words that says
something else (label 0). A paraphrase brings about as many new words as its rival.
"""

from __future__ import annotations

from typing import TypeVar

from distill.tasks import made_up_families as families
from distill.tasks import made_up_lexicon as lexicon
from distill.tasks import made_up_meanings as meanings
from distill.tasks.base import Examples
from distill.tasks.made_up_families import Row, somebody
from distill.tasks.made_up_lexicon import Noun, Table, Verb
from distill.tasks.made_up_words import Words, be, group, tidy

VERSION = "1"
"""Part of the data's identity: it changes with every change of the generated sentences."""

TRAIN_ROWS = 4000
DEV_ROWS = 800

T = TypeVar("T")


def _family(w: Words, base: str, same: str, other: str) -> tuple[Row, Row]:
    """Both rows, with the sentence that they have in common on either side."""
    first, same, other = (tidy(text) for text in (base, same, other))
    if w.chance():
        return Row(1, first, same), Row(0, first, other)
    return Row(1, same, first), Row(0, other, first)


def _twins(w: Words, table: Table[tuple[T, T]]) -> tuple[T, T, T]:
    """A word, one that means the same, and one that does not."""
    one, two = w.word(table)
    third = w.pick(w.word(table))
    return (one, two, third) if w.chance() else (two, one, third)


def _told(person: Noun, verb: Verb, thing: Noun, manner: str, passive: bool) -> str:
    if passive:
        return f"the {thing.singular} was {manner} {verb.participle} by the {person.singular}."
    return f"the {person.singular} {manner} {verb.past} the {thing.singular}."


def synonyms(w: Words) -> tuple[Row, Row]:
    """The doctor repaired the car. The physician fixed the car, against: the lawyer fixed the car."""
    persons, verbs = _twins(w, meanings.SAME_PERSONS), _twins(w, meanings.SAME_VERBS)
    things, manners = _twins(w, meanings.SAME_THINGS), _twins(w, meanings.SAME_MANNERS)
    manner = w.chance()
    passives = w.chance(0.3), w.chance(0.3)
    # 0 the word itself, 1 its twin, 2 another word, which the rival has where the paraphrase has a twin. Often it has
    # others too, up to all: with single words alone training idles long before it starts.
    forms = [int(w.chance(0.3)) for _ in range(4 if manner else 3)]
    place, more = int(w.pick(range(len(forms)))), w.pick((0.0, 0.5, 1.0))
    forms[place] = 1
    wrong = [2 if i == place or w.chance(more) else form for i, form in enumerate(forms)]

    def sentence(chosen: list[int], passive: bool) -> str:
        adverb = manners[chosen[3]] if manner else ""
        return _told(persons[chosen[0]], verbs[chosen[1]], things[chosen[2]], adverb, passive)

    base = sentence([0] * len(forms), passives[0])
    return _family(w, base, sentence(forms, passives[1]), sentence(wrong, passives[1]))


def numbers(w: Words) -> tuple[Row, Row]:
    """The king bought three lamps. Three lamps were purchased by the king, against: four lamps were bought."""
    one, two, third = _twins(w, meanings.SAME_VERBS)
    person, thing = somebody(w), w.word(lexicon.THINGS)
    number, other = w.word(meanings.NUMBERS), w.word(meanings.NUMBERS)
    passive = w.chance()

    def sentence(count: str, verb: Verb, passive: bool) -> str:
        if passive:
            return f"{count} {thing.plural} were {verb.participle} by {person}."
        return f"{person} {verb.past} {count} {thing.plural}."

    base = sentence(number, one, not passive)
    return _family(w, base, sentence(number, two, passive), sentence(other, w.pick((one, third)), passive))


def states(w: Words) -> tuple[Row, Row]:
    """The door was open. The door was not closed, against: the door was not open."""
    if w.chance():
        pair, nouns = w.word(meanings.PERSON_STATES), lexicon.PERSONS
    else:
        pair, nouns = w.word(meanings.THING_STATES), meanings.LIDDED
    subject = w.phrase(nouns, None, 0.3, definite=True)
    when, past = w.pick(("", w.word(meanings.TIMES))), w.chance()
    verb = be(subject.plural, past or bool(when))

    def sentence(holds: bool, negated: bool) -> str:
        state = pair.one if holds != negated else pair.other
        return f"{subject} {verb} {'not' if negated else ''} {state} {when}."

    holds, negated = w.chance(), w.chance()
    return _family(w, sentence(holds, negated), sentence(holds, not negated), sentence(not holds, w.chance()))


def roles(w: Words) -> tuple[Row, Row]:
    """The doctor thanked the nurse. The nurse was thanked by the doctor, against: the doctor was thanked by her."""
    verb = w.word(lexicon.ADMIRE)
    one, two = somebody(w), somebody(w)
    when = w.pick(("", w.word(meanings.TIMES)))
    base = f"{one} {verb.past} {two} {when}."
    same = f"{two} {be(two.plural, True)} {verb.participle} by {one} {when}."
    other = f"{one} {be(one.plural, True)} {verb.participle} by {two} {when}."
    return _family(w, base, same, other)


def recipients(w: Words) -> tuple[Row, Row]:
    """Mary lent the king a lamp. Mary lent a lamp to the king, against: the king lent a lamp to Mary."""
    verb, giver, taker = w.word(lexicon.GIVE), somebody(w), somebody(w)
    thing = w.thing()
    finite = w.style(verb)

    def sentence(giver: object, taker: object, plural: bool, prepositional: bool) -> str:
        end = f"{thing} to {taker}" if prepositional else f"{taker} {thing}"
        return f"{giver} {group(verb, finite, plural)} {end}."

    to = w.chance()
    return _family(
        w,
        sentence(giver, taker, giver.plural, to),
        sentence(giver, taker, giver.plural, not to),
        sentence(taker, giver, taker.plural, not to),
    )


def events(w: Words) -> tuple[Row, Row]:
    """The girl laughed before the boy slept. The boy slept after the girl laughed, against: before she laughed."""
    first, second = somebody(w), somebody(w)
    one, two = (w.word(lexicon.INTRANSITIVE).past for _ in range(2))
    early, late = f"{first} {one}", f"{second} {two}"

    def sentence(early: str, late: str, word: str, fronted: bool) -> str:
        main, clause = (early, late) if word == "before" else (late, early)
        return f"{word} {clause}, {main}." if fronted else f"{main} {word} {clause}."

    word, turned = w.pick((("before", "after"), ("after", "before")))
    fronted = w.chance(), w.chance()
    return _family(
        w,
        sentence(early, late, word, fronted[0]),
        sentence(early, late, turned, fronted[1]),
        sentence(late, early, turned, fronted[1]),
    )


def comparisons(w: Words) -> tuple[Row, Row]:
    """Mary is taller than Tom. Tom is shorter than Mary, against: Mary is shorter than Tom."""
    person = w.chance()
    pair = w.word(meanings.PERSON_OPPOSITES if person else meanings.THING_OPPOSITES)
    pair = w.pick((pair, pair.turned()))
    if person:
        one, two = somebody(w, False), somebody(w, False)
    else:
        one, two = (w.phrase(lexicon.THINGS, False, definite=True) for _ in range(2))
    past = be(False, w.chance())

    def sentence(above: object, below: object, turned: bool) -> str:
        if turned:
            return f"{below} {past} {pair.other_more} than {above}."
        return f"{above} {past} {pair.one_more} than {below}."

    turned = w.chance()
    return _family(w, sentence(one, two, turned), sentence(one, two, not turned), sentence(two, one, not turned))


def attributes(w: Words) -> tuple[Row, Row]:
    """The tall girl met the old king. It was the tall girl who met the old king, against: the old girl."""
    verb, nouns = w.word(lexicon.ADMIRE), (w.word(lexicon.PERSONS), w.word(lexicon.PERSONS))
    one, two = (w.word(lexicon.PERSON_ADJECTIVES).plain for _ in range(2))

    def phrases(one: str, two: str) -> tuple[str, str]:
        return f"the {one} {nouns[0].singular}", f"the {two} {nouns[1].singular}"

    def sentence(agent: str, patient: str, form: str) -> str:
        if form == "cleft":
            return f"it was {agent} who {verb.past} {patient}."
        if form == "passive":
            return f"{patient} was {verb.participle} by {agent}."
        return f"{agent} {verb.past} {patient}."

    form, again = w.pick((("plain", "cleft"), ("cleft", "plain"), ("plain", "passive"), ("passive", "cleft")))
    right, wrong = phrases(one, two), phrases(two, one)
    return _family(w, sentence(*right, form), sentence(*right, again), sentence(*wrong, again))


# The first three are what a small encoder learns first; the others leave room above it.
_TURNS = families.turns(
    {synonyms: 20, numbers: 6, states: 4, roles: 2, recipients: 1, events: 1, comparisons: 2, attributes: 1}
)


def generate_examples(
    seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS
) -> tuple[list[Row], list[Row]]:
    """Train and dev rows; see `made_up_families.rows`."""
    return families.rows("made_up_pair", seed, _TURNS, train_rows, dev_rows)


def splits(seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS) -> tuple[Examples, Examples]:
    """Train and dev of one data set: pairs with label 1 for the same and 0 for something else."""
    train, dev = generate_examples(seed, train_rows, dev_rows)
    return families.examples(train), families.examples(dev)
