"""Flooding: below its level a batch's loss is driven up again, above it nothing changes."""

from __future__ import annotations

import pytest
import torch

from distill import methods
from distill.methods.objective import flooded
from distill.training.settings import Training
from tests.distill.training import runs


@pytest.mark.parametrize(("loss", "expected", "slope"), [(0.5, 0.5, 1.0), (0.04, 0.16, -1.0), (0.0, 0.2, -1.0)])
def test_the_formula(loss: float, expected: float, slope: float) -> None:
    value = torch.tensor(loss, dtype=torch.float64, requires_grad=True)
    found = flooded(value, 0.1)
    found.backward()
    assert found.item() == pytest.approx(expected)
    assert value.grad is not None
    assert value.grad.item() == slope


def test_level_0_is_none() -> None:
    value = torch.tensor(-0.3)
    assert flooded(value, 0.0) is value


def test_a_level_that_is_never_reached_changes_nothing() -> None:
    still = {"dropout": 0.0}
    plain, same = (runs.make("ft", epochs=1, flooding=level, student=still) for level in (0.0, 1e-6))
    assert [runs.facts(e)["terms"] for e in plain] == [runs.facts(e)["terms"] for e in same]
    assert all(torch.equal(value, runs.weights(same)[name]) for name, value in runs.weights(plain).items())


def test_a_level_that_is_never_left_turns_the_step_round() -> None:
    """One step without momentum behind it: of AdamW only the sign of the gradient is left, and that is the other."""
    still = {"epochs": 1, "rows": 8, "warmup": 0.0, "schedule": "constant", "weight_decay": 0.0, "dropout": 0.0}
    before = {f"student.{name}": p.detach().clone() for name, p in runs.make("ft").student.named_parameters()}
    moved = []
    for level in (0.0, 100.0):
        run = runs.make("ft", flooding=level, student={"dropout": 0.0}, clip=0.0, **still)
        list(run)
        moved.append(runs.weights(run)["student.classifier.weight"] - before["student.classifier.weight"])
    torch.testing.assert_close(moved[1], -moved[0], rtol=1e-3, atol=1e-6)
    assert moved[0].abs().max() > 1e-4


def test_the_loss_stays_near_its_level() -> None:
    rows = {"rows": 40, "epochs": 40, "student": {"dropout": 0.0}}
    plain, level = (list(runs.make("ft", {"lr": 3e-3}, flooding=b, **rows))[-1].terms["hard"] for b in (0.0, 0.3))
    assert plain < 0.15
    assert 0.2 < level < 0.5


def test_a_flooded_batch_is_not_cut() -> None:
    with pytest.raises(ValueError, match="cannot be cut"):
        runs.make("ft", flooding=0.1, micro=2)
    runs.make("ft", micro=2)


def test_published_teachers_of_transformer_distiller_are_flooded() -> None:
    for name in ("mixstep", "twostep"):
        published = methods.get(name).published
        assert published is not None
        numbers = {key: value for key, value in published.teacher.items() if key not in ("lr", "keep")}
        assert Training(**numbers).flooding == 0.1
        assert Training(**published.training).flooding == 0.0
