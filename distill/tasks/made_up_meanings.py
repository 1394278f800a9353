"""Words of the made-up data by what they mean: synonyms, opposites, kinds, opinions. Pure tables.

As in the tables of the acceptability data, the second half of each is held out for the dev split.
"""

from __future__ import annotations

from typing import NamedTuple

from distill.tasks.made_up_lexicon import Noun, Table, Verb, adjective, noun, verb


class Opposites(NamedTuple):
    """Two adjectives that exclude each other, with their comparatives."""

    one: str
    other: str
    one_more: str = ""
    other_more: str = ""

    def turned(self) -> Opposites:
        return Opposites(self.other, self.one, self.other_more, self.one_more)


class Kind(NamedTuple):
    """A word for many things, and one of these things."""

    kind: Noun
    member: Noun


def _table(shared: str, held_out: str = "") -> Table[str]:
    return Table(tuple(_split(shared)), tuple(_split(held_out)))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _deeds(shared: str, held_out: str) -> Table[Verb]:
    return Table(tuple(map(verb, shared.split())), tuple(map(verb, held_out.split())))


def _nouns(shared: str, held_out: str) -> Table[tuple[Noun, Noun]]:
    def pairs(text: str) -> tuple[tuple[Noun, Noun], ...]:
        return tuple((noun(one), noun(two)) for one, two in (pair.split("~") for pair in text.split()))

    return Table(pairs(shared), pairs(held_out))


def _verbs(shared: str, held_out: str) -> Table[tuple[Verb, Verb]]:
    def pairs(text: str) -> tuple[tuple[Verb, Verb], ...]:
        return tuple((verb(one), verb(two)) for one, two in (pair.split("~") for pair in text.split()))

    return Table(pairs(shared), pairs(held_out))


def _strings(shared: str, held_out: str) -> Table[tuple[str, str]]:
    def pairs(text: str) -> tuple[tuple[str, str], ...]:
        return tuple((one, two) for one, two in (pair.split("~") for pair in text.split()))

    return Table(pairs(shared), pairs(held_out))


def _opposites(shared: str, held_out: str) -> Table[Opposites]:
    def read(text: str) -> tuple[Opposites, ...]:
        found = []
        for pair in text.split():
            one, other = (adjective(half) for half in pair.split("~"))
            found.append(Opposites(one.plain, other.plain, one.comparative, other.comparative))
        return tuple(found)

    return Table(read(shared), read(held_out))


def _kinds(shared: str, held_out: str) -> Table[Kind]:
    def read(text: str) -> tuple[Kind, ...]:
        lines = (line.split(":") for line in text.split(";"))
        return tuple(Kind(noun(kind.strip()), noun(member)) for kind, members in lines for member in members.split())

    return Table(read(shared), read(held_out))


# What is done to things; no two of them mean the same.
DEEDS = _deeds(
    "find/found/found repair destroy describe hold/held/held replace touch buy/bought/bought hide/hid/hidden lift "
    "choose/chose/chosen paint sketch photograph wash",
    "inspect sell/sold/sold weigh wrap+ borrow",
)
# Words of one pair mean the same, words of two pairs never do.
SAME_VERBS = _verbs(
    "buy/bought/bought~purchase repair~fix hide/hid/hidden~conceal examine~inspect lift~raise "
    "find/found/found~discover destroy~ruin carry~transport choose/chose/chosen~select",
    "gather~collect build/built/built~construct grab+~seize/seized/seized",
)
SAME_PERSONS = _nouns(
    "doctor~physician lawyer~attorney writer~author teacher~instructor thief::thieves~robber boss~chief",
    "student~pupil sailor~seaman::seamen",
)
SAME_THINGS = _nouns(
    "car~automobile bicycle~bike phone~telephone rock~stone bag~sack photo::photos~photograph",
    "sofa::sofas~couch gift~present",
)
SAME_MANNERS = _strings(
    "quickly~rapidly quietly~silently carefully~cautiously suddenly~abruptly happily~cheerfully",
    "angrily~furiously calmly~peacefully",
)
# One of the two is always so.
PERSON_STATES = _opposites("awake~asleep alive~dead present~absent", "guilty~innocent")
THING_STATES = _opposites("open~closed broken~intact", "locked~unlocked")
# Things that are open or closed.
LIDDED = Table(
    tuple(map(noun, ("box", "bag", "car", "bottle", "book", "basket", "letter"))),
    tuple(map(noun, ("barrel", "wallet", "kettle"))),
)
# Both may fail to be so.
PERSON_OPPOSITES = _opposites(
    "tall/taller~short/shorter old/older~young/younger rich/richer~poor/poorer strong/stronger~weak/weaker",
    "happy/happier~sad/sadder quick/quicker~slow/slower",
)
THING_OPPOSITES = _opposites(
    "heavy/heavier~light/lighter large/larger~small/smaller old/older~new/newer cheap/cheaper~expensive "
    "clean/cleaner~dirty/dirtier",
    "thick/thicker~thin/thinner wide/wider~narrow/narrower",
)
KINDS = _kinds(
    "instrument: guitar violin flute; vehicle: car truck bus; fruit: apple pear plum; animal: dog cat horse; "
    "flower: rose tulip daisy; tool: hammer saw drill",
    "instrument: trumpet; vehicle: tractor; fruit: peach; animal: goat; flower: lily; tool: chisel",
)
NUMBERS = _table("two, three, four, five, six, seven, eight, nine")
TIMES = _table(
    "on Monday, on Tuesday, on Wednesday, on Thursday, on Friday, in May, in June, in July, at noon, yesterday",
    "on Sunday, in October, at midnight",
)
# What an opinion is about, and words that praise or blame whatever it is.
SUBJECTS = _table(
    "film, book, hotel, meal, concert, phone, game, song, trip, party, museum, lamp, car, class, soup, play",
    "novel, bakery, bicycle, festival",
)
PRAISE = _table(
    "good, great, wonderful, excellent, lovely, perfect, fantastic, pleasant",
    "superb, delightful, brilliant",
)
BLAME = _table(
    "bad, terrible, awful, horrible, dreadful, poor, disappointing, unpleasant",
    "lousy, appalling, miserable",
)
LIKING = _deeds("love enjoy admire like", "adore cherish")
DISLIKING = _deeds("hate dislike detest resent", "despise loathe")
