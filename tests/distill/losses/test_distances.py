from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from distill.losses import distances as d
from tests.distill.losses import literal

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def compare(term: str, x: Tensor, y: Tensor, mask: Tensor, reduction: Any) -> tuple[Tensor, Tensor]:
    """All pairs in Gram form, and all pairs directly."""
    clean, count = (d.clean_hidden, d.hidden_count) if term == "hidden" else (d.clean_scores, d.score_count)
    x, y = clean(x, mask, reduction), clean(y, mask, reduction)
    number = count(x, mask, reduction)
    pairs = [(i, j) for i in range(len(x)) for j in range(len(y))]
    direct = d.paired_mean_square(x, y, [i for i, _ in pairs], [j for _, j in pairs], None, number)
    return d.pairwise_mean_square(x, y, None, number), direct.reshape(len(x), len(y))


def stacks(term: str) -> tuple[Tensor, Tensor]:
    shape = (2, 4, 3) if term == "hidden" else (2, 2, 4, 4)
    x, y = normal(2, *shape, seed=1), normal(3, *shape, seed=2)
    if term == "attention":
        x[0, 0, 0, 1, 1] = y[1, 0, 1, 2, 2] = -150.0  # a genuine score that "padded" takes for a masked one
        for stack in (x, y):
            stack += torch.where(MASK == 0, -10000.0, 0.0)[:, None, None, :]
    return x, y


@pytest.mark.parametrize("term", ["hidden", "attention"])
@pytest.mark.parametrize("reduction", ["masked", "padded"])
def test_both_forms_are_the_literal_mean(term: str, reduction: Any) -> None:
    x, y = stacks(term)
    x.requires_grad_()
    gram, direct = compare(term, x, y, MASK, reduction)
    slow_distance = literal.hidden_distance if term == "hidden" else literal.score_distance
    slow = torch.stack(
        [torch.stack([slow_distance(a, b, MASK, reduction == "padded") for b in y]) for a in x.unbind(0)]
    )
    torch.testing.assert_close(gram, slow.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(direct, slow, rtol=1e-12, atol=0)
    assert not gram.requires_grad
    weights = normal(*slow.shape, seed=4)
    gradients = [torch.autograd.grad((weights * value).sum(), x)[0] for value in (direct, slow)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-13)


def padded_to(x: Tensor, extra: int, axes: int, value: float) -> Tensor:
    """Append `extra` positions to the last `axes` axes before the features (hidden) or to both (scores)."""
    return F.pad(x, (0, 0, 0, extra) if axes == 1 else (0, extra, 0, extra), value=value)


@pytest.mark.parametrize("value", [0.0, 7.0, float("nan"), float("-inf"), torch.finfo(torch.float32).min])
@pytest.mark.parametrize("term", ["hidden", "attention"])
def test_masked_means_do_not_see_padding(term: str, value: float) -> None:
    x, y = stacks(term)
    mask = F.pad(MASK, (0, 3))
    longer = [padded_to(stack, 3, 1 if term == "hidden" else 2, value).requires_grad_() for stack in (x, y)]
    x.requires_grad_()
    for short, long in zip(compare(term, x, y, MASK, "masked"), compare(term, *longer, mask, "masked"), strict=True):
        torch.testing.assert_close(short, long, rtol=1e-13, atol=0)
    for stack, m in ((x, MASK), (longer[0], mask)):
        compare(term, stack, y if m is MASK else longer[1].detach(), m, "masked")[1].sum().backward()
    size = x.shape[-2]
    inner = longer[0].grad[..., :size, : x.shape[-1]]
    torch.testing.assert_close(inner, x.grad, rtol=1e-13, atol=0)
    longer[0].grad[..., :size, : x.shape[-1]] = 0
    assert (longer[0].grad == 0).all(), "padding gets a gradient"


def test_padded_means_do_see_padding() -> None:
    x, y = stacks("hidden")
    short = compare("hidden", x, y, MASK, "padded")[0]
    longer = [padded_to(stack, 4, 1, 0.0) for stack in (x, y)]
    torch.testing.assert_close(compare("hidden", *longer, F.pad(MASK, (0, 4)), "padded")[0], short / 2)


@pytest.mark.parametrize("masked_score", [-10000.0, float("-inf"), torch.finfo(torch.float32).min])
@pytest.mark.parametrize("reduction", ["masked", "padded"])
def test_additive_masks_of_any_size_leave_nothing(masked_score: float, reduction: Any) -> None:
    plain = normal(2, 2, 4, 4, dtype=torch.float32)
    key_padding = (MASK == 0)[:, None, None, :].expand_as(plain)
    scores = plain.masked_fill(key_padding, masked_score).requires_grad_()
    cleaned = d.clean_scores(scores, MASK, reduction)
    torch.testing.assert_close(cleaned, d.clean_scores(plain, MASK, reduction), rtol=0, atol=0)
    cleaned.square().sum().backward()
    assert torch.isfinite(scores.grad).all()
    assert (scores.grad[key_padding] == 0).all()
    queries = cleaned[1, :, 2:]  # rows of padded queries: gone, or kept for real keys
    assert (queries == 0).all() if reduction == "masked" else (queries[..., :2] != 0).all()


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-6, 0.0])
def test_close_layers(distance: float) -> None:
    y = normal(3, 2, 4, 50, dtype=torch.float32) + 20.0  # large norms against which small distances cancel
    x = y + distance * normal(3, 2, 4, 50, seed=1, dtype=torch.float32)
    gram, direct = compare("hidden", x, y, torch.ones(2, 4), "masked")
    exact = (x.double()[:, None] - y.double()).square().mean(dim=(2, 3, 4))
    torch.testing.assert_close(direct.double(), exact, rtol=1e-5, atol=0)
    norm = float(y.double().square().mean())
    torch.testing.assert_close(gram, exact, rtol=1e-9, atol=1e-13 * norm)
    assert (gram >= 0).all()


