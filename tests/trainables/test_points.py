"""What the plan does with values that change nothing, and with methods and networks that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.errors import UserError
from distill.methods.base import Shape
from distill.methods.emd import METHOD
from distill.tasks import glue
from distill.tasks.base import Examples, Task, TaskData
from trainables import plan
from trainables.config import SweepConfig
from trainables.resources import Machine


@pytest.fixture
def made(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plans a sweep of any task on rows that nobody reads."""

    def load(task: Task, data_dir: str, named: bool = False) -> TaskData:
        labels = np.arange(12) % max(2, task.num_labels)
        kind = np.float32 if task.kind == "regression" else np.int64
        rows = Examples(tuple("ab" * 6), tuple("cd" * 6), labels.astype(kind))
        return TaskData(task, rows, rows, "nowhere")

    monkeypatch.setattr(glue, "load", load)

    def make(task: str, **asked: Any) -> dict[str, Any]:
        config = SweepConfig(task=task, layers=4, teacher=str(tiny_encoder), data_dir="nowhere", epochs=3)
        header = plan.make(replace(config, **asked), Machine(2, 0, False))
        return dict(header["plan"])

    return make


def params(planned: dict[str, Any]) -> list[dict[str, Any]]:
    return [point["params"] for point in planned["points"] if point["method"] == "emd"]


def test_regression_has_no_temperature(made: Any) -> None:
    scores, classes = made("stsb"), made("mnli")
    assert all("T" not in values for values in params(scores))
    assert all("T" in values for values in params(classes))
    assert len(params(classes)) == 3 * len(params(scores))
    assert scores["points"][0]["origin"] == classes["points"][0]["origin"] == "published"
    assert not any("would change nothing" in notice for notice in scores["notices"])
    named = made("stsb", settings={"T": ["1", "3"], "T_emd": ["1"]})
    assert any(notice.startswith("T and T_emd would change nothing") for notice in named["notices"])


def test_a_value_that_changes_nothing_is_announced(made: Any) -> None:
    idle = made("mnli", settings={"T_emd": ["1", "5"]})
    acting = made("mnli", settings={"T_emd": ["1", "5"], "update": ["v2020"]})
    assert params(idle) == params(made("mnli"))
    assert any(notice.startswith("T_emd would") for notice in idle["notices"])
    assert len(params(acting)) == 2 * len(params(idle))
    assert not any("would change nothing" in notice for notice in acting["notices"])


def test_a_default_said_aloud_leaves_the_published_point_published(made: Any) -> None:
    first = made("mnli", settings={"update": ["current"], "hidden": ["true"]})["points"][0]
    assert (first["origin"], first["grades"]["update"]) == ("published", "code default")
    assert made("mnli", settings={"update": ["frozen"]})["points"][0]["origin"] == "given"


def test_points_of_the_grid_are_called_that_however_they_are_asked_for(made: Any) -> None:
    """Both rates and both weights stand in the grid, one rate fixes what its points have among other rates."""
    plain = {repr(point["params"]): point for point in made("sst2")["points"] if point["method"] == "emd"}
    asked = made("sst2", settings={"beta": ["0.001", "0.01"], "lr": ["1e-4"]})["points"]
    found = [point for point in asked if point["method"] == "emd"]
    assert len(found) > 4
    for point in found:
        twin = plain[repr(point["params"])]
        assert (point["origin"], point["grades"]) == (twin["origin"], twin["grades"])
    off = made("sst2", settings={"lr": ["1e-4", "7e-4"]})["points"]
    by_rate = {
        rate: {p["origin"] for p in off if p["params"]["lr"] == rate and p["method"] == "emd"} for rate in (1e-4, 7e-4)
    }
    assert by_rate == {1e-4: {"grid"}, 7e-4: {"given"}}


def test_flags_of_asha_without_asha_are_announced(made: Any) -> None:
    assert any("play no part" in n for n in made("mnli", scheduler="none", reduction_factor=4)["notices"])
    assert not any("play no part" in n for n in made("mnli", scheduler="none")["notices"])


def test_what_cannot_run_is_refused_before_it_starts(made: Any) -> None:
    with pytest.raises(UserError, match="switched off"):
        made("mnli", settings={"prediction": ["false"], "beta": ["0"]})
    values = METHOD.resolve({}, "modern")
    student, teacher = Shape(2, 16, 2), Shape(4, 16, 4)
    assert "head by head" in str(METHOD.misfit(values, student, teacher))
    assert METHOD.misfit(values, student, replace(teacher, heads=2)) is None
    assert METHOD.misfit(METHOD.resolve({"attention": False}, "modern"), student, teacher) is None
