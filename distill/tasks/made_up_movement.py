"""Constructions with gaps: questions, relative clauses, clefts, comparatives, coordination."""

from __future__ import annotations

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import Draft, Edit, Phrase, Words, be, group, parts, wrong_forms


def _asked(w: Words) -> str:
    """The thing a question asks for."""
    noun = w.word(lexicon.THINGS)
    return w.pick(("what", f"which {noun.singular}", f"which {noun.plural}", f"which {noun.singular}"))


def object_question(w: Words) -> Draft:
    """Which lamp did the tall teacher repair?"""
    subject, verb, asked = w.person(None, 0.2), w.word(lexicon.FIND), _asked(w)
    style = w.style(verb)
    if subject.text.startswith("the") and w.chance(0.4):
        subject = subject.then(w.attractor(w.chance()))
    auxiliary, main = parts(verb, style, subject.plural)
    negated = style in ("not", "did_not")
    middle = "not" if negated else ""
    bad: dict[Edit, str] = {
        "filled_gap": f"{asked} {auxiliary} {subject} {middle} {main} {w.pick(('it', str(w.thing())))}?",
        "inversion": f"{asked} {subject} {auxiliary} {middle} {main}?",
        "auxiliary": f"{asked} {auxiliary} {subject} {middle} {w.pick(wrong_forms(verb, style))}?",
        "missing_argument": f"{asked} {parts(w.word(lexicon.INTRANSITIVE), 'past', False)[0]} {subject} "
        f"{w.word(lexicon.INTRANSITIVE).base}?",
    }
    if style in ("past", "did_not"):
        del bad["auxiliary"]
        bad["double_tense"] = f"{asked} {auxiliary} {subject} {middle} {verb.past}?"
    return Draft(f"{asked} {auxiliary} {subject} {middle} {main}?", bad)


