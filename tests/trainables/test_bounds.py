"""The shipped axes take what the methods' declarations take, so that `--space` and `--set` refuse the same values."""

from __future__ import annotations

from pathlib import Path

import pytest

import search_spaces
from distill import methods
from distill.errors import UserError
from distill.training.settings import SWEPT_FIELDS, distribution_of
from search_spaces import SpaceError
from trainables.points import parse_value


@pytest.mark.parametrize("name", search_spaces.methods())
def test_axes_have_the_declared_bounds(name: str) -> None:
    found = {axis.name: axis for axis in search_spaces.load(name).axes}
    declared = {hyper.name: (hyper.low, hyper.high) for hyper in methods.get(name).hyperparameters}
    # An axis may be a number of training too.
    declared |= {n: (bounds["low"], bounds["high"]) for n in SWEPT_FIELDS if (bounds := distribution_of(n))}
    # A log scale has no place for the 0 that switches a term off; such an axis is narrower.
    same = [n for n, axis in found.items() if axis.scale == "linear" or (declared[n][0] or 0) > 0]
    assert "lr" in same
    for n in same:
        assert (found[n].low, found[n].high) == declared[n], n


@pytest.mark.parametrize(("value", "taken"), [(1e-8, True), (0.5, True), (1.0, True), (9e-9, False), (1.5, False)])
def test_a_rate_is_taken_both_ways_or_neither(value: float, taken: bool, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"method: emd\naxes:\n  lr: [{value!r}]\n")
    if taken:
        assert search_spaces.from_file(file, "emd").axis("lr").choices == (value,)
        assert parse_value(methods.get("emd"), "lr", value, "--set ") == value
        return
    with pytest.raises(SpaceError, match="outside the bounds"):
        search_spaces.from_file(file, "emd")
    with pytest.raises(UserError, match="--set lr"):
        parse_value(methods.get("emd"), "lr", value, "--set ")
