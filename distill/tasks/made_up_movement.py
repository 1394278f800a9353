"""Constructions with gaps: questions, relative clauses, clefts, comparatives, coordination."""

from __future__ import annotations

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import Draft, Edit, Words, be, do, group, parts


def _asked(w: Words) -> str:
    """The thing a question asks for."""
    noun = w.word(lexicon.THINGS)
    return w.pick(("what", f"which {noun.singular}", f"which {noun.plural}", f"which {noun.singular}"))


def object_question(w: Words) -> Draft:
    """Which lamp did the tall teacher repair?"""
    subject, verb, asked = w.person(None, 0.2), w.word(lexicon.FIND), _asked(w)
    style = w.style(verb)
    auxiliary, main = parts(verb, style, subject.plural)
    bad: dict[Edit, str] = {
        "filled_gap": f"{asked} {auxiliary} {subject} {main} {w.pick(('it', str(w.thing())))}?",
        "inversion": f"{asked} {subject} {auxiliary} {main}?",
        "missing_argument": f"{asked} did {subject} {w.word(lexicon.INTRANSITIVE).base}?",
    }
    if style == "past":
        bad["double_tense"] = f"{asked} {auxiliary} {subject} {verb.past}?"
    return Draft(f"{asked} {auxiliary} {subject} {main}?", bad)


def long_question(w: Words) -> Draft:
    """Which lamp does Mary think that the teacher has repaired?"""
    outer, inner, asked = w.person(), w.person(), _asked(w)
    think, verb = w.word(lexicon.SAY_THAT), w.word(lexicon.FIND)
    sleep = w.word(lexicon.INTRANSITIVE)
    auxiliary = w.pick(("did", do(outer.plural)))
    start = f"{asked} {auxiliary} {outer} {think.base} {w.pick(('that', ''))} {inner}"
    finite = group(verb, w.style(verb), inner.plural)
    return Draft(
        f"{start} {finite}?",
        {
            "filled_gap": f"{start} {finite} {w.pick(('it', str(w.thing())))}?",
            "missing_argument": f"{start} {group(sleep, w.style(sleep), inner.plural)}?",
        },
    )


def trace_after_that(w: Words) -> Draft:
    """Who does Mary think has fallen, against: who does Mary think that has fallen?"""
    outer, think = w.person(), w.word(lexicon.SAY_THAT)
    verb, thing = w.word(lexicon.FIND), w.thing()
    auxiliary, main = parts(think, w.style(think), outer.plural)
    finite = group(verb, w.style(verb), False)
    start = f"who {auxiliary} {outer} {main}"
    return Draft(
        f"{start} {finite} {thing}?",
        {
            "island": f"{start} that {finite} {thing}?",
            "filled_gap": f"{start} {w.pick(('he', 'she', str(w.person(False))))} {finite} {thing}?",
        },
    )


def embedded_question(w: Words) -> Draft:
    """Tom wondered what the girl had found."""
    outer, inner, asked = w.person(), w.person(), _asked(w)
    ask, verb = w.word(lexicon.ASK_WHETHER), w.word(lexicon.FIND)
    style = w.auxiliary_style(verb)
    auxiliary, main = parts(verb, style, inner.plural)
    start = f"{outer} {group(ask, w.style(ask), outer.plural)} {asked}"
    return Draft(
        f"{start} {inner} {auxiliary} {main}.",
        {
            "inversion": f"{start} {auxiliary} {inner} {main}.",
            "filled_gap": f"{start} {inner} {auxiliary} {main} {w.pick(('it', str(w.thing())))}.",
        },
    )


def object_relative(w: Words) -> Draft:
    """The lamp that Tom claims the girl repaired was expensive."""
    plural, subject, verb = w.chance(), w.person(), w.word(lexicon.FIND)
    thing = w.phrase(lexicon.THINGS, plural, definite=True)
    adjective = w.word(lexicon.THING_ADJECTIVES).plain
    end = f"{be(plural, w.chance())} {adjective}"
    inner = f"{subject} {group(verb, w.style(verb), subject.plural)}"
    if w.chance(0.3):
        think = w.word(lexicon.SAY_THAT)
        inner = f"{w.name()} {w.pick((think.past, think.third))} {inner}"
    pronoun = "them" if plural else "it"
    return Draft(
        f"{thing} {w.pick(('that', 'which', ''))} {inner} {end}.",
        {
            "filled_gap": f"{thing} {w.pick(('that', 'which'))} {inner} {pronoun} {end}.",
            "relative": f"{thing} {w.pick(('who', 'what', 'whom'))} {inner} {end}.",
        },
    )


def subject_relative(w: Words) -> Draft:
    """Mary thanked the sailor who has found the box."""
    subject, plural = w.person(), w.chance()
    verb, find, thing = w.word(lexicon.ADMIRE), w.word(lexicon.FIND), w.thing()
    head = w.phrase(lexicon.PERSONS, plural)
    inner = f"{group(find, w.auxiliary_style(find), plural)} {thing}"
    start = f"{subject} {group(verb, w.style(verb), subject.plural)} {head}"
    who, he = w.pick(("who", "that")), "they" if plural else w.pick(("he", "she"))
    return Draft(
        f"{start} {who} {inner}.",
        {
            "relative": f"{start} {w.pick(('', 'which', 'what'))} {inner}.",
            "filled_gap": f"{start} {who} {he} {inner}.",
        },
    )


