from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distill.losses import transport
from tests.distill.losses import literal

SIZES = [(1, 1), (1, 5), (2, 4), (4, 12), (6, 12), (5, 3)]


def problem(m: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    student, teacher = draw.dirichlet(np.ones(m)), draw.dirichlet(np.ones(n))
    return draw.random((m, n)), student, teacher


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("uniform", [True, False])
def test_flow_is_the_optimum_of_the_linear_program(m: int, n: int, uniform: bool) -> None:
    distances, student, teacher = problem(m, n)
    if uniform:
        student, teacher = np.full(m, 1 / m), np.full(n, 1 / n)
    flow = transport.solve(distances, student, teacher)
    best = literal.transport(distances, student, teacher)
    np.testing.assert_allclose((flow * distances).sum(), (best * distances).sum(), rtol=1e-9)
    np.testing.assert_allclose(flow.sum(axis=1), student, atol=1e-12)
    np.testing.assert_allclose(flow.sum(axis=0), teacher, atol=1e-12)
    assert (flow >= 0).all()
    assert np.count_nonzero(flow) <= m + n - 1


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12])
def test_the_scale_of_distances_does_not_matter(scale: float) -> None:
    distances, student, teacher = problem(4, 7)
    plain = transport.solve(distances, student, teacher)
    scaled = transport.solve(distances * scale, student, teacher)
    np.testing.assert_allclose(scaled, plain, atol=1e-12)


def test_distances_that_are_all_0() -> None:
    _, student, teacher = problem(3, 5)
    flow = transport.solve(np.zeros((3, 5)), student, teacher)
    np.testing.assert_allclose(flow.sum(axis=1), student, atol=1e-12)
    np.testing.assert_allclose(flow.sum(axis=0), teacher, atol=1e-12)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(("position", "name"), [(0, "distances"), (1, "student"), (2, "teacher")])
def test_values_that_are_not_finite_raise(bad: float, position: int, name: str) -> None:
    arguments = problem(3, 4)
    arguments[position].flat[1] = bad
    with pytest.raises(FloatingPointError, match=name):
        transport.solve(*arguments)


def test_a_solver_that_gives_up_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_MAX_ITERATIONS", 1)
    with pytest.raises(RuntimeError, match="before the optimum"):
        transport.solve(*problem(30, 30))


@pytest.mark.parametrize("rule", ["current", "v2020", "frozen"])
@pytest.mark.parametrize("temperature", [1.0, 5.0])
@pytest.mark.parametrize("second_softmax", [True, False])
def test_weights_are_the_literal_ones(rule: Any, temperature: float, second_softmax: bool) -> None:
    distances, student, teacher = problem(4, 6)
    distances += 0.5
    flow = transport.solve(distances, student, teacher)
    ours = transport.update_weights(
        student,
        teacher,
        flow,
        distances,
        rule=rule,
        temperature=temperature,
        second_softmax=second_softmax,
    )
    slow = literal.new_weights(student, teacher, flow, distances, rule, temperature)
    for mine, theirs in zip(ours, slow, strict=True):
        if rule == "v2020" and second_softmax:
            theirs = literal.flattened(theirs)
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)


def test_cheaper_layers_become_heavier() -> None:
    distances = np.array([[1.0, 9.0], [9.0, 4.0]])
    half = np.array([0.5, 0.5])
    student, teacher = transport.update_weights(half, half, np.eye(2) / 2, distances, rule="current")
    np.testing.assert_allclose(student, [0.8, 0.2])
    np.testing.assert_allclose(teacher, [0.8, 0.2])


@pytest.mark.parametrize("rule", ["current", "v2020"])
@pytest.mark.parametrize("second_softmax", [True, False])
@pytest.mark.parametrize("matching", [1, 3])
def test_layers_that_cost_nothing_keep_the_weights_usable(rule: Any, second_softmax: bool, matching: int) -> None:
    """One matching layer gets nearly everything, only matching layers share evenly; neither ends in NaN."""
    distances = problem(3, 3)[0] + 1.0
    for layer in range(matching):
        distances[layer, layer] = 0.0
    student = teacher = np.full(3, 1 / 3)
    for _ in range(5):
        flow = transport.solve(distances, student, teacher)
        student, teacher = transport.update_weights(
            student, teacher, flow, distances, rule=rule, second_softmax=second_softmax
        )
        for weights in (student, teacher):
            assert np.isfinite(weights).all()
            assert weights.min() >= 0.99e-8
            assert weights.sum() == pytest.approx(1.0, abs=1e-12)
            if matching == 3:
                np.testing.assert_allclose(weights, 1 / 3)


def test_an_unused_distance_is_never_read() -> None:
    half = np.array([0.5, 0.5])
    distances = np.array([[1.0, np.nan], [np.inf, 4.0]])
    student, _ = transport.update_weights(half, half, np.eye(2) / 2, distances, rule="current")
    np.testing.assert_allclose(student, [0.8, 0.2])
    with pytest.raises(FloatingPointError):
        transport.update_weights(half, half, np.eye(2)[::-1] / 2, distances, rule="current")
