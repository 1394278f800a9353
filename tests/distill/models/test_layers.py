"""Evenly chosen layers against the formula, and the choices people know."""

from __future__ import annotations

import pytest

from distill.errors import UserError
from distill.models.layers import chosen, evenly


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        (4, 12, (3, 6, 9, 12)),
        (6, 12, (2, 4, 6, 8, 10, 12)),
        (4, 6, (2, 3, 5, 6)),
        (1, 12, (12,)),
        (3, 3, (1, 2, 3)),
        (5, 12, (3, 5, 8, 10, 12)),
    ],
)
def test_known_choices(student: int, teacher: int, expected: tuple[int, ...]) -> None:
    assert evenly(student, teacher) == expected


@pytest.mark.parametrize("teacher", range(1, 25))
def test_rising_distinct_and_ending_at_the_top(teacher: int) -> None:
    for student in range(1, teacher + 1):
        kept = evenly(student, teacher)
        assert len(set(kept)) == student
        assert kept == tuple(sorted(kept))
        assert kept[0] >= 1
        assert kept[-1] == teacher


@pytest.mark.parametrize("student", [0, -1, 7])
def test_what_does_not_fit_is_refused(student: int) -> None:
    with pytest.raises(UserError, match=f"--layers {student} .* choose 1 to 6"):
        evenly(student, 6)


def test_rules() -> None:
    assert chosen("evenly", 4, 12) == (3, 6, 9, 12)
    assert chosen("first", 4, 12) == (1, 2, 3, 4)
    for rule in ("evenly", "first"):
        with pytest.raises(UserError, match=r"--layers 7 .* choose 1 to 6"):
            chosen(rule, 7, 6)
