"""Classifiers of the library with the weights that a file gives; sizes come from the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import BertForSequenceClassification

from distill.models.relu_head import BertReluHeadForSequenceClassification
from distill.models.sharing import SharedBertForSequenceClassification
from tests.golden_checkers._arrays import Arrays

Weights = dict[str, Tensor]


def weights(arrays: Arrays, prefix: str, under: str = "") -> Weights:
    """All arrays whose names begin with a prefix, by the rest of their names behind `under`."""
    return {under + key.removeprefix(prefix): arrays.tensor(key) for key in arrays.named(prefix)}


def classifier(
    weights: Weights,
    heads: int,
    *,
    relu: bool = False,
    hidden_dropout: float = 0.0,
    sharing: tuple[str, int] | None = None,
) -> Any:
    """A BERT with these weights in their precision, in eval mode.

    Args:
        weights: Names as in the library's classifier ("bert.…", "classifier.…"). Without a classifier among them it
            stays random.
        heads: Of each layer; no weight tells it.
        relu: Whether the classifier reads the pooled output through a ReLU.
        sharing: How layers run twice, and how many of the top.
    """
    table = "bert.embeddings."
    kind: Any = BertReluHeadForSequenceClassification if relu else BertForSequenceClassification
    kind = kind if sharing is None else SharedBertForSequenceClassification
    shared = {} if sharing is None else dict(zip(("sharing", "repeated_layers"), sharing, strict=True))
    config = kind.config_class(
        **shared,
        vocab_size=len(weights[table + "word_embeddings.weight"]),
        hidden_size=len(weights[table + "LayerNorm.bias"]),
        num_hidden_layers=len({name.split(".")[3] for name in weights if name.startswith("bert.encoder.layer.")}),
        num_attention_heads=heads,
        intermediate_size=len(weights["bert.encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(weights[table + "position_embeddings.weight"]),
        type_vocab_size=len(weights[table + "token_type_embeddings.weight"]),
        num_labels=len(weights.get("classifier.bias", ())) or 2,
        hidden_dropout_prob=hidden_dropout,
        attention_probs_dropout_prob=0.0,
    )
    model: Any = kind(config)
    model.to(weights[table + "LayerNorm.bias"].dtype)
    missing, unknown = model.load_state_dict({name: w.clone() for name, w in weights.items()}, strict=False)
    assert not unknown, f"weights that have no place in the network: {unknown[:5]}"
    assert all(name.startswith("classifier.") for name in missing), f"weights that the file lacks: {missing[:5]}"
    return model.eval()


def found_heads(width: int, error: Callable[[int], float]) -> int:
    """The number of heads, where a file does not hold it: the divisor of the width that fits its arrays best."""
    errors = {heads: error(heads) for heads in range(1, width + 1) if width % heads == 0}
    return min(errors, key=errors.__getitem__)
