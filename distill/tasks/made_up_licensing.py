"""Constructions around licensing: polarity items, negation, quantifiers, tense and its adverbials."""

from __future__ import annotations

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import Draft, Style, Words, do, group, have


def ever(w: Words) -> Draft:
    """No girl who met some boys has ever slept, against: some girl who met no boys has ever slept."""
    plural, other = w.chance(), w.chance()
    noun, rival = w.word(lexicon.PERSONS), w.word(lexicon.PERSONS)
    verb, main = w.word(lexicon.ADMIRE), w.word(lexicon.FIND)
    negative = w.pick(("no", "few") if plural else ("no",))
    positive = w.pick(("some", "many", "these", "most", "the") if plural else ("this", "that", "the", "a"))
    inner_negative = "no"
    inner_positive = w.pick(("the", "some", "these") if other else ("the", "this", "every"))
    head = noun.plural if plural else noun.singular
    rival_head = rival.plural if other else rival.singular
    finite = w.pick((verb.past, f"will {verb.base}"))
    style = w.pick(("who", "near", "that"))
    rest = f"{have(plural)} ever {main.participle} {w.thing()}"

    def sentence(outer: str, inner: str) -> str:
        link = {"who": f"who {finite}", "near": "near", "that": f"who {inner} {rival_head} {finite}"}[style]
        tail = "" if style == "that" else f"{inner} {rival_head}"
        return f"{outer} {head} {link} {tail} {rest}."

    return Draft(
        sentence(negative, inner_positive),
        {"unlicensed": sentence(positive, w.pick((inner_negative, inner_negative, inner_positive)))},
    )


def anything(w: Words) -> Draft:
    """Nobody near the house has found anything."""
    subject, verb, other = w.person(False), w.word(lexicon.FIND), w.person(False)
    thing = w.word(lexicon.THINGS).plural
    end = f"{w.pick(('anything', f'any {thing}', f'any of the {thing}'))} {w.pick(('', w.place()))}"
    sleep = w.word(lexicon.INTRANSITIVE)
    # Past and perfect only: free choice "any" is at home with modals and habits.
    finite = w.pick((verb.past, f"has {verb.participle}"))
    kind = w.pick(("not", "never", "nobody", "question", "inner", "doubt", "if", "before"))
    if kind == "not":
        negated = f"did not {verb.base}" if finite == verb.past else f"has not {verb.participle}"
        good, bad = f"{subject} {negated} {end}.", f"{subject} {finite} {end}."
    elif kind == "never":
        good = f"{subject} {w.pick(('never', 'hardly', 'rarely'))} {verb.past} {end}."
        bad = f"{subject} {w.pick(('recently', 'suddenly', 'quickly'))} {verb.past} {end}."
    elif kind == "nobody":
        where = w.place()
        good = f"{w.pick(('nobody', 'no one'))} {where} {finite} {end}."
        bad = f"{w.pick(('somebody', 'someone', 'everyone', str(subject)))} {where} {finite} {end}."
    elif kind == "question":
        good, bad = f"did {subject} {verb.base} {end}?", f"{subject} {finite} {end}."
    elif kind == "inner":
        think, rest = w.pick(("think", "believe")), f"that {other} {finite} {end}."
        good, bad = f"{subject} does not {think} {rest}", f"{subject} {think}s {rest}"
    elif kind == "doubt":
        rest = f"that {other} {finite} {end}."
        good = f"{subject} {w.pick(('doubts', 'doubted', 'denied', 'denies'))} {rest}"
        bad = f"{subject} {w.pick(('claims', 'thought', 'believes', 'assumed'))} {rest}"
    elif kind == "if":
        good = f"if {other} {verb.past} {end}, {subject} {sleep.past}."
        bad = f"if {other} {sleep.past}, {subject} {verb.past} {end}."
    else:
        good = f"{subject} {sleep.past} before {other} {verb.past} {end}."
        bad = f"{subject} {verb.past} {end} before {other} {sleep.past}."
    return Draft(good, {"unlicensed": bad})


