"""Taking hidden states and attention scores out of an encoder while it runs."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.methods.objective import Outputs, Shape
from distill.models.folder import SUPPORTED, unsupported
from distill.models.masks import for_attention


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    """The stack of transformer layers of a BERT-like model.

    Raises:
        UserError: The architecture is not one of those supported.
    """
    layers = getattr(getattr(getattr(model, "base_model", model), "encoder", None), "layer", None)
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if kind not in SUPPORTED or not isinstance(layers, nn.ModuleList):
        raise UserError(unsupported(kind))
    return layers


def shape_of(model: nn.Module) -> Shape:
    """Layer count, width and heads of a BERT-like model."""
    config: Any = model.config
    return Shape(len(encoder_layers(model)), config.hidden_size, config.num_attention_heads)


class Capture:
    """Forward hooks that collect what an objective needs, in call order.

    With the default `sdpa` attention, `output_attentions=True` yields an empty tuple, so scores are recomputed
    from the outputs of the query and key projections, in float32 with autocast off.

    Args:
        model: A sequence classifier on a BERT-like encoder.
        needs: Subset of {"logits", "cls", "hidden", "scores"}.
    """

    def __init__(self, model: nn.Module, needs: frozenset[str]) -> None:
        self.shape = shape_of(model)
        self.needs = needs
        self._taken: dict[str, list[Tensor]] = {"hidden": [], "query": [], "key": []}
        self._handles: list[Any] = []
        self._watching = False
        self._model = model
        layers = encoder_layers(model)
        if needs & {"cls", "hidden"}:
            base: Any = model.base_model
            # ELECTRA may embed at a smaller width than its layers have.
            embedded = getattr(base, "embeddings_project", base.embeddings)
            for module in (embedded, *layers):
                self._watch(module, "hidden", first_only="hidden" not in needs)
        if "scores" in needs:
            for layer in layers:
                block: Any = layer
                attention = block.attention.self
                self._watch(attention.query, "query")
                self._watch(attention.key, "key")

    def _watch(self, module: nn.Module, name: str, first_only: bool = False) -> None:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if self._watching:
                states = output[0] if isinstance(output, tuple) else output
                # Copied, or the view would keep the whole of it.
                self._taken[name].append(states[:, 0].clone() if first_only else states)

        self._handles.append(module.register_forward_hook(hook))

    def run(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Outputs:
        """One forward pass of the model with everything asked for; other passes are not watched.

        Args:
            input_ids, attention_mask, token_type_ids: [B, S].

        Raises:
            RuntimeError: Fewer or more tensors were seen than the model has layers.
        """
        self._taken = {"hidden": [], "query": [], "key": []}
        self._watching = True
        try:
            mask = for_attention(self._model, attention_mask)
            logits = self._model(input_ids=input_ids, attention_mask=mask, token_type_ids=token_type_ids).logits
        finally:
            self._watching = False
        taken, self._taken = self._taken, {}
        layers, heads = self.shape.layers, self.shape.heads
        hidden = scores = cls = None
        if self.needs & {"cls", "hidden"}:
            if len(taken["hidden"]) != layers + 1:
                raise RuntimeError(f"captured {len(taken['hidden'])} hidden states, expected {layers + 1}")
            states = torch.stack(taken["hidden"])
            hidden = states if "hidden" in self.needs else None
            if "cls" in self.needs:
                cls = states if hidden is None else states[:, :, 0]
        if "scores" in self.needs:
            if len(taken["query"]) != layers or len(taken["key"]) != layers:
                raise RuntimeError(f"captured {len(taken['query'])} queries, expected {layers}")
            with torch.autocast(logits.device.type, enabled=False):
                query, key = (self._heads(torch.stack(taken[name]), heads) for name in ("query", "key"))
                scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        return Outputs(logits, hidden, scores, cls)

    @staticmethod
    def _heads(stacked: Tensor, heads: int) -> Tensor:
        """[L, B, S, h·d] -> [L, B, h, S, d] in at least float32."""
        wide = stacked if stacked.dtype == torch.float64 else stacked.float()
        return wide.unflatten(-1, (heads, -1)).transpose(2, 3)

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