def test_layers_longer_than_a_chunk() -> None:
    size = 2 * d._CHUNK["cpu"] + 17
    x, y = normal(2, size, dtype=torch.float32), normal(3, size, seed=1, dtype=torch.float32)
    gram = d.pairwise_mean_square(x, y, None, size)
    torch.testing.assert_close(gram, (x.double()[:, None] - y.double()).square().mean(-1), rtol=1e-12, atol=0)


def test_weights_of_places() -> None:
    x, y = normal(2, 6, seed=1).requires_grad_(), normal(2, 6, seed=2)
    weight = torch.tensor([0.0, 1.0, 2.0, 0.5, 0.0, 1.0])
    expected = ((x[:, None] - y).square() * weight.double()).sum(-1) / 3
    expected_gradient = torch.autograd.grad(expected[0, 1] + 2 * expected[1, 0], x)[0]
    dirty = y.clone()
    dirty[:, 0] = float("inf")
    torch.testing.assert_close(d.pairwise_mean_square(x, dirty, weight, 3), expected.detach())
    pairs = d.paired_mean_square(x, dirty, [0, 1], [1, 0], weight, 3)
    torch.testing.assert_close(pairs, torch.stack([expected[0, 1], expected[1, 0]]))
    (gradient,) = torch.autograd.grad(pairs[0] + 2 * pairs[1], x)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("reduction", ["masked", "padded"])
def test_one_pair_of_hidden_states(reduction: Any) -> None:
    x, y = normal(2, 4, 3, seed=1).requires_grad_(), normal(2, 4, 3, seed=2)
    ours = d.hidden_mean_square(x, y, MASK, reduction)
    slow = literal.hidden_distance(x, y, MASK, reduction == "padded")
    torch.testing.assert_close(ours, slow, rtol=1e-13, atol=0)
    torch.testing.assert_close(torch.autograd.grad(ours, x)[0], torch.autograd.grad(slow, x)[0])
    with pytest.raises(ValueError, match="disagree"):
        d.hidden_mean_square(x, y[:, :3], MASK, reduction)


def test_autocast_and_half_inputs_change_nothing() -> None:
    x, y = normal(2, 2, 4, 3, seed=1).bfloat16(), normal(3, 2, 4, 3, seed=2).bfloat16()
    wide = compare("hidden", x.float(), y.float(), MASK, "masked")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = compare("hidden", x, y, MASK, "masked")
        uncleaned = d.paired_mean_square(x, y, [0], [1], None, 1)
    assert half[1].dtype == uncleaned.dtype == torch.float32
    for a, b in zip(wide, half, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_layers_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        d.pairwise_mean_square(torch.zeros(2, 3), torch.zeros(2, 4), None, 1)
    with pytest.raises(ValueError, match="cannot be compared"):
        d.paired_mean_square(torch.zeros(2, 3), torch.zeros(2, 4), [0], [0], None, 1)
