"""Rows become batches: nothing lost, little padding, and an order that depends on seed and epoch alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.tasks import registry
from distill.tasks.base import Examples
from distill.training import batching
from distill.training.batching import Tokens, evaluation_order, tokenise, training_order
from tests.distill import tiny


def _ragged(lengths: list[int], pad: int = 0) -> Tokens:
    total = sum(lengths)
    return Tokens(
        ids=np.arange(1, total + 1, dtype=np.int32),
        types=(np.arange(total) % 2).astype(np.int8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.arange(len(lengths), dtype=np.int64),
        pad=pad,
    )


def test_batch_pads_to_its_longest_row() -> None:
    batch = _ragged([2, 4, 1, 3], pad=99).batch(np.array([3, 0, 2]))
    assert batch["input_ids"].tolist() == [[8, 9, 10], [1, 2, 99], [7, 99, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert batch["token_type_ids"].tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert batch["labels"].tolist() == [3, 0, 2]
    assert {v.dtype for v in batch.values()} == {torch.int64}


def test_a_real_token_that_equals_the_padding_id_is_not_masked() -> None:
    batch = _ragged([3, 1], pad=2).batch(np.array([0, 1]))
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(("rows", "size"), [(1, 32), (7, 3), (64, 8), (1000, 8), (1025, 1)])
@pytest.mark.parametrize("order", ["training", "evaluation"])
def test_every_row_comes_once(rows: int, size: int, order: str) -> None:
    lengths = np.random.default_rng(0).integers(1, 40, rows)
    batches = list(training_order(lengths, size, 3, 1) if order == "training" else evaluation_order(lengths, size))
    assert sorted(np.concatenate(batches).tolist()) == list(range(rows))
    assert max(len(batch) for batch in batches) <= size
    # The loop counts its steps in advance, so no batch but one may be incomplete.
    assert len(batches) == -(-rows // size)


def _order(seed: int, epoch: int, rows: int = 500) -> list[list[int]]:
    lengths = np.random.default_rng(0).integers(3, 60, rows)
    return [batch.tolist() for batch in training_order(lengths, 8, seed, epoch)]


def test_order_is_a_function_of_seed_and_epoch_alone() -> None:
    expected = _order(5, 2)
    np.random.seed(1)
    torch.manual_seed(1)
    list(_order(9, 9))
    np.random.random(10)
    assert _order(5, 2) == expected
    others = [_order(5, 3), _order(6, 2), _order(2, 5)]
    assert all(other != expected for other in others)
    assert len({str(order) for order in others}) == 3


def test_batches_are_not_the_same_ones_in_every_epoch() -> None:
    first, second = ({frozenset(batch) for batch in _order(5, epoch)} for epoch in (0, 1))
    assert len(first & second) < len(first) / 4


def test_batches_do_not_come_by_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 500)
    means = [lengths[batch].mean() for batch in training_order(lengths, 8, 0, 0)]
    assert means != sorted(means)
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5


def _padding(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    total = sum(len(batch) * lengths[batch].max() for batch in batches)
    return 1 - lengths.sum() / total


def test_rows_of_like_length_meet() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 2000)
    shuffled = np.random.default_rng(1).permutation(2000)
    plain = _padding(lengths, [shuffled[i : i + 32] for i in range(0, 2000, 32)])
    bucketed = _padding(lengths, list(training_order(lengths, 32, 0, 0)))
    assert bucketed < plain / 4
    assert _padding(lengths, list(evaluation_order(lengths, 32))) < plain / 4


def test_saved_rows_come_back(tmp_path: Path) -> None:
    for tokens in tiny.tokens("stsb"):
        tokens.save(tmp_path / "split.npz")
        again = Tokens.load(tmp_path / "split.npz")
        for name in ("ids", "types", "offsets", "labels"):
            assert np.array_equal(getattr(again, name), getattr(tokens, name))
            assert getattr(again, name).dtype == getattr(tokens, name).dtype
        assert again.pad == tokens.pad
        assert len(again) == len(tokens)


@pytest.mark.parametrize("task", ["cola", "rte", "stsb"])
@pytest.mark.parametrize("limit", [32, 8])
def test_rows_are_the_tokenizers_own(task: str, limit: int) -> None:
    tokenizer = tiny.tokenizer()
    examples = tiny.examples(12, registry.get(task))
    tokens = tokenise(examples, tokenizer, limit)
    batch = tokens.batch(np.arange(12))
    pairs = [examples.first] if examples.second is None else [examples.first, examples.second]
    expected = tokenizer(
        *(list(side) for side in pairs), truncation=True, max_length=limit, padding=True, return_tensors="pt"
    )
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert torch.equal(batch[name], expected[name]), name
    assert batch["labels"].dtype == (torch.float32 if task == "stsb" else torch.int64)
    assert tokens.lengths.max() <= limit


def test_the_longer_sentence_of_a_pair_is_cut_first() -> None:
    tokenizer = tiny.tokenizer()
    long, short = "the old old old old old old cat", "a dog"
    labels = np.zeros(1, dtype=np.int64)
    for first, second in ((long, short), (short, long)):
        tokens = tokenise(Examples((first,), (second,), labels), tokenizer, 9)
        words = tokenizer.convert_ids_to_tokens(tokens.ids.tolist())
        assert len(words) == 9
        assert " a dog [SEP]" in " ".join(words)
        assert tokens.types.tolist() == [0] * (words.index("[SEP]") + 1) + [1] * (8 - words.index("[SEP]"))


def _roberta_tokenizer() -> Any:
    from transformers import RobertaTokenizer

    alphabet = {letter: i for i, letter in enumerate("abcdefghijklmnopqrstuvwxyzĠ")}
    special = {word: i + len(alphabet) for i, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))}
    return RobertaTokenizer(vocab={**alphabet, **special}, merges=[])


def test_tokenizers_without_segments_give_one_segment() -> None:
    """RoBERTa has a single segment embedding; an id of 1 would read past its end."""
    labels = np.zeros(1, dtype=np.int64)
    tokenizer = _roberta_tokenizer()
    tokens = tokenise(Examples(("ab cd",), ("ef",), labels), tokenizer, 32)
    assert tokens.ids.tolist() == tokenizer("ab cd", "ef")["input_ids"]
    assert not tokens.types.any()
    assert tokens.pad == tokenizer.pad_token_id


@pytest.mark.parametrize("task", ["cola", "mrpc"])
def test_rows_tokenised_part_by_part_are_those_tokenised_at_once(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = tiny.examples(20, registry.get(task))
    whole = tokenise(examples, tiny.tokenizer(), 9)
    for rows in (1, 7, 20):
        monkeypatch.setattr(batching, "_ROWS", rows)
        part = tokenise(examples, tiny.tokenizer(), 9)
        for name in ("ids", "types", "offsets", "labels"):
            assert np.array_equal(getattr(part, name), getattr(whole, name))
            assert getattr(part, name).dtype == getattr(whole, name).dtype
