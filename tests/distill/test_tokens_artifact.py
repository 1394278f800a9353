"""Tokenised rows as an artifact, and when two encoders read text alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.artifacts import Store, hash_encoder, key_of
from distill.errors import UserError
from distill.models.folder import TOKENIZER_FILES
from distill.tasks import tokens
from distill.tasks.base import Windows
from distill.training.batching import Tokens
from tests.distill import tiny


def test_splits_and_facts(store: Store, encoder: Path) -> None:
    data = tiny.data("cola", train=20, dev=10)
    folder = tokens.prepare(store, data, encoder, max_length=32)
    train, dev = Tokens.load(folder / "train.npz"), Tokens.load(folder / "dev.npz")
    assert (len(train), len(dev)) == (20, 10)
    assert np.array_equal(train.labels, data.train.labels)
    own = tiny.tokenizer()
    assert [train.ids[a:b].tolist() for a, b in zip(train.offsets, train.offsets[1:], strict=False)] == [
        own(text)["input_ids"] for text in data.train.first
    ]
    facts = store.facts(folder)
    assert facts["train"] == {"rows": 20, "mean_tokens": pytest.approx(float(train.lengths.mean()))}
    assert facts["dev"]["rows"] == 10


def test_identity_changes_with_texts_labels_vocabulary_and_length(encoder: Path, tmp_path: Path) -> None:
    data = tiny.data("cola", train=20, dev=10)
    base = tokens.identity(data, encoder, 32)
    assert tokens.identity(tiny.data("cola", train=20, dev=10), encoder, 32) == base
    flipped = dataclasses.replace(data.dev, labels=1 - data.dev.labels)
    copied = tmp_path / "copy"
    copied.mkdir()
    for file in encoder.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    assert tokens.identity(data, copied, 32) == base, "where the encoder lies plays no part"
    file = copied / "tokenizer.json"
    file.write_text(file.read_text().replace('"boat"', '"ship"'))
    others = [
        tokens.identity(tiny.data("cola", train=21, dev=10), encoder, 32),
        tokens.identity(dataclasses.replace(data, dev=flipped), encoder, 32),
        tokens.identity(data, encoder, 31),
        tokens.identity(data, copied, 32),
    ]
    assert base not in others


@pytest.mark.parametrize("name", TOKENIZER_FILES)
def test_every_file_of_a_tokenizer_counts(tmp_path: Path, name: str) -> None:
    """What the hub is asked for, and no other file, decides the tokens and is part of the encoder."""
    data = tiny.data("cola", train=4, dev=4)

    def keys() -> tuple[str, str]:
        return key_of(tokens.identity(data, tmp_path, 32)), hash_encoder(tmp_path)

    before = keys()
    (tmp_path / "README.md").write_text("words")
    assert keys() == before
    (tmp_path / name).write_text("first")
    first = keys()
    (tmp_path / name).write_text("second")
    assert not set(before) & set(first)
    assert not set(first) & set(keys())


def test_same_vocabulary(encoder: Path, tmp_path: Path) -> None:
    from transformers import BertTokenizer

    def saved(name: str, vocabulary: dict[str, int], **how: bool) -> Path:
        BertTokenizer(vocab=vocabulary, **how).save_pretrained(tmp_path / name)
        return tmp_path / name

    swapped = {**tiny.VOCABULARY, "cat": tiny.VOCABULARY["dog"], "dog": tiny.VOCABULARY["cat"]}
    assert tokens.same_vocabulary(encoder, encoder)
    assert tokens.same_vocabulary(encoder, saved("twin", dict(tiny.VOCABULARY)))
    assert not tokens.same_vocabulary(encoder, saved("swapped", swapped))
    assert not tokens.same_vocabulary(encoder, saved("cased", dict(tiny.VOCABULARY), do_lower_case=False))


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="cannot be loaded") as refused:
        tokens.load_tokenizer(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_stride_that_is_the_usual_one_makes_the_same_windows(encoder: Path) -> None:
    data = tiny.data("squad2")

    def key(stride: int | None, length: int) -> dict[str, Any]:
        return tokens.identity(dataclasses.replace(data, windows=Windows(doc_stride=stride)), encoder, length)

    assert key(None, 24) == key(8, 24)
    assert key(None, 384) == key(128, 384)
    assert key(None, 24) != key(7, 24)
    assert key(None, 384) != key(8, 384)
