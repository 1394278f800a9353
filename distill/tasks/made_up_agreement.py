"""Constructions around agreement: verbs with their subjects, determiners with their nouns."""

from __future__ import annotations

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import Draft, Words, be, do, group, have, parts, wrong_forms


def prepositional_attractor(w: Words) -> Draft:
    """The boys near the tall teacher are laughing."""
    plural, verb = w.chance(), w.word(lexicon.INTRANSITIVE)
    style = w.style(verb, agreeing=True)
    depth = w.pick((1, 1, 2))
    number = plural if w.chance(0.25) else not plural
    subject = w.phrase(lexicon.PERSONS, plural, 0.2).then(w.attractor(number, depth))
    tail = w.pick(("", "", w.place()))
    return Draft(
        f"{subject} {group(verb, style, plural)} {tail}.",
        {"agreement": f"{subject} {group(verb, style, not plural)} {tail}."},
    )


def object_relative_attractor(w: Words) -> Draft:
    """The boy who the teachers admire has bought a car."""
    plural, inner = w.chance(), w.chance()
    main, verb = w.word(lexicon.FIND), w.word(lexicon.ADMIRE)
    style = w.style(main, agreeing=True)
    head = w.phrase(lexicon.PERSONS, plural)
    rival = w.phrase(lexicon.PERSONS, inner, definite=True)
    that, obj = w.pick(("who", "that", "")), w.thing()
    inner_style = w.style(verb, agreeing=True)
    clause = f"{that} {rival} {group(verb, inner_style, inner)}"
    wrong = f"{that} {rival} {group(verb, inner_style, not inner)}"
    rest = f"{group(main, style, plural)} {obj}"
    pronoun = "them" if plural else w.pick(("him", "her"))
    return Draft(
        f"{head} {clause} {rest}.",
        {
            "agreement": w.pick(
                (f"{head} {wrong} {rest}.", f"{head} {clause} {group(main, style, not plural)} {obj}.")
            ),
            "filled_gap": f"{head} {clause} {w.pick((pronoun, str(w.person())))} {rest}.",
        },
    )


def subject_relative_attractor(w: Words) -> Draft:
    """The girls who praised the singer do not sleep."""
    plural, other = w.chance(), w.chance()
    main, verb = w.word(lexicon.INTRANSITIVE), w.word(lexicon.ADMIRE)
    style, inner_style = w.style(main, agreeing=True), w.style(verb, agreeing=True)
    head, obj = w.phrase(lexicon.PERSONS, plural), w.phrase(lexicon.PERSONS, other, definite=True)
    that = w.pick(("who", "that"))
    rest = group(main, style, plural)
    return Draft(
        f"{head} {that} {group(verb, inner_style, plural)} {obj} {rest}.",
        {
            "agreement": w.pick(
                (
                    f"{head} {that} {group(verb, inner_style, not plural)} {obj} {rest}.",
                    f"{head} {that} {group(verb, inner_style, plural)} {obj} {group(main, style, not plural)}.",
                )
            ),
            "missing_argument": f"{head} {that} {group(verb, inner_style, plural)} {rest}.",
        },
    )


def coordinated_subject(w: Words) -> Draft:
    """The king and the tall girl have fallen, against: the king near the tall girl has fallen."""
    verb = w.word(lexicon.INTRANSITIVE)
    style = w.style(verb, agreeing=True)
    joined = w.chance()
    # No "every": "every boy and every girl has" takes the singular.
    first = w.phrase(lexicon.PERSONS, False, 0.2, definite=True)
    second = w.phrase(lexicon.PERSONS, False, 0.2, definite=True)
    link = "and" if joined else w.word(lexicon.PREPOSITIONS)
    tail = w.pick(("", w.place()))
    return Draft(
        f"{first} {link} {second} {group(verb, style, joined)} {tail}.",
        {"agreement": f"{first} {link} {second} {group(verb, style, not joined)} {tail}."},
    )


