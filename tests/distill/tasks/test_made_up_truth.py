"""Every label of the made-up data is what its texts mean, and neither single words nor lengths give it away."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from distill.tasks import made_up_nli, made_up_sentiment
from distill.tasks.base import Answer
from distill.tasks.made_up_families import Row
from tests.distill.tasks import made_up_truth as truth

# What always answering the most frequent label gets, and what words and lengths may add to it at most.
CHANCE = {"pair": 1 / 2, "nli": 1 / 3, "sentiment": 1 / 3, "opinion": 1 / 2, "span": 2 / 3}
# Where what says nothing is neutral, questions show by their words; praise and blame do not.
BY_WORDS = {"pair": 0.10, "nli": 0.25, "sentiment": 0.35, "opinion": 0.10, "span": 0.05}


@cache
def made(name: str) -> tuple[list[Row], list[Row]]:
    train, dev = import_module(f"distill.tasks.made_up_{name}").generate_examples(1, 1500, 600)
    return train, dev


def both(name: str) -> list[Row]:
    return [row for rows in made(name) for row in rows]


def test_pairs_are_paraphrases_or_not() -> None:
    for row in both("pair"):
        one, two = (truth.meaning(row.construction, text) for text in (row.first, row.second or ""))
        assert one is not None, row
        assert two is not None, row
        assert (one == two) == bool(row.label), row


def test_hypotheses_follow_contradict_or_neither() -> None:
    for row in both("nli"):
        assert truth.inference(row) == made_up_nli.LABELS[int(row.label)], row


@pytest.mark.parametrize(("name", "sign"), [("sentiment", {0: -1, 1: 0, 2: 1}), ("opinion", {0: -1, 1: 1})])
def test_sentences_praise_blame_or_neither(name: str, sign: dict[int, int]) -> None:
    assert len(made_up_sentiment.LABELS) == 3
    for row in both(name):
        assert truth.sentiment(row.first) == sign[int(row.label)], row


def test_scores_count_what_agrees() -> None:
    for row in both("similarity"):
        assert truth.similarity(row.first, row.second or "") == row.label, row


def test_answers_stand_where_they_say_and_are_the_only_ones() -> None:
    for row in both("span"):
        assert row.second is not None
        assert row.answers is not None
        found = {answer.lower() for answer in truth.answers(row.first, row.second)}
        assert found == {answer.text.lower() for answer in row.answers}, row
        assert len(row.answers) == row.label
        for text, start in row.answers:
            assert row.second[start : start + len(text)] == text
            # Nowhere else, so that training on the first place is training on the right one.
            assert (
                row.second.count(text) == 1 or text.split()[0].lower() in ("the", "on", "in", "at") or " " not in text
            )


def test_questions_without_an_answer_ask_with_words_of_the_paragraph() -> None:
    for row in both("span"):
        if row.construction == "single":
            continue
        words = set((row.second or "").lower().replace(".", "").replace(",", "").split())
        known = {truth.bases().get(word, word) for word in words}
        asked = [truth.bases().get(word, word) for word in row.first.lower().rstrip("?").split()]
        assert set(asked) - {"who", "what", "where", "when", "did"} <= known, row


def test_facts_are_one_to_eight_and_answers_stand_anywhere() -> None:
    rows = both("span")
    sizes = {(row.second or "").count(". ") + 1 for row in rows}
    assert sizes == {1, 2, 3, 4, 5, 6, 7, 8}
    rows = [row for row in rows if row.construction not in ("single", "double")]
    places = [(row.second or "")[: row.answers[0].start].count(". ") for row in rows if row.answers]
    shares = np.bincount(places) / len(places)
    assert shares[0] < 0.4
    assert shares[2] > 0.15
    kinds = {row.first.split()[0] for row in rows}
    assert kinds == {"Who", "What", "Where", "When"}
    assert isinstance(next(row.answers[0] for row in rows if row.answers), Answer)


def words_of(train: Sequence[Row], dev: Sequence[Row], joined: bool) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Counts of the words of both texts, apart or thrown together."""
    blocks = []
    sides = (
        [lambda row: f"{row.first} {row.second}"] if joined else [lambda row: row.first, lambda row: row.second or "-"]
    )
    for side in sides:
        count = CountVectorizer(token_pattern=r"[\w']+|[?,-]")
        found = count.fit_transform([side(row) for row in train]), count.transform([side(row) for row in dev])
        blocks.append(found)
    of_train, of_dev = zip(*blocks, strict=True)
    return sparse.hstack(of_train).tocsr(), sparse.hstack(of_dev).tocsr()


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("name", CHANCE)
def test_words_alone_do_not_give_labels_away(name: str, joined: bool) -> None:
    train, dev = made(name)
    known, asked = words_of(train, dev, joined)
    fitted = LogisticRegression(max_iter=1000).fit(known, [row.label for row in train])
    assert fitted.score(asked, [row.label for row in dev]) < CHANCE[name] + BY_WORDS[name] + 0.04


@pytest.mark.parametrize("name", CHANCE)
def test_lengths_do_not_give_labels_away(name: str) -> None:
    train, dev = (
        [[len(row.first.split()), len((row.second or "").split()), len(row.first + (row.second or ""))] for row in rows]
        for rows in made(name)
    )
    gold, asked = ([row.label for row in rows] for rows in made(name))
    assert LogisticRegression(max_iter=1000).fit(train, gold).score(dev, asked) < CHANCE[name] + 0.12


@pytest.mark.parametrize("joined", [False, True])
def test_words_alone_do_not_give_scores_away(joined: bool) -> None:
    train, dev = made("similarity")
    known, asked = words_of(train, dev, joined)
    guessed = Ridge().fit(known, [row.label for row in train]).predict(asked)
    assert abs(np.corrcoef(guessed, [row.label for row in dev])[0, 1]) < 0.25