def long_question(w: Words) -> Draft:
    """Which lamp does Mary think that the teacher has repaired?"""
    outer, inner, asked = w.person(), w.person(), _asked(w)
    think, verb = w.word(lexicon.SAY_THAT), w.word(lexicon.FIND)
    sleep = w.word(lexicon.INTRANSITIVE)
    auxiliary, main = parts(think, w.style(think), outer.plural)
    style = w.style(verb)
    that = w.pick(("that", ""))
    start = f"{asked} {auxiliary} {outer} {main}"
    clause = f"{that} {inner} {group(verb, style, inner.plural)}"
    return Draft(
        f"{start} {clause}?",
        {
            "filled_gap": f"{start} {clause} {w.pick(('it', str(w.thing()), str(w.thing())))}?",
            "missing_argument": f"{start} {that} {inner} {group(sleep, w.style(sleep), inner.plural)}?",
            "inversion": f"{asked} {outer} {group(think, 'past', False)} {clause}?",
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


def island(w: Words) -> Draft:
    """Which lamp did the man who laughed repair, against: which lamp did the man who repaired laugh?"""
    asked, subject = _asked(w), w.phrase(lexicon.PERSONS)
    find, sleep, other = w.word(lexicon.FIND), w.word(lexicon.INTRANSITIVE), w.person()
    kind = w.pick(("relative", "adjunct", "coordinate", "question"))
    if kind == "relative":
        return Draft(
            f"{asked} did {subject} who {sleep.past} {find.base}?",
            {"island": f"{asked} did {subject} who {find.past} {sleep.base}?"},
        )
    if kind == "adjunct":
        when = w.pick(("before", "after", "because", "while"))
        return Draft(
            f"{asked} did {subject} {find.base} {when} {other} {sleep.past}?",
            {"island": f"{asked} did {subject} {sleep.base} {when} {other} {find.past}?"},
        )
    if kind == "coordinate":
        second, thing = w.word(lexicon.FIND), w.thing()
        return Draft(
            w.pick(
                (
                    f"{asked} did {subject} {find.base} and {other} {second.base}?",
                    f"did {subject} {find.base} {thing} and {other} {second.base} it?",
                )
            ),
            {
                "island": w.pick(
                    (
                        f"{asked} did {subject} {find.base} and {other} {second.base} {thing}?",
                        f"{asked} did {subject} {find.base} {thing} and {other} {second.base}?",
                        f"{asked} did {subject} {find.base} and {thing}?",
                    )
                )
            },
        )
    ask = w.word(lexicon.ASK_WHETHER)
    think = w.word(lexicon.SAY_THAT)
    return Draft(
        f"{asked} did {subject} {think.base} {other} {find.past}?",
        {"island": f"{asked} did {subject} {ask.base} who {find.past}?"},
    )


def embedded_question(w: Words) -> Draft:
    """Tom wondered what the girl had found."""
    outer, inner, asked = w.person(), w.person(), _asked(w)
    ask, verb = w.word(lexicon.ASK_WHETHER), w.word(lexicon.FIND)
    style = w.auxiliary_style(verb)
    while style in ("not", "did_not"):
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
    """The lamp that the girl repaired was expensive."""
    plural, subject, verb = w.chance(), w.person(), w.word(lexicon.FIND)
    thing = w.phrase(lexicon.THINGS, plural)
    adjective = w.word(lexicon.THING_ADJECTIVES).plain
    that = w.pick(("that", "which", ""))
    style = w.style(verb)
    end = f"{be(plural, w.chance())} {adjective}"
    inner = f"{subject} {group(verb, style, subject.plural)}"
    if w.chance(0.4):
        think, outer = w.word(lexicon.SAY_THAT), w.name()
        inner = f"{outer} {group(think, w.pick(('past', 'present')), False)} {inner}"
    sleep = w.word(lexicon.INTRANSITIVE)
    pronoun = "them" if plural else "it"
    return Draft(
        f"{thing} {that} {inner} {end}.",
        {
            "filled_gap": f"{thing} {that} {inner} {w.pick((pronoun, str(w.thing())))} {end}.",
            "missing_argument": f"{thing} {that} {subject} {group(sleep, w.style(sleep), subject.plural)} {end}.",
            "relative": f"{thing} {w.pick(('who', 'what', 'whom'))} {inner} {end}.",
        },
    )


def subject_relative(w: Words) -> Draft:
    """Mary thanked the sailor who has found the box."""
    subject, plural = w.person(), w.chance()
    verb, find, thing = w.word(lexicon.ADMIRE), w.word(lexicon.FIND), w.thing()
    style = w.auxiliary_style(find)
    head = w.phrase(lexicon.PERSONS, plural)
    inner = f"{group(find, style, plural)} {thing}"
    start = f"{subject} {group(verb, w.style(verb), subject.plural)} {head}"
    he = "they" if plural else w.pick(("he", "she"))
    return Draft(
        f"{start} {w.pick(('who', 'that'))} {inner}.",
        {
            "relative": w.pick((f"{start} {inner}.", f"{start} which {inner}.", f"{start} what {inner}.")),
            "filled_gap": f"{start} {w.pick(('who', 'that'))} {he} {inner}.",
            "agreement": f"{start} who {be(not plural)} {find.ing} {thing}.",
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


def possessive_relative(w: Words) -> Draft:
    """The girl whose brothers admire the king has smiled."""
    head, many = w.phrase(lexicon.PERSONS), w.chance()
    kin, verb, sleep = w.word(lexicon.KIN), w.word(lexicon.ADMIRE), w.word(lexicon.INTRANSITIVE)
    owned = kin.plural if many else kin.singular
    obj = w.phrase(lexicon.PERSONS, definite=True)
    style, inner_style = w.style(sleep, agreeing=True), w.style(verb, agreeing=True)
    rest = group(sleep, style, head.plural)
    clause = f"{owned} {group(verb, inner_style, many)} {obj}"
    wrong = f"{owned} {group(verb, inner_style, not many)} {obj}"
    return Draft(
        f"{head} whose {clause} {rest}.",
        {
            "relative": f"{head} {w.pick(('who', 'who the', 'that', 'whose the'))} {clause} {rest}.",
            "agreement": w.pick(
                (
                    f"{head} whose {wrong} {rest}.",
                    f"{head} whose {clause} {group(sleep, style, not head.plural)}.",
                )
            ),
        },
    )


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
    subject, other = w.phrase(lexicon.PERSONS, adjective=0.0), w.phrase(lexicon.PERSONS)
    adjective = w.word(lexicon.PERSON_ADJECTIVES)
    if w.chance(0.4):
        other = other.then(w.object_clause(w.chance()))
    if w.chance(0.4):
        subject = subject.then(w.attractor(not subject.plural))
    is_ = be(subject.plural, w.chance())
    rich, richer = adjective.plain, adjective.comparative
    than, as_ = f"{richer} than {other}", f"as {rich} as {other}"
    bad = (
        f"more {richer} than {other}",
        f"{richer} as {other}",
        f"as {richer} as {other}",
        f"{rich} than {other}",
        f"as {rich} than {other}",
        f"so {rich} than {other}",
    )
    start = f"{subject} {is_}"
    return Draft(f"{start} {w.pick((than, as_))}.", {"comparison": f"{start} {w.pick(bad)}."})


def degree_clause(w: Words) -> Draft:
    """The lamp was so heavy that Mary could not lift it; it was too heavy for her to lift."""
    thing, adjective = w.phrase(lexicon.THINGS, w.chance()), w.word(lexicon.THING_ADJECTIVES).plain
    subject, verb = w.name(), w.word(lexicon.FIND)
    is_, it = be(thing.plural, True), "them" if thing.plural else "it"
    start, clause = f"{thing} {is_}", f"that {subject} could not {verb.base} {it}"
    to = f"for {subject} to {verb.base}"
    if w.chance():
        bad = (f"too {adjective} {clause}", f"such {adjective} {clause}", f"more {adjective} {clause}")
        return Draft(
            f"{start} so {adjective} {clause}.",
            {
                "comparison": f"{start} {w.pick(bad)}.",
                "case": f"{start} so {adjective} that {Phrase('', False, subject.gender).him} could not {verb.base} {it}.",
            },
        )
    bad = (
        f"so {adjective} {to}",
        f"such {adjective} {to}",
        f"enough {adjective} {to}",
        f"very {adjective} enough {to}",
    )
    return Draft(
        f"{start} {w.pick((f'too {adjective}', f'{adjective} enough'))} {to}.",
        {"comparison": f"{start} {w.pick(bad)}."},
    )


def correlative(w: Words) -> Draft:
    """Both the king and the girl near the house admire Paul."""
    first = w.phrase(lexicon.PERSONS, False, definite=True)
    second = w.phrase(lexicon.PERSONS, False, definite=True)
    where = w.pick(("", w.place(), w.attractor(w.chance())))
    verb, other = w.word(lexicon.ADMIRE), w.person()
    pairs = {"both": "and", "either": "or", "neither": "nor"}
    head = w.pick(tuple(pairs))
    wrong = w.pick([link for link in pairs.values() if link != pairs[head]])
    finite = w.pick((verb.past, f"will {verb.base}", f"could {verb.base}"))
    if w.chance():
        return Draft(
            f"{head} {first} {where} {pairs[head]} {second} {finite} {other}.",
            {"coordination": f"{head} {first} {where} {wrong} {second} {finite} {other}."},
        )
    start = f"{other} {w.pick(('will', 'could'))} {head} {verb.base} {first} {where}"
    find = w.word(lexicon.ADMIRE)
    return Draft(
        f"{start} {pairs[head]} {find.base} {second}.",
        {
            "coordination": w.pick(
                (f"{start} {wrong} {find.base} {second}.", f"{start} {pairs[head]} {find.ing} {second}.")
            )
        },
    )


def verb_coordination(w: Words) -> Draft:
    """The girl has found the box and taken it."""
    subject = w.person(None, 0.2)
    first, second = w.word(lexicon.FIND), w.word(lexicon.FIND)
    thing = w.thing()
    style = w.auxiliary_style(first)
    start = f"{subject} {group(first, style, subject.plural)} {thing} {w.pick(('', w.place()))} and"
    right = parts(second, style, False)[1]
    # A finite second verb would be a second clause ("... and finds it").
    wrong = [f for f in (second.base, second.ing, f"to {second.base}") if f != right]
    pronoun = w.pick(("it", "them")) if False else str(w.thing())
    return Draft(
        f"{start} {right} {pronoun}.",
        {
            "coordination": f"{start} {w.pick(wrong)} {pronoun}.",
            "missing_argument": f"{start} {right}.",
        },
    )


CONSTRUCTIONS = (
    object_question,
    long_question,
    trace_after_that,
    island,
    embedded_question,
    object_relative,
    subject_relative,
    stranded_preposition,
    possessive_relative,
    cleft,
    comparative,
    degree_clause,
    correlative,
    verb_coordination,
)
