"""Slow float64 versions of the losses, written from their definitions with loops over single numbers."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor


def softmax(values: list[Tensor]) -> list[Tensor]:
    powers = [torch.exp(v) for v in values]
    total = sum(powers[1:], powers[0])
    return [p / total for p in powers]


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Sum over rows and classes of -q log p, times T², not divided by anything."""
    total = torch.zeros((), dtype=torch.float64)
    for s, t in zip(student, teacher, strict=True):
        p, q = softmax([x / temperature for x in s]), softmax([x / temperature for x in t])
        for pc, qc in zip(p, q, strict=True):
            total = total - qc * torch.log(pc)
    return total * temperature**2


def hidden_distance(x: Tensor, y: Tensor, mask: Tensor, padded: bool) -> Tensor:
    """Mean of (x - y)² over tokens and features of [B, S, d]; over real tokens only unless `padded`."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for b in range(x.shape[0]):
        for s in range(x.shape[1]):
            if padded or mask[b, s]:
                for d in range(x.shape[2]):
                    total = total + (x[b, s, d].double() - y[b, s, d].double()) ** 2
                    count += 1
    return total / count


def score_distance(x: Tensor, y: Tensor, mask: Tensor, padded: bool) -> Tensor:
    """Mean of (x - y)² over [B, h, S, S]: real queries and keys only, or everything.

    "Everything" counts scores <= -100 and those of padded keys as 0.
    """
    total, count = torch.zeros((), dtype=torch.float64), 0
    zero = torch.zeros((), dtype=torch.float64)
    for b in range(x.shape[0]):
        for h in range(x.shape[1]):
            for q in range(x.shape[2]):
                for k in range(x.shape[3]):
                    left, right = x[b, h, q, k].double(), y[b, h, q, k].double()
                    if padded:
                        left = zero if left <= -100 or not mask[b, k] else left
                        right = zero if right <= -100 or not mask[b, k] else right
                    elif not (mask[b, q] and mask[b, k]):
                        continue
                    total = total + (left - right) ** 2
                    count += 1
    return total / count


def transport(distances: np.ndarray, student: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """Optimal flow as a linear program over all M·N flows."""
    m, n = distances.shape
    margins = np.zeros((m + n, m * n))
    for i in range(m):
        for j in range(n):
            margins[i, i * n + j] = 1
            margins[m + j, i * n + j] = 1
    found = linprog(distances.ravel(), A_eq=margins, b_eq=np.concatenate([student, teacher]), method="highs-ds")
    assert found.status == 0
    return found.x.reshape(m, n)


def new_weights(
    student: np.ndarray, teacher: np.ndarray, flow: np.ndarray, distances: np.ndarray, rule: str, tau: float
) -> list[list[float]]:
    """Layer weights after a step, before any sharing or second softmax."""
    m, n = distances.shape
    if rule == "frozen":
        return [list(student), list(teacher)]
    results = []
    for cost in (
        [sum(flow[i, j] * distances[i, j] for j in range(n)) / student[i] for i in range(m)],
        [sum(flow[i, j] * distances[i, j] for i in range(m)) / teacher[j] for j in range(n)],
    ):
        gain = [sum(cost) / c for c in cost]
        if rule == "v2020":
            gain = [math.exp(g / tau) for g in gain]
        results.append([g / sum(gain) for g in gain])
    return results


def flattened(weights: list[float]) -> list[float]:
    powers = [math.exp(w) for w in weights]
    return [p / sum(powers) for p in powers]
