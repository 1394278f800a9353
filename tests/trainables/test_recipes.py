"""Recipes, training numbers as axes and grids of one's own, as the plan makes points of them. No torch, no Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import search_spaces
from distill.errors import UserError
from distill.training.settings import Training
from trainables import plan
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.options import parser
from trainables.resources import Machine

ONE = ("--set", "alpha=1", "--set", "beta=0.01", "--set", "T=1", "--set", "lr=1e-4")
ONE_PUBLISHED = (*ONE, "--set", "T_emd=5")


@pytest.fixture
def make(tiny_encoder: Path, tiny_data: Path) -> Any:
    """Plans on the tiny models, of 160 training rows."""

    def planned(*arguments: str, layers: int | None = 4) -> dict[str, Any]:
        size = [] if layers is None else ["--layers", str(layers)]
        typed = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), *size, *arguments]
        header = plan.make(from_namespace(vars(parser().parse_args(typed)), typed), Machine(4, 0, True))
        return dict(header["plan"])

    return planned


def distilled(planned: dict[str, Any]) -> list[dict[str, Any]]:
    return [point for point in planned["points"] if point["origin"] != "baseline"]


def baseline(planned: dict[str, Any]) -> dict[str, Any]:
    return next(point for point in planned["points"] if point["origin"] == "baseline")


def published(make: Any, encoder: Path, *arguments: str) -> dict[str, Any]:
    return dict(make("--recipe", "published", "--student", str(encoder), *arguments, layers=None))


def test_the_published_recipe_brings_its_own_training_and_axes(make: Any, tiny_encoder: Path) -> None:
    planned = published(make, tiny_encoder)
    assert planned["recipe"] == "published"
    expected = Training(
        optimizer="bertadam",
        schedule="constant",
        warmup=0.0,
        max_length=64,
        padding="max_length",
        drop_last=True,
        evaluation_steps=50,
    )
    assert planned["training"] == expected.as_dict()
    # 160 rows are 5 steps an epoch, 50 in 10: one full window.
    assert planned["evaluations"] == 1
    points = distilled(planned)
    assert {point["params"]["T_emd"] for point in points} == {1.0, 5.0, 10.0}
    assert {point["params"]["update"] for point in points} == {"v2020"}
    assert {(point["recipe"], point["head"]) for point in points} == {("published", "relu")}
    row = search_spaces.load("emd").row("cola", 4)
    assert row is not None
    assert points[0]["origin"] == "published"
    assert {name: points[0]["params"][name] for name in row.values} == row.values


def test_the_baseline_of_the_published_recipe_is_trained_as_today(make: Any, tiny_encoder: Path) -> None:
    planned = published(make, tiny_encoder)
    found = baseline(planned)
    assert (found["recipe"], found["head"]) == ("modern", "own")
    assert found["training"] == {"optimizer": "adamw", "schedule": "linear", "warmup": 0.1, "padding": "longest"}
    assert any("baseline keeps to the modern recipe: its own head, optim" in notice for notice in planned["notices"])
    assert baseline(make())["training"] == {}
    asked = published(make, tiny_encoder, "--set", "warmup=0.2", "--set", "optimizer=bertadam")
    assert baseline(asked)["training"] == {"schedule": "linear", "padding": "longest"}
    assert asked["training"]["warmup"] == 0.2


def test_recipes_are_other_points(make: Any, tiny_encoder: Path) -> None:
    modern = make("--student", str(tiny_encoder), *ONE, layers=None)
    old = published(make, tiny_encoder, *ONE_PUBLISHED)
    assert len(distilled(modern)) == len(distilled(old)) == 1
    assert distilled(modern)[0]["hash"] != distilled(old)[0]["hash"]


def test_single_values_are_laid_over_the_recipe(make: Any, tiny_encoder: Path) -> None:
    planned = published(make, tiny_encoder, "--set", "padding=longest", "--set", "evaluation_steps=10", "--epochs", "3")
    assert planned["training"]["padding"] == "longest"
    assert planned["training"]["optimizer"] == "bertadam"
    assert (planned["epochs"], planned["evaluations"]) == (3, 2)
    assert planned["evaluations_per_epoch"] == pytest.approx(2 / 3)
    assert "padding" not in baseline(planned)["training"]


def test_published_refuses_what_has_no_row(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no published row for task cola with 3 layers .*--space.*--recipe modern"):
        make("--recipe", "published", "--student-layers", "1,2,3", layers=None)
    without = replace(plan.methods.get("emd"), published=None)
    monkeypatch.setattr(plan.methods, "get", lambda name: without)
    with pytest.raises(UserError, match="BERT-EMD has only the modern recipe"):
        make("--recipe", "published")


def test_training_numbers_become_axes_when_they_are_several(make: Any) -> None:
    planned = make(*ONE, "--set", "batch_size=8,16", "--set", "dropout=0,0.1", "--set", "warmup=0")
    points = distilled(planned)
    assert [(p["params"]["batch_size"], p["params"]["dropout"]) for p in points] == [
        (8, 0.0),
        (8, 0.1),
        (16, 0.0),
        (16, 0.1),
    ]
    assert {p["origin"] for p in points} == {"given"}
    assert points[0]["label"] == "batch_size 8 · dropout 0"
    assert planned["training"]["warmup"] == 0.0
    assert "warmup" not in points[0]["params"]
    assert len({p["hash"] for p in points}) == 4
    assert planned["evaluations"] == 10
    assert planned["distributions"]["emd"]["batch_size"]["type"] == "int"


def test_steps_are_told_as_ranges_where_points_differ(make: Any) -> None:
    lines = describe({"plan": make(*ONE, "--set", "batch_size=16,32", "--set", "accumulation=2"), "config": {}})
    # 160 rows: 10 or 5 batches an epoch, two to a step, 10 epochs.
    assert any("30 to 50 steps of 32 to 64 rows a trial" in line for line in lines)
    assert any("50 steps of 32 rows a trial" in line for line in describe({"plan": make(*ONE), "config": {}}))


def test_evaluations_per_epoch(make: Any) -> None:
    planned = make(*ONE, "--set", "evaluations_per_epoch=4", "--epochs", "3")
    assert (planned["evaluations"], planned["evaluations_per_epoch"]) == (12, 4.0)


def test_points_that_would_be_judged_unequally_often_are_refused(make: Any) -> None:
    with pytest.raises(UserError, match="evaluated 5 to 10 times"):
        make(*ONE, "--set", "batch_size=16,32", "--set", "evaluation_steps=10")
    # Five steps an epoch cannot be looked at eight times, ten can.
    with pytest.raises(UserError, match="50 to 80 times"):
        make(*ONE, "--set", "batch_size=16,32", "--set", "evaluations_per_epoch=8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "max_length=32,64"), "--set max_length takes one value, not 2"),
        (("--set", "batchsize=8"), "did you mean batch_size?"),
        (("--set", "optimizer=adam"), "--set optimizer=adam is unknown; choose one of adamw, bertadam"),
        (("--set", "epochs=3", "--epochs", "4"), "disagree"),
        (("--set", "batch_size=200", "--set", "drop_last=true"), "drop_last"),
        (("--set", "T_emd=x"), "--set T_emd=x is not a number"),
        (
            ("--teacher-set", "epochs=3", "--teacher-epochs", "5"),
            "--teacher-set epochs=3 and --teacher-epochs 5 disagree",
        ),
        (("--teacher-set", "lr=3"), "--teacher-lr sets it"),
    ],
)
def test_settings_that_are_refused(make: Any, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make(*arguments)


def test_epochs_by_name(make: Any, tmp_path: Path) -> None:
    assert make(*ONE, "--set", "epochs=3")["epochs"] == 3
    assert make(*ONE, "--set", "epochs=3", "--epochs", "3")["epochs"] == 3
    file = tmp_path / "c.yaml"
    for content in ({"epochs": 4, "teacher_epochs": 5}, {"set": {"epochs": 4}, "teacher_set": {"epochs": 5}}):
        file.write_text(yaml.safe_dump(content))
        for typed in (("--epochs", "3", "--teacher-epochs", "2"), ("--set", "epochs=3", "--teacher-set", "epochs=2")):
            planned = make(*ONE, "--config", str(file), *typed)
            assert (planned["epochs"], planned["teacher"]["training"]["epochs"]) == (3, 2)
        planned = make(*ONE, "--config", str(file))
        assert (planned["epochs"], planned["teacher"]["training"]["epochs"]) == (4, 5)


def test_evaluations_per_epoch_take_the_place_of_steps(make: Any, tiny_encoder: Path) -> None:
    planned = published(make, tiny_encoder, "--set", "evaluations_per_epoch=1", "--epochs", "3")
    assert (planned["training"]["evaluation_steps"], planned["evaluations"]) == (0, 3)
    planned = make("--teacher-set", "evaluations_per_epoch=2")
    assert planned["teacher"]["training"]["evaluations_per_epoch"] == 2
    for flag in ("--set", "--teacher-set"):
        with pytest.raises(UserError, match=f"{flag} evaluations_per_epoch=2 and evaluation_steps=5 both say"):
            make(flag, "evaluations_per_epoch=2", flag, "evaluation_steps=5")


def space_file(folder: Path, **axes: Any) -> str:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"schema": 1, "method": "emd", "axes": axes}, sort_keys=False))
    return str(file)


def axis(*values: Any, kind: str = "float", **more: Any) -> dict[str, Any]:
    return {"type": kind, "default": values[0], "values": list(values), **more}


def test_a_grid_of_ones_own(make: Any, tmp_path: Path) -> None:
    file = space_file(tmp_path, beta=axis(0.1, 0.2), lr=axis(1e-3, 2e-3), batch_size=axis(8, 16, kind="int"))
    planned = make("--space", file)
    found = {tuple(p["params"][n] for n in ("beta", "lr", "batch_size")) for p in distilled(planned)}
    assert found == {(b, lr, size) for b in (0.1, 0.2) for lr in (1e-3, 2e-3) for size in (8, 16)}
    assert [a["name"] for a in planned["axes"]] == ["beta", "lr", "batch_size"]
    for size in ("64", "32,64"):
        replaced = make("--space", file, "--set", f"batch_size={size}")
        found_sizes = {p["params"]["batch_size"] for p in distilled(replaced)}
        assert found_sizes == {int(part) for part in size.split(",")}
    fixed = make("--space", file, "--set", "beta=0.3")
    assert {p["params"]["beta"] for p in distilled(fixed)} == {0.3}
    assert len(distilled(fixed)) == 4


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"betta": axis(0.1)}, "has no axis betta; did you mean beta"),
        ({"max_length": axis(32, 64, kind="int")}, "has no axis max_length"),
        ({"T_emd": axis(1, 5)}, "has no axis that acts in the modern recipe"),
        ({"alpha": axis(0.1, 1.5)}, r"alpha\S* is 1.5, outside the bounds"),
        ({"warmup": axis(0.1, 2.0)}, "warmup=2.0 must be a number from 0 to 1"),
    ],
)
def test_grids_that_are_refused(make: Any, tmp_path: Path, axes: dict[str, Any], said: str) -> None:
    with pytest.raises((UserError, search_spaces.SpaceError), match=said):
        make("--space", space_file(tmp_path, **axes))


def test_command_line_over_file_over_grid_over_recipe(make: Any, tmp_path: Path) -> None:
    grid = space_file(tmp_path, beta=axis(0.1, 0.2), lr=axis(1e-3))
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"space": grid, "set": {"beta": 0.3, "clip": 2}, "teacher_set": {"clip": 5}}))
    planned = make("--config", str(config), "--set", "clip=3", "--teacher-set", "warmup=0")
    assert [p["params"]["beta"] for p in distilled(planned)] == [0.3]
    assert planned["training"]["clip"] == 3
    assert (planned["teacher"]["training"]["clip"], planned["teacher"]["training"]["warmup"]) == (5.0, 0.0)
