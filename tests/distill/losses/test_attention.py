"""Losses on attention against loops over single numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from distill.losses import attention
from distill.losses.divergence import probabilities, score_divergence, smoothed
from tests.distill.losses import literal, literal_rows
from tests.distill.losses.transfer import MASK, close, stack


def scores() -> tuple[Tensor, Tensor]:
    student, teacher = stack("scores", 1), stack("scores", 2)
    student[0, 0, 0, 1, 2] = teacher[1, 1, 1, 0, 1] = -150.0  # genuine, and taken for masked by TinyBERT's program
    return student.requires_grad_(), teacher


@pytest.mark.parametrize("reduction", ["masked", "padded"])
def test_score_distances(reduction: Any) -> None:
    student, teacher = scores()
    slow = [literal.score_distance(s, t, MASK, reduction == "padded") for s, t in zip(student, teacher, strict=True)]
    close(attention.score_distances(student, teacher, MASK, reduction), torch.stack(slow), student)


def test_additive_masks_of_any_size_are_the_same() -> None:
    student, teacher = scores()
    padded_keys = (MASK == 0)[:, None, None, :].expand_as(teacher)
    for value in (-10000.0, float("-inf"), torch.finfo(torch.float64).min):
        filled = [x.masked_fill(padded_keys, value) for x in (student, teacher)]
        for reduction in ("masked", "padded"):
            plain = attention.score_distances(student, teacher, MASK, reduction)
            assert torch.equal(attention.score_distances(*filled, MASK, reduction), plain)
        for form in ("modern", "published"):
            plain = attention.attention_divergence(student, teacher, MASK, form)
            assert torch.equal(attention.attention_divergence(*filled, MASK, form), plain)


def test_probabilities() -> None:
    student, _ = scores()
    found = probabilities(student, MASK)
    real = MASK.bool()
    expected = torch.softmax(student.masked_fill(~real[:, None, None, :], float("-inf")), -1)
    rows = real[:, None, :, None].expand_as(student)
    torch.testing.assert_close(found[rows], expected[rows], rtol=1e-14, atol=0)
    assert torch.isfinite(found).all()


def test_attention_distance() -> None:
    student, teacher = scores()
    close(attention.attention_distance(student, teacher, MASK), literal_rows.distance(student, teacher, MASK), student)


@pytest.mark.parametrize("reduction", ["token", "sentence"])
def test_score_divergence(reduction: Any) -> None:
    student, teacher = scores()
    ours = score_divergence(student, teacher, MASK, reduction)
    close(ours, literal_rows.divergence(student, teacher, MASK, reduction), student)


def test_attention_divergence_of_both_recipes() -> None:
    student, teacher = stack("scores", 1).requires_grad_(), stack("scores", 2)
    modern, published = (attention.attention_divergence(student, teacher, MASK, f) for f in ("modern", "published"))
    close(modern, literal_rows.divergence(student, teacher, MASK, "token"), student)
    slow = literal_rows.smoothed_divergence(student, teacher, MASK)
    torch.testing.assert_close(published, slow, rtol=1e-12, atol=0)
    assert 1e-8 < (modern - published).abs() < 1e-3 * modern


def test_sentences_weigh_the_same_whatever_their_length() -> None:
    student, teacher = scores()
    whole = score_divergence(student, teacher, MASK, "sentence")
    alone = [score_divergence(student[:, [b]], teacher[:, [b]], MASK[[b]], "token") for b in range(len(MASK))]
    torch.testing.assert_close(whole, torch.stack(alone).mean(), rtol=1e-13, atol=0)
    assert (whole - score_divergence(student, teacher, MASK, "token")).abs() > 1e-3


@pytest.mark.parametrize("along", ["keys", "queries"])
def test_smoothed_rows(along: Any) -> None:
    p = probabilities(scores()[0], MASK)
    q = smoothed(p, MASK, along)
    assert (q > 0).all()
    assert (q - p).abs().max() < 3e-6
    # Keys: a row sums to 1 over real keys, padded ones hold a millionth. Queries: a real query's row sums to 1.
    if along == "keys":
        real_keys = MASK.bool()[:, None, None, :].expand_as(q)
        assert (q[~real_keys] >= 1e-6).all()
        sums = torch.where(real_keys, q, 0).sum(-1)[MASK.bool()[:, None, :].expand(p.shape[:-1])]
    else:
        sums = q.sum(-1)[MASK.bool()[:, None, :].expand(p.shape[:-1])]
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=1e-14, atol=0)


def test_certain_rows_stay_finite() -> None:
    student = (1e4 * stack("scores", 1, torch.float32)).requires_grad_()
    teacher = 1e4 * stack("scores", 2, torch.float32)
    for form in ("modern", "published"):
        loss = attention.attention_divergence(student, teacher, MASK, form)
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, student)[0]).all()
