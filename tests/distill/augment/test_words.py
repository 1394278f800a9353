"""Which words may be replaced, vectors, and the draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distill.augment import vectors
from distill.augment.draw import Slot, copies, stream
from distill.augment.words import STOP_WORDS, replaceable, written_like
from distill.errors import UserError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The sailors rode the breeze clear of the rocks.", ["sailors", "rode", "breeze", "clear", "rocks"]),
        ("Our friends won't buy this, don’t they?", ["friends", "buy"]),
        ("they 're sure we 've met , is n't it", ["sure", "met"]),
        ("John's dog isn't Mary's", ["John", "dog", "Mary"]),
        ("'Tree' costs 12 dollars, B2B x", ["Tree", "costs", "dollars"]),
        ("Ærlige épées", ["Ærlige", "épées"]),
        ("not never no", []),
        ("", []),
    ],
)
def test_words_that_may_be_replaced(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in replaceable(text)] == words


def test_stop_words_are_small_and_of_closed_classes() -> None:
    assert {"the", "not", "of", "did", "herself"} <= STOP_WORDS
    assert not {"system", "fire", "bill", "good", "man", "likes"} & STOP_WORDS
    assert all(word == word.lower() for word in STOP_WORDS)


@pytest.mark.parametrize(
    ("word", "other", "written"),
    [
        ("cat", "dog", "dog"),
        ("Cat", "dog", "Dog"),
        ("CAT", "dog", "DOG"),
        ("cat", "NASA", "NASA"),
        ("Cat", "iPod", "iPod"),
    ],
)
def test_capitals_follow_the_word(word: str, other: str, written: str) -> None:
    assert written_like(word, other) == written


def test_copies_by_hand() -> None:
    text, slots = "one two three", (Slot(0, 3, ("ONE", "one")), Slot(8, 13, ("drei",)))
    draws = stream(0, 5, 1)
    wanted: list[str] = []
    for _ in range(20):
        words = text.split()
        for place, slot in ((0, slots[0]), (2, slots[1])):
            replaced, which = draws.random_sample(), draws.random_sample()
            if replaced < 0.5:
                words[place] = slot.candidates[int(which * len(slot.candidates))]
        if (copy := " ".join(words)) not in (text, *wanted):
            wanted.append(copy)
    assert copies(text, slots, 0.5, 20, stream(0, 5, 1)) == wanted
    assert sorted(wanted) == ["ONE two drei", "ONE two three", "one two drei"]
    assert copies(text, (), 0.5, 20, stream(0, 5, 1)) == []


def test_rows_sides_and_seeds_have_numbers_of_their_own() -> None:
    firsts = [stream(seed, row, side).random_sample() for seed in (0, 1) for row in (0, 1) for side in (0, 1)]
    assert len(set(firsts)) == 8


def write(file: Path, content: str | bytes) -> Path:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_neighbours_by_cosine(tmp_path: Path) -> None:
    rows = "5 3\nCat 2 0 0\ndog 9 1 0\n. 1 0 0\ncar 0 1 0\nCat 0 0 1\nnew york 0 0 2\n\n"
    found = vectors.read(write(tmp_path / "v.txt", rows))
    assert found.words == ["Cat", "dog", ".", "car", "new york"]
    # Neither the word itself nor a sign, though nothing is nearer.
    assert found.near("Cat", 1) == ("dog",)
    assert found.near("Cat", 2) == ("car", "dog")
    assert found.near("CAR", 1) == ("dog",)
    assert found.near("CAR", 99) == ("Cat", "dog")
    assert found.near("cow", 3) == ()
    few = vectors.read(tmp_path / "v.txt", most=3)
    assert few.words == ["Cat", "dog"]
    assert few.fingerprint() != found.fingerprint()


def test_lengths_of_vectors_play_no_part() -> None:
    values = np.array([[1, 0], [50, 50], [0.01, 0.002], [0, 0]], dtype=np.float32)
    found = vectors.Vectors(["a", "long", "close", "nought"], values)
    assert found.near("a", 1) == ("close",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no vectors"),
        ("word\n", "line 1: no numbers behind the word"),
        ("a 1 2\nb 1\n", "line 2: 1 numbers where the lines before have 2"),
        ("a 1 2\nb 1 x\n", "line 2: not a word and its numbers"),
        ("a 1 nan\n", "line 1: a number is not finite"),
        (b"a 1 2\nb\xff 1 2\n", "not UTF-8"),
    ],
)
def test_malformed_vectors(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(UserError) as error:
        vectors.read(write(tmp_path / "v.txt", content))
    assert said in str(error.value)
    assert "--vectors" in str(error.value)


def test_a_file_of_vectors_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        vectors.read(tmp_path / "none.txt")
