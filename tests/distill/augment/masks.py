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
    # As the published ones have it: the mask takes the space before it in.
    mask: Any = AddedToken("<mask>", lstrip=True, special=True)
    places = str(folder / "vocab.json"), str(folder / "merges.txt")
    tokenizer = RobertaTokenizerFast(vocab=places[0], merges=places[1], mask_token=mask)
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


def distilbert(folder: Path, texts: list[str]) -> Path:
    """A DistilBERT without segments, whose pieces carry the space before a word as a sign of their own."""
    from tokenizers import SentencePieceBPETokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import DistilBertConfig, DistilBertForMaskedLM, PreTrainedTokenizerFast

    learned = SentencePieceBPETokenizer()
    special = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    learned.train_from_iterator(texts, vocab_size=120, min_frequency=2, special_tokens=special, show_progress=False)
    ends = [("<s>", 2), ("</s>", 3)]
    learned.post_processor = TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", ends)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learned,
        model_input_names=["input_ids", "attention_mask"],
        **{"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>", "sep_token": "</s>", "cls_token": "<s>"},
    )
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=64
    )
    return _save(DistilBertForMaskedLM(config), tokenizer, folder, 0)


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
    """Sentences with words of one piece, of two ("cats", "Boating"), stop words and signs; some come twice."""
    task = registry.get(task) if isinstance(task, str) else task
    draw = np.random.default_rng(seed)

    def text() -> str:
        noun, verb = draw.choice(tiny.NOUNS), draw.choice(tiny.VERBS)
        noun = noun.capitalize() if draw.random() < 0.3 else noun
        middle = draw.choice(["", " old", " very small", " small old", " not"])
        return f"The{middle} {noun}{draw.choice(['', 's', 'ing'])} {verb}{draw.choice(['', '.', ' and runs .'])}"

    first, second = (tuple(text() for _ in range(count)) for _ in range(2))
    first = (*first[:-1], first[0])
    labels: np.ndarray = np.arange(count, dtype=np.int64) % task.num_labels
    if task.kind == "regression":
        labels = np.asarray(draw.choice([0.0, 1.25, 3.8, 5.0], count), dtype=np.float32)
    return Examples(first, second if task.pair else None, labels)
