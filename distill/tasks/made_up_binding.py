"""Constructions around pronouns: reflexives and their antecedents, case, tags."""

from __future__ import annotations

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks.made_up_words import (
    Draft,
    Edit,
    Phrase,
    Style,
    Words,
    be,
    do,
    group,
    have,
    parts,
    reflexive,
)

_OTHER = {"m": "f", "f": "m"}


def _wrong_reflexive(w: Words, antecedent: Phrase) -> str:
    """A reflexive that can't refer to ``antecedent``."""
    if antecedent.plural:
        return w.pick(("himself", "herself"))
    return w.pick((reflexive(False, _OTHER[antecedent.gender]),) * 3 + ("themselves",))


def reflexive_with_attractor(w: Words) -> Draft:
    """The queen beside the boys has blamed herself."""
    gender, plural = w.pick(("m", "f")), w.chance(0.3)
    verb = w.word(lexicon.REFLEXIVE)
    noun = w.word(lexicon.GENDERED, lambda noun: noun.gender == gender)
    rival = w.gendered(_OTHER[gender], not plural and w.chance())
    head = Phrase(f"the {noun.plural if plural else noun.singular}", plural, gender)
    other = w.word(lexicon.ADMIRE)
    modifier = w.pick(
        (
            f"{w.word(lexicon.PREPOSITIONS)} {rival}",
            f"who {rival} {group(other, w.style(other), rival.plural)}",
            f"who {group(other, w.style(other), plural)} {rival}",
        )
    )
    start = f"{head} {modifier} {group(verb, w.style(verb), plural)}"
    return Draft(f"{start} {head.reflexive}.", {"reflexive": f"{start} {rival.reflexive}."})


def possessor(w: Words) -> Draft:
    """Mary's uncle defended himself."""
    owner = w.name()
    noun = w.word(lexicon.KIN, lambda noun: noun.gender != owner.gender)
    head = Phrase(f"{owner}'s {noun.singular}", False, noun.gender)
    if w.chance(0.4):
        head = Phrase(f"the {noun.singular} of {owner}", False, noun.gender)
    if w.chance(0.4):
        verb = w.word(lexicon.FIND)
        thing = w.phrase(lexicon.THINGS, definite=True)
        start, by = f"{head} {group(verb, w.style(verb), False)} {thing}", "by "
    else:
        verb = w.word(lexicon.REFLEXIVE)
        start, by = f"{head} {group(verb, w.style(verb), False)}", ""
    return Draft(f"{start} {by}{head.reflexive}.", {"reflexive": f"{start} {by}{owner.reflexive}."})


def reflexive_in_clause(w: Words) -> Draft:
    """Mary believes that the king has insulted himself."""
    gender = w.pick(("m", "f"))
    outer = w.gendered(_OTHER[gender], w.chance(0.2))
    inner = w.gendered(gender, w.chance(0.2))
    think, verb = w.word(lexicon.SAY_THAT), w.word(lexicon.REFLEXIVE)
    start = f"{outer} {group(think, w.style(think), outer.plural)}"
    that = w.pick(("that", ""))
    finite = group(verb, w.style(verb), inner.plural)
    wrong = outer.reflexive if outer.reflexive != inner.reflexive else _wrong_reflexive(w, inner)
    return Draft(
        f"{start} {that} {inner} {finite} {inner.reflexive}.",
        {
            "reflexive": w.pick(
                (
                    f"{start} {that} {inner} {finite} {wrong}.",
                    f"{start} {that} {inner} {finite} {wrong}.",
                    f"{start} {that} {outer.reflexive} {group(verb, 'past', False)} {inner}.",
                )
            )
        },
    )


def reflexive_under_control(w: Words) -> Draft:
    """The king forced Mary to defend herself, and: the king hoped to defend himself near Mary."""
    gender = w.pick(("m", "f"))
    outer, inner = w.gendered(gender), w.gendered(_OTHER[gender], w.chance(0.2))
    verb = w.word(lexicon.REFLEXIVE)
    kind = w.pick(("object", "object", "subject", "raising"))
    if kind == "object":
        force = w.word(lexicon.FORCE)
        start = f"{outer} {group(force, w.style(force), False)} {inner} to {verb.base}"
        right, wrong = inner.reflexive, outer.reflexive
    elif kind == "subject":
        want = w.word(lexicon.WANT_TO)
        near = w.attractor_of(inner)
        start = f"{outer} {near} {group(want, w.style(want), False)} to {verb.base}"
        right, wrong = outer.reflexive, inner.reflexive
    else:
        start = f"{outer} {w.pick(('seems', 'seemed', 'appeared'))} to {inner} to have {verb.participle}"
        right, wrong = outer.reflexive, inner.reflexive
    return Draft(f"{start} {right}.", {"reflexive": f"{start} {wrong}."})


def each_other(w: Words) -> Draft:
    """The boys near the teacher have thanked each other."""
    verb = w.word(lexicon.ADMIRE)
    style = w.style(verb)
    many, one = (
        w.phrase(lexicon.PERSONS, True, definite=True),
        w.phrase(lexicon.PERSONS, False, definite=True),
    )
    link = w.pick((w.word(lexicon.PREPOSITIONS), f"who {verb_s(w)}"))
    if w.chance(0.4):
        think = w.word(lexicon.SAY_THAT)
        thought = w.style(think)
        return Draft(
            f"{one} {group(think, thought, False)} that {many} {group(verb, style, True)} each other.",
            {
                "reflexive": f"{many} {group(think, thought, True)} that {one} "
                f"{group(verb, style, False)} each other."
            },
        )
    return Draft(
        f"{many} {link} {one} {group(verb, style, True)} each other.",
        {"reflexive": f"{one} {link} {many} {group(verb, style, False)} each other."},
    )


