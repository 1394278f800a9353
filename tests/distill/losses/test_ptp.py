"""The four classes and their loss, against a slow literal version in float64."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from distill.losses.ptp import CLASSES, counted, judged, ptp_labels, ptp_loss


def literal(logits: Tensor, gold: Tensor, t: float, t2: float) -> list[str]:
    """The rule as the paper and its program state it, row by row, in words."""
    found = []
    for row, wanted in zip(logits.double().tolist(), gold.tolist(), strict=True):
        powers = [math.exp(value) for value in row]
        probabilities = [power / sum(powers) for power in powers]
        sure = max(probabilities)
        if probabilities.index(sure) == wanted:
            found.append("confidently right" if sure > t else "unconfidently right")
        else:
            found.append("confidently wrong" if sure > t2 else "unconfidently wrong")
    return found


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize(("t", "t2"), [(0.8, 0.6), (0.95, 0.95), (0.6, 0.98), (0.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_labels_are_the_literal_ones(classes: int, t: float, t2: float, dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(1)
    logits = (3 * torch.randn(200, classes, generator=draw)).to(dtype)
    gold = torch.randint(classes, (200,), generator=draw)
    found = ptp_labels(logits, gold, t, t2)
    assert found.dtype == torch.int64
    assert [CLASSES[label] for label in found] == literal(logits, gold, t, t2)


def test_all_four_are_there() -> None:
    draw = torch.Generator().manual_seed(1)
    logits, gold = 3 * torch.randn(200, 2, generator=draw), torch.randint(2, (200,), generator=draw)
    counts = counted(ptp_labels(logits, gold, 0.9, 0.8))
    assert counts.sum() == 200
    assert counts.min() > 5
    words = literal(logits, gold, 0.9, 0.8)
    assert counts.tolist() == [words.count(name) for name in CLASSES]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("t", [0.6, 0.75, 0.8, 0.95, 0.98])
def test_at_the_threshold_a_teacher_is_not_confident(t: float, dtype: torch.dtype) -> None:
    """The threshold counts as the nearest number of the confidence's type, which may lie on either side of it."""
    met = torch.tensor(t, dtype=dtype)
    around = [torch.nextafter(met, torch.tensor(float(end), dtype=dtype)) for end in (0, 1)]
    confidence = torch.stack([around[0], met, around[1]])
    assert judged(confidence, torch.ones(3, dtype=torch.bool), t, 0.5).tolist() == [1, 1, 0]
    assert judged(confidence, torch.zeros(3, dtype=torch.bool), 0.5, t).tolist() == [3, 3, 2]


def test_ties_of_logits_are_met_exactly() -> None:
    """Of two equal logits each has the probability 1/2, in any type."""
    logits, gold = torch.zeros(2, 2), torch.tensor([0, 1])
    assert ptp_labels(logits, gold, 0.5, 0.5).tolist() == [1, 3]
    below = 0.5 - 2**-20
    assert ptp_labels(logits, gold, below, below).tolist() == [0, 2]


def test_half_precision_is_judged_in_single() -> None:
    """In bfloat16 itself the probability would round to the threshold."""
    t = float(torch.tensor(0.8, dtype=torch.bfloat16))
    logits = torch.tensor([[1.4, 0.0]], dtype=torch.bfloat16)
    sure = Fraction(1) / (1 + Fraction(math.exp(-float(logits[0, 0]))))
    assert torch.softmax(logits, -1)[0, 0] == t
    assert sure != t
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ptp_labels(logits, torch.tensor([0]), t, t).tolist() == [0 if sure > t else 1]


def test_loss_is_the_literal_mean() -> None:
    draw = torch.Generator().manual_seed(2)
    logits = torch.randn(6, 4, generator=draw, dtype=torch.float64).requires_grad_()
    classes = torch.tensor([0, 0, 1, 2, 3, 0])
    slow = sum(
        torch.log(sum((other - row[label]).exp() for other in row))  # type: ignore[arg-type]
        for row, label in zip(logits, classes, strict=True)
    ) / len(classes)
    loss = ptp_loss(logits, classes)
    torch.testing.assert_close(loss, slow, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (loss, slow)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-14)


def test_no_gradient_reaches_the_teacher() -> None:
    assert not ptp_labels(torch.randn(3, 2).requires_grad_(), torch.zeros(3, dtype=torch.int64), 0.5, 0.5).requires_grad


@pytest.mark.parametrize("shape", [(3, 1), (3,), (4, 2)])
def test_shapes_are_checked(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="PTP judges logits"):
        ptp_labels(torch.zeros(shape), torch.zeros(3, dtype=torch.int64), 0.5, 0.5)
