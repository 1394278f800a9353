"""Answers with a known skill, drawn by a seed."""

from __future__ import annotations

import numpy as np


def logits_of(predicted: list[int] | np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[np.asarray(predicted)]


def some_answers(n: int, classes: int, skill: float, seed: int, skew: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = np.array([skew, *[(1 - skew) / (classes - 1)] * (classes - 1)])
    labels = rng.choice(classes, size=n, p=weights)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += skill
    return logits, labels


def some_scores(n: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.uniform(0, 5, n).round(1)  # one decimal: many ties
    return (labels + noise * rng.normal(size=n)).round(1), labels
