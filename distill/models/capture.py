"""Taking hidden states, projections and attention scores out of an encoder while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from functools import partial
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.losses.precision import at_least_float32
from distill.methods.base import POOLED
from distill.methods.objective import Outputs, Shape
from distill.models import scores
from distill.models.architectures import SUPPORTED, architecture, shared
from distill.models.folder import unsupported
from distill.models.masks import for_attention, inputs_for
from distill.models.parameters import output_layer
from distill.models.positions import logits_of

PROJECTIONS = ("query", "key", "value")
_WORDS = {
    "cls": "[CLS]",
    "hidden": "hidden states",
    "scores": "scores",
    "query": "queries",
    "key": "keys",
    "value": "values",
}


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    """The stack of transformer layers of a BERT-like model, each once (see `passes`).

    Raises:
        UserError: The architecture is not one of those supported.
    """
    whole = cast(Any, model)
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if kind not in SUPPORTED:
        raise UserError(unsupported(kind))
    known = architecture(kind)
    try:
        if known.groups:
            groups = whole.base_model.get_submodule(known.groups)
            return nn.ModuleList(layer for group in groups for layer in group.albert_layers)
        layers = whole.base_model.get_submodule(known.stack)
        if shared(kind):
            # It walks through some of them twice.
            return nn.ModuleList(layers[index] for index in range(len(layers)))
    except AttributeError:
        layers = None
    if not isinstance(layers, nn.ModuleList):
        raise UserError(unsupported(kind))
    return layers


def passes(model: nn.Module) -> tuple[int, ...]:
    """For each layer that the hidden states go through the index of its module in `encoder_layers`.

    Raises:
        UserError: As `encoder_layers`.
    """
    stack, whole = encoder_layers(model), cast(Any, model)
    config, known = whole.config, architecture(whole.config.model_type)
    if shared(config.model_type):
        return tuple(index for index, _ in whole.base_model.get_submodule(known.stack).passes())
    if not known.groups:
        return tuple(range(len(stack)))
    inner = range(config.inner_group_num)
    # Which group a layer belongs to, as the library has it.
    groups = (int(i / (config.num_hidden_layers / config.num_hidden_groups)) for i in range(config.num_hidden_layers))
    return tuple(group * len(inner) + place for group in groups for place in inner)


def _third(states: Tensor, part: int) -> Tensor:
    """Queries, keys or values of a projection that gives the three side by side."""
    return states.chunk(3, -1)[part]


def shape_of(model: nn.Module) -> Shape:
    """Layer count, width and heads of a BERT-like model; layers that run several times count as often."""
    config: Any = model.config
    count = len(passes(model))
    repeated = count - len(encoder_layers(model)) if shared(config.model_type) else 0
    return Shape(count, config.hidden_size, config.num_attention_heads, repeated, config.model_type)


class Capture:
    """Forward hooks that collect what an objective needs, in call order.

    A layer that runs twice is taken twice, the second time under the number of a further layer; where that pass
    exchanges queries and keys, "query" is what acts as query.

    With the default `sdpa` attention, `output_attentions=True` yields an empty tuple, so scores are recomputed
    from the outputs of the query and key projections, in float32 with autocast off; where there is more in them, by
    `distill.models.scores`. Queries and keys are as they are projected, before anything turns them.

    The last hidden state is the one that the library gives: where a last normalisation follows the layers, behind it.

    Args:
        model: A sequence classifier on a BERT-like encoder.
        needs: Subset of `distill.methods.base.PARTS`, and "pooled".
        layers: Which layers are taken, as `Outputs.layers` has them; of [CLS] all are. All when None.
    """

    def __init__(self, model: nn.Module, needs: frozenset[str], layers: tuple[int, ...] | None = None) -> None:
        self.shape = shape_of(model)
        self.known = architecture(self.shape.kind)
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
            for module, numbers in self._states(order):
                self._watch_states(module, numbers, taken)
        # Where scores are more than products of what is projected.
        self._beyond = scores.BEYOND.get(self.known.scores) if "scores" in needs else None
        self._distances: Tensor | None = None
        for index in range(len(stack)):
            # The numbers under which it runs, from 1.
            numbers = tuple(number for number, other in enumerate(order, start=1) if other == index)
            self._watch_attention(stack[index], [number in taken for number in numbers])
        if POOLED in needs:
            self._handles.append(output_layer(model)[1].register_forward_pre_hook(self._pooled))
        inner = sum(number > 0 for number in taken)
        self._expected = {"cls": len(order) + 1, "hidden": len(taken), **dict.fromkeys((*PROJECTIONS, "scores"), inner)}

    def _states(self, order: tuple[int, ...]) -> list[tuple[nn.Module, tuple[int, ...]]]:
        """The modules whose outputs are the hidden states, and the numbers of these in call order; 0 is the embedding.

        Args:
            order: As `passes` gives it.
        """
        base, known, last = cast(Any, self._model).base_model, self.known, len(order)
        stack = encoder_layers(self._model)
        modules = {name: module for name, module in base.named_modules() if name}
        # Some embed at a smaller width than their layers have.
        found: list[tuple[nn.Module, tuple[int, ...]]] = [(modules.get(known.projection, base.embeddings), (0,))]
        behind = {
            number: modules[name]
            for number, name in ((1, known.after_first), (last, known.after_last))
            if name in modules
        }
        for index in range(len(stack)):
            numbers = tuple(number for number, other in enumerate(order, start=1) if other == index)
            # The output of a layer that something acts on is no hidden state.
            found.append((stack[index], tuple(-1 if number in behind else number for number in numbers)))
        return [*((module, numbers) for module, numbers in found), *((it, (number,)) for number, it in behind.items())]

    def _watch_attention(self, layer: Any, wanted: list[bool]) -> None:
        """Take a layer's projections, and what else its scores are made of, at the passes that are wanted."""
        known = self.known
        attention = layer.get_submodule(known.attention)
        # Projections that also act on the positions do so behind each pass.
        twice = getattr(attention, "share_att_key", False) and getattr(attention, "relative_attention", False)
        for name in self._projections:
            if known.fused:
                part = PROJECTIONS.index(name)
                self._watch(layer.get_submodule(known.fused), name, wanted, partial(_third, part=part))
            else:
                calls = [(one, False) if twice and name != "value" else (one,) for one in wanted]
                self._watch(layer.get_submodule(getattr(known, name)), name, list(chain(*calls)))
        if self._beyond is not None and any(wanted):
            if known.scores == "disentangled" and attention.relative_attention:
                self._handles.append(attention.pos_dropout.register_forward_hook(self._dropped))
            self._handles.append(attention.register_forward_hook(self._scored(wanted), with_kwargs=True))

    def _dropped(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if self._watching:
            self._distances = output

    def _scored(self, wanted: list[bool]) -> Callable[..., None]:
        """A hook that makes the scores of a layer of the queries and keys that were taken last."""

        def hook(module: nn.Module, inputs: Any, named: Any, output: Any) -> None:
            if not self._watching:
                return
            call = self._calls["scores", module]
            self._calls["scores", module] += 1
            if call < len(wanted) and not wanted[call]:
                return
            assert self._beyond is not None
            # The model's own functions may call what is watched.
            self._watching = False
            try:
                with torch.autocast(self._taken["query"][-1].device.type, enabled=False):
                    query, key = (at_least_float32(self._taken[name][-1]) for name in ("query", "key"))
                    found = self._beyond(query, key, self.shape.heads, module, inputs, named, self._distances)
            finally:
                self._watching = True
            self._taken["scores"].append(found)

        return hook

    def _watch_states(self, module: nn.Module, numbers: tuple[int, ...], taken: Container[int]) -> None:
        """Take the output of a layer, or 0 for the embedding, whose numbers are given in call order."""
        if "hidden" in self.needs:
            self._watch(module, "hidden", [number in taken for number in numbers])
        if "cls" in self.needs:
            self._watch(module, "cls", [number >= 0 for number in numbers])

    def _pooled(self, module: nn.Module, inputs: Any) -> None:
        if self._watching:
            self._taken[POOLED].append(inputs[0])

    def _watch(
        self, module: nn.Module, name: str, wanted: list[bool], part: Callable[[Tensor], Tensor] = lambda states: states
    ) -> None:
        """Take a part of a module's output at those of its calls within a forward pass that are wanted."""
        if not any(wanted):
            return

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not self._watching:
                return
            call = self._calls[name, module]
            self._calls[name, module] += 1
            # A call too many is taken, so that the count below tells of it.
            if call >= len(wanted) or wanted[call]:
                states = part(output[0] if isinstance(output, tuple) else output)
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
            given = inputs_for(self._model, {"input_ids": input_ids, "token_type_ids": token_type_ids})
            output = self._model(**given, attention_mask=mask)
        finally:
            self._watching, self._distances = False, None
        logits, unmasked = logits_of(output, attention_mask)
        taken, self._taken = self._taken, {}
        stacked: dict[str, Any] = {name: self._stacked(name, taken) for name in ("cls", "hidden") if name in self.needs}
        projected = {name: at_least_float32(self._stacked(name, taken)) for name in self._projections}
        if self._beyond is not None:
            stacked["scores"] = self._stacked("scores", taken)
        elif "scores" in self.needs:
            with torch.autocast(logits.device.type, enabled=False):
                stacked["scores"] = scores.plain(projected["query"], projected["key"], self.shape.heads)
        stacked.update((name, states) for name, states in projected.items() if name in self.needs)
        if POOLED in self.needs:
            (stacked[POOLED],) = taken[POOLED]
        return Outputs(logits, layers=self.layers, unmasked=unmasked, **stacked)

    def _stacked(self, name: str, taken: dict[str, list[Tensor]]) -> Tensor:
        if len(taken[name]) != self._expected[name]:
            raise RuntimeError(f"captured {len(taken[name])} {_WORDS[name]}, expected {self._expected[name]}")
        return torch.stack(taken[name])

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
