"""Encoders whose folder has its vocabulary in SentencePiece's form alone, as DeBERTa-v3's repositories do."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.models.folder import inspect
from distill.tasks import tokens
from distill.tasks.tokens import load_tokenizer, same_vocabulary
from tests.distill import tiny

_FILES = {"deberta-v2": "spm.model", "albert": "spiece.model", "xlm-roberta": "sentencepiece.bpe.model"}
_SPECIAL = {
    "deberta-v2": {"pad_id": 0, "unk_id": 3, "pad_piece": "[PAD]", "unk_piece": "[UNK]"},
    "albert": {"pad_id": 0, "unk_id": 1},
    "xlm-roberta": {},
}


def _folder(folder: Path, kind: str, words: str = "the cat sleeps and the old dog runs") -> Path:
    import sentencepiece

    own = {} if kind == "xlm-roberta" else {"control_symbols": "[CLS],[SEP],[MASK]", "bos_id": -1, "eos_id": -1}
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([words] * 4),
        model_writer=made,
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=3,
        **own,
        **_SPECIAL[kind],
    )
    tiny.classifier(kind, vocab_size=64, layers=1).base_model.save_pretrained(folder)
    (folder / _FILES[kind]).write_bytes(made.getvalue())
    return folder


@pytest.mark.parametrize("kind", _FILES)
def test_its_tokenizer_is_read_and_saved(kind: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path / "one", kind)
    assert inspect(folder, "--teacher").model_type == kind
    loaded = load_tokenizer(folder)
    assert loaded.is_fast
    ids = loaded("the cat", "the dog")["input_ids"]
    assert loaded.decode(ids, skip_special_tokens=True).split() == ["the", "cat", "the", "dog"]
    loaded.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "tokenizer.json").exists()
    assert same_vocabulary(folder, tmp_path / "saved")
    assert not same_vocabulary(folder, _folder(tmp_path / "other", kind, "birds sing in trees"))


def test_a_tokenizer_of_another_encoder_is_refused_before_training(tmp_path: Path) -> None:
    from distill.artifacts import Store

    tiny.classifier(vocab_size=12, layers=1).base_model.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"gives token id \d+, and the encoder there has embeddings of 12 tokens alone"):
        tokens.prepare(Store(tmp_path / "store"), tiny.data(), tmp_path, 32)
