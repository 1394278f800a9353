"""When a teacher's labels are said to be in another order than the data's."""

from __future__ import annotations

import numpy as np
import pytest

from distill.tasks import metrics


def test_a_guess_that_is_right_when_turned_round_is_noise() -> None:
    """Of 800 rows 421 wrong: 0.052 turned round, which is more than the upper end as it is, and no more than chance."""
    labels = np.array([0, 1] * 400)
    predicted = np.where(np.arange(800) < 421, 1 - labels, labels)
    verdict = metrics.teacher_verdict("mcc", np.eye(2)[predicted], labels)
    assert verdict.score.value == pytest.approx(-0.0525, abs=1e-3)
    assert verdict.permutation == ((1, 0), pytest.approx(0.0525, abs=1e-3))
    assert verdict.permutation[1] > verdict.score.high > 0
    assert "includes the 0.000" in str(verdict.reason)
    assert "read as" not in str(verdict.reason)


def test_labels_of_its_own_are_in_no_other_order() -> None:
    labels = np.array([0, 1] * 50)
    predicted = np.where(np.arange(100) < 80, 1 - labels, labels)
    found = {own: metrics.teacher_verdict("mcc", np.eye(2)[predicted], labels, own_labels=own) for own in (True, False)}
    assert "likely in another order" in str(found[False].reason)
    assert "lies below the 0.000" in str(found[True].reason)
    assert (found[True].permutation, found[True].ok) == (None, False)
