"""Which words of a text may be replaced, and how others are written in their place. Imports without torch."""

from __future__ import annotations

import re

# Words of closed classes carry the structure of a sentence and often its label (negation, quantity, comparison), so
# they stay. Listed by class, English only; words of other languages are all replaced.
_CLASSES = (
    # determiners and quantities
    "a an the this that these those each every either neither some any no all both half many much more most few fewer "
    "less least several such other another own same enough",
    # pronouns
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself they them their theirs themselves one ones oneself someone somebody something anyone "
    "anybody anything everyone everybody everything nobody nothing none who whom whose which what whoever whomever "
    "whichever whatever",
    # prepositions
    "about above across after against along amid among around as at before behind below beneath beside besides between "
    "beyond by despite down during except for from in inside into like near of off on onto out outside over past per "
    "since through throughout till to toward towards under until up upon via with within without",
    # conjunctions
    "and or but nor so yet if because although though unless whereas while whether than when where why how once lest",
    # auxiliaries
    "be am is are was were been being have has had having do does did doing done can could may might must shall should "
    "will would ought cannot",
    # negation, and adverbs that work like it
    "not never ever also too very just only even still already again then there here",
    # what is left of contractions whose apostrophe stands apart ("they 're", "ca n't")
    "ll re ve ca wo",
)
STOP_WORDS = frozenset(word for words in _CLASSES for word in words.split())
_WORD = re.compile(r"\w+")
_APOSTROPHES = "'’"


def replaceable(text: str) -> list[tuple[int, int]]:
    """(start, end) of the words that may be replaced, in their order: letters alone, more than one, no stop word.

    Contractions stay whole: neither the "don" of "don't" nor the "re" of "they're" is a word.
    """
    found = []
    for match in _WORD.finditer(text):
        word, (start, end) = match.group(), match.span()
        if len(word) > 1 and word.isalpha() and word.lower() not in STOP_WORDS and not _contracted(text, start, end):
            found.append((start, end))
    return found


def _contracted(text: str, start: int, end: int) -> bool:
    behind = start > 1 and text[start - 1] in _APOSTROPHES and text[start - 2].isalnum()
    before = text[end - 1] in "nN" and text[end : end + 1] in (*_APOSTROPHES,) and text[end + 1 : end + 2] in ("t", "T")
    return behind or before


def written_like(word: str, other: str) -> str:
    """`other` in capitals where `word` has them; as it is where it has some of its own."""
    if not other.islower():
        return other
    if word.isupper():
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other
