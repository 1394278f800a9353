"""Cutting a shallower encoder out of a deep one, by copying some of its layers."""

from __future__ import annotations

from typing import Any

from distill.errors import UserError
from distill.models.architectures import architecture


def check_cut(kind: str, what: str, method: str = "") -> None:
    """Raise UserError where no layers can be copied, because all of them are the same weights.

    Args:
        kind: The encoder's `model_type`.
        what: Names it in the message.
        method: Who asks for the copy, at the beginning of the message.
    """
    known = architecture(kind)
    if known.groups:
        begins = f"{method}: no student of copied layers" if method else "No student of copied layers"
        raise UserError(
            f"{begins} can be cut from {what}, because the layers of an {known.title} ({kind}) share one set of "
            "weights: name the student's own encoder with --student."
        )


def cut(model: Any, layers: tuple[int, ...]) -> None:
    """Leave of a model's layers those that are named, from 1, in this order; the configuration follows."""
    known, config = architecture(model.config.model_type), model.config
    stack = model.base_model.get_submodule(known.stack)
    kept = [stack[number - 1] for number in layers]
    del stack[:]
    stack.extend(kept)
    config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None) is not None:
        config.layer_types = [config.layer_types[number - 1] for number in layers]
    for place, layer in enumerate(kept):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = place
    if known.fused and layers[0] != 1:
        _without_norm(kept[0])


def _without_norm(layer: Any) -> None:
    """Make a ModernBERT's layer the first one, which reads embeddings that are normalised already.

    There it has no normalisation before its attention, so that a saved one could not keep it. Its scale and shift go
    into the projection behind it, as far as that has a bias to take them.
    """
    import torch
    from torch import nn

    norm, projection = layer.attn_norm, layer.attn.Wqkv
    with torch.no_grad():
        if norm.bias is not None and projection.bias is not None:
            projection.bias.add_(projection.weight @ norm.bias)
        projection.weight.mul_(norm.weight)
    layer.attn_norm = nn.Identity()
