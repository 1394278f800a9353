"""Filters, their heads, and how many parameters they have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from distill.models.filters import FilterHeads, Filters, SpanHeads, head_dropout
from tests.distill import tiny


def _count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize(("width", "expected"), [(768, 14_201_892), (384, 10_662_948)])
def test_as_many_parameters_as_the_reference_trains(width: int, expected: int) -> None:
    """Of DeBERTa-v3-base and -xsmall with 12 filters to a width of 768, three labels."""
    with torch.device("meta"):
        assert _count(Filters(12, width, 768), FilterHeads(12, 768, 3)) == expected
        assert _count(Filters(4, 8, 6), SpanHeads(4, 6)) == 4 * (6 * 8 + 6 + 2 * 6 + 2)


def test_each_layer_passes_its_own_filter() -> None:
    torch.manual_seed(0)
    states = torch.randn(2, 3, 5, 4)
    linear, nonlinear = Filters(2, 4, 6), Filters(2, 4, 6, nonlinear=True)
    for k in range(2):
        one: Any = linear.filters[k]
        one = one[0]
        torch.testing.assert_close(linear(states)[k], states[k] @ one.weight.T + one.bias)
        layers: Any = nonlinear.filters[k]
        first, _, last = layers
        inner = states[k] @ first.weight.T + first.bias
        inner = inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
        torch.testing.assert_close(nonlinear(states)[k], inner @ last.weight.T + last.bias)
    with pytest.raises(ValueError, match="1 layers for 2 filters"):
        linear(states[:1])


def test_new_ones_begin_as_in_the_reference() -> None:
    torch.manual_seed(0)
    made = (Filters(3, 64, 64, nonlinear=True), FilterHeads(3, 64, 2), SpanHeads(3, 64))
    for module in (m for part in made for m in part.modules() if isinstance(m, nn.Linear)):
        assert module.weight.std().item() == pytest.approx(0.02, rel=0.3)
        assert not module.bias.any()


@pytest.mark.parametrize(("kind", "activation"), [("bert", torch.tanh), ("electra", nn.functional.gelu)])
def test_heads_are_formed_as_the_encoder_s_own(kind: str, activation: object) -> None:
    torch.manual_seed(0)
    heads = FilterHeads(2, 4, 3, kind).eval()
    first = torch.randn(2, 5, 4)
    for k in range(2):
        expected = heads.heads[k](activation(heads.poolers[k](first[k])))  # type: ignore[operator]
        torch.testing.assert_close(heads(first)[k], expected)
    assert FilterHeads(1, 4, 3, dropout=0.5).dropout.p == 0.5
    assert head_dropout(tiny.classifier(dropout=0.3)) == 0.3
    assert head_dropout(tiny.classifier(dropout=0.3, classifier_dropout=0.2)) == 0.2


def test_start_and_end_of_every_token() -> None:
    torch.manual_seed(0)
    heads, states = SpanHeads(2, 4), torch.randn(2, 3, 5, 4)
    start, end = heads(states)
    assert start.shape == end.shape == (2, 3, 5)
    torch.testing.assert_close(torch.stack([start, end], -1)[1], heads.heads[1](states[1]))


def test_frozen_ones_have_neither_parameters_nor_state() -> None:
    torch.manual_seed(0)
    states = torch.randn(2, 3, 4)
    filters = Filters(2, 4, 6, nonlinear=True)
    expected = filters(states).detach()
    frozen = filters.frozen()
    assert not list(frozen.parameters())
    assert not frozen.state_dict()
    assert not frozen(states).requires_grad
    assert torch.equal(frozen(states), expected)
    assert frozen.double()(states.double()).dtype == torch.float64
