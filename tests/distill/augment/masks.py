"""Tiny random masked language models, with tokenizers of three kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.augment.masked import MaskedModel
from distill.tasks import registry
from distill.tasks.base import Examples, Task
from tests.distill import tiny


def bert(folder: Path, *, positions: int = 64, seed: int = 0) -> Path:
    """A BERT whose vocabulary is that of `tests.distill.tiny`."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=len(tiny.VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
        pad_token_id=0,
    )
    return _save(BertForMaskedLM(config), tiny.tokenizer(), folder, seed)


def roberta(folder: Path, texts: list[str]) -> Path:
    """A RoBERTa whose pieces mark the space before a word and are learned from `texts`."""
    from tokenizers import AddedToken, ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaForMaskedLM, RobertaTokenizerFast

    learned = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learned.train_from_iterator(texts, vocab_size=400, min_frequency=2, special_tokens=special, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    learned.save_model(str(folder))
    tokenizer = RobertaTokenizerFast(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
    )
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        pad_token_id=tokenizer.pad_token_id,
        type_vocab_size=1,
    )
    return _save(RobertaForMaskedLM(config), tokenizer, folder, 0)


def _save(model: Any, tokenizer: Any, folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            # Large enough for words to differ visibly in likelihood.
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def loaded(folder: Path) -> MaskedModel:
    return MaskedModel(folder, folder.name, "cpu")


def rows(task: Task | str, count: int = 12, seed: int = 0) -> Examples:
    """Sentences with words of one piece, of two ("cats", "boating"), stop words and signs; some come twice."""
    task = registry.get(task) if isinstance(task, str) else task
    draw = np.random.default_rng(seed)

    def text() -> str:
        noun, verb = draw.choice(tiny.NOUNS), draw.choice(tiny.VERBS)
        middle = draw.choice(["", " old", " very small", " small old", " not"])
        return f"The{middle} {noun}{draw.choice(['', 's', 'ing'])} {verb}{draw.choice(['', '.', ' and runs .'])}"

    first, second = (tuple(text() for _ in range(count)) for _ in range(2))
    first = (*first[:-1], first[0])
    if task.kind == "regression":
        labels = np.asarray(draw.choice([0.0, 1.25, 3.8, 5.0], count), dtype=np.float32)
    else:
        labels = np.arange(count, dtype=np.int64) % task.num_labels
    return Examples(first, second if task.pair else None, labels)
