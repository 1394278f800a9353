"""Maps of layers: the choices people know, and counts that do not fit."""

from __future__ import annotations

import pytest

from distill import layer_maps
from distill.errors import UserError


@pytest.mark.parametrize(
    ("rule", "student", "teacher", "expected"),
    [
        ("uniform", 4, 12, (3, 6, 9, 12)),
        ("uniform", 4, 6, (2, 3, 5, 6)),
        ("top", 4, 12, (9, 10, 11, 12)),
        ("bottom", 4, 12, (1, 2, 3, 4)),
        ("12-1-1-3", 4, 12, (12, 1, 1, 3)),
        ("uniform", 3, 3, (1, 2, 3)),
        ("top", 3, 3, (1, 2, 3)),
    ],
)
def test_layers(rule: str, student: int, teacher: int, expected: tuple[int, ...]) -> None:
    assert layer_maps.layers(rule, student, teacher) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("uniform", (0, 3, 6, 9, 12)),
        ("top", (8, 9, 10, 11, 12)),
        ("bottom", (0, 1, 2, 3, 4)),
        ("2-4-6-8", (0, 2, 4, 6, 8)),
    ],
)
def test_hidden_states_begin_with_the_embedding(rule: str, expected: tuple[int, ...]) -> None:
    assert layer_maps.hidden(rule, 4, 12) == expected


@pytest.mark.parametrize(
    ("rule", "student", "teacher", "expected"),
    [
        ("skip", 6, 12, (2, 4, 6, 8, 10)),
        ("skip", 3, 12, (4, 8)),
        ("skip", 6, 24, (4, 8, 12, 16, 20)),
        ("skip", 4, 6, (2, 3, 5)),
        ("last", 6, 12, (7, 8, 9, 10, 11)),
        ("last", 3, 12, (10, 11)),
        ("last", 3, 3, (1, 2)),
        ("2-4-6-8-10", 6, 12, (2, 4, 6, 8, 10)),
    ],
)
def test_patience_leaves_the_last_layer_out(rule: str, student: int, teacher: int, expected: tuple[int, ...]) -> None:
    assert layer_maps.patience(rule, student, teacher) == expected


@pytest.mark.parametrize("teacher", range(1, 25))
@pytest.mark.parametrize("rule", [*layer_maps.RULES, *layer_maps.PATIENCE_RULES])
def test_every_rule_rises_within_the_teacher(rule: str, teacher: int) -> None:
    for student in range(1, teacher + 1):
        if rule in layer_maps.RULES:
            chosen = layer_maps.layers(rule, student, teacher)
            assert len(chosen) == student
            assert layer_maps.hidden(rule, student, teacher)[1:] == chosen
        elif student == 1:
            continue
        else:
            chosen = layer_maps.patience(rule, student, teacher)
            assert len(chosen) == student - 1
            assert chosen[-1] < teacher
        assert list(chosen) == sorted(set(chosen))
        assert chosen[0] >= 1
        assert chosen[-1] <= teacher


@pytest.mark.parametrize("rule", layer_maps.RULES)
@pytest.mark.parametrize("student", [0, 7])
def test_a_student_too_deep_is_refused(rule: str, student: int) -> None:
    with pytest.raises(UserError, match=f"of {student} layers .* of 6; choose --layers 1 to 6"):
        layer_maps.layers(rule, student, 6)


@pytest.mark.parametrize("rule", layer_maps.PATIENCE_RULES)
def test_patience_of_a_student_too_deep_is_refused(rule: str) -> None:
    with pytest.raises(UserError, match="choose --layers 1 to 6"):
        layer_maps.patience(rule, 7, 6)


@pytest.mark.parametrize("rule", [*layer_maps.PATIENCE_RULES, "3"])
def test_patience_needs_a_layer_below_the_last(rule: str) -> None:
    with pytest.raises(UserError, match="a student of 1 has none; choose --layers 2"):
        layer_maps.patience(rule, 1, 6)


def test_whole_steps_where_they_are_asked_for() -> None:
    assert layer_maps.layers("uniform", 4, 12, whole=True) == (3, 6, 9, 12)
    assert layer_maps.hidden("uniform", 2, 6, whole=True) == (0, 3, 6)
    with pytest.raises(UserError, match=r"6 layers .* no multiple .* 4, .* choose --layers 1, 2, 3, 6"):
        layer_maps.layers("uniform", 4, 6, whole=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2-4", "layers=2-4 has 2 of the teacher's layers, but 3 of the student's learn from them: write 3 with"),
        ("2-4-6-8", "has 4 of the teacher's layers, but 3 of the student's"),
        ("2-4-13", "names layer 13, but the teacher has layers 1 to 12: write"),
        ("0-4-6", "names layer 0, but the teacher has layers 1 to 12: write"),
        ("2-4-", "'2-4-' is no list of layers; write the teacher's layers like 2-4-6"),
        ("2,4,6", "is no list of layers"),
    ],
)
def test_layers_one_by_one_are_counted(text: str, message: str) -> None:
    for found in (lambda: layer_maps.layers(text, 3, 12), lambda: layer_maps.patience(text, 4, 12)):
        with pytest.raises(UserError, match=message):
            found()


@pytest.mark.parametrize(("rule", "known"), [("skip", "uniform, top, bottom"), ("middle", "uniform, top, bottom")])
def test_unknown_rules_of_layers(rule: str, known: str) -> None:
    with pytest.raises(UserError, match=f"'{rule}' is no way to choose layers; write {known}, or"):
        layer_maps.layers(rule, 3, 12)


def test_unknown_rules_of_patience() -> None:
    with pytest.raises(UserError, match="'uniform' is no way to choose layers; write skip, last, or"):
        layer_maps.patience("uniform", 3, 12)
