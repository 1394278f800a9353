"""A schedule that is computed for more epochs than are trained."""

from __future__ import annotations

import pytest
import torch

from distill.errors import UserError
from distill.methods.base import Stage
from distill.training.optim import multiplier
from distill.training.settings import Training, of_stage
from tests.distill.training import runs


def test_steps_of_the_schedule() -> None:
    assert Training(epochs=3, batch_size=8).scheduled_steps(40) == 15
    assert Training(epochs=3, batch_size=8, schedule_epochs=5).scheduled_steps(40) == 25
    assert Training(epochs=3, batch_size=8, schedule_epochs=3).scheduled_steps(40) == 15


@pytest.mark.parametrize("optimizer", ["adamw", "bertadam"])
def test_a_run_has_the_first_epochs_of_its_schedule(optimizer: str) -> None:
    """Its rates are those of a longer run, of which it is the beginning to the last bit."""
    short = runs.make("ft", epochs=2, schedule_epochs=4, optimizer=optimizer)
    beginning = list(short)
    whole = list(runs.make("ft", epochs=4, optimizer=optimizer))
    for one, two in zip(beginning, whole, strict=False):
        assert (one.value, one.lr, one.terms) == (two.value, two.lr, two.terms)
    factor = multiplier(Training(optimizer=optimizer), 4 * 5)
    assert [one.lr for one in beginning] == pytest.approx([1e-3 * factor(step) for step in (5, 10)])
    assert beginning[-1].lr > 5e-4
    plain = runs.make("ft", epochs=2, optimizer=optimizer)
    assert [evaluation.lr for evaluation in plain][-1] == 0
    assert not torch.equal(short.student.classifier.weight, plain.student.classifier.weight)


def test_it_may_not_end_before_the_epochs_do() -> None:
    with pytest.raises(
        UserError, match=r"^schedule_epochs=3 .* ends the schedule before epochs=4 do; schedule_epochs=0 .*\.$"
    ):
        Training(epochs=4, schedule_epochs=3)


def test_stages_with_epochs_of_their_own_have_a_schedule_of_their_own() -> None:
    run = Training(epochs=5, schedule_epochs=6)
    own = Stage("own", lambda s: None, (), reporting=False, training=lambda p, r: {"epochs": 9})  # type: ignore[arg-type, return-value]
    as_run = Stage("as run", lambda s: None, (), reporting=False)  # type: ignore[arg-type, return-value]
    assert of_stage(own, {"lr": 1}, "modern", run)[0].schedule_epochs == 0
    assert of_stage(as_run, {"lr": 1}, "modern", run)[0].schedule_epochs == 6
