"""What the plan makes of knowledge distillation: its layers, its published recipe, its points. No torch, no Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from distill.errors import UserError
from trainables import plan
from trainables.config import from_namespace
from trainables.options import parser
from trainables.resources import Machine


@pytest.fixture
def make(tiny_encoder: Path, tiny_data: Path) -> Any:
    def planned(*arguments: str) -> dict[str, Any]:
        typed = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), *arguments]
        header = plan.make(from_namespace(vars(parser().parse_args(typed)), typed), Machine(4, 0, True))
        return dict(header["plan"])

    return planned


@pytest.fixture
def grid(tmp_path: Path) -> str:
    axes = {"T": {"type": "float", "values": [5, 10]}}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"schema": 1, "method": "kd", "axes": axes}))
    return str(file)


def test_the_student_keeps_the_first_layers(make: Any) -> None:
    assert make("--method", "kd", "--layers", "2")["student"]["kept"] == [1, 2]
    assert make("--method", "emd", "--layers", "2")["student"]["kept"] == [2, 4]
    assert make("--method", "kd", "--student-layers", "2,4")["student"]["kept"] == [2, 4]


def test_the_published_recipe_cuts_its_student_too(make: Any, grid: str) -> None:
    how = ("--method", "kd", "--recipe", "published", "--space", grid)
    planned = make(*how, "--layers", "3")
    student = planned["student"]
    assert (student["kept"], student["init"], planned["epochs"]) == ([1, 2, 3], "pretrained", 4)
    assert {p["params"]["reduction"] for p in planned["points"] if p["method"] == "kd"} == {"mean"}
    assert planned["training"]["optimizer"] == planned["teacher"]["training"]["optimizer"] == "bertadam"
    assert (planned["teacher"]["lr"], planned["teacher"]["keep"]) == (2e-5, "best")
    said = "cut as asked; the published one has the first layers of the pretrained encoder"
    assert not any(said in notice for notice in planned["notices"])
    for asked in (("--student-layers", "2,4"), ("--student-init", "teacher", "--layers", "2")):
        assert any(said in notice for notice in make(*how, *asked)["notices"])
    for same in (("--student-layers", "1,2"), ("--student-init", "pretrained", "--layers", "2")):
        assert not any(said in notice for notice in make(*how, *same)["notices"])


def test_folders_alone_suffice_where_the_student_is_cut(make: Any, grid: str) -> None:
    planned = make("--method", "kd", "--recipe", "published", "--space", grid, "--layers", "2", "--source", "local")
    assert (planned["student"]["origin"], planned["student"]["kept"]) == ("local", [1, 2])
    emd = ("--method", "emd", "--recipe", "published", "--source", "local")
    with pytest.raises(UserError) as error:
        make(*emd, "--layers", "4")
    assert str(error.value) == (
        "--source local needs --student, a folder, with --recipe published: the student that BERT-EMD was published "
        "with, huawei-noah/TinyBERT_General_4L_312D, lies on the hub."
    )
    assert make(*emd, "--student-layers", "1,2,3,4")["student"]["origin"] == "local"


def test_sizes_without_a_row_are_refused(make: Any) -> None:
    with pytest.raises(UserError, match=r"no published row for task cola with 3 layers \(nearest: cola with 6\)"):
        make("--method", "kd", "--recipe", "published", "--layers", "3")


def test_points_that_do_not_ask_the_teacher_are_one(make: Any) -> None:
    planned = make("--method", "kd", "--layers", "2", "--set", "alpha=0", "--set", "lr=1e-4")
    found = [p["params"] for p in planned["points"] if p["method"] == "kd"]
    assert found == [{"alpha": 0.0, "lr": 1e-4}]
