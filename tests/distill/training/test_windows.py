"""Windows over contexts, against cutting them by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.errors import UserError
from distill.tasks import registry
from distill.tasks import windows as counting
from distill.tasks.base import Answer, Examples, TaskData, Windows
from distill.training.batching import Tokens
from distill.training.windows import tokenise_windows
from tests.distill import tiny

TASK = registry.get("squad2")
SPECIAL = 3


def tokens_of(text: str) -> list[tuple[int, int, int]]:
    """(id, begin, end) of each token of a text."""
    encoded = tiny.tokenizer()(text, add_special_tokens=False, return_offsets_mapping=True)
    return [
        (token, begin, end) for token, (begin, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]


def literal(examples: Examples, length: int, shared: int) -> list[dict[str, Any]]:
    """Every window, token by token."""
    cls, sep = tiny.VOCABULARY["[CLS]"], tiny.VOCABULARY["[SEP]"]
    assert examples.second is not None
    assert examples.answers is not None
    found = []
    for row, (question, context) in enumerate(zip(examples.first, examples.second, strict=True)):
        asked = tokens_of(question)[: min(64, (length - SPECIAL) // 2)]
        text = tokens_of(context)
        room, start = length - SPECIAL - len(asked), 0
        while True:
            part = text[start : start + room]
            ids = [cls, *(token for token, *_ in asked), sep, *(token for token, *_ in part), sep]
            label = (0, 0)
            for answer in examples.answers[row][:1]:
                inside = [
                    i
                    for i, (_, low, high) in enumerate(part)
                    if low < answer.start + len(answer.text) and high > answer.start
                ]
                whole = part and part[0][1] <= answer.start and part[-1][2] >= answer.start + len(answer.text)
                if inside and whole:
                    label = (len(asked) + 2 + inside[0], len(asked) + 2 + inside[-1])
            begins = [-1] * (len(asked) + 2) + [low for _, low, _ in part] + [-1]
            ends = [-1] * (len(asked) + 2) + [high for *_, high in part] + [-1]
            types = [0] * (len(asked) + 2) + [1] * (len(part) + 1)
            found.append({"row": row, "ids": ids, "types": types, "label": label, "begins": begins, "ends": ends})
            if start + room >= len(text):
                break
            start += room - shared
    return found


def examples() -> Examples:
    """Answers at both ends, across words, in parts of words, none, and a question that is longer than may be."""
    context = "the old cat sleeps . dogs runs not . a very small bird singing and the tree grows ."
    rows = [
        ("cat", context, "the"),
        ("cat", context, "."),
        ("cat", context, context[-7:]),
        ("bird", context, "very small bird sing"),
        ("dog", context, "dogs"),
        ("boat", context, None),
        ("the cat " * 12, context, "sleeps"),
        ("tree", "the tree falls", "tree"),
        ("all", context, context),
    ]
    answers = tuple(() if text is None else (Answer(text, words.rindex(text)),) for _, words, text in rows)
    gold = np.array([bool(accepted) for accepted in answers], dtype=np.int64)
    return Examples(tuple(r[0] for r in rows), tuple(r[1] for r in rows), gold, answers)


@pytest.mark.parametrize(("length", "shared"), [(16, 3), (16, 0), (12, 2), (40, 5)])
def test_windows_are_those_cut_by_hand(length: int, shared: int) -> None:
    rows = examples()

    made = tokenise_windows(rows, tiny.tokenizer(), length, TASK, Windows(doc_stride=shared))

    tokens, wanted = made.tokens, literal(rows, length, shared)
    spans = tokens.spans
    assert spans is not None
    assert len(tokens) == len(wanted)
    for window, one in enumerate(wanted):
        part = slice(tokens.offsets[window], tokens.offsets[window + 1])
        assert tokens.ids[part].tolist() == one["ids"]
        assert tokens.types[part].tolist() == one["types"]
        assert spans.begins[part].tolist() == one["begins"]
        assert spans.ends[part].tolist() == one["ends"]
        assert tuple(tokens.labels[window]) == one["label"], one
        assert spans.rows[window] == one["row"]
    lost = {one["row"] for one in wanted} - {one["row"] for one in wanted if one["label"] != (0, 0)}
    assert made.unfound == len(lost - {5})


@pytest.mark.parametrize("length", [16, 40])
def test_windows_are_those_of_the_tokenizers_own_overflow(length: int) -> None:
    rows, words = examples(), tiny.tokenizer()
    # Its truncation knows no limit of the question.
    short = np.array([row for row in range(len(rows)) if len(tokens_of(rows.first[row])) <= (length - SPECIAL) // 2])
    rows = rows.take(short)
    encoded = words(
        list(rows.first),
        list(rows.second or ()),
        truncation="only_second",
        max_length=length,
        stride=4,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )

    tokens = tokenise_windows(rows, words, length, TASK, Windows(doc_stride=4)).tokens

    assert tokens.spans is not None
    assert tokens.spans.rows.tolist() == encoded["overflow_to_sample_mapping"]
    assert tokens.ids.tolist() == [i for ids in encoded["input_ids"] for i in ids]
    assert tokens.types.tolist() == [i for types in encoded["token_type_ids"] for i in types]
    for window, offsets in enumerate(encoded["offset_mapping"]):
        part = slice(tokens.offsets[window], tokens.offsets[window + 1])
        inside = tokens.spans.begins[part] >= 0
        assert inside.tolist() == [side == 1 for side in encoded.sequence_ids(window)]
        assert tokens.spans.begins[part][inside].tolist() == [
            low for (low, _), i in zip(offsets, inside, strict=True) if i
        ]
        assert tokens.spans.ends[part][inside].tolist() == [
            high for (_, high), i in zip(offsets, inside, strict=True) if i
        ]


def test_labels_lead_back_to_the_answer() -> None:
    rows = examples()
    tokens = tokenise_windows(rows, tiny.tokenizer(), 40, TASK, Windows()).tokens
    assert tokens.spans is not None
    assert rows.second is not None
    assert rows.answers is not None
    seen = 0
    for window, (first, last) in enumerate(tokens.labels):
        row, at = tokens.spans.rows[window], tokens.offsets[window]
        if first and row != 3:
            text = rows.second[row][tokens.spans.begins[at + first] : tokens.spans.ends[at + last]]
            # "dogs" is two tokens, "sing" a part of one.
            assert text == rows.answers[row][0].text
            seen += 1
    assert seen >= 6


@pytest.mark.parametrize(("length", "shared"), [(16, 3), (12, 2), (40, None), (20, None)])
def test_windows_are_counted_before_they_are_made(length: int, shared: int | None) -> None:
    asked = Windows(doc_stride=shared)
    data = TaskData(TASK, examples(), examples(), "made for a test", windows=asked)
    tokens = tokenise_windows(data.train, tiny.tokenizer(), length, TASK, asked).tokens

    assert counting.counted(data, tiny.tokenizer(), length) == len(tokens)
    sizes = [
        np.array([len(tokens_of(text)) for text in column]) for column in (data.train.first, data.train.second or ())
    ]
    found = counting.lengths(*sizes, length, counting.stride(asked, length, SPECIAL), SPECIAL)
    np.testing.assert_array_equal(found, tokens.lengths)


def test_usual_strides_are_those_of_bert() -> None:
    assert counting.stride(Windows(), 384, SPECIAL) == 128
    assert counting.question_limit(384, SPECIAL) == 64
    # Of short rows a third.
    assert counting.stride(Windows(), 48, SPECIAL) == 16


def test_a_stride_that_leaves_no_step_is_refused() -> None:
    assert counting.stride(Windows(doc_stride=316), 384, SPECIAL) == 316
    with pytest.raises(UserError, match=r"--doc-stride 317 does not fit max_length=384.*at most 316"):
        counting.stride(Windows(doc_stride=317), 384, SPECIAL)


def test_tokens_come_back_from_disk(tmp_path: Path) -> None:
    tokens = tokenise_windows(examples(), tiny.tokenizer(), 16, TASK, Windows(null_threshold=1.5)).tokens
    tokens.save(tmp_path / "dev.npz")

    again = Tokens.load(tmp_path / "dev.npz")

    assert again.spans is not None
    assert tokens.spans is not None
    for name in ("ids", "types", "offsets", "labels"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tokens, name))
    np.testing.assert_array_equal(again.spans.begins, tokens.spans.begins)
    assert again.spans.threshold == 1.5
    assert again.spans.contexts == tokens.spans.contexts
    np.testing.assert_array_equal(again.gold, examples().labels)


def test_training_rows_lead_nowhere(tmp_path: Path) -> None:
    tokens = tokenise_windows(examples(), tiny.tokenizer(), 16, TASK, Windows(), predicted=False).tokens
    tokens.save(tmp_path / "train.npz")

    assert Tokens.load(tmp_path / "train.npz").spans is None
    assert not (tmp_path / "train_answers.json").exists()


def test_a_batch_has_starts_and_ends_in_turns() -> None:
    tokens = tokenise_windows(examples(), tiny.tokenizer(), 16, TASK, Windows()).tokens

    batch = tokens.batch(np.array([3, 0]))

    assert batch["labels"].tolist() == [*tokens.labels[3], *tokens.labels[0]]
    assert batch["input_ids"].shape[0] == 2


def test_another_stride_or_threshold_is_other_data() -> None:
    data = TaskData(TASK, examples(), examples(), "made for a test")
    others = [Windows(doc_stride=64), Windows(null_threshold=1.0)]
    prints = {data.fingerprint(), *(replace(data, windows=one).fingerprint() for one in others)}

    assert len(prints) == 3
    always = replace(data, task=registry.get("squad"))
    assert always.fingerprint() == replace(always, windows=Windows(null_threshold=1.0)).fingerprint()


def test_questions_of_other_tasks_have_no_windows() -> None:
    with pytest.raises(UserError, match="--doc-stride 64 plays no part"):
        counting.asked(tiny.data("cola"), 64, None)


def test_a_threshold_is_refused_where_every_row_has_an_answer() -> None:
    with pytest.raises(UserError, match=r"--null-threshold 0\.5 plays no part: every row of squad has an answer"):
        counting.asked(tiny.data("squad"), None, 0.5)
    assert counting.asked(tiny.data("squad2"), 7, 0.5).windows == Windows(7, 0.5)
