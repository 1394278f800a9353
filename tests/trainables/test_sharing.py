"""Points of one sweep whose students run layers twice, or otherwise, or once: plan, words, memory, stages, doors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distill import methods
from distill.errors import UserError
from distill.methods.base import Shape
from distill.training import stages as artifacts
from distill.training.settings import Training
from tests.distill.methods import twice
from trainables import memory, plan, shapes
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.door_trial import settle
from trainables.growth import grow
from trainables.recorder import Recorder
from trainables.resources import Machine


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        twice.register(patch)
        yield


@pytest.fixture(scope="module")
def make(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Headers of sweeps on a teacher of 4 layers."""
    folder = tmp_path_factory.mktemp("planned")
    space = folder / "space.yaml"
    space.write_text(
        yaml.safe_dump({"method": "twice", "epochs": 2, "axes": {"sps": ["swap", "share", "none"], "lr": [1e-3, 2e-3]}})
    )

    def planned(*settings: str, **values: Any) -> dict[str, Any]:
        asked = {
            **{"method": "twice", "space": space, "layers": 2, "trials": 6, "epochs": 2, "max_train_rows": 80},
            **{"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(folder / "store")},
            **{"set": ["batch_size=16", *settings], **values},
        }
        return plan.make(from_namespace(asked, []), Machine(1, 0, False))

    return planned


def distilled(header: dict[str, Any]) -> list[dict[str, Any]]:
    return [point for point in header["plan"]["points"] if point["origin"] != "baseline"]


def test_every_point_says_how_its_layers_run(make: Any) -> None:
    header = make()
    known = {
        "swap": {"mode": "swap", "layers": [1, 2, 1, 2]},
        "share": {"mode": "share", "layers": [1, 2, 1, 2]},
        "none": None,
    }
    points = distilled(header)
    assert {point["params"]["sps"] for point in points} == set(known)
    assert all(point["sharing"] == known[point["params"]["sps"]] for point in points)
    assert next(p for p in header["plan"]["points"] if p["origin"] == "baseline")["sharing"] is None
    assert len({point["hash"] for point in points}) == len(points)
    method, student = methods.get("twice"), header["plan"]["student"]
    assert (header["plan"]["layers"], student["layers"], student["sharing"]) == (2, 2, None)
    found = {p["params"]["sps"]: shapes.student_of(header["plan"], method, p["params"]) for p in points}
    assert found == {"swap": Shape(4, 32, 4, 2), "share": Shape(4, 32, 4, 2), "none": Shape(2, 32, 4)}


def test_the_dry_run_tells_of_it(make: Any) -> None:
    words = "Layers: 2 layers run twice: 4 logical layers"
    swapped = f"{words}, queries and keys exchanged in the second pass"
    told = [line for line in describe(make()) if line.startswith("Layers: ")]
    assert told == [f"{swapped}, in 2 of 6 points.", f"{words}, in 2 of 6 points."]
    told = [line for line in describe(make("sps=swap", "sps_repeat=1")) if line.startswith("Layers: ")]
    assert told == [
        "Layers: the top 1 of 2 layers runs twice: 3 logical layers, queries and keys exchanged in the second pass."
    ]
    assert not any(line.startswith("Layers: ") for line in describe(make("sps=none")))


def test_a_teacher_that_shares_is_told(make: Any) -> None:
    header = make("sps=none")
    assert not any("run twice" in line for line in describe(header))
    header["plan"]["teacher"]["sharing"] = {"mode": "share", "repeated": 2}
    told = describe(header)
    assert "Teacher's layers: the top 2 of 4 layers run twice: 6 logical layers." in told
    assert any(line.startswith("Teacher: ") and ", 4 layers × " in line for line in told)


def test_time_counts_both_passes(make: Any) -> None:
    once, twofold = (make(f"sps={sps}", baseline=False)["plan"]["estimate"] for sps in ("none", "swap"))
    seconds = [found["seconds"] - found["teacher_seconds"] for found in (once, twofold)]
    assert seconds[0] < seconds[1]
    assert once["disk_bytes"] == twofold["disk_bytes"]


def test_memory_is_measured_for_each_way(make: Any) -> None:
    header = make()
    found = memory.representatives(header["plan"]["points"], header["plan"])
    assert {(p["method"], p["params"].get("sps")) for p in found} == {
        *(("twice", sps) for sps in ("swap", "share", "none")),
        ("ft", None),
    }


def test_what_a_method_refuses_goes_by_logical_layers(make: Any) -> None:
    """One layer has none below its last; run twice, it has one."""
    assert make("sps=swap", layers=1)
    with pytest.raises(UserError, match="a student of 1 has none"):
        make(layers=1)
    with pytest.raises(UserError, match="A student of 6 layers cannot be laid onto a teacher of 4"):
        make("sps=swap", layers=3)


def test_more_layers_than_there_are_are_refused_before_anything_starts(make: Any) -> None:
    with pytest.raises(UserError, match=r"^sps_repeat=3 does not fit a student of 2 layers: --set sps_repeat=N"):
        make("sps=swap", "sps_repeat=3")


def test_an_encoder_that_cannot_share_is_refused_by_name(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = plan.resolve_student

    def other(*given: Any) -> Any:
        student, notices = usual(*given)
        return {**student, "model_type": "bert-relu-head"}, notices

    monkeypatch.setattr(plan, "resolve_student", other)
    assert make("sps=none")
    with pytest.raises(UserError, match=r"^--teacher bert: layers of encoders of type bert-relu-head cannot run twice"):
        make()


def test_points_that_come_later_are_refused_as_well(make: Any, tmp_path: Path) -> None:
    """A student whose layers run twice by itself runs them in no other way."""
    header = make("sps=none", "lr=1e-3")
    header["plan"]["student"].update(kept=None, name="two", sharing={"mode": "swap", "repeated": 2})
    sweep = Recorder.create(tmp_path / "s", header)
    with pytest.raises(UserError, match=r"^--student two runs layers twice already"):
        grow(sweep.record, settings={"sps": ["share"]})
    sweep.close()


def test_a_shared_stage_is_that_of_one_student(make: Any) -> None:
    """Whatever a stage says that it depends on."""
    method = methods.get("twice")
    found = []
    for sps in ("none", "share", "swap"):
        params = method.resolve({"sps": sps, "lr": 1e-3}, "modern")
        student = Shape(2, 32, 4).shared(method.sharing(params))
        stage = artifacts.identity(method, 0, params, "modern", Training(), {"seed": 0}, student, Shape(4, 32, 4))
        stage["stages"] = None
        found.append(str(stage))
    assert len(set(found)) == 3


def test_a_persons_own_tuner_may_vary_it() -> None:
    spec = {
        **{"method": "twice", "task": "cola", "metric": "mcc", "recipe": "modern", "seed": 0, "params": {"lr": 1e-3}},
        **{"student_shape": [1, 32, 4, 0], "teacher_shape": [4, 32, 4, 0], "training": Training().as_dict()},
    }
    assert settle(spec, {"sps": "swap"}).params["sps"] == "swap"
    with pytest.raises(UserError, match="a student of 1 has none"):
        settle(spec, {"sps": "none"})
    with pytest.raises(UserError, match="sps_repeat=2 does not fit a student of 1 layers"):
        settle(spec, {"sps": "swap", "sps_repeat": 2})
