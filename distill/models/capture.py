"""Taking hidden states, projections and attention scores out of an encoder while it runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container
from typing import Any, cast

import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.losses.precision import at_least_float32
from distill.methods.base import POOLED
from distill.methods.objective import Outputs, Shape
from distill.models.folder import SUPPORTED, shared, unsupported
from distill.models.masks import for_attention
from distill.models.parameters import output_layer
from distill.models.positions import logits_of

PROJECTIONS = ("query", "key", "value")
_WORDS = {"cls": "[CLS]", "hidden": "hidden states", "query": "queries", "key": "keys", "value": "values"}


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    """The stack of transformer layers of a BERT-like model, each once (see `passes`).

    Raises:
        UserError: The architecture is not one of those supported.
    """
    layers = getattr(getattr(getattr(model, "base_model", model), "encoder", None), "layer", None)
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if kind not in SUPPORTED or not isinstance(layers, nn.ModuleList):
        raise UserError(unsupported(kind))
    return layers


def passes(model: nn.Module) -> tuple[int, ...]:
    """For each layer that the hidden states go through the index of its module in `encoder_layers`.

    Raises:
        UserError: As `encoder_layers`.
    """
    stack, whole = encoder_layers(model), cast(Any, model)
    if shared(whole.config.model_type):
        return tuple(index for index, _ in whole.base_model.encoder.passes())
    return tuple(range(len(stack)))


def shape_of(model: nn.Module) -> Shape:
    """Layer count, width and heads of a BERT-like model; layers that run twice count twice."""
    config: Any = model.config
    count = len(passes(model))
    repeated = count - len(encoder_layers(model))
    return Shape(count, config.hidden_size, config.num_attention_heads, repeated)


class Capture:
    """Forward hooks that collect what an objective needs, in call order.

    A layer that runs twice is taken twice, the second time under the number of a further layer; where that pass
    exchanges queries and keys, "query" is what acts as query.

    With the default `sdpa` attention, `output_attentions=True` yields an empty tuple, so scores are recomputed
    from the outputs of the query and key projections, in float32 with autocast off.

    Args:
        model: A sequence classifier on a BERT-like encoder.
        needs: Subset of `distill.methods.base.PARTS`, and "pooled".
        layers: Which layers are taken, as `Outputs.layers` has them; of [CLS] all are. All when None.
    """

    def __init__(self, model: nn.Module, needs: frozenset[str], layers: tuple[int, ...] | None = None) -> None:
        self.shape = shape_of(model)
        self.needs = needs
        self.layers = layers
        self._projections = tuple(
            name for name in PROJECTIONS if name in needs or (name != "value" and "scores" in needs)
        )
        self._taken: dict[str, list[Tensor]] = {}
        self._calls: Counter[tuple[str, nn.Module]] = Counter()
        self._handles: list[Any] = []
        self._watching = False
        self._model = model
        stack, order = encoder_layers(model), passes(model)
        taken = range(len(order) + 1) if layers is None else layers
        if needs & {"cls", "hidden"}:
            base: Any = model.base_model
            # ELECTRA may embed at a smaller width than its layers have.
            self._watch_states(getattr(base, "embeddings_project", base.embeddings), (0,), taken)
        for index, layer in enumerate(stack):
            # The numbers under which it runs, from 1.
            numbers = tuple(number for number, other in enumerate(order, start=1) if other == index)
            if needs & {"cls", "hidden"}:
                self._watch_states(layer, numbers, taken)
            block: Any = layer
            for name in self._projections:
                self._watch(getattr(block.attention.self, name), name, [number in taken for number in numbers])
        if POOLED in needs:
            self._handles.append(output_layer(model)[1].register_forward_pre_hook(self._pooled))
        inner = sum(number > 0 for number in taken)
        self._expected = {"cls": len(order) + 1, "hidden": len(taken), **dict.fromkeys(PROJECTIONS, inner)}

    def _watch_states(self, module: nn.Module, numbers: tuple[int, ...], taken: Container[int]) -> None:
        """Take the output of a layer, or 0 for the embedding, whose numbers are given in call order."""
        if "hidden" in self.needs:
            self._watch(module, "hidden", [number in taken for number in numbers])
        if "cls" in self.needs:
            self._watch(module, "cls", [True for _ in numbers])

    def _pooled(self, module: nn.Module, inputs: Any) -> None:
        if self._watching:
            self._taken[POOLED].append(inputs[0])

    def _watch(self, module: nn.Module, name: str, wanted: list[bool]) -> None:
        """Take a module's output at those of its calls within a forward pass that are wanted."""
        if not any(wanted):
            return

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not self._watching:
                return
            call = self._calls[name, module]
            self._calls[name, module] += 1
            # A call too many is taken, so that the count below tells of it.
            if call >= len(wanted) or wanted[call]:
                states = output[0] if isinstance(output, tuple) else output
                # Copied, or the view would keep the whole of it.
                self._taken[name].append(states[:, 0].clone() if name == "cls" else states)

        self._handles.append(module.register_forward_hook(hook))

    def run(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Outputs:
        """One forward pass of the model with everything asked for; other passes are not watched.

        Args:
            input_ids, attention_mask, token_type_ids: [B, S].

        Raises:
            RuntimeError: Fewer or more tensors were seen than the model has layers.
        """
        self._taken = {name: [] for name in (*self._expected, POOLED)}
        self._calls.clear()
        self._watching = True
        try:
            mask = for_attention(self._model, attention_mask)
            output = self._model(input_ids=input_ids, attention_mask=mask, token_type_ids=token_type_ids)
        finally:
            self._watching = False
        logits, unmasked = logits_of(output, attention_mask)
        taken, self._taken = self._taken, {}
        stacked: dict[str, Any] = {name: self._stacked(name, taken) for name in ("cls", "hidden") if name in self.needs}
        projected = {name: at_least_float32(self._stacked(name, taken)) for name in self._projections}
        if "scores" in self.needs:
            with torch.autocast(logits.device.type, enabled=False):
                query, key = (self._heads(projected[name]) for name in ("query", "key"))
                stacked["scores"] = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        stacked.update((name, states) for name, states in projected.items() if name in self.needs)
        if POOLED in self.needs:
            (stacked[POOLED],) = taken[POOLED]
        return Outputs(logits, layers=self.layers, unmasked=unmasked, **stacked)

    def _stacked(self, name: str, taken: dict[str, list[Tensor]]) -> Tensor:
        if len(taken[name]) != self._expected[name]:
            raise RuntimeError(f"captured {len(taken[name])} {_WORDS[name]}, expected {self._expected[name]}")
        return torch.stack(taken[name])

    def _heads(self, stacked: Tensor) -> Tensor:
        """[L, B, S, h·d] -> [L, B, h, S, d]."""
        return stacked.unflatten(-1, (self.shape.heads, -1)).transpose(2, 3)

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
