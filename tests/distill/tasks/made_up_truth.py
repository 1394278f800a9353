"""What rows of the made-up data mean, read off their texts alone: labels are checked against this.

It knows what words mean (the tables), but nothing of how rows are built. Inference is judged by trying all cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from typing import Any

from distill.tasks import made_up_lexicon as lexicon
from distill.tasks import made_up_meanings as meanings
from distill.tasks.made_up_families import Row
from distill.tasks.made_up_lexicon import Noun, Table, Verb

WHEN = r"(?: (?P<when>(?:on|in|at) (?:[A-Z]\w+day|May|June|July|October|noon|midnight)|yesterday))?"
DETERMINERS = "(?:the|an?|this|that|these|those|my|some|every|one|two|three|several)"
WHERE = r"(?: (?P<where>(?:near|behind|in front of) the \w+))?"


def every(table: Table[Any]) -> tuple[Any, ...]:
    return table.shared + table.held_out


def match(pattern: str, text: str) -> re.Match[str] | None:
    return re.fullmatch(pattern, text.rstrip(".?"))


def parts(pattern: str, text: str) -> dict[str, str]:
    """Named parts of a text that must fit; what is not there is empty."""
    found = match(pattern, text)
    assert found, (pattern, text)
    return {name: value or "" for name, value in found.groupdict().items()}


def low(text: str) -> str:
    """Without the capital of a sentence's beginning; names keep theirs."""
    names = (*every(lexicon.MEN), *every(lexicon.WOMEN))
    return text if text.split()[0] in names else text[0].lower() + text[1:]


@cache
def first_words() -> dict[str, str]:
    """Each word of a pair of synonyms by the first of the two, verbs by their base."""
    found: dict[str, str] = {}
    for table in (meanings.SAME_PERSONS, meanings.SAME_THINGS):
        for one, two in every(table):
            found |= {two.singular: one.singular, two.plural: one.plural}
    for one, two in every(meanings.SAME_MANNERS):
        found[two] = one
    return found


@cache
def bases() -> dict[str, str]:
    """Every form of a verb by its base, or by that of the verb that means the same."""
    found: dict[str, str] = {}
    for table in (lexicon.ADMIRE, lexicon.FIND, lexicon.INTRANSITIVE, meanings.DEEDS):
        for verb in every(table):
            found |= dict.fromkeys((verb.base, verb.past, verb.participle), verb.base)
    for one, two in every(meanings.SAME_VERBS):
        for verb in (one, two):
            found |= dict.fromkeys((verb.base, verb.past, verb.participle), one.base)
    return found


def same_words(text: str) -> str:
    return " ".join(first_words().get(word, word) for word in text.split())


@cache
def noun_phrase() -> str:
    """A pattern for a noun phrase."""
    nouns: list[Noun] = [*every(lexicon.PERSONS), *every(lexicon.THINGS)]
    words = "|".join(word for noun in nouns for word in (noun.singular, noun.plural))
    names = "|".join((*every(lexicon.MEN), *every(lexicon.WOMEN)))
    return rf"(?:{names}|{DETERMINERS} (?:\w+ )?(?:{words}))"


def told(text: str) -> tuple[str, ...] | None:
    """Manner, who, did, what and when of an active, passive or cleft sentence; None where it is none of these."""
    passive = match(rf"(?P<what>.+) (?:was|were)(?: (?P<how>\w+ly))? (?P<did>\w+) by (?P<who>.+?){WHEN}", low(text))
    cleft = match(rf"it was (?P<who>.+) who (?P<did>\w+) (?P<what>.+?){WHEN}", low(text))
    verbs = "|".join(sorted(bases()))
    active = match(rf"(?P<who>.+?)(?: (?P<how>\w+ly))? (?P<did>{verbs}) (?P<what>.+?){WHEN}", low(text))
    found = passive or cleft or active
    if found is None or found["did"] not in bases():
        return None
    how = found.groupdict().get("how") or ""
    who, what = (same_words(low(found[name])) for name in ("who", "what"))
    return (first_words().get(how, how), who, bases()[found["did"]], what, found["when"] or "")


def order(text: str) -> tuple[str, str] | None:
    """What came first and what second, of "A before B", "after B, A" and the like."""
    fronted = match(r"(?P<word>before|after) (?P<clause>.+), (?P<main>.+)", low(text))
    found = fronted or match(r"(?P<main>.+) (?P<word>before|after) (?P<clause>.+)", text)
    if not found:
        return None
    pair = low(found["main"]), low(found["clause"])
    return pair if found["word"] == "before" else pair[::-1]


