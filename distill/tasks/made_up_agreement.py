"""Constructions around agreement: verbs with their subjects, determiners with their nouns."""

from __future__ import annotations

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import Draft, Words, be, group, have, parts


def subject_verb(w: Words) -> Draft:
    """The boys near the tall teacher are laughing."""
    plural, verb = w.chance(), w.word(lexicon.INTRANSITIVE)
    style = w.style(verb, agreeing=True)
    subject = w.phrase(lexicon.PERSONS, plural)
    depth = w.pick((0, 0, 1, 1, 2))
    if depth:
        subject = subject.then(w.attractor(plural if w.chance(0.3) else not plural, depth))
    tail = w.pick(("", w.place())) if depth < 2 else ""
    return Draft(
        f"{subject} {group(verb, style, plural)} {tail}.",
        {"agreement": f"{subject} {group(verb, style, not plural)} {tail}."},
    )


def coordinated_subject(w: Words) -> Draft:
    """The king and the tall girl have fallen, against: the king near the tall girl has fallen."""
    verb = w.word(lexicon.INTRANSITIVE)
    style = w.style(verb, agreeing=True)
    joined = w.chance(0.7)
    # No "every": "every boy and every girl has" takes the singular.
    first = w.phrase(lexicon.PERSONS, False, 0.2, definite=True)
    second = w.phrase(lexicon.PERSONS, False, 0.2, definite=True)
    link = "and" if joined else w.word(lexicon.PREPOSITIONS)
    tail = w.pick(("", w.place()))
    return Draft(
        f"{first} {link} {second} {group(verb, style, joined)} {tail}.",
        {"agreement": f"{first} {link} {second} {group(verb, style, not joined)} {tail}."},
    )


def determiner_number(w: Words) -> Draft:
    """Mary found these very expensive old lamps."""
    plural, verb, noun = w.chance(), w.word(lexicon.FIND), w.word(lexicon.THINGS)
    determiner = w.pick(
        ("these", "those", "many", "several", "both", "two")
        if plural
        else ("this", "that", "every", "each", "another", "one")
    )
    first, second = w.word(lexicon.THING_ADJECTIVES), w.word(lexicon.THING_ADJECTIVES)
    between = w.pick(("", first.plain, f"very {first.plain}", f"very {first.plain} and {second.plain}"))
    subject = w.person()
    start = f"{subject} {group(verb, w.style(verb), subject.plural)} {determiner} {between}"
    right, wrong = (noun.plural, noun.singular) if plural else (noun.singular, noun.plural)
    tail = w.pick(("", w.place()))
    return Draft(f"{start} {right} {tail}.", {"determiner": f"{start} {wrong} {tail}."})


def partitive(w: Words) -> Draft:
    """Every one of the boys near the river has smiled."""
    many, verb, noun = w.chance(), w.word(lexicon.INTRANSITIVE), w.word(lexicon.PERSONS)
    quantity = w.pick(("several", "many", "three", "some")) if many else w.pick(("one", "every one", "each"))
    finite = group(verb, w.style(verb), many)
    where = w.pick(("", w.place()))
    return Draft(
        f"{quantity} of the {noun.plural} {where} {finite}.",
        {
            "determiner": w.pick(
                (
                    f"{quantity} of {noun.plural} {where} {finite}.",
                    f"every of the {noun.plural} {where} {group(verb, 'past', False)}.",
                )
            )
        },
    )


def there_is(w: Words) -> Draft:
    """There were two baskets behind the house."""
    plural, past = w.chance(), w.chance()
    noun, other = w.word(lexicon.THINGS), w.word(lexicon.THINGS)
    adjective = w.pick(("", w.word(lexicon.THING_ADJECTIVES).plain))
    head = f"{adjective} {noun.plural if plural else noun.singular}"
    rival = f"on the {other.singular if plural else other.plural}"
    weak = w.pick(("two", "some", "several", "many")) if plural else "a"
    strong = w.pick(("all", "most", "both")) if plural else w.pick(("every", "each"))
    seem = "seem" if plural else "seems"
    wrong = "seems" if plural else "seem"
    where = w.pick((rival, w.place()))
    if w.chance(0.4):
        right, flipped = f"{seem} to be", f"{wrong} to be"
    else:
        right, flipped = be(plural, past), be(not plural, past)
    return Draft(
        f"there {right} {weak} {head} {where}.",
        {
            "agreement": f"there {flipped} {weak} {head} {where}.",
            "definiteness": f"there {right} {strong} {head} {where}.",
        },
    )


def polar_question(w: Words) -> Draft:
    """Has the man who is tall arrived?"""
    plural, verb = w.chance(), w.word(lexicon.INTRANSITIVE)
    style = w.style(verb, agreeing=True)
    auxiliary, main = parts(verb, style, plural)
    subject = w.phrase(lexicon.PERSONS, plural)
    if w.chance():
        adjective = w.word(lexicon.PERSON_ADJECTIVES).plain
        clause, moved = f"who {be(plural)} {adjective}", f"who {adjective} {be(plural)}"
    else:
        inner = w.word(lexicon.ADMIRE)
        rival = w.phrase(lexicon.PERSONS, not plural, definite=True)
        clause = f"who {rival} {have(not plural)} {inner.participle}"
        moved = f"who {rival} {inner.participle} {have(not plural)}"
    return Draft(
        f"{auxiliary} {subject} {clause} {main}?",
        {
            "agreement": f"{parts(verb, style, not plural)[0]} {subject} {clause} {main}?",
            "order": f"{auxiliary} {subject} {moved} {main}?",
            "double_tense": f"{auxiliary} {subject} {clause} {have(plural)} {verb.participle}?",
        },
    )


CONSTRUCTIONS = (
    subject_verb,
    coordinated_subject,
    determiner_number,
    partitive,
    there_is,
    polar_question,
)
