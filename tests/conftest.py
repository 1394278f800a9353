"""Models and data small enough to run the real command on."""

from __future__ import annotations

import gc
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Read when the hub's library is imported: tests reach no network, and get what is embedded where nothing is named.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tests run side by side: a second thread each would only wait for a core, and Ray's workers, which step back for
# everything else on a machine, would wait for the other tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_worker_niceness", "0")
# Nor does an example take long because it is a large one: what else runs on the machine decides.
settings.register_profile("beside others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beside others")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with real commands first: in parallel, nothing long is then left for the end.

    Those that share a Ray follow each other, so that a process that has started one keeps it for the next of them.
    """
    long = {item.path for item in items if item.get_closest_marker("slow")}
    on_ray = {item.path for item in items if "ray" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: (item.path not in long | on_ray, item.path in on_ray, item.path not in long))


def pytest_collection_finish() -> None:
    """What was imported stays: each full collection would go through all of it again, for half a second."""
    gc.collect()
    gc.freeze()


NOUNS = ("cat", "dog", "bird", "child", "friend", "teacher")
RIGHT, WRONG = ("often", "today"), ("never", "here")
VERBS = ("sleep", "run", "sing", "wait")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def sentences(count: int, seed: int) -> list[tuple[str, int]]:
    """Sentences that are right (1) with some adverbs and wrong (0) with the others, but for one in eight."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        adverb = draw.choice((*RIGHT, *WRONG))
        words = ("the", draw.choice(NOUNS) + draw.choice(("", "s")), draw.choice(VERBS), adverb)
        right = (adverb in RIGHT) != (draw.random() < 0.125)
        found.append((" ".join(words), int(right)))
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


def save_random_bert(folder: Path, vocabulary: int, layers: int) -> None:
    """Configuration and weights of a random BERT of width 32; torch's generator stays as it was."""
    import torch
    from transformers import BertConfig, BertModel

    state = torch.get_rng_state()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        # Large enough to be told apart after a few steps, so that scores differ.
        initializer_range=0.1,
    )
    BertModel(config).save_pretrained(folder)
    torch.set_rng_state(state)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 4 layers × 32 with a vocabulary of whole words, as `save_pretrained` writes it."""
    from transformers import BertTokenizer

    folder = tmp_path_factory.mktemp("encoder") / "bert"
    folder.mkdir()
    words = [*SPECIAL, "the", *RIGHT, *WRONG, *(w + s for w in (*NOUNS, *VERBS) for s in ("", "s"))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    save_random_bert(folder, len(words), layers=4)
    return folder
