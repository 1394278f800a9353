"""Exact optimal transport between the layers of two networks, and the layers' weights (numpy, float64)."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import ot
from numpy.typing import NDArray

Array = NDArray[np.float64]
UpdateRule = Literal["current", "v2020", "frozen"]

# A layer's cost counts as at least this share of the dearest layer's: a perfect match would get an infinite
# weight.
_LEAST_COST = 1e-6
# No layer's weight falls below it: a layer without weight has no cost and could never come back.
_LEAST_WEIGHT = 1e-8
# Flows below it are rounding of the solver, far below the least that a layer of least weight sends.
_LEAST_FLOW = 1e-13
_MAX_ITERATIONS = 1_000_000


def solve(distances: Array, student_weights: Array, teacher_weights: Array) -> Array:
    """Move the student layers' weights onto the teacher layers' at the least total cost.

    Args:
        distances: cost of a unit of flow [M, N], finite and not negative.
        student_weights: mass of each student layer [M], summing to 1.
        teacher_weights: mass of each teacher layer [N], summing to 1.

    Returns:
        The flow [M, N]: rows sum to the student's weights, columns to the teacher's, at most M + N − 1
        entries are not 0 (an optimum at a vertex, network simplex).

    Raises:
        FloatingPointError: if a distance or weight is not finite.
        RuntimeError: if the solver does not reach the optimum.
    """
    for name, values in (
        ("layer distances", distances),
        ("student layer weights", student_weights),
        ("teacher layer weights", teacher_weights),
    ):
        if not np.isfinite(values).all():
            raise FloatingPointError(
                f"{name} are not finite ({np.count_nonzero(~np.isfinite(values))} of {values.size}): "
                "the hidden states or attention scores of one network overflowed or hold NaN"
            )
    largest = float(distances.max())
    # The solver's tolerances are absolute; a power of two brings the costs near 1 without rounding any of
    # them.
    scaled = np.ldexp(distances, -np.frexp(largest)[1]) if largest > 0 else np.zeros_like(distances)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the solver's own warning carries less than its result code
        flow, log = ot.emd(
            np.ascontiguousarray(student_weights),
            np.ascontiguousarray(teacher_weights),
            np.ascontiguousarray(scaled),
            numItermax=_MAX_ITERATIONS,
            log=True,
        )
    if log["result_code"] != 1:
        raise RuntimeError(
            f"the transport solver stopped before the optimum (code {log['result_code']}: {log['warning']})"
        )
    return np.where(flow < _LEAST_FLOW, 0.0, flow)


def update_weights(
    student: Array,
    teacher: Array,
    flow: Array,
    distances: Array,
    *,
    rule: UpdateRule,
    temperature: float = 1.0,
    second_softmax: bool = True,
) -> tuple[Array, Array]:
    """New layer weights from what the layers paid: the cheaper a layer's unit of flow, the heavier it gets.

    With the unit cost c_i = Σ_j F_ij D_ij / w_i and g_i = Σ_k c_k / c_i, and the same for the teacher's
    columns: "current" sets w = g / Σ g; "v2020" sets w = softmax(g / temperature), and flattens that by one
    more softmax if `second_softmax` is set; "frozen" keeps w. (Li et al., 2020, "cost attention", and the two
    versions of its code.)

    Guards, all far from where ordinary costs lie: a cost counts as at least 1e-6 of the largest, costs that
    are all 0 give uniform weights, and no weight falls below 1e-8.

    Args:
        student: weights that the flow was solved with [M].
        teacher: weights that the flow was solved with [N].
        flow: [M, N] from `solve`.
        distances: [M, N]; only entries that carry flow are read.
        rule: see above.
        temperature: T_emd of "v2020"; the other rules have none.
        second_softmax: see above; only "v2020" reads it.

    Returns:
        New student weights [M] and teacher weights [N], each summing to 1.

    Raises:
        FloatingPointError: if the cost of the flow is not finite.
    """
    if rule == "frozen":
        return student, teacher
    paid = np.where(flow > 0, flow * np.where(flow > 0, distances, 0.0), 0.0)
    if not np.isfinite(paid).all():
        raise FloatingPointError("distances between layers that carry flow are not finite")
    new = []
    for cost in (paid.sum(axis=1) / student, paid.sum(axis=0) / teacher):
        gain = _inverse(cost)
        weights = gain / gain.sum() if rule == "current" else softmax(gain / temperature)
        if rule == "v2020" and second_softmax:
            weights = softmax(weights)
        new.append(floored(weights))
    return new[0], new[1]


def softmax(values: Array) -> Array:
    """Softmax of a vector."""
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def floored(weights: Array) -> Array:
    """Weights of at least 1e-8 that sum to 1."""
    weights = np.maximum(weights, _LEAST_WEIGHT)
    return weights / weights.sum()


def _inverse(cost: Array) -> Array:
    largest = cost.max()
    if largest <= 0:
        return np.ones_like(cost)
    cost = np.maximum(cost, _LEAST_COST * largest)
    return cost.sum() / cost
