"""Models and data small enough to run the real command on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

NOUNS = ("cat", "dog", "bird", "child", "friend", "teacher")
ADVERBS = ("often", "never", "today", "here")
VERBS = ("sleep", "run", "sing", "wait")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def sentences(count: int, seed: int) -> list[tuple[str, int]]:
    """Sentences whose verb agrees with the subject (1) or not (0): what a tiny network can learn."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        plural, good = draw.random() < 0.5, draw.random() < 0.5
        subject = draw.choice(NOUNS) + ("s" if plural else "")
        verb = draw.choice(VERBS) + ("" if plural == good else "s")
        found.append((f"the {subject} {verb} {draw.choice(ADVERBS)}", int(good)))
    return found


def write_cola(folder: Path, train: int = 160, dev: int = 60) -> Path:
    """A folder in GLUE's layout with a task in the form of CoLA."""
    (folder / "CoLA").mkdir(parents=True)
    for name, count, seed in (("train", train, 1), ("dev", dev, 2)):
        lines = [f"made\t{label}\t\t{text}\n" for text, label in sentences(count, seed)]
        (folder / "CoLA" / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 200 rows in the form of CoLA."""
    return write_cola(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 4 layers × 32 with a vocabulary of whole words, as `save_pretrained` writes it."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder") / "bert"
    folder.mkdir()
    words = [*SPECIAL, "the", *ADVERBS, *(w + s for w in (*NOUNS, *VERBS) for s in ("", "s"))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    torch.set_rng_state(state)
    return folder
