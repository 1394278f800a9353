"""Algorithm 1 of TinyBERT word by word: no batches, float64, the masked sentence written as text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from distill.augment.draw import stream
from distill.augment.words import STOP_WORDS
from distill.tasks.base import Examples, Task
from tests.distill import tiny


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    return AutoModelForMaskedLM.from_pretrained(folder).double().eval(), AutoTokenizer.from_pretrained(folder)


def candidates(folder: Path, text: str, place: int, count: int) -> list[str]:
    """The likeliest whole words at word number `place` of a text whose words are separated by spaces."""
    model, tokenizer = _loaded(folder)
    words = text.split(" ")
    sign = "." if words[place].endswith(".") else ""
    masked = " ".join([*words[:place], tokenizer.mask_token + sign, *words[place + 1 :]])
    encoded = tokenizer(masked, text, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded).logits[0]
    at = encoded["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    whole = [word for word in tiny.VOCABULARY if word.isalpha()]
    best = sorted(whole, key=lambda word: -float(logits[at, tiny.VOCABULARY[word]]))[:count]
    return sorted(best, key=lambda word: tiny.VOCABULARY[word])


def augmented(
    folder: Path,
    task: Task,
    rows: Examples,
    *,
    count: int,
    share: float,
    attempts: int,
    seed: int,
    near: dict[str, list[str]] | None = None,
) -> list[tuple[str, ...]]:
    """Texts and label number of every row of the file, in its order.

    Args:
        near: Neighbours by vectors for words of several pieces; None where the model fills them.
    """
    found: list[tuple[str, ...]] = []
    for row in range(len(rows)):
        texts = [side[row] for side in (rows.first, rows.second) if side is not None]
        found.append((*texts, str(rows.labels[row])))
        for side, text in enumerate(texts):
            draws = stream(seed, row, side)
            words = text.split(" ")
            choices: dict[int, list[str]] = {}
            for place, written in enumerate(words):
                word = written.removesuffix(".")
                if len(word) < 2 or word.lower() in STOP_WORDS:
                    continue
                if near is not None and word.lower() not in tiny.VOCABULARY:
                    if word.lower() in near:
                        choices[place] = near[word.lower()]
                else:
                    choices[place] = candidates(folder, text, place, count)
                if word[0].isupper() and place in choices:
                    choices[place] = [other.capitalize() for other in choices[place]]
            copies = [text]
            for _ in range(attempts if choices else 0):
                new = list(words)
                for place, listed in choices.items():
                    replaced, which = draws.random_sample(), draws.random_sample()
                    if replaced < share:
                        sign = "." if words[place].endswith(".") else ""
                        new[place] = listed[int(which * len(listed))] + sign
                if " ".join(new) not in copies:
                    copies.append(" ".join(new))
            for copy in copies[1:]:
                pair = list(texts)
                pair[side] = copy
                found.append((*pair, str(rows.labels[row])))
    return found
