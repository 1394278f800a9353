"""What random search and TPE may draw can run: within what is declared, and as often looked at as every other point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from trainables import extend, plan
from trainables.config import from_namespace
from trainables.record import read
from trainables.recorder import Recorder
from trainables.resources import Machine
from trainables.suggest import suggest


@pytest.fixture
def header(tiny_encoder: Path, tiny_data: Path) -> Any:
    def make(**asked: Any) -> dict[str, Any]:
        values = {"layers": 4, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "trials": 12, **asked}
        return plan.make(from_namespace(values, []), Machine(2, 0, False))

    return make


@pytest.fixture
def space(tmp_path: Path) -> Any:
    def write(axes: str) -> str:
        file = tmp_path / "space.yaml"
        file.write_text(f"method: emd\naxes:\n  lr: [1e-5, 1e-4]\n{axes}")
        return str(file)

    return write


@pytest.mark.parametrize(
    ("axis", "least"), [("warmup: [0.0, 0.2]", 0), ("dropout: [0.0, 0.1]", 0), ("batch_size: [2, 8]", 1)]
)
def test_axes_without_bounds_reach_no_further_than_what_is_declared(
    header: Any, space: Any, axis: str, least: float
) -> None:
    found = header(search="random", space=space(f"  {axis}\n"))["plan"]
    name = axis.partition(":")[0]
    assert next(r for r in found["search"]["ranges"] if r["name"] == name)["low"] == least
    assert len(found["points"]) == 13


def test_suggestions_stay_within_too(header: Any, space: Any, tmp_path: Path) -> None:
    """The fourth draw of this seed would have been a warm-up below 0, had the range gone on."""
    recorder = Recorder.create(tmp_path / "s", header(search="tpe", space=space("  warmup: [0.0, 0.2]\n")))
    for _ in range(11):
        points, k = suggest(recorder.record)
        assert 0 <= points[0]["params"]["warmup"] <= 0.3
        recorder.suggested(points, k)
    assert recorder.record.to_suggest == 0
    recorder.close()


def test_a_range_of_ones_own_beyond_what_is_declared_is_refused(header: Any, space: Any) -> None:
    with pytest.raises(UserError, match=r"--space .*: warmup=-0.5 must be a number from 0 to 1"):
        header(search="tpe", space=space("  warmup: {values: [0.0, 0.2], range: [-0.5, 0.5]}\n"))


@pytest.mark.parametrize("search", ["grid", "random", "tpe"])
def test_points_that_would_be_looked_at_more_often_than_others_are_refused(header: Any, search: str) -> None:
    asked = ["batch_size=8,32", "evaluation_steps=3", "epochs=2"]
    with pytest.raises(UserError, match="The points would be evaluated 4 to 14 times"):
        header(search=search, set=asked)


def test_steps_that_only_two_numbers_together_make_too_few_are_refused(header: Any) -> None:
    """96 rows a batch give two batches, and two batches a step one step: one evaluation where two are wanted."""
    shared = ["evaluations_per_epoch=2", "epochs=2"]
    for one in ("batch_size=8,96", "accumulation=1,2"):
        header(search="tpe", set=[*shared, one])
    with pytest.raises(UserError, match="The points would be evaluated"):
        header(search="tpe", set=[*shared, "batch_size=8,96", "accumulation=1,2"])


@pytest.mark.parametrize("search", ["grid", "tpe"])
def test_suggestions_that_the_method_cannot_run_are_refused_at_once(header: Any, search: str) -> None:
    with pytest.raises(UserError, match="Every loss of BERT-EMD is switched off"):
        header(search=search, set=["prediction=true,false", "beta=0", "embedding=false"])


def test_values_that_somebody_adds_take_no_suggestion_s_place(header: Any, tmp_path: Path) -> None:
    recorder = Recorder.create(tmp_path / "s", header(search="tpe", trials=5))
    recorder.suggested(*suggest(recorder.record))
    recorder.close()
    assert read(recorder.path).to_suggest == 3
    assert extend.main([str(recorder.path), "--set", "beta=0.5,0.6", "--no-run"]) == 0
    record = read(recorder.path)
    # The published point, the suggested one, and each of them with two further values.
    assert [len(record.trials), record.to_suggest] == [1 + 2 + 4, 3]
    assert extend.main([str(recorder.path), "--trials", "8", "--no-run"]) == 2
    assert extend.main([str(recorder.path), "--trials", "11", "--no-run"]) == 0
    assert read(recorder.path).to_suggest == 5
