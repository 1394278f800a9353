"""What the configurations of Transformer Distiller say, typed a second time."""

from __future__ import annotations

import pytest

import search_spaces

WEIGHTS = {
    **{"AttnMiniLM": 1, "ValMiniLM": 1, "LogitMSE": 1},
    **dict.fromkeys(("AttnTinyBERT", "HidnTinyBERT", "EmbdTinyBERT", "HidnPKD", "LogitCE"), 0),
}
PUBLISHED, CODE, OURS = search_spaces.GRADES
ONE = {"mixstep": {}, "twostep": {"intermediate_lr": 3e-5, "intermediate_epochs": 10}}


@pytest.mark.parametrize("name", ONE)
def test_defaults_are_the_published_configuration(name: str) -> None:
    space = search_spaces.load(name)
    assert {a.name: a.default for a in space.axes} == {"lr": 3e-5, "tau": 4, **WEIGHTS, **ONE[name]}
    assert all(axis.grade(axis.default) == PUBLISHED for axis in space.axes)
    assert (space.epochs.value, space.epochs.grade) == (10, PUBLISHED)
    assert space.rows == ()


@pytest.mark.parametrize("name", ONE)
def test_what_is_tried_beside_it(name: str) -> None:
    space = search_spaces.load(name)
    others = {a.name: {v.value: v.grade for v in a.values if v.value != a.default} for a in space.axes}
    expected = {"lr": {1e-4: CODE}, "HidnTinyBERT": {1: CODE}}
    if name == "mixstep":
        expected |= {"AttnMiniLM": {10: OURS}, "AttnTinyBERT": {10: OURS}}
    else:
        expected |= {"AttnTinyBERT": {10: PUBLISHED}, "intermediate_epochs": {6: PUBLISHED}}
    assert {axis: values for axis, values in others.items() if values} == expected
    for recipe in search_spaces.RECIPES:
        assert len(space.grid(recipe)) == 16