def verb_s(w: Words) -> str:
    """A past verb group that suits either number."""
    verb = w.word(lexicon.ADMIRE)
    return w.pick((verb.past, f"will {verb.base}", f"did not {verb.base}"))


def pronoun_case(w: Words) -> Draft:
    """Anna believes that he resents her."""
    nominative, accusative = w.pick((("he", "him"), ("she", "her"), ("they", "them"), ("we", "us")))
    plural = nominative in ("they", "we")
    other, verb = w.person(), w.word(lexicon.ADMIRE)
    style = w.style(verb)
    kind = w.pick(("object", "embedded", "exceptional", "for", "near", "whether"))
    think = w.word(lexicon.SAY_THAT)
    if kind == "object":
        start, end = f"{other} {group(verb, style, other.plural)}", w.pick(("", w.place()))
        right, wrong = accusative, nominative
    elif kind == "embedded":
        start = f"{other} {group(think, w.style(think), other.plural)} {w.pick(('', 'that'))}"
        right, wrong, end = nominative, accusative, f"{group(verb, style, plural)} {w.person()}"
    elif kind == "exceptional":
        believe = w.pick(("believes", "believed", "expects", "expected", "wanted", "wants"))
        other = w.name()
        infinitive = f"to {verb.base}"
        start, right, wrong, end = f"{other} {believe}", accusative, nominative, f"{infinitive} {w.person()}"
    elif kind == "for":
        adjective = w.pick(("important", "easy", "difficult", "impossible"))
        start, right, wrong = f"it {w.pick(('is', 'was'))} {adjective} for", accusative, nominative
        end = f"to {verb.base} {w.person()}"
    elif kind == "near":
        sleep = w.word(lexicon.INTRANSITIVE)
        start = f"{w.phrase(lexicon.PERSONS, False)} {w.word(lexicon.PREPOSITIONS)}"
        right, wrong, end = accusative, nominative, group(sleep, w.style(sleep), False)
    else:
        ask = w.word(lexicon.ASK_WHETHER)
        start = f"{other} {ask.past} {w.pick(('whether', 'when', 'where'))}"
        right, wrong, end = nominative, accusative, f"{group(verb, 'past', plural)} {w.person()}"
    return Draft(f"{start} {right} {end}.", {"case": f"{start} {wrong} {end}."})


def tag_question(w: Words) -> Draft:
    """The girl near the boys has fallen, hasn't she?"""
    gender, plural = w.pick(("m", "f")), w.chance(0.3)
    subject = w.gendered(gender, plural)
    rival = w.gendered(_OTHER[gender], not plural)
    if w.chance(0.7) and subject.text[0].islower():
        subject = subject.then(f"{w.word(lexicon.PREPOSITIONS)} {rival}")
    verb = w.word(lexicon.INTRANSITIVE)
    tags: dict[Style, str] = {
        "past": "did",
        "present": do(plural),
        "progressive": be(plural),
        "was": be(plural, past=True),
        "perfect": have(plural),
        "modal": "wo",
    }
    kind = w.pick(tuple(tags))
    wrong = w.pick(("he", "she") if plural else ("they", "she" if gender == "m" else "he"))
    other_tag = w.pick([tag for name, tag in tags.items() if name != kind])
    start = f"{subject} {group(verb, kind, plural)}"
    return Draft(
        f"{start}, {tags[kind]}n't {subject.he}?",
        {
            "ellipsis": f"{start}, {other_tag}n't {subject.he}?",
            "pronoun": f"{start}, {tags[kind]}n't {wrong}?",
        },
    )


def ellipsis(w: Words) -> Draft:
    """Mary has found the key, and the boys have too; Mary did not find it, and neither did the boys."""
    first, second = w.person(), w.person()
    verb, thing = w.word(lexicon.FIND), w.phrase(lexicon.THINGS, definite=True)
    kind = w.style(verb)
    auxiliary = parts(verb, kind, second.plural)[0]
    start = f"{first} {group(verb, kind, first.plural)} {thing}, and"
    too, so = f"{second} {auxiliary} too", f"so {auxiliary} {second}"
    either, neither = f"{second} {auxiliary} not either", f"neither {auxiliary} {second}"
    if kind in ("not", "did_not"):
        good, unlicensed = w.pick((either, neither)), so
    else:
        good, unlicensed = w.pick((too, so)), w.pick((neither, f"{second} {auxiliary} either"))
    bad: dict[Edit, str] = {"unlicensed": f"{start} {unlicensed}."}
    if kind not in ("progressive", "was"):
        bad["ellipsis"] = f"{start} {good.replace(auxiliary, be(second.plural), 1)}."
    return Draft(f"{start} {good}.", bad)


CONSTRUCTIONS = (
    reflexive_with_attractor,
    possessor,
    reflexive_in_clause,
    reflexive_under_control,
    each_other,
    pronoun_case,
    tag_question,
    ellipsis,
)
