"""Tiny encoders of every kind and of their variants, each built once, and what the library itself says of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from distill.methods.objective import Outputs
from distill.models.capture import Capture
from tests.distill import tiny

EVERYTHING = frozenset({"logits", "hidden", "cls", "scores", "query", "key", "value", "pooled"})
_UNSHARED = {"share_att_key": False, "position_biased_input": True, "position_buckets": -1, "type_vocab_size": 2}
# What each is called, and what `tiny.classifier` makes it of. MiniLM and TinyBERT are BERTs by their configurations.
CASES: dict[str, dict[str, Any]] = {
    "bert": {"kind": "bert"},
    "roberta": {"kind": "roberta", "type_vocab_size": 1},
    "xlm-roberta": {"kind": "xlm-roberta", "type_vocab_size": 1},
    "electra-narrow": {"kind": "electra", "embedding_size": 8},
    "distilbert": {"kind": "distilbert"},
    "mpnet": {"kind": "mpnet"},
    "albert": {"kind": "albert"},
    "albert-groups": {"kind": "albert", "num_hidden_groups": 3, "embedding_size": 24},
    "deberta-v3": {"kind": "deberta-v2"},
    # As v2-xlarge has it: a convolution beside the first layer.
    "deberta-v2-conv": {"kind": "deberta-v2", "conv_kernel_size": 3, "conv_act": "gelu"},
    "deberta-v2-own-keys": {"kind": "deberta-v2", "embedding_size": 8, "norm_rel_ebd": "none", **_UNSHARED},
    "deberta-v2-one-way": {"kind": "deberta-v2", "pos_att_type": ["c2p"], **_UNSHARED},
    "deberta-v2-absolute": {"kind": "deberta-v2", **_UNSHARED, "relative_attention": False, "pos_att_type": []},
    "modernbert": {"kind": "modernbert"},
    "modernbert-biased": {
        "kind": "modernbert",
        "norm_bias": True,
        "attention_bias": True,
        "classifier_pooling": "mean",
    },
}
LAYERS, WIDTH, HEADS, LENGTH = 3, 24, 3, 9
BATCH = tiny.batch(4, LENGTH)
INPUTS = tiny.inputs_of(BATCH)
MASK = BATCH["attention_mask"].bool()


@cache
def model(name: str) -> Any:
    """In eval mode; nobody changes its weights."""
    return tiny.classifier(**CASES[name], layers=LAYERS, width=WIDTH, heads=HEADS).eval()


def own_inputs(name: str) -> dict[str, Tensor]:
    """The batch without token types where the model's own signature or tables have no use for them."""
    table = getattr(model(name).config, "type_vocab_size", 0)
    typed = table > 1 and CASES[name]["kind"] not in ("distilbert", "mpnet", "modernbert")
    return {what: given for what, given in INPUTS.items() if typed or what != "token_type_ids"}


@cache
def library(name: str) -> Any:
    """Logits, hidden states and attention probabilities by the library's eager attention."""
    whole = model(name)
    usual = whole.config._attn_implementation
    whole.set_attn_implementation("eager")
    found = whole(**own_inputs(name), output_hidden_states=True, output_attentions=True)
    whole.set_attn_implementation(usual)
    return found


@cache
def captured(name: str) -> Outputs:
    whole = model(name)
    capture = Capture(whole, EVERYTHING)
    found = capture.run(**INPUTS)
    capture.close()
    return found


def additive(name: str, layer: int) -> Tensor:
    """What the mask adds to the scores of a layer, from 0: [B, 1, S, S], of the definition."""
    rows, length = MASK.shape
    allowed = MASK[:, None, None, :].expand(rows, 1, length, length).clone()
    if CASES[name]["kind"] == "modernbert" and layer % 2:
        for i in range(length):
            for j in range(length):
                # A window of 4 tokens, 2 to either side.
                allowed[:, :, i, j] &= abs(i - j) <= 2
    return torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
