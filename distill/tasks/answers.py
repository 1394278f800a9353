"""How a text that answers a question is judged: exact match and F1 by the formula of SQuAD's own program.

Rajpurkar et al., SQuAD, EMNLP 2016, and Rajpurkar, Jia, Liang, Know What You Don't Know, ACL 2018.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """In lower case, without punctuation (of ASCII) and articles, with one blank between words."""
    plain = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def f1(found: str, wanted: str) -> float:
    """F1 of the words that two normalised texts have in common; where one has none, whether the other has none either.

    SQuAD 1.1's own program gives 0 where both have none, which no answer of that set comes to.
    """
    ours, theirs = found.split(), wanted.split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))


def scored(texts: Sequence[str], accepted: Sequence[Sequence[str]]) -> np.ndarray:
    """Exact match and F1 of each row's text, float32 [n, 2]: each the best over what is accepted there.

    Args:
        texts: One a row; empty says that there is no answer.
        accepted: The row's answers; of none, the empty text alone is right.

    Raises:
        ValueError: The two differ in length.
    """
    scores = np.zeros((len(texts), 2), dtype=np.float32)
    for row, (text, answers) in enumerate(zip(texts, accepted, strict=True)):
        found = normalised(text)
        # As the official program: an answer without a word cannot be given.
        wanted = list(dict.fromkeys(plain for answer in answers if (plain := normalised(answer)))) or [""]
        scores[row] = float(found in wanted), max(f1(found, one) for one in wanted)
    return scores
