"""Constructions around licensing: polarity items, negation, quantifiers, tense and its adverbials."""

from __future__ import annotations

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import Draft, Edit, Style, Words, be, do, group, have


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
    """Nobody thinks that Mary has found anything."""
    subject, verb = w.person(False), w.word(lexicon.FIND)
    thing = w.word(lexicon.THINGS)
    anything_ = w.pick(("anything", f"any {thing.plural}", f"any of the {thing.plural}"))
    where = w.pick(("", w.place(), w.word(lexicon.MANNERS)))
    kind = w.pick(("not", "never", "nobody", "question", "inner", "doubt", "if", "before"))
    finite = group(verb, w.pick(_PLAIN), False)
    end = f"{anything_} {where}"
    other = w.person(False)
    if kind == "not":
        style = w.pick(_NEGATED)
        return Draft(
            f"{subject} {group(verb, style, False)} {end}.",
            {
                "unlicensed": f"{subject} {group(verb, 'past' if style == 'did_not' else 'present', False)} {end}."
            },
        )
    if kind == "never":
        adverb, plain = w.pick(("never", "hardly ever", "rarely")), w.pick(("always", "often", "usually"))
        return Draft(
            f"{subject} {adverb} {verb.past} {end}.", {"unlicensed": f"{subject} {plain} {verb.past} {end}."}
        )
    if kind == "nobody":
        return Draft(
            f"{w.pick(('nobody', 'no one'))} {w.place()} {finite} {end}.",
            {
                "unlicensed": f"{w.pick((f'somebody who helped nobody', 'someone', 'everyone', str(subject)))} "
                f"{w.place()} {finite} {end}."
            },
        )
    if kind == "question":
        return Draft(f"did {subject} {verb.base} {end}?", {"unlicensed": f"{subject} {verb.past} {end}."})
    if kind == "inner":
        think = w.pick(("think", "believe", "suppose"))
        return Draft(
            f"{subject} does not {think} that {other} {finite} {end}.",
            {
                "unlicensed": w.pick(
                    (
                        f"{subject} {think}s that {other} {finite} {end}.",
                        f"that {other} did not sleep means that {subject} {finite} {end}.",
                    )
                )
            },
        )
    if kind == "doubt":
        return Draft(
            f"{subject} {w.pick(('doubts', 'doubted', 'denied', 'denies'))} that {other} {finite} {end}.",
            {
                "unlicensed": f"{subject} {w.pick(('claims', 'thought', 'believes', 'assumed'))} that {other} "
                f"{finite} {end}."
            },
        )
    sleep = w.word(lexicon.INTRANSITIVE)
    if kind == "if":
        return Draft(
            f"if {other} {verb.third} {end}, {subject} will {sleep.base}.",
            {"unlicensed": f"if {other} {sleep.third}, {subject} will {verb.base} {end}."},
        )
    return Draft(
        f"{subject} {sleep.past} before {other} {verb.past} {end}.",
        {"unlicensed": f"{subject} {verb.past} {end} before {other} {sleep.past}."},
    )


_PLAIN: tuple[Style, ...] = ("past", "perfect", "modal")
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
    """The girl does not often sleep near the river."""
    subject, verb = w.person(None, 0.2), w.word(lexicon.INTRANSITIVE)
    tail = w.pick(("", w.place(), w.word(lexicon.MANNERS)))
    style = w.pick(_NEGATED)
    auxiliary = "did" if style == "did_not" else do(subject.plural)
    form = w.pick([f for f in (verb.past, verb.third) if f != verb.base])
    return Draft(
        f"{subject} {auxiliary} not {verb.base} {tail}.",
        {
            "double_tense": f"{subject} {auxiliary} not {form} {tail}.",
            "order": w.pick(
                (
                    f"{subject} not {auxiliary} {verb.base} {tail}.",
                    f"{subject} {form} not {tail}.",
                    f"{subject} not {form} {tail}.",
                )
            ),
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


def time_adverbial(w: Words) -> Draft:
    """The guest who arrived yesterday will leave tomorrow."""
    subject, plural = w.phrase(lexicon.PERSONS), False
    plural = subject.plural
    verb, thing, inner = w.word(lexicon.FIND), w.thing(), w.word(lexicon.INTRANSITIVE)
    past, future = w.pick(("yesterday", "last week", "two days ago")), w.pick(("tomorrow", "next week"))
    clause = w.pick(("", f"who {inner.past} {past}", f"who will {inner.base} {future}"))
    if w.chance():
        right, wrong = past, future
        finite = w.pick((verb.past, f"did not {verb.base}"))
    else:
        right, wrong = future, past
        finite = w.pick((f"will {verb.base}", f"will not {verb.base}"))
    bad: dict[Edit, str] = {"tense": f"{subject} {clause} {finite} {thing} {wrong}."}
    if right == past:
        bad["tense"] = w.pick(
            (bad["tense"], f"{subject} {clause} {have(plural)} {verb.participle} {thing} {past}.")
        )
    return Draft(f"{subject} {clause} {finite} {thing} {right}.", bad)


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
    where = w.pick(("", w.place()))
    condition = f"if {first} had {find.participle} {thing} {where}"
    forms = [f for f in (sleep.base, sleep.past, sleep.ing) if f != sleep.participle]
    third = [f for f in (sleep.past, sleep.third) if f != sleep.base]
    if w.chance():
        return Draft(
            f"{condition}, {second} would have {sleep.participle}.",
            {
                "auxiliary": f"{condition}, {second} would have {w.pick(forms)}.",
                "tense": f"{condition}, {second} {w.pick(('will have', be(second.plural)))} {sleep.participle if sleep else ''}.",
            },
        )
    return Draft(
        f"{condition}, {second} would {sleep.base}.",
        {"auxiliary": f"{condition}, {second} would {w.pick(third)}."},
    )


CONSTRUCTIONS = (
    ever,
    anything,
    yet,
    negation,
    floating_quantifier,
    time_adverbial,
    adverb_place,
    conditional,
)
