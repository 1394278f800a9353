"""MiniLM's relations against loops over single numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from distill.losses.attention import attention_divergence
from distill.losses.relations import relation_divergence, relation_scores, value_divergence
from tests.distill.losses import literal_rows
from tests.distill.losses.transfer import HEADS, MASK, close, normal, stack


def projections() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Two of a student of width 6 and two of a teacher of width 12."""
    student = stack("states", 1).requires_grad_(), stack("states", 2).requires_grad_()
    return student, (normal(2, 3, 4, 12, seed=3), normal(2, 3, 4, 12, seed=4))


def slow_divergence(student: Any, teacher: Any, heads: int, reduction: str) -> Tensor:
    scores = (literal_rows.relations(*pair, heads) for pair in (student, teacher))
    return literal_rows.divergence(*scores, MASK, reduction)


@pytest.mark.parametrize("heads", [1, 2, 3, 6])
@pytest.mark.parametrize("reduction", ["token", "sentence"])
def test_any_number_of_relation_heads(heads: int, reduction: Any) -> None:
    student, teacher = projections()
    ours = relation_divergence(student, teacher, MASK, heads, reduction)
    for leaf in student:
        close(ours, slow_divergence(student, teacher, heads, reduction), leaf)


def test_the_sentence_mean_is_the_default() -> None:
    student, teacher = projections()
    ours = relation_divergence(student, teacher, MASK, HEADS)
    torch.testing.assert_close(ours, slow_divergence(student, teacher, HEADS, "sentence"), rtol=1e-12, atol=0)


def test_a_single_layer_needs_no_axis_of_its_own() -> None:
    student, teacher = projections()
    stacked = relation_divergence(student, teacher, MASK, HEADS)
    single = [
        relation_divergence(*(tuple(x[layer] for x in pair) for pair in (student, teacher)), MASK, HEADS)
        for layer in range(2)
    ]
    torch.testing.assert_close(stacked, torch.stack(single).mean(), rtol=1e-13, atol=0)


def test_query_and_key_by_the_networks_heads_are_attention() -> None:
    (query, key), _ = projections()
    other = stack("states", 5), stack("states", 6)
    scores = [relation_scores(*pair, HEADS) for pair in ((query, key), other)]
    attention = attention_divergence(*scores, MASK, "modern")
    relations = relation_divergence((query, key), other, MASK, HEADS, "token")
    torch.testing.assert_close(relations, attention, rtol=1e-13, atol=0)


def test_values_of_both_recipes() -> None:
    # Small values: relations far below a millionth would differ in the two forms.
    student, teacher = 0.2 * stack("states", 1), 0.4 * normal(2, 3, 4, 12, seed=3)
    student.requires_grad_()
    modern, published = (value_divergence(student, teacher, MASK, HEADS, form) for form in ("modern", "published"))
    close(modern, slow_divergence((student, student), (teacher, teacher), HEADS, "token"), student)
    scores = (literal_rows.relations(x, x, HEADS) for x in (student, teacher))
    slow = literal_rows.smoothed_divergence(*scores, MASK, padded_too=True)
    torch.testing.assert_close(published, slow, rtol=1e-12, atol=0)
    assert 1e-9 < (modern - published).abs() < 1e-3 * modern


@pytest.mark.parametrize("heads", [0, 4])
def test_heads_that_do_not_divide_the_width_are_refused(heads: int) -> None:
    student, teacher = projections()
    with pytest.raises(ValueError, match=f"{heads} relation heads do not divide a width of 6"):
        relation_divergence(student, teacher, MASK, heads)
