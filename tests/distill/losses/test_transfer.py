"""What every loss on paired layers must do, whatever it compares."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.distill.losses.transfer import LOSSES, MASK, Loss, stack

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def inputs(loss: Loss, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return stack(loss.kind, 1, dtype).requires_grad_(), stack(loss.kind, 2, dtype)


def padded(loss: Loss, x: Tensor, extra: int, value: float) -> Tensor:
    """`x` with some more positions at the end of each sentence."""
    axes = (0, extra, 0, extra) if loss.kind == "scores" else (0, 0, 0, extra)
    return F.pad(x.detach(), axes, value=value)


@every_loss
@pytest.mark.parametrize("value", [0.0, 7.0, float("nan"), float("-inf"), torch.finfo(torch.float32).min])
def test_padding_changes_nothing(loss: Loss, value: float) -> None:
    student, teacher = inputs(loss)
    short = loss.of(student, teacher, MASK)
    (gradient,) = torch.autograd.grad(short, student)
    longer = padded(loss, student, 3, value).requires_grad_()
    long = loss.of(longer, padded(loss, teacher, 3, value), F.pad(MASK, (0, 3)))
    rtol = 1e-4 if loss.length_matters else 1e-12
    torch.testing.assert_close(short, long, rtol=rtol, atol=0)
    (found,) = torch.autograd.grad(long, longer)
    inner = (..., slice(4), slice(4)) if loss.kind == "scores" else (..., slice(4), slice(None))
    torch.testing.assert_close(found[inner], gradient, rtol=rtol, atol=1e-5 if loss.length_matters else 1e-14)
    found[inner] = 0
    assert (found == 0).all(), "padding gets a gradient"


@every_loss
def test_what_stands_at_padded_places_changes_nothing(loss: Loss) -> None:
    student, teacher = inputs(loss)
    real = MASK.bool()
    places = real[:, None, :, None] & real[:, None, None, :] if loss.kind == "scores" else real[:, :, None]
    changed = [torch.where(places, x, seed + stack(loss.kind, seed)) for seed, x in ((3, student), (4, teacher))]
    torch.testing.assert_close(loss.of(*changed, MASK), loss.of(student, teacher, MASK), rtol=1e-13, atol=0)


@every_loss
def test_nothing_to_learn_from_an_equal_teacher(loss: Loss) -> None:
    student, _ = inputs(loss)
    value = loss.of(student, student.detach().clone(), MASK)
    assert value.abs() < 1e-15
    assert torch.autograd.grad(value, student)[0].abs().max() < 1e-15


@every_loss
def test_a_step_down_the_gradient_comes_nearer(loss: Loss) -> None:
    student, teacher = inputs(loss)
    value = loss.of(student, teacher, MASK)
    (gradient,) = torch.autograd.grad(value, student)
    assert gradient.abs().max() > 0
    assert loss.of(student - 1e-3 * gradient, teacher, MASK) < value


@every_loss
def test_no_gradient_reaches_the_teacher(loss: Loss) -> None:
    student, teacher = inputs(loss)
    loss.of(student, teacher.requires_grad_(), MASK).backward()
    assert teacher.grad is None


@every_loss
def test_the_order_of_the_rows_is_of_no_account(loss: Loss) -> None:
    student, teacher = inputs(loss)
    order = torch.tensor([2, 0, 1])
    turned = loss.of(student[:, order], teacher[:, order], MASK[order])
    torch.testing.assert_close(turned, loss.of(student, teacher, MASK), rtol=1e-12, atol=0)


@every_loss
def test_half_precision_is_computed_in_float32(loss: Loss) -> None:
    student, teacher = (x.detach() for x in inputs(loss, torch.bfloat16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss.of(student, teacher, MASK)
    assert half.dtype == torch.float32
    assert half == loss.of(student.float(), teacher.float(), MASK)


@every_loss
def test_single_precision_stays_near_double(loss: Loss) -> None:
    student, teacher = inputs(loss, torch.float32)
    torch.testing.assert_close(
        loss.of(student, teacher, MASK).double(), loss.of(student.double(), teacher.double(), MASK), rtol=1e-5, atol=0
    )


@every_loss
def test_a_sentence_without_tokens_leaves_numbers(loss: Loss) -> None:
    student, teacher = inputs(loss)
    value = loss.of(student, teacher, torch.zeros_like(MASK))
    assert value == 0
    assert (torch.autograd.grad(value, student)[0] == 0).all()


@every_loss
def test_layers_are_never_broadcast(loss: Loss) -> None:
    student, teacher = inputs(loss)
    with pytest.raises(ValueError, match="disagree"):
        loss.of(student[:1], teacher, MASK)
