"""Gates and what is told of them, worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from distill.models.gate_statistics import unrolled
from distill.models.gates import GateBlock, GatedAggregation


def _constant(aggregation: GatedAggregation, opened: float) -> None:
    """Every gate lets in the same share of all it reads."""
    with torch.no_grad():
        for block in aggregation.blocks:
            block.linear.weight.zero_()
            block.linear.bias.fill_(torch.logit(torch.tensor(opened)).item())


@pytest.mark.parametrize("length", [None, 3])
def test_a_block(length: int | None) -> None:
    torch.manual_seed(0)
    block = GateBlock(4, length).double()
    before, layer = (torch.randn(2, 3, 4, dtype=torch.float64) for _ in range(2))
    found, gate = block(before, layer)
    opened = torch.sigmoid(before @ block.linear.weight.T + block.linear.bias)
    torch.testing.assert_close(gate, opened)
    mixed = opened * layer + (1 - opened) * before
    places = (-1,) if length is None else (-2, -1)
    expected = (mixed - mixed.mean(places, keepdim=True)) / (
        mixed.var(places, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    torch.testing.assert_close(found, expected)
    assert block.layernorm.weight.shape == ((4,) if length is None else (3, 4))
    assert isinstance(block.layernorm, nn.LayerNorm)


def test_a_single_layer_is_its_own_aggregate() -> None:
    alone = GatedAggregation((4,), 8, None)
    states = torch.randn(2, 3, 8)
    assert torch.equal(alone([states], torch.ones(2, 3))[4], states)
    assert not list(alone.parameters())
    assert alone.parts(each=True) == alone.parts(each=False) == []
    assert alone.observation((4,), 4) == {}


def test_shares_are_unrolled() -> None:
    shares = unrolled((1, 2, 3), (0.5, 0.25))
    assert shares == {1: {1: 1.0}, 2: {1: 0.5, 2: 0.5}, 3: {1: 0.375, 2: 0.375, 3: 0.25}}
    assert unrolled((4, 3), (0.9,))[3] == pytest.approx({4: 0.1, 3: 0.9})


def test_statistics_are_those_of_the_real_tokens() -> None:
    """With gates that are open by 0.2 everywhere, layers of size 3 and an aggregate of size 1."""
    aggregation = GatedAggregation((1, 2), 8, None)
    _constant(aggregation, 0.2)
    signs = torch.ones(2, 3, 8)
    signs[..., ::2] = -1.0
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    wild = torch.where(mask[..., None] == 0, 1e3, 1.0)
    for _ in range(3):
        aggregation([signs * wild, 3 * signs * wild], mask)
    seen = aggregation.observation((1, 2), 2)
    assert seen["gates"]["layers"] == [2]
    assert seen["gates"]["open"] == pytest.approx([0.2])
    assert seen["gates"]["spread"] == pytest.approx([0.0], abs=1e-3)
    assert seen["gates"]["size"] == pytest.approx([1.0], rel=1e-4)
    # 0.2 · 3 against 0.8 · 1.
    assert seen["target_shares"][0] == [1.0, 0.0]
    assert seen["target_shares"][1] == pytest.approx([0.8 / 1.4, 0.6 / 1.4])
    assert aggregation.observation((1, 2), 2) == {}, "told since the last call alone"


def test_movement_is_against_the_start() -> None:
    aggregation = GatedAggregation((1, 2, 3), 8, None)
    start = [block.linear.weight.detach().clone() for block in aggregation.blocks]
    with torch.no_grad():
        aggregation.blocks[1].linear.weight += 0.1
    aggregation([torch.randn(1, 2, 8) for _ in range(3)], torch.ones(1, 2))
    size = start[1].square().mean().sqrt().item()
    assert aggregation.observation((3,), 3)["gates"]["moved"] == pytest.approx([0.0, 0.1 / size], rel=1e-5)


def test_nothing_is_noted_in_eval_mode() -> None:
    aggregation = GatedAggregation((1, 2), 8, None).eval()
    aggregation([torch.randn(1, 2, 8) for _ in range(2)], torch.ones(1, 2))
    assert aggregation.observation((2,), 2) == {}


def test_counts_are_checked() -> None:
    aggregation = GatedAggregation((1, 2), 8, 3)
    with pytest.raises(ValueError, match="1 layers for gates that merge 2"):
        aggregation([torch.randn(1, 3, 8)], torch.ones(1, 3))
    with pytest.raises(ValueError, match="rows of 2 tokens for gates over 3"):
        aggregation([torch.randn(1, 2, 8) for _ in range(2)], torch.ones(1, 2))