def stranded_preposition(w: Words) -> Draft:
    """The box in which Mary put the key was heavy."""
    noun, thing, subject = w.word(lexicon.THINGS), w.thing(), w.person()
    p = w.pick(("under", "behind", "near"))
    inner = f"{subject} put {thing}"
    end = f"{be(False, w.chance())} {w.word(lexicon.THING_ADJECTIVES).plain}"
    good = w.pick((f"{p} which {inner}", f"that {inner} {p}", f"which {inner} {p}", f"{inner} {p}"))
    bad = w.pick(
        (
            f"{p} that {inner}",
            f"{p} which {inner} {p}",
            f"that {inner}",
            f"which {inner}",
            f"{p} {inner}",
            f"which {inner} {p} it",
        )
    )
    return Draft(f"the {noun.singular} {good} {end}.", {"preposition": f"the {noun.singular} {bad} {end}."})


def cleft(w: Words) -> Draft:
    """It was the lamp that Mary repaired; what Mary repaired was the lamp."""
    subject, verb, thing = w.person(), w.word(lexicon.FIND), w.phrase(lexicon.THINGS, definite=True)
    finite = group(verb, w.style(verb), subject.plural)
    sleep = w.word(lexicon.INTRANSITIVE)
    slept = group(sleep, w.style(sleep), subject.plural)
    if w.chance():
        return Draft(
            f"it was {thing} that {subject} {finite}.",
            {
                "filled_gap": f"it was {thing} that {subject} {finite} {w.pick(('it', str(w.thing())))}.",
                "missing_argument": f"it was {thing} that {subject} {slept}.",
                "relative": f"it was {thing} what {subject} {finite}.",
            },
        )
    return Draft(
        f"what {subject} {finite} was {thing}.",
        {
            "relative": f"{w.pick(('that', 'which'))} {subject} {finite} was {thing}.",
            "filled_gap": f"what {subject} {finite} {w.pick(('it', str(w.thing())))} was {thing}.",
            "missing_argument": f"what {subject} {slept} was {thing}.",
        },
    )


def comparative(w: Words) -> Draft:
    """The king is taller than the man who Mary admires."""
    subject, other = w.person(), w.phrase(lexicon.PERSONS)
    adjective = w.word(lexicon.PERSON_ADJECTIVES)
    if w.chance(0.3):
        other = other.then(w.object_clause(w.chance()))
    rich, richer = adjective.plain, adjective.comparative
    bad = (f"{richer} as", f"{rich} than", f"as {rich} than", f"as {richer} than")
    start = f"{subject} {be(subject.plural, w.chance())}"
    return Draft(
        f"{start} {w.pick((f'{richer} than', f'as {rich} as'))} {other}.",
        {"comparison": f"{start} {w.pick(bad)} {other}."},
    )


def degree_clause(w: Words) -> Draft:
    """The lamp was so heavy that Mary could not lift it; it was too heavy for her to lift."""
    thing, adjective = w.phrase(lexicon.THINGS, w.chance()), w.word(lexicon.THING_ADJECTIVES).plain
    subject, verb = w.name(), w.word(lexicon.FIND)
    is_, it = be(thing.plural, True), "them" if thing.plural else "it"
    if w.chance():
        end = f"{adjective} that {subject} could not {verb.base} {it}"
        good, bad = "so", w.pick(("too", "such", "more"))
    else:
        end = f"{adjective} for {subject} to {verb.base}"
        good, bad = "too", w.pick(("so", "such", "enough"))
    return Draft(f"{thing} {is_} {good} {end}.", {"comparison": f"{thing} {is_} {bad} {end}."})


def correlative(w: Words) -> Draft:
    """Both the king and the girl near the house admire Paul."""
    first = w.phrase(lexicon.PERSONS, False, definite=True)
    second = w.phrase(lexicon.PERSONS, False, definite=True)
    where = w.pick(("", "", w.place(), w.attractor(w.chance())))
    verb, other, more = w.word(lexicon.ADMIRE), w.person(), w.word(lexicon.ADMIRE)
    # "neither ... or" is left out: many speakers accept it.
    head, right, wrong = w.pick(
        (("both", "and", "or"), ("both", "and", "nor"), ("either", "or", "and"), ("neither", "nor", "and"))
    )
    if w.chance():
        finite = w.pick((verb.past, f"will {verb.base}", f"could {verb.base}"))
        start, end = f"{head} {first} {where}", f"{second} {finite} {other}"
    else:
        start = f"{other} {w.pick(('will', 'could'))} {head} {verb.base} {first} {where}"
        end = f"{more.base} {second}"
    return Draft(f"{start} {right} {end}.", {"coordination": f"{start} {wrong} {end}."})


def verb_coordination(w: Words) -> Draft:
    """The girl has found the box and taken two lamps."""
    subject, first, second = w.person(None, 0.2), w.word(lexicon.FIND), w.word(lexicon.FIND)
    style = w.auxiliary_style(first)
    start = f"{subject} {group(first, style, subject.plural)} {w.thing()} and"
    right, other = parts(second, style, False)[1], w.thing()
    # Neither a finite form, which might start a new predicate, nor one that is right by chance.
    wrong = [form for form in (second.ing, f"to {second.base}") if form != right]
    return Draft(f"{start} {right} {other}.", {"coordination": f"{start} {w.pick(wrong)} {other}."})


CONSTRUCTIONS = (
    object_question,
    long_question,
    trace_after_that,
    embedded_question,
    object_relative,
    subject_relative,
    stranded_preposition,
    cleft,
    comparative,
    degree_clause,
    correlative,
    verb_coordination,
)