_NEGATED: tuple[Style, ...] = ("not", "did_not")


def yet(w: Words) -> Draft:
    """The man who praised Mary has not arrived yet."""
    plural, verb = w.chance(), w.word(lexicon.INTRANSITIVE)
    subject = w.phrase(lexicon.PERSONS, plural)
    other = w.phrase(lexicon.PERSONS)
    inner = w.word(lexicon.ADMIRE)
    item = w.pick(("yet", "at all"))
    clause = f"who {inner.past} {other}"
    negated = f"who did not {w.pick((inner.base,))} {other}"
    if w.chance(0.4):
        clause, negated = "", w.pick((negated, ""))
    return Draft(
        f"{subject} {clause} {have(plural)} not {verb.participle} {item}.",
        {"unlicensed": f"{subject} {negated} {have(plural)} {verb.participle} {item}."},
    )


def negation(w: Words) -> Draft:
    """The girl did not sleep near the river."""
    subject, verb = w.person(None, 0.2), w.word(lexicon.INTRANSITIVE)
    tail = w.pick(("", w.place(), w.word(lexicon.MANNERS)))
    auxiliary = w.pick(("did", do(subject.plural)))
    return Draft(
        f"{subject} {auxiliary} not {verb.base} {tail}.",
        {
            "double_tense": f"{subject} {auxiliary} not {verb.past} {tail}.",
            "order": f"{subject} {w.pick((f'not {verb.past}', f'not {auxiliary} {verb.base}'))} {tail}.",
        },
    )


def floating_quantifier(w: Words) -> Draft:
    """The sailors near the house have all fallen."""
    verb = w.word(lexicon.INTRANSITIVE)
    styles: tuple[Style, ...] = ("progressive", "was", "perfect", "modal")
    style = w.pick(styles)
    quantity = w.pick(("all", "both"))
    many = w.phrase(lexicon.PERSONS, True, definite=True)
    one = w.phrase(lexicon.PERSONS, False, definite=True)
    link = w.word(lexicon.PREPOSITIONS)

    def finite(plural: bool) -> str:
        auxiliary, main = group(verb, style, plural).split(" ")
        return f"{auxiliary} {quantity} {main}"

    return Draft(
        f"{many} {link} {one} {finite(True)}.",
        {
            "determiner": f"{one} {link} {many} {finite(False)}.",
            "order": f"{quantity} have {many} {link} {one} {verb.participle}.",
        },
    )


def adverb_place(w: Words) -> Draft:
    """The tailor quickly repaired the lamp behind the house."""
    subject, verb, thing = w.person(), w.word(lexicon.FIND), w.thing()
    if subject.text.startswith("the") and w.chance(0.4):
        subject = subject.then(w.attractor(w.chance()))
    adverb = w.word(lexicon.MANNERS)
    finite = group(verb, w.style(verb), subject.plural)
    good = w.pick((f"{adverb} {subject} {finite} {thing}", f"{subject} {finite} {thing} {adverb}"))
    if finite.count(" ") == 0:
        good = w.pick((good, f"{subject} {adverb} {finite} {thing}"))
    return Draft(f"{good}.", {"order": f"{subject} {finite} {adverb} {thing}."})


def conditional(w: Words) -> Draft:
    """If the girl had found the lamp, Tom would have smiled."""
    first, second = w.person(), w.person()
    find, sleep, thing = w.word(lexicon.FIND), w.word(lexicon.INTRANSITIVE), w.thing()
    start = f"if {first} had {find.participle} {thing}, {second}"
    good, bad = (
        f"would have {sleep.participle}",
        w.pick(
            (
                f"would had {sleep.participle}",
                f"would has {sleep.participle}",
                f"would {sleep.past}",
                f"would have {sleep.ing}",
            )
        ),
    )
    return Draft(f"{start} {good}.", {"auxiliary": f"{start} {bad}."})


CONSTRUCTIONS = (
    ever,
    anything,
    yet,
    negation,
    floating_quantifier,
    adverb_place,
    conditional,
)
