"""A teacher's logits of every token on disk are those that it gives itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from distill.artifacts import Store
from distill.models.positions import PADDED
from distill.tasks import registry
from distill.teacher import parts
from distill.teacher.cached import CachedTeacher, DamagedOutputs
from tests.distill.teacher import kept

CHOSEN = [5, 0, 31, 17, 44]


@pytest.mark.parametrize("needs", [("logits", "cls"), ("logits", "cls", "hidden")])
def test_cached_logits_are_those_of_the_teacher(store: Store, needs: tuple[str, ...]) -> None:
    cached = CachedTeacher(kept.written(store, needs, task="squad2"))
    batch, rows = kept.batch(store, CHOSEN, "squad2"), np.array(CHOSEN)
    wider = kept.batch(store, CHOSEN, "squad2", length=24)
    online = kept.online(store, "squad2")

    for inputs in (batch, wider):
        answer = cached.answer(rows, inputs, frozenset(needs))
        itself = online.answer(rows, inputs, frozenset(needs))
        mask = inputs["attention_mask"].repeat_interleave(2, dim=0).bool()
        assert answer.logits.shape == itself.logits.shape == (2 * len(CHOSEN), inputs["input_ids"].shape[1])
        torch.testing.assert_close(answer.logits[mask], itself.logits[mask], rtol=1e-5, atol=1e-5)
        assert (answer.logits[~mask] == PADDED).all()
        assert torch.equal(answer.logits[~mask], itself.logits[~mask])
        assert answer.unmasked is None


def test_sizes_are_those_on_disk(store: Store) -> None:
    folder = kept.written(store, ("logits", "cls"), task="squad2")
    lengths = kept.train_rows(store, "squad2").lengths
    facts = store.facts(folder)

    assert facts["labels"] is None
    assert (folder / "logits.npy").stat().st_size - 128 == lengths.sum() * 2 * 4
    assert facts["bytes"] == parts.size(("logits", "cls"), CachedTeacher(folder).shape, None, lengths)
    json.dumps(facts)


def test_a_changed_row_is_found(store: Store) -> None:
    folder = kept.written(store, ("logits", "cls"), task="squad2")
    kept.flip(folder / "logits.npy")
    cached = CachedTeacher(folder)
    everything = np.arange(len(kept.train_rows(store, "squad2")))
    with pytest.raises(DamagedOutputs, match=r"logits\.npy is not as it was written"):
        cached.answer(everything, kept.batch(store, everything.tolist(), "squad2"), frozenset({"logits"}))


def test_which_tasks_have_logits_of_tokens() -> None:
    assert parts.labels_of(registry.get("squad")) is None
    assert parts.labels_of(registry.get("mnli")) == 3
