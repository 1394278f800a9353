"""Encoders whose layers run twice with queries and keys exchanged, as the program of Pea-KD has them."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor
from transformers import BertForSequenceClassification

from distill.methods.objective import Outputs
from distill.models.capture import Capture
from distill.models.sharing import SharedBertForSequenceClassification
from tests.golden_checkers import _bert
from tests.golden_checkers._arrays import Arrays

_NEEDS = frozenset({"logits", "hidden", "cls"})


def check(name: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    assert re.fullmatch(r"sps_(L\d+(top\d+)?|selfattention)_f(32|64)|sps_param_counts", name), (
        f"unknown kind of SPS golden: {name}"
    )
    rtol = 1e-9 if name.endswith("f64") else 1e-5
    if "param_counts" in name:
        _counts(arrays)
    elif "selfattention" in name:
        _attention(arrays, rtol)
    else:
        _encoder(arrays, rtol)


def _encoder(arrays: Arrays, rtol: float) -> None:
    """All states of one network run in three ways, and the gradient of every parameter where queries and keys swap."""
    weights = _bert.weights(arrays, "W/") | _bert.weights(arrays, "Wcls/")
    inputs = [arrays.tensor(key) for key in ("input_ids", "input_mask", "segment_ids")]
    logical, plain = arrays["all_logical_layers"], arrays.tensor("plain_all_layers")
    repeated = len(logical) - len(plain)

    def error(heads: int) -> float:
        with torch.no_grad():
            return float((_hidden(_run(_bert.classifier(weights, heads), inputs))[1:] - plain).abs().max())

    heads = _bert.found_heads(plain.shape[-1], error)
    usual = _bert.classifier(weights, heads)
    arrays.compare("plain_all_layers", _hidden(_run(usual, inputs))[1:], rtol=rtol)
    arrays.compare("plain_pooled", _pooled(usual, inputs), rtol=rtol)
    twice = _run(_bert.classifier(weights, heads, sharing=("share", repeated)), inputs)
    arrays.compare("noshuffle_second_pass_layers", _hidden(twice)[-repeated:], rtol=rtol)

    model = _bert.classifier(weights, heads, sharing=("swap", repeated))
    found = _run(model, inputs)
    hidden = _hidden(found)
    assert found.cls is not None
    arrays.compare("embedding_output", hidden[0], rtol=rtol)
    arrays.compare("all_logical_layers", hidden[1:], rtol=rtol)
    arrays.compare("cls_per_logical_layer", found.cls[1:], rtol=rtol)
    arrays.compare("pooled", _pooled(model, inputs), rtol=rtol)
    arrays.compare("logits", found.logits, rtol=rtol)
    loss = torch.nn.functional.cross_entropy(found.logits, arrays.tensor("labels"))
    arrays.compare("ce_loss", loss, rtol=rtol)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if not name.startswith("classifier.")}
    assert {key.removeprefix("G/") for key in arrays.named("G/")} == set(gradients)
    # A gradient that is 0 but for rounding is held to the size of its likes.
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, gradient in gradients.items():
        arrays.compare(f"G/{name}", gradient, rtol=rtol, atol=rtol * largest)


def _run(model: Any, inputs: list[Tensor]) -> Outputs:
    return Capture(model, _NEEDS).run(*inputs)


def _hidden(found: Outputs) -> Tensor:
    assert found.hidden is not None
    return found.hidden


def _pooled(model: Any, inputs: list[Tensor]) -> Tensor:
    ids, mask, types = inputs
    pooled: Tensor = model.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).pooler_output
    return pooled


def _attention(arrays: Arrays, rtol: float) -> None:
    """What attention gives in the first and in the second pass, both begun with the same states."""
    states, mask = arrays.tensor("hidden_states"), arrays.tensor("extended_attention_mask")
    weights = _bert.weights(arrays, "W/")

    @torch.no_grad()
    def contexts(heads: int) -> list[Tensor]:
        config = SharedBertForSequenceClassification.config_class(
            hidden_size=states.shape[-1],
            num_attention_heads=heads,
            num_hidden_layers=1,
            vocab_size=1,
            sharing="swap",
            repeated_layers=1,
            attn_implementation="eager",
        )
        encoder: Any = SharedBertForSequenceClassification(config).to(states.dtype).eval().bert.encoder
        found: list[Tensor] = []
        layer: Any = encoder.layer[0]
        layer.attention.self.load_state_dict(weights)
        layer.attention.self.register_forward_hook(lambda module, given, output: found.append(output[0]))
        layer.register_forward_pre_hook(lambda module, given: (states, mask))
        encoder(states, mask)
        return found

    def error(heads: int) -> float:
        return float((contexts(heads)[0] - arrays.tensor("context_normal")).abs().max())

    normal, swapped = contexts(_bert.found_heads(states.shape[-1], error))
    arrays.compare("context_normal", normal, rtol=rtol)
    arrays.compare("context_swapped", swapped, rtol=rtol)


def _counts(arrays: Arrays) -> None:
    """Parameters of encoder and pooler of BERT base with so many layers, run once and run twice."""
    for row, (layers, *_) in enumerate(arrays["layers_plain_sps"].tolist()):
        kind = SharedBertForSequenceClassification
        config = kind.config_class(num_hidden_layers=layers, sharing="swap", repeated_layers=layers)
        with torch.device("meta"):
            shared: Any = kind(config)
            usual: Any = BertForSequenceClassification(config)
        for column, model in ((1, usual), (2, shared)):
            count = sum(parameter.numel() for parameter in model.bert.parameters())
            arrays.compare("layers_plain_sps", count, index=(row, column))
            assert count == sum(value.numel() for value in model.bert.state_dict().values())
