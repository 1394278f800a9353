"""Windows by tokenizers of every form, against what each of them does with two texts by itself."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.tasks import registry
from distill.tasks.base import Answer, Examples, TaskData, Windows
from distill.tasks.tokens import load_tokenizer
from distill.tasks.windows import counted
from distill.training.windows import tokenise_windows
from tests.distill import tiny

TASK = registry.get("squad2")
QUESTION = "where does the old cat sleep?"
# Words of several tokens, blanks that byte-level tokens begin with, and letters of two bytes.
CONTEXT = "The old cat sleeps in  a café, and the small dog — Äffchen — runs, sings and falls by the tree."
ANSWERS = ("a café", "Äffchen", "The", "tree.")
LENGTHS = {"one window": 200, "several": 44}
_FILES = {"deberta-v2": "spm.model", "albert": "spiece.model", "xlm-roberta": "sentencepiece.bpe.model"}


@cache
def tokenizer(kind: str, place: Path) -> Any:
    """One that was made of the texts, read from its files as those of a downloaded encoder are."""
    folder = place / kind
    tiny.classifier(kind, vocab_size=512, layers=1).base_model.save_pretrained(folder)
    if kind == "roberta":
        from tokenizers import ByteLevelBPETokenizer

        made = ByteLevelBPETokenizer()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        made.train_from_iterator([QUESTION, CONTEXT] * 2, vocab_size=300, special_tokens=special, show_progress=False)
        made.save_model(str(folder))
        return load_tokenizer(folder)
    import io

    import sentencepiece

    usual = {"control_symbols": "[CLS],[SEP],[MASK]", "bos_id": -1, "eos_id": -1}
    ids: dict[str, dict[str, Any]] = {
        "deberta-v2": {"pad_id": 0, "unk_id": 3, "pad_piece": "[PAD]", "unk_piece": "[UNK]"},
        "albert": {"pad_id": 0, "unk_id": 1},
    }
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([QUESTION, CONTEXT] * 4),
        model_writer=written,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=3,
        **{**({} if kind == "xlm-roberta" else usual), **ids.get(kind, {})},
    )
    (folder / _FILES[kind]).write_bytes(written.getvalue())
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kind", ["roberta", *_FILES])
def test_windows_are_those_of_the_tokenizer(kind: str, length: int, place: Path) -> None:
    words = tokenizer(kind, place)
    accepted = tuple((Answer(text, CONTEXT.index(text)),) for text in ANSWERS)
    rows = Examples((QUESTION,) * 4, (CONTEXT,) * 4, np.ones(4, dtype=np.int64), accepted)

    made = tokenise_windows(rows, words, length, TASK, Windows(doc_stride=4))

    # A question that is short enough is left whole, so the tokenizer's own windows are the same.
    encoded = words(
        QUESTION,
        CONTEXT,
        max_length=length,
        truncation="only_second",
        stride=4,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    count = len(encoded["input_ids"])
    assert (count == 1) == (length == 200)
    assert len(made.tokens) == 4 * count
    spans = made.tokens.spans
    assert spans is not None
    for window in range(4 * count):
        part = slice(*made.tokens.offsets[window : window + 2])
        one = window % count
        assert made.tokens.ids[part].tolist() == encoded["input_ids"][one]
        # What overflows in XLM-R's form gets types that no row of it has.
        types = [0] * (part.stop - part.start) if kind == "xlm-roberta" else encoded["token_type_ids"][one]
        assert made.tokens.types[part].tolist() == types
        sides = encoded.sequence_ids(one)
        for at, side in enumerate(sides):
            theirs = encoded["offset_mapping"][one][at] if side == 1 else (-1, -1)
            assert (spans.begins[part][at], spans.ends[part][at]) == tuple(theirs)
    if length == 200:
        for row, text in enumerate(ANSWERS):
            first, last = made.tokens.offsets[row] + made.tokens.labels[row]
            # Of all tokens that hold a letter of the answer, no more than a letter or a blank around it.
            held = CONTEXT[spans.begins[first] : spans.ends[last]]
            assert text in held
            assert len(held.strip()) <= len(text) + 2
    data = TaskData(TASK, rows, rows, "made for a test", windows=Windows(doc_stride=4))
    assert counted(data, words, length) == 4 * count
