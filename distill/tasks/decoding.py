"""From the start and end logits of a row's windows to its answer. Imports without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from distill.tasks import answers as texts
from distill.tasks.base import Examples

# So many starts and so many ends are looked at in a window, and an answer has so many tokens at most.
N_BEST, LONGEST = 20, 30
# Windows that are decoded at a time, and below every sum of two logits.
_WINDOWS, _NEVER = 1024, -1e30


@dataclass(frozen=True, eq=False)
class Spans:
    """What leads from the tokens of windows back to the text of rows, and what is accepted there.

    Attributes:
        rows: int64 [F], the row that each window is of, ascending.
        begins, ends: int32 [total], the characters of the row's context that each token stands for, the second behind
            its last; -1 at tokens that are not of the context.
        ids: Name of each row; its number where the data names none.
        contexts: One a row.
        accepted: The texts of each row's answers; of a row without an answer none.
        threshold: A row has no answer where "none" scores higher than the best answer by more than this; None where
            there always is one.
    """

    rows: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    ids: tuple[str, ...]
    contexts: tuple[str, ...]
    accepted: tuple[tuple[str, ...], ...]
    threshold: float | None

    @cached_property
    def answerable(self) -> np.ndarray:
        """Whether each row has an answer, int64 [n]."""
        return np.array([bool(answers) for answers in self.accepted], dtype=np.int64)

    def answers(self, logits: np.ndarray, offsets: np.ndarray) -> tuple[list[str], np.ndarray]:
        """The text that answers each row, empty for none, and by how much "none" is ahead of the best, float64 [n].

        Of a row's windows the best answer counts, and the one that says "none" with the lowest score, as in BERT's
        program: where the answer stands in another window, a window rightly says that it is not in it.

        Args:
            logits: float [total, 2], start and end of every token, windows laid end to end.
            offsets: int64 [F + 1], where each window begins.
        """
        logits = np.asarray(logits, dtype=np.float64)
        best, first, last = best_spans(logits, offsets, self.begins >= 0)
        # The best of a window need not be what is not finite in it.
        bad = np.flatnonzero(~np.isfinite(logits).all(1))
        best[np.searchsorted(offsets, bad, "right") - 1] = np.nan
        with np.errstate(invalid="ignore"):
            none = logits[offsets[:-1]].sum(1)
        count = len(self.ids)
        lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
        with np.errstate(invalid="ignore"):
            # What is not finite is found where scores are computed.
            np.minimum.at(lowest, self.rows, none)
            np.maximum.at(highest, self.rows, best)
        chosen = np.full(count, -1, dtype=np.int64)
        # Of equally good windows the first, so they are gone through from the last.
        for window in np.flatnonzero(best == highest[self.rows])[::-1]:
            chosen[self.rows[window]] = window
        ahead = lowest - highest
        found = []
        for row, window in enumerate(chosen.tolist()):
            silent = (
                window < 0 or best[window] <= _NEVER or (self.threshold is not None and ahead[row] > self.threshold)
            )
            # Some tokenizers count the blank before a word to it.
            stretch = slice(self.begins[first[window]], self.ends[last[window]])
            found.append("" if silent else self.contexts[row][stretch].strip())
        return found, ahead

    def judged(self, logits: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Exact match, F1, and by how much "none" is ahead, of each row: float32 [n, 3]."""
        found, ahead = self.answers(logits, offsets)
        scores = texts.scored(found, self.accepted)
        return np.column_stack([scores, ahead.astype(np.float32)])

    def save(self, file: Path) -> None:
        """What is text of it, as JSON; each context once."""
        places: dict[str, int] = {}
        numbers = [places.setdefault(context, len(places)) for context in self.contexts]
        content = {
            "null_threshold": self.threshold,
            "contexts": list(places),
            "rows": [
                {"id": name, "context": number, "answers": list(accepted)}
                for name, number, accepted in zip(self.ids, numbers, self.accepted, strict=True)
            ],
        }
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, file: Path, arrays: dict[str, np.ndarray]) -> Spans:
        """As it was saved, with `rows`, `begins` and `ends` from elsewhere."""
        content = json.loads(file.read_text(encoding="utf-8"))
        contexts, rows = content["contexts"], content["rows"]
        return cls(
            **arrays,
            ids=tuple(row["id"] for row in rows),
            contexts=tuple(contexts[row["context"]] for row in rows),
            accepted=tuple(tuple(row["answers"]) for row in rows),
            threshold=content["null_threshold"],
        )


def of_examples(examples: Examples, threshold: float | None) -> dict[str, Any]:
    """The fields of `Spans` that a split's rows decide.

    Raises:
        ValueError: The rows have no contexts, or no column of answers.
    """
    if examples.second is None or examples.answers is None:
        raise ValueError("rows of a span task have contexts and answers")
    return {
        "ids": examples.ids or tuple(map(str, range(len(examples)))),
        "contexts": examples.second,
        "accepted": tuple(tuple(answer.text for answer in answers) for answers in examples.answers),
        "threshold": threshold,
    }


def best_spans(
    logits: np.ndarray, offsets: np.ndarray, allowed: np.ndarray, n_best: int = N_BEST, longest: int = LONGEST
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best answer of each window: of the `n_best` starts and ends among allowed tokens, the pair of highest sum.

    A pair ends where it begins or behind, and has at most `longest` tokens. Of equal pairs the one counts whose start,
    then whose end, scores higher; of equal logits the first.

    Args:
        logits: float64 [total, 2].
        offsets: int64 [F + 1].
        allowed: bool [total], where an answer may stand.

    Returns:
        Sums float64 [F], -1e30 where there is no pair; numbers of the first and the last token among all, int64 [F].
    """
    count = len(offsets) - 1
    sums, first, last = np.full(count, _NEVER), np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for begin in range(0, count, _WINDOWS):
        part = slice(begin, min(begin + _WINDOWS, count))
        at, lengths = offsets[part], np.diff(offsets[begin : part.stop + 1])
        places = np.arange(lengths.max())
        real = places < lengths[:, None]
        flat = np.where(real, at[:, None] + places, 0)
        usable = real & allowed[flat]
        tops: list[tuple[np.ndarray, np.ndarray]] = []
        for side in (0, 1):
            scores = np.where(usable, logits[flat, side], -np.inf)
            top = np.argsort(-scores, axis=1, kind="stable")[:, :n_best]
            tops.append((top, np.take_along_axis(scores, top, axis=1)))
        (starts, of_start), (ends, of_end) = tops
        spread = ends[:, None, :] - starts[:, :, None]
        with np.errstate(invalid="ignore"):
            both = of_start[:, :, None] + of_end[:, None, :]
        both = np.where((spread >= 0) & (spread < longest), both, -np.inf).reshape(len(at), -1)
        best = both.argmax(1)
        value = both[np.arange(len(at)), best]
        there = np.isfinite(value)
        width = ends.shape[1]
        sums[part] = np.where(there, value, np.where(np.isnan(value), np.nan, _NEVER))
        first[part] = at + starts[np.arange(len(at)), best // width]
        last[part] = at + ends[np.arange(len(at)), best % width]
    return sums, first, last


def null_odds(ids: Sequence[str], ahead: np.ndarray) -> dict[str, float]:
    """By how much "none" is ahead at each row, by its name: the second file that SQuAD 2.0's own program takes."""
    return {name: float(value) for name, value in zip(ids, ahead, strict=True)}
