"""Tiny random encoders, tokenizers and rows: real objects of the libraries, small enough for milliseconds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.models.architectures import RELU_HEAD, SHARED, architecture, plain, shared
from distill.models.repeats import Sharing
from distill.tasks import registry
from distill.tasks.base import Answer, Examples, Task, TaskData
from distill.training.batching import Tokens

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
NOUNS = ("cat", "dog", "bird", "tree", "child", "boat")
VERBS = ("sleeps", "runs", "sings", "grows", "falls")
WORDS = ("the", "a", "old", "small", "very", "not", "and", "##s", "##ing", ".", *NOUNS, *VERBS)
VOCABULARY = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}


def classifier(
    kind: str = "bert",
    *,
    layers: int = 2,
    width: int = 16,
    heads: int = 2,
    labels: int = 2,
    seed: int = 0,
    dropout: float = 0.1,
    regression: bool = False,
    span: bool = False,
    sharing: Sharing | None = None,
    **config: Any,
) -> Any:
    """A random sequence classifier whose weights are large enough for layers and rows to differ visibly.

    Args:
        span: It points to tokens instead.
        sharing: How layers run twice; of kinds that share by themselves, as is usual where nothing is said.
    """
    from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoModelForSequenceClassification

    from distill.models.relu_head import BertReluHeadConfig, BertReluHeadForSequenceClassification
    from distill.models.sharing import CLASSIFIERS, READERS

    settings: dict[str, Any] = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 2 * width,
        "max_position_embeddings": 64,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "num_labels": labels,
        "problem_type": "regression" if regression else "single_label_classification",
        "pad_token_id": 0,
        **_peculiar(plain(kind), width, dropout),
        **config,
    }
    known = architecture(kind)
    for usual, own in (("num_hidden_layers", known.layers), ("hidden_size", known.width)):
        settings[own] = settings.pop(usual)
    settings[known.heads] = settings.pop("num_attention_heads")
    torch.manual_seed(seed)
    if sharing is not None or shared(kind):
        settings |= {"sharing": (sharing or Sharing()).mode, "repeated_layers": (sharing or Sharing()).repeated(layers)}
        build = next(c for c in (READERS if span else CLASSIFIERS) if c.config_class.model_type == SHARED[plain(kind)])
        model = build(build.config_class(**settings))
    elif kind == RELU_HEAD:
        model = BertReluHeadForSequenceClassification(BertReluHeadConfig(**settings))
    else:
        build = AutoModelForQuestionAnswering if span else AutoModelForSequenceClassification
        model = build.from_config(AutoConfig.for_model(kind, **settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return model


def _peculiar(kind: str, width: int, dropout: float) -> dict[str, Any]:
    """What configurations of some kinds have beside the rest, or instead."""
    dropouts = dict.fromkeys(architecture(kind).dropouts, dropout)
    if kind == "distilbert":
        return {"hidden_dim": 2 * width, **dropouts}
    if kind == "albert":
        return {"embedding_size": width // 2, **dropouts}
    if kind == "deberta-v2":
        # As the third version has it; distances beyond 2 share weights.
        relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 4}
        return {**relative, "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False}
    if kind == "modernbert":
        # All attend to all in the first layer and the third, and two tokens to either side in the others.
        special = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 2)
        return {"local_attention": 4, "global_attn_every_n_layers": 2, **special, **dropouts}
    return {}


def tokenizer() -> Any:
    from transformers import BertTokenizer

    return BertTokenizer(vocab=dict(VOCABULARY))


def encoder_folder(folder: Path, **shape: Any) -> Path:
    """A pre-trained encoder as `save_pretrained` leaves it: no classifier, with tokenizer."""
    classifier(**shape).base_model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def batch(
    rows: int = 4, length: int = 7, *, seed: int = 0, labels: int = 2, regression: bool = False, span: bool = False
) -> dict[str, torch.Tensor]:
    """Random ids with padding behind all rows but the first; two segments."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(len(SPECIAL), len(VOCABULARY), (rows, length), generator=draw)
    lengths = torch.randint(3, length + 1, (rows,), generator=draw)
    lengths[0] = length
    mask = (torch.arange(length) < lengths[:, None]).long()
    gold = torch.rand(rows, generator=draw) * 5 if regression else torch.arange(rows) % labels
    if span:
        # Some place of the row, and one behind it; of two rows one says that there is no answer.
        first = torch.arange(rows) % 2 * (lengths - 2)
        gold = torch.stack([first, torch.where(first > 0, first + 1, 0)], dim=1).flatten()
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "token_type_ids": (torch.arange(length) >= length // 2).long() * mask,
        "labels": gold,
    }


def inputs_of(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in given.items() if name != "labels"}


def examples(rows: int, task: Task, seed: int = 0) -> Examples:
    """Sentences whose label is whether (or, for scores, how often) "not" occurs, so a tiny model can learn it."""
    draw = np.random.default_rng(seed)
    texts, counts = [], []
    for _ in range(rows):
        words = ["the", str(draw.choice(NOUNS)), *draw.choice(["old", "small", "very", "not"], draw.integers(0, 6))]
        texts.append(" ".join([*words, str(draw.choice(VERBS))]))
        counts.append(words.count("not"))
    gold = np.array(counts)
    second = tuple(reversed(texts)) if task.pair else None
    if task.kind == "regression":
        return Examples(tuple(texts), second, gold.astype(np.float32))
    return Examples(tuple(texts), second, np.minimum(gold, task.num_labels - 1).astype(np.int64))


def span_examples(rows: int, task: Task, seed: int = 0, sentences: int = 6) -> Examples:
    """What each animal does; where rows may have no answer, one row in four asks for an animal that does nothing."""
    draw = np.random.default_rng(seed)
    questions, contexts, answers = [], [], []
    for row in range(rows):
        chosen = [str(noun) for noun in draw.permutation(NOUNS)]
        present, absent = chosen[:-1], chosen[-1]
        told = [(noun, str(draw.choice(VERBS))) for noun in draw.choice(present, sentences)]
        context = " ".join(f"the {noun} {verb} ." for noun, verb in told)
        asked, verb = told[int(draw.integers(sentences))]
        if task.unanswerable and row % 4 == 0:
            asked, verb = absent, ""
        at = context.find(f"the {asked} {verb} .") + len(f"the {asked} ")
        questions.append(asked)
        contexts.append(context)
        answers.append((Answer(verb, at),) if verb else ())
    gold = np.array([bool(accepted) for accepted in answers], dtype=np.int64)
    ids = tuple(f"q{row}" for row in range(rows))
    return Examples(tuple(questions), tuple(contexts), gold, tuple(answers), ids)


def data(task: str = "cola", train: int = 48, dev: int = 24) -> TaskData:
    known = registry.get(task)
    if known.kind == "span":
        return TaskData(known, span_examples(train, known, 1), span_examples(dev, known, 2), "made for a test")
    return TaskData(known, examples(train, known, 1), examples(dev, known, 2), "made for a test")


@cache
def tokens(task: str = "cola", train: int = 48, dev: int = 24) -> tuple[Tokens, Tokens]:
    from distill.training.batching import tokenise
    from distill.training.windows import tokenise_windows

    made = data(task, train, dev)
    if made.task.kind == "span":
        pair = (tokenise_windows(split, tokenizer(), 24, made.task, made.windows) for split in (made.train, made.dev))
        return next(pair).tokens, next(pair).tokens
    return tokenise(made.train, tokenizer(), 32), tokenise(made.dev, tokenizer(), 32)
