"""Distances of [CLS] vectors against loops, and the counts that must agree."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from distill.losses.patience import direction_distance, patience
from tests.distill.losses import literal_rows
from tests.distill.losses.transfer import close, normal


def vectors(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return normal(2, 3, 5, seed=1, dtype=dtype).requires_grad_(), normal(2, 3, 5, seed=2, dtype=dtype)


@pytest.mark.parametrize("normalize", [True, False])
def test_patience(normalize: bool) -> None:
    student, teacher = vectors()
    ours = patience(student, teacher, normalize=normalize)
    close(ours, literal_rows.patience(student, teacher, normalize), student)


def test_directions() -> None:
    student, teacher = vectors()
    cosines = torch.cosine_similarity(student, teacher, dim=-1)
    close(direction_distance(student, teacher), (2 - 2 * cosines).mean(), student)
    assert direction_distance(-teacher, teacher) == pytest.approx(4, abs=1e-14)


@pytest.mark.parametrize("normalize", [True, False])
def test_nothing_to_learn_from_an_equal_teacher(normalize: bool) -> None:
    student, _ = vectors()
    loss = patience(student, student.detach().clone(), normalize=normalize)
    assert loss == 0
    assert (torch.autograd.grad(loss, student)[0] == 0).all()


def test_lengths_count_only_without_normalisation() -> None:
    student, teacher = vectors()
    assert patience(7 * student, teacher, normalize=False) > 2 * patience(student, teacher, normalize=False)
    pair = [patience(x, teacher, normalize=True) for x in (7 * student, student)]
    torch.testing.assert_close(*pair, rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    "shape",
    [(1, 3, 5), (3, 3, 5), (2, 1, 5), (2, 3, 1)],
    ids=["one layer", "a layer more", "one row", "another width"],
)
def test_counts_are_checked_and_never_broadcast(shape: tuple[int, ...]) -> None:
    student, _ = vectors()
    for loss in (lambda s, t: patience(s, t, normalize=True), direction_distance):
        with pytest.raises(ValueError, match="one teacher layer with each student layer"):
            loss(student, torch.ones(shape))


def test_zero_vectors_leave_numbers() -> None:
    student = torch.zeros(2, 3, 5, requires_grad=True)
    loss = patience(student, torch.ones(2, 3, 5), normalize=True)
    assert torch.isfinite(loss)


def test_half_precision_is_computed_in_float32() -> None:
    student, teacher = (x.detach() for x in vectors(torch.bfloat16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = patience(100 * student, teacher, normalize=False)
    assert half.dtype == torch.float32
    assert half == patience((100 * student).float(), teacher.float(), normalize=False)


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher = vectors()
    direction_distance(student, teacher.requires_grad_()).backward()
    assert teacher.grad is None