def meaning(construction: str, text: str) -> Any:
    """What a sentence of the paraphrase data says; two mean the same where this is equal."""
    if construction == "events":
        return order(text)
    if construction == "comparisons":
        one, more, two = match(r"(.+) (?:is|was) (.+) than (.+)", low(text)).groups()  # type: ignore[union-attr]
        pairs = every(meanings.PERSON_OPPOSITES) + every(meanings.THING_OPPOSITES)
        turned = {pair.other_more: pair.one_more for pair in pairs}
        # "older" stands in two pairs, and is the first word of both.
        return (turned[more], two, one) if more in turned else (more, one, two)
    if construction == "states":
        said = parts(rf"(?P<who>.+) (?P<be>is|are|was|were) (?P<no>not )?(?P<state>\w+){WHEN}", low(text))
        pairs = every(meanings.PERSON_STATES) + every(meanings.THING_STATES)
        turned = {pair.other: pair.one for pair in pairs}
        holds = (said["state"] in turned) == bool(said["no"])
        return said["who"], said["be"], turned.get(said["state"], said["state"]), holds, said["when"]
    if construction == "recipients":
        phrase = noun_phrase()
        dative = match(rf"(?P<who>{phrase}) (?P<did>.+?) (?P<what>{phrase}) to (?P<to>{phrase})", low(text))
        found = dative or match(rf"(?P<who>{phrase}) (?P<did>.+?) (?P<to>{phrase}) (?P<what>{phrase})", low(text))
        assert found, text
        return found["who"], found["did"], found["what"], found["to"]
    return told(text)


def judged(premise: Callable[[Any], bool], claim: Callable[[Any], bool], cases: Iterable[Any]) -> str:
    """What a claim is to a premise, by all cases."""
    answers = {claim(case) for case in cases if premise(case)}
    assert answers, "the premise is true of no case"
    return "neutral" if len(answers) == 2 else "entailment" if answers.pop() else "contradiction"


def _bought(text: str, members: set[str]) -> Callable[[Any], bool]:
    """Of a case, which is a set of deeds, each with whether its thing is of the narrow sort, and when it is said."""
    verbs = "|".join(sorted(bases()))
    said = parts(rf"(?P<who>.+?) (?P<no>did not )?(?P<did>{verbs}) an? (?P<what>\w+(?: \w+)?)(?P<rest> .+)?", text)
    what, rest = said["what"], said["rest"]
    for word in (*every(lexicon.MANNERS), "on", "in", "at", "near", "behind", "yesterday"):
        if what.endswith(f" {word}"):
            what, rest = what.removesuffix(f" {word}"), word
    narrow = " " in what or what in members
    holds = {deed for deed in product((False, True), repeat=2) if deed[0] >= narrow and deed[1] >= bool(rest)}
    return lambda case: bool(case & holds) != bool(said["no"])


def _some(text: str) -> Callable[[Any], bool]:
    """Of a case, which is persons with whether they are such as the adjective says, and did it not, so, or with all."""
    verbs = "|".join(sorted(bases()))
    pattern = rf"(?P<which>all|some|none|not all) of the (?P<such>\w+ )?\w+ (?P<did>{verbs})(?P<rest> .+)?"
    said = parts(pattern, text[0].lower() + text[1:])
    least = 2 if said["rest"] else 1

    def holds(case: Any) -> bool:
        did = [degree >= least for such, degree in case if such or not said["such"]]
        return {"all": all(did), "some": any(did), "none": not any(did), "not all": not all(did)}[said["which"]]

    return holds


def _how(text: str) -> Callable[[Any], bool]:
    """Of a case, which is a number: how far one is to the side of the first word of a pair."""
    said = parts(r"the \w+ (?:is|are|was|were) (?P<no>not )?(?P<very>very )?(?P<word>\w+)", low(text))
    pairs = every(meanings.PERSON_OPPOSITES) + every(meanings.THING_OPPOSITES)
    side = 1 if said["word"] in {pair.one for pair in pairs} else -1
    assert side == 1 or said["word"] in {pair.other for pair in pairs}
    return lambda case: (case * side > (2 if said["very"] else 1)) != bool(said["no"])


def _who(text: str) -> Callable[[Any], bool]:
    """Of a case, which is who did it."""
    verbs = "|".join(sorted(bases()))
    end = rf"(?:{verbs})(?: .+)?"
    sentence = low(text)
    if found := match(rf"neither (.+) nor (.+?) {end}", sentence):
        neither = set(found.groups())
        return lambda case: not case & neither
    if found := match(rf"(.+) and (.+?) {end}", sentence):
        both = set(found.groups())
        return lambda case: both <= case
    if found := match(rf"(.+) or (.+?) {end}", sentence):
        either = set(found.groups())
        return lambda case: bool(either & case)
    said = parts(rf"(?P<who>.+?) (?P<no>did not )?{end}", sentence)
    return lambda case: (said["who"] in case) != bool(said["no"])


def _doers(*texts: str) -> list[str]:
    names = (*every(lexicon.MEN), *every(lexicon.WOMEN))
    return sorted({word for text in texts for word in re.findall(rf"the \w+|{'|'.join(names)}", low(text))})


