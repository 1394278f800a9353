"""Orders of rows where all batches are padded alike or incomplete ones are skipped, and batches of a given length."""

from __future__ import annotations

import numpy as np
import pytest

from distill.training.batching import in_groups, training_order
from tests.distill import tiny

LENGTHS = np.random.default_rng(0).integers(3, 60, 500)


@pytest.mark.parametrize(("rows", "size"), [(7, 3), (64, 8), (1000, 24), (1025, 1), (32, 32)])
@pytest.mark.parametrize("by_length", [True, False])
def test_only_whole_batches_are_left(rows: int, size: int, by_length: bool) -> None:
    lengths = np.random.default_rng(1).integers(3, 60, rows)
    batches = list(training_order(lengths, size, 0, 0, by_length=by_length, drop_last=True))
    assert [len(batch) for batch in batches] == [size] * (rows // size)
    seen = np.concatenate(batches)
    assert len(set(seen.tolist())) == len(seen)


def test_other_rows_are_left_out_in_each_epoch_and_not_the_longest() -> None:
    """After sorting, the last rows are the longest: dropped then, they would never be seen."""
    lengths = np.arange(3, 103)
    missing = [
        set(range(100)) - set(np.concatenate(list(training_order(lengths, 32, 0, epoch, drop_last=True))).tolist())
        for epoch in range(200)
    ]
    assert all(len(rows) == 4 for rows in missing)
    assert len(set().union(*missing)) == 100
    assert np.mean([row for rows in missing for row in rows]) == pytest.approx(49.5, abs=5)


def test_without_sorting_batches_hold_rows_of_any_length() -> None:
    spread = {
        by_length: np.mean([np.ptp(LENGTHS[b]) for b in training_order(LENGTHS, 8, 0, 0, by_length=by_length)])
        for by_length in (True, False)
    }
    assert spread[True] < 10
    # Eight of these at random lie 44 apart in the mean.
    assert spread[False] == pytest.approx(44, abs=5)


@pytest.mark.parametrize("how", [{}, {"by_length": False}, {"drop_last": True}])
def test_order_is_a_function_of_seed_and_epoch_alone(how: dict[str, bool]) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in training_order(LENGTHS, 8, seed, epoch, **how)]

    assert order(5, 2) == order(5, 2)
    assert len({str(order(*given)) for given in ((5, 2), (5, 3), (6, 2), (2, 5))}) == 4


def test_groups_lose_nothing() -> None:
    batches = list(training_order(LENGTHS, 8, 0, 0))
    groups = list(in_groups(iter(batches), 5))
    assert [len(group) for group in groups] == [5] * 12 + [3]
    assert all(one is other for one, other in zip((b for g in groups for b in g), batches, strict=True))


def test_a_given_length_adds_padding_and_nothing_else() -> None:
    tokens, _ = tiny.tokens("rte", 12, 4)
    rows = np.array([3, 0, 7])
    short, wide = tokens.batch(rows), tokens.batch(rows, length=40)
    longest = short["input_ids"].shape[1]
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert wide[name].shape == (3, 40)
        assert wide[name][:, :longest].tolist() == short[name].tolist()
        assert set(wide[name][:, longest:].flatten().tolist()) == {tokens.pad if name == "input_ids" else 0}
    assert wide["labels"].tolist() == short["labels"].tolist()


def test_rows_that_are_too_long_are_refused() -> None:
    tokens, _ = tiny.tokens("rte", 12, 4)
    longest = int(tokens.lengths.max())
    assert tokens.batch(np.arange(12), length=longest)["input_ids"].shape == (12, longest)
    with pytest.raises(ValueError, match=f"{longest} tokens does not fit into {longest - 1}"):
        tokens.batch(np.arange(12), length=longest - 1)
