"""From logits to answers, against going through all pairs one by one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from distill.tasks.decoding import Spans, best_spans, null_odds


def literal(logits: np.ndarray, allowed: np.ndarray, n_best: int, longest: int) -> tuple[float, int, int] | None:
    """The best pair of one window: every pair of the best starts and ends, in the order of their scores."""
    places = [i for i in range(len(logits)) if allowed[i]]
    tops = [sorted(places, key=lambda i: (-logits[i, side], i))[:n_best] for side in (0, 1)]
    best = None
    for start in tops[0]:
        for end in tops[1]:
            score = logits[start, 0] + logits[end, 1]
            if start <= end < start + longest and (best is None or score > best[0]):
                best = (score, start, end)
    return best


def windows(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(draw.integers(3, 60, count))])
    # Whole numbers, so that equal sums come up.
    logits = draw.integers(-6, 7, (offsets[-1], 2)).astype(np.float64)
    allowed = draw.random(offsets[-1]) < 0.7
    allowed[offsets[5] : offsets[6]] = False
    return logits, offsets, allowed


@pytest.mark.parametrize(("n_best", "longest"), [(20, 30), (3, 30), (20, 2), (1, 1)])
def test_the_best_pair_is_that_of_all_pairs(n_best: int, longest: int) -> None:
    logits, offsets, allowed = windows(n_best)

    sums, first, last = best_spans(logits, offsets, allowed, n_best, longest)

    for window, (begin, end) in enumerate(pairwise(offsets)):
        found = literal(logits[begin:end], allowed[begin:end], n_best, longest)
        if found is None:
            assert sums[window] == -1e30
        else:
            assert (sums[window], first[window] - begin, last[window] - begin) == found


def test_windows_are_decoded_alike_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, offsets, allowed = windows(7)
    whole = best_spans(logits, offsets, allowed)

    monkeypatch.setattr("distill.tasks.decoding._WINDOWS", 3)

    for found, wanted in zip(best_spans(logits, offsets, allowed), whole, strict=True):
        np.testing.assert_array_equal(found, wanted)


CONTEXT = "one two three four five six"
WORDS = CONTEXT.split()
STARTS = [CONTEXT.index(word) for word in WORDS]


def spans(threshold: float | None = 0.0, accepted: tuple[tuple[str, ...], ...] = (("two three",), ())) -> Spans:
    """Two rows over one context; the first is read in two windows of four words, the second in one of six."""
    held = [(0, 4), (2, 6), (0, 6)]
    begins = [b for low, high in held for b in (-1, *STARTS[low:high], -1)]
    ends = [e for low, high in held for e in (-1, *(STARTS[i] + len(WORDS[i]) for i in range(low, high)), -1)]
    return Spans(
        rows=np.array([0, 0, 1]),
        begins=np.array(begins),
        ends=np.array(ends),
        ids=("a", "b"),
        contexts=(CONTEXT, CONTEXT),
        accepted=accepted,
        threshold=threshold,
    )


OFFSETS = np.array([0, 6, 12, 20])


def logits(*best: tuple[int, int, float, float]) -> np.ndarray:
    """For each window a start and an end that are better than others, their sum, and the score of none."""
    found = np.full((20, 2), -5.0)
    for window, (start, end, score, none) in enumerate(best):
        at = OFFSETS[window]
        found[at] = none / 2
        found[at + start, 0], found[at + end, 1] = score / 2, score / 2
    return found


def test_the_best_window_gives_the_answer() -> None:
    texts, ahead = spans().answers(logits((2, 3, 4, 0), (1, 2, 6, 0), (2, 2, 1, -8)), OFFSETS)

    assert texts == ["three four", "two"]
    np.testing.assert_allclose(ahead, [-6, -9])


def test_of_equal_windows_the_first_gives_it() -> None:
    assert spans().answers(logits((2, 3, 4, 0), (1, 2, 4, 0), (1, 1, 1, 0)), OFFSETS)[0][0] == "two three"


def test_none_has_the_lowest_score_of_the_windows() -> None:
    # One window says none; the other knows better.
    texts, ahead = spans().answers(logits((2, 3, 4, 1), (1, 2, 3, 9), (1, 1, 1, 0)), OFFSETS)

    assert texts[0] == "two three"
    assert ahead[0] == -3


@pytest.mark.parametrize(("threshold", "answered"), [(0.0, True), (-0.1, False), (1.0, True)])
def test_none_wins_where_it_is_ahead_by_more_than_the_threshold(threshold: float, answered: bool) -> None:
    # As good as the best answer.
    even = logits((2, 3, 2, 2), (1, 2, 2, 2), (1, 1, 2, 2))

    texts, _ = spans(threshold).answers(even, OFFSETS)

    assert [bool(text) for text in texts] == [answered, answered]


def test_without_a_threshold_there_always_is_an_answer() -> None:
    far = logits((2, 3, 2, 90), (1, 2, 2, 90), (1, 1, 2, 90))

    assert all(spans(None).answers(far, OFFSETS)[0])
    assert not any(spans(0.0).answers(far, OFFSETS)[0])


def test_what_is_recorded_are_both_scores_and_the_distance() -> None:
    found = spans().judged(logits((2, 3, 4, 0), (1, 2, 3, 0), (1, 1, 1, 5)), OFFSETS)

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[1, 1, -4], [1, 1, 4]])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("place", [12, 14, 19])
def test_what_is_not_finite_stays_so(number: float, side: int, place: int) -> None:
    broken = logits((2, 3, 4, 0), (1, 2, 3, 0), (1, 1, 1, 5))
    broken[place, side] = number

    np.testing.assert_array_equal(np.isnan(spans().judged(broken, OFFSETS)[:, 2]), [False, True])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found_behind_all_that_is_looked_at(number: float) -> None:
    """Of a window of 60 tokens 20 starts and 20 ends are looked at."""
    words = " ".join(["word"] * 58)
    begins = np.array([-1, *range(0, 5 * 58, 5), -1])
    one = Spans(np.array([0]), begins, np.where(begins < 0, -1, begins + 4), ("a",), (words,), ((),), 0.0)
    broken = np.full((60, 2), -1.0)
    broken[:30] = np.arange(30)[:, None]
    broken[55] = number

    assert np.isnan(one.judged(broken, np.array([0, 60]))[0, 2])


def test_a_context_without_tokens_has_no_answer() -> None:
    nothing = replace(spans(None), begins=np.full(20, -1), ends=np.full(20, -1))

    texts, ahead = nothing.answers(logits((2, 3, 4, 0), (1, 2, 3, 0), (1, 1, 1, 5)), OFFSETS)

    assert texts == ["", ""]
    assert np.isfinite(ahead.astype(np.float32)).all()


def test_rows_with_an_answer_are_known() -> None:
    np.testing.assert_array_equal(spans().answerable, [1, 0])


def test_texts_are_kept_with_each_context_once(tmp_path: Path) -> None:
    made = spans(accepted=(("zwei – drei", "two"), ()))
    made.save(tmp_path / "texts.json")

    again = Spans.load(tmp_path / "texts.json", {name: getattr(made, name) for name in ("rows", "begins", "ends")})

    assert (again.ids, again.contexts, again.accepted, again.threshold) == (
        made.ids,
        made.contexts,
        made.accepted,
        made.threshold,
    )
    assert (tmp_path / "texts.json").read_text().count(CONTEXT) == 1


def test_null_odds_go_by_the_rows_names() -> None:
    assert null_odds(("a", "b"), np.array([1.5, -2.0])) == {"a": 1.5, "b": -2.0}