def inference(row: Row) -> str:
    """Which label a pair of the inference data has."""
    one, two = row.first, row.second or ""
    if row.construction == "modifiers":
        deeds = list(product((False, True), repeat=2))
        cases = [{deed for deed, there in zip(deeds, bits, strict=True) if there} for bits in product((0, 1), repeat=4)]
        # A car is the narrow sort where vehicles are spoken of, and the wide one beside a new car.
        words = set(re.findall(r"\w+", f"{one} {two}"))
        members = {member.singular for kind, member in every(meanings.KINDS) if kind.singular in words}
        return judged(_bought(one, members), _bought(two, members), cases)
    if row.construction == "quantifiers":
        persons = product(product((False, True), (0, 1, 2)), repeat=3)
        return judged(_some(one), _some(two), (case for case in persons if any(such for such, _ in case)))
    if row.construction == "degrees":
        return judged(_how(one), _how(two), (half / 2 for half in range(-6, 7)))
    if row.construction == "connectives":
        # Places are among them, which does no harm.
        doers = _doers(one, two)
        bits = product((0, 1), repeat=len(doers))
        active = [{doer for doer, did in zip(doers, case, strict=True) if did} for case in bits]
        return judged(_who(one), _who(two), active)
    if row.construction == "events":
        pair, other = order(one), order(two)
        assert pair
        return "entailment" if other == pair else "contradiction" if other == pair[::-1] else "neutral"
    (fact, holds), (other_fact, other_holds) = _denied(one), _denied(two)
    if fact != other_fact:
        return "neutral"
    return "entailment" if holds == other_holds else "contradiction"


def _denied(text: str) -> tuple[Any, bool]:
    """What is said or denied, and which of the two."""
    said = re.sub(r"\b(was|were) not\b", r"\1", text.replace(" did not ", " "))
    return told(said), said == text


def _sign(word: str) -> int:
    if word in every(meanings.PRAISE):
        return 1
    if word in every(meanings.BLAME):
        return -1
    for table, sign in ((meanings.LIKING, 1), (meanings.DISLIKING, -1)):
        verbs: tuple[Verb, ...] = every(table)
        if any(word in (verb.base, verb.past) for verb in verbs):
            return sign
    return 0


def _predicate(text: str) -> int:
    """What is said by what stands behind "was"."""
    turned = re.match(r"(not|never|far from|anything but)\b", text) is not None
    return _sign(text.split()[-1]) * (-1 if turned else 1)


def sentiment(text: str) -> int:
    """1 for praise, -1 for blame, 0 for neither."""
    sentence = text.rstrip(".")
    if "used to" in sentence:
        clauses = [clause for clause in re.split(r", but |,", sentence) if re.search(r"\bnow\b", clause.lower())]
        return sum(_sign(word) for clause in clauses for word in clause.split())
    if found := re.fullmatch(r".+ that .+ would be (\w+), (and it was|but it was not)", sentence):
        return _sign(found[1]) * (-1 if "not" in found[2] else 1)
    if found := re.fullmatch(r".+ whether .+, but it was (.+)", sentence):
        return _predicate(found[1])
    if " whether " in sentence or " would be " in sentence or " and others " in sentence:
        return 0
    if found := re.fullmatch(r"There was nothing about .+ that .+ (\w+)", sentence):
        return -_sign(found[1])
    if found := re.fullmatch(r"(?:.+ that .+|The \w+|This \w+|My \w+|Their \w+) was (.+)", sentence):
        return _predicate(found[1])
    return sum(_sign(word) for word in sentence.split())


def similarity(one: str, two: str) -> int:
    """In how many of who, did, what, where and when two sentences agree."""

    def slots(text: str) -> list[str]:
        where = re.search(r"(near|behind|in front of) the \w+", low(text))
        when = re.search(WHEN[4:-2], text[0].lower() + text[1:])
        assert where, text
        assert when, text
        rest = (text[0].lower() + text[1:]).rstrip(".").replace(where[0], " ").replace(when[0], " ")
        said = told(" ".join(rest.split()))
        assert said, text
        return [*said[1:4], where[0], when[0]]

    return sum(a == b for a, b in zip(slots(one), slots(two), strict=True))


def answers(question: str, context: str) -> set[str]:
    """What a paragraph answers to a question, from a list of its facts."""
    facts = []
    for sentence in context.rstrip(".").split(". "):
        fronted = re.match(WHEN[4:-2] + ", ", sentence[0].lower() + sentence[1:])
        text = sentence[fronted.end() :] if fronted else sentence
        facts.append(parts(rf"(?P<who>[\w ]+?) (?P<did>{'|'.join(bases())}) (?P<what>the \w+){WHERE}{WHEN}", low(text)))
        if fronted:
            facts[-1]["when"] = sentence[: fronted.end() - 2]
    asked = match(r"(?P<kind>Who) (?P<did>\w+) (?P<what>the \w+)", question) or match(
        r"(?P<kind>What|Where|When) did (?P<who>[A-Z]\w+|the \w+) (?P<did>\w+)(?: (?P<what>the \w+))?", question
    )
    assert asked, question
    known = {name: value for name, value in asked.groupdict().items() if name != "kind" and value}
    known["did"] = bases()[known["did"]]
    fits = [fact for fact in facts if all({**fact, "did": bases()[fact["did"]]}[k] == v for k, v in known.items())]
    return {fact[asked["kind"].lower()] for fact in fits}
