"""Exact match and F1, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from distill.tasks.answers import f1, normalised, scored


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The Norman conquest!", "norman conquest"),
        ("  a   cat,\tan owl ", "cat owl"),
        # The article goes as a word alone, and punctuation goes first.
        ("Theatre: the (the) answer", "theatre answer"),
        ("U.S.A.", "usa"),
        ("a-b", "ab"),
        ("–", "–"),
        ("the", ""),
    ],
)
def test_a_text_is_brought_into_its_plain_form(text: str, plain: str) -> None:
    assert normalised(text) == plain


@pytest.mark.parametrize(
    ("found", "wanted", "value"),
    [
        ("in 1066", "1066", 2 * 0.5 * 1 / 1.5),
        ("10th and 11th century", "10th century", 2 * (2 / 4) * (2 / 2) / (2 / 4 + 1)),
        # A word that stands twice counts twice where the other has it twice.
        ("so so good", "so good so bad", 2 * (3 / 3) * (3 / 4) / (1 + 3 / 4)),
        ("rome", "paris", 0.0),
        ("", "paris", 0.0),
        ("", "", 1.0),
    ],
)
def test_f1_is_that_of_the_words_in_common(found: str, wanted: str, value: float) -> None:
    assert f1(found, wanted) == pytest.approx(value)
    assert f1(wanted, found) == pytest.approx(value)


def test_the_best_of_the_accepted_answers_counts() -> None:
    values = scored(["The 10th century"], [["11th", "10th century", "in the 10th century and later"]])

    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [[1.0, 1.0]])


def test_exact_match_and_f1_each_take_their_own_best() -> None:
    np.testing.assert_allclose(scored(["10th century"], [["century", "late 10th century"]]), [[0.0, 0.8]])


def test_where_there_is_no_answer_only_silence_is_right() -> None:
    np.testing.assert_array_equal(scored(["", "Rome"], [[], []]), [[1.0, 1.0], [0.0, 0.0]])


def test_silence_is_wrong_where_there_is_an_answer() -> None:
    np.testing.assert_array_equal(scored([""], [["Rome"]]), [[0.0, 0.0]])


def test_an_accepted_answer_without_a_word_is_passed_over() -> None:
    np.testing.assert_array_equal(scored(["", "Rome"], [["the", "Rome"], ["the"]]), [[0.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize("text", ["Rome", "the cat's 3 hats", "ein Bär", "µ"])
def test_an_answer_agrees_with_itself(text: str) -> None:
    np.testing.assert_array_equal(scored([text], [[text]]), [[1.0, 1.0]])


def test_rows_and_answers_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="shorter"):
        scored(["a", "b"], [["a"]])
