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


def reflexive_object(w: Words) -> Draft:
    """The queen beside the boys has blamed herself."""
    gender, plural = w.pick(("m", "f")), w.chance(0.3)
    verb = w.word(lexicon.REFLEXIVE)
    noun = w.word(lexicon.GENDERED, lambda noun: noun.gender == gender)
    rival = w.gendered(_OTHER[gender], not plural and w.chance())
    head = Phrase(f"the {noun.plural if plural else noun.singular}", plural, gender)
    other = w.word(lexicon.ADMIRE)
    modifier = w.pick(
        (
            "",
            "",
            f"{w.word(lexicon.PREPOSITIONS)} {rival}",
            f"who {rival} {group(other, w.style(other), rival.plural)}",
        )
    )
    start = f"{head} {modifier} {group(verb, w.style(verb), plural)}"
    return Draft(f"{start} {head.reflexive}.", {"reflexive": f"{start} {rival.reflexive}."})


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
    verb, think = w.word(lexicon.ADMIRE), w.word(lexicon.SAY_THAT)
    style, thought = w.style(verb), w.style(think)
    many = w.phrase(lexicon.PERSONS, True, definite=True)
    one = w.phrase(lexicon.PERSONS, False, definite=True)
    link = w.word(lexicon.PREPOSITIONS)

    def sentence(near: Phrase, far: Phrase, kind: str) -> str:
        """``near`` is the antecedent in reach of "each other"; ``far`` is out of reach."""
        reciprocal = f"{group(verb, style, near.plural)} each other."
        if kind == "clause":
            return f"{far} {group(think, thought, far.plural)} that {near} {reciprocal}"
        return f"{near} {f'{link} {far}' if kind == 'modifier' else ''} {reciprocal}"

    kind = w.pick(("plain", "modifier", "clause"))
    return Draft(sentence(many, one, kind), {"reflexive": sentence(one, many, kind)})


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
    kind: Style = "did_not" if w.chance(0.3) else w.style(verb)
    start = f"{first} {group(verb, kind, first.plural)} {thing}, and"

    def echo(form: str, auxiliary: str) -> str:
        inverted = form in ("so", "neither")
        return f"{start} {f'{form} {auxiliary} {second}' if inverted else f'{second} {auxiliary} {form}'}."

    right, wrong = (("neither", "not either"), ("so",)) if kind == "did_not" else (("so", "too"), ("neither", "either"))
    form, auxiliary = w.pick(right), parts(verb, kind, second.plural)[0]
    bad: dict[Edit, str] = {"unlicensed": echo(w.pick(wrong), auxiliary)}
    if kind != "progressive":
        bad["ellipsis"] = echo(form, be(second.plural))
    return Draft(echo(form, auxiliary), bad)


CONSTRUCTIONS = (
    reflexive_object,
    reflexive_in_clause,
    reflexive_under_control,
    each_other,
    pronoun_case,
    tag_question,
    ellipsis,
)