def question_agreement(w: Words) -> Draft:
    """Which boys does the teacher admire?"""
    subject_plural, object_plural = w.chance(), w.chance()
    verb = w.word(lexicon.ADMIRE)
    style = w.style(verb, agreeing=True)
    noun = w.word(lexicon.PERSONS)
    asked = noun.plural if object_plural else noun.singular
    subject = w.phrase(lexicon.PERSONS, subject_plural, definite=True)
    if w.chance(0.4):
        subject = subject.then(w.attractor(not subject_plural))
    auxiliary, main = parts(verb, style, subject_plural)
    return Draft(
        f"which {asked} {auxiliary} {subject} {main}?",
        {
            "agreement": f"which {asked} {parts(verb, style, not subject_plural)[0]} {subject} {main}?",
            "auxiliary": f"which {asked} {auxiliary} {subject} {w.pick(wrong_forms(verb, style))}?",
        },
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


def mass_noun(w: Words) -> Draft:
    """The farmer lost much of the sand but not many bottles."""
    mass, noun, verb = w.word(lexicon.MASS), w.word(lexicon.THINGS), w.word(lexicon.FIND)
    subject = w.person()
    start = f"{subject} {parts(verb, 'past', False)[0]} not {verb.base}"
    if w.chance():
        right, wrong, head = "much", w.pick(("many", "several", "these")), mass
    else:
        right, wrong, head = "many", "much", noun.plural
    adjective = w.pick(("", w.pick(("expensive", "cheap", "old", "new"))))
    return Draft(
        f"{start} {right} {adjective} {head}.", {"determiner": f"{start} {wrong} {adjective} {head}."}
    )


def partitive(w: Words) -> Draft:
    """Every one of the boys near the river has smiled."""
    many, verb, noun = w.chance(), w.word(lexicon.INTRANSITIVE), w.word(lexicon.PERSONS)
    style = w.style(verb, agreeing=True)
    quantity = w.pick(("several", "many", "three", "some")) if many else w.pick(("one", "every one"))
    where = w.pick(("", w.place()))
    return Draft(
        f"{quantity} of the {noun.plural} {where} {group(verb, style, many)}.",
        {
            "agreement": f"{quantity} of the {noun.plural} {where} {group(verb, style, not many)}.",
            "determiner": w.pick(
                (
                    f"{quantity} of {noun.plural} {where} {group(verb, style, many)}.",
                    f"every of the {noun.plural} {where} {group(verb, style, False)}.",
                    f"{quantity} of the {noun.singular} {where} {group(verb, style, many)}.",
                )
            ),
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


def cleft_agreement(w: Words) -> Draft:
    """It was the boys near the king who were laughing."""
    plural, verb = w.chance(), w.word(lexicon.INTRANSITIVE)
    style = w.style(verb, agreeing=True)
    head = w.gendered(w.pick(("m", "f")), plural)
    if w.chance(0.6):
        head = head.then(w.attractor(not plural))
    who = w.pick(("who", "that"))
    return Draft(
        f"it was {head} {who} {group(verb, style, plural)}.",
        {
            "agreement": f"it was {head} {who} {group(verb, style, not plural)}.",
            "filled_gap": f"it was {head} {who} {head.he} {group(verb, style, plural)}.",
        },
    )


def raising_agreement(w: Words) -> Draft:
    """The children beside the car seem to have slept."""
    plural, verb = w.chance(), w.word(lexicon.INTRANSITIVE)
    subject = w.phrase(lexicon.PERSONS, plural)
    modifier = w.pick(
        (w.attractor(not plural), w.object_clause(not plural), w.subject_clause(plural, not plural))
    )
    adjective = w.pick(("likely", "certain"))
    first, second = w.pick(
        (
            ("seem", "seems"),
            ("appear", "appears"),
            (f"are {adjective}", f"is {adjective}"),
            ("do not seem", "does not seem"),
        )
    )
    right, wrong = (first, second) if plural else (second, first)
    to = w.pick((f"to {verb.base}", f"to have {verb.participle}"))
    bad_form = w.pick([f for f in (verb.past, verb.third) if f != verb.base])
    return Draft(
        f"{subject} {modifier} {right} {to}.",
        {
            "agreement": f"{subject} {modifier} {wrong} {to}.",
            "double_tense": f"{subject} {modifier} {right} to {bad_form}.",
        },
    )


def polar_question(w: Words) -> Draft:
    """Has the man who is tall arrived?"""
    plural, verb = w.chance(), w.word(lexicon.INTRANSITIVE)
    style = w.style(verb, agreeing=True)
    auxiliary, main = parts(verb, style, plural)
    subject = w.phrase(lexicon.PERSONS, plural)
    adjective = w.word(lexicon.PERSON_ADJECTIVES).plain
    if w.chance():
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
            "auxiliary": f"{auxiliary} {subject} {clause} {w.pick(wrong_forms(verb, style))}?",
            "order": f"{auxiliary} {subject} {moved} {main}?",
            "double_tense": f"{do(plural)} {subject} {clause} {have(plural)} {verb.participle}?",
        },
    )


CONSTRUCTIONS = (
    prepositional_attractor,
    object_relative_attractor,
    subject_relative_attractor,
    coordinated_subject,
    question_agreement,
    determiner_number,
    mass_noun,
    partitive,
    there_is,
    cleft_agreement,
    raising_agreement,
    polar_question,
)
