"""Slow float64 versions of the losses on rows of attention and on [CLS], with loops over single numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tests.distill.losses.literal import softmax

Row = tuple[int, int, Tensor, Tensor]


def real_rows(student: Tensor, teacher: Tensor, mask: Tensor) -> Iterator[Row]:
    """Sentence, its length and both rows of scores over its real keys, for [M, B, h, S, S]."""
    layers, rows, heads, length, _ = student.shape
    for layer in range(layers):
        for b in range(rows):
            keys = [k for k in range(length) if mask[b, k]]
            for h in range(heads):
                for q in keys:
                    yield b, len(keys), student[layer, b, h, q, keys].double(), teacher[layer, b, h, q, keys].double()


def distance(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Sum over keys of the squared difference of probabilities, mean over all real queries, heads and layers."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for _, _, s, t in real_rows(student, teacher, mask):
        for p, q in zip(softmax(list(s)), softmax(list(t)), strict=True):
            total = total + (p - q) ** 2
        count += 1
    return total / count


def divergence(student: Tensor, teacher: Tensor, mask: Tensor, reduction: str) -> Tensor:
    """KL of each real row; mean over rows, or over the rows of a sentence and then over sentences."""
    sums = [torch.zeros((), dtype=torch.float64) for _ in mask]
    counts = [0 for _ in mask]
    for b, _, s, t in real_rows(student, teacher, mask):
        for p, q in zip(softmax(list(s)), softmax(list(t)), strict=True):
            sums[b] = sums[b] + q * (torch.log(q) - torch.log(p))
        counts[b] += 1
    if reduction == "token":
        return sum(sums[1:], sums[0]) / sum(counts)
    means = [total / count for total, count in zip(sums, counts, strict=True)]
    return sum(means[1:], means[0]) / len(means)


def smoothed_divergence(student: Tensor, teacher: Tensor, mask: Tensor, padded_too: bool = False) -> Tensor:
    """The adaptors' published form: a millionth is added to each real key of a row, or to all its keys."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for _, length, s, t in real_rows(student, teacher, mask):
        raised = mask.shape[1] if padded_too else length
        for p, q in zip(softmax(list(s)), softmax(list(t)), strict=True):
            x, y = ((r + 1e-6) / (1 + 1e-6 * raised) for r in (p, q))
            total = total + y * (torch.log(y) - torch.log(x))
        count += 1
    return total / count


def relations(x: Tensor, y: Tensor, heads: int) -> Tensor:
    """[M, B, S, d] -> [M, B, heads, S, S] by dot products of slices."""
    layers, rows, length, width = x.shape
    part = width // heads
    scores = torch.zeros(layers, rows, heads, length, length, dtype=torch.float64)
    for index in torch.cartesian_prod(*map(torch.arange, scores.shape)).tolist():
        layer, b, h, q, k = index
        left, right = (t[layer, b, i, h * part : (h + 1) * part].double() for t, i in ((x, q), (y, k)))
        scores[layer, b, h, q, k] = sum(left[i] * right[i] for i in range(part)) / math.sqrt(part)
    return scores


def patience(student: Tensor, teacher: Tensor, normalize: bool) -> Tensor:
    """Mean of the squared differences of [M, B, d], each vector divided by its length first if asked."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for s, t in zip(student.flatten(0, 1).double(), teacher.flatten(0, 1).double(), strict=True):
        lengths = [torch.sqrt(sum(v * v for v in vector)) if normalize else 1.0 for vector in (s, t)]
        for a, b in zip(s, t, strict=True):
            total = total + (a / lengths[0] - b / lengths[1]) ** 2
            count += 1
    return total / count
