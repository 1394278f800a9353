"""Searches and stopping rules in the report's words."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.curves import stop_words
from analysis.facts import facts
from analysis.search_words import scheduler_words, search_words
from search_spaces.ranges import Range
from tests.analysis.conftest import Build
from trainables.record import read

RANGES = [Range("lr", 1e-5, 1e-3, log=True).as_dict(), Range("theta", values=(1.0,), grades=("ours",)).as_dict()]


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (None, "the grid, shuffled by the seed"),
        ({"name": "grid"}, "the grid, shuffled by the seed"),
        ({"name": "published"}, "the published settings, once each"),
        ({"name": "random", "ranges": RANGES}, "drawn at random, between lr 1e-05 to 0.001, log scale"),
        (
            {"name": "tpe", "ranges": RANGES, "startup": 4},
            "suggested by Optuna's TPE, at random until 4 trials had ended, between lr 1e-05 to 0.001, log scale",
        ),
    ],
)
def test_searches(search: dict[str, Any] | None, words: str) -> None:
    assert search_words({} if search is None else {"search": search}) == words


def test_rules(sweep: Build) -> None:
    median = {"name": "median", "grace": 0.5, "min_samples": 3, "rungs": []}
    assert scheduler_words({"scheduler": median}) == "median rule from epoch 0.5 on, against at least 3 others"
    record = read(sweep())
    assert dict(facts(record))["scheduler"] == "ASHA, reduction factor 2, rungs at epochs 1, 2"
    for rungs, words in {(1.0,): "one rung, at epoch 1", (): "no rung"}.items():
        few = {"name": "asha", "reduction_factor": 2, "rungs": rungs}
        assert scheduler_words({"scheduler": few}) == f"ASHA, reduction factor 2, {words}"
    stopped = next(trial for trial in record.trials.values() if trial.stop)
    assert stop_words(record, stopped).startswith(f"stopped at rung {stopped.stop['rung']:g}: ")  # type: ignore[index]
    record.header["plan"]["scheduler"] = median
    assert stop_words(record, stopped).startswith("stopped at epoch ")
    assert stop_words(record, stopped).endswith(" others")
