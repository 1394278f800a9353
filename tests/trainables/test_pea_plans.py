"""What the plan makes of shared layers and of pre-training with the teacher's predictions. No torch, no Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from distill.errors import UserError
from distill.training.settings import Training
from trainables import plan, stages, steps
from trainables.config import from_namespace
from trainables.options import parser
from trainables.resources import Machine


@pytest.fixture
def make(tiny_encoder: Path, tiny_data: Path) -> Any:
    """Plans on a teacher of 4 layers."""

    def planned(method: str, *arguments: str) -> dict[str, Any]:
        typed = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--method", method, *arguments]
        header = plan.make(from_namespace(vars(parser().parse_args(typed)), typed), Machine(4, 0, True))
        return dict(header["plan"])

    return planned


def distilled(planned: dict[str, Any]) -> list[dict[str, Any]]:
    return [point for point in planned["points"] if point["origin"] != "baseline"]


@pytest.mark.parametrize("method", ["ptp", "pea"])
def test_one_pretrained_student_for_each_threshold_and_rate(make: Any, method: str) -> None:
    """Rates, temperatures and losses of the task come behind it."""
    axes = ("--set", "t=0.6,0.8", "--set", "lr=1e-5,2e-5,5e-5", "--set", "then=kd,ft", "--set", "ptp_lr=2e-5")
    planned = make(method, "--layers", "2", *axes)
    points = distilled(planned)
    assert {point["params"]["t"] for point in points} == {0.6, 0.8}
    assert [(group.stage, group.epochs, group.points) for group in stages.groups(planned)] == [
        ("pretrain", 4, len(points) // 2)
    ] * 2
    again = make(method, "--layers", "2", *axes, "--set", "ptp_lr=2e-5,1e-4")
    assert len(stages.groups(again)) == 4
    words = steps.words(planned, points[0])
    assert words is not None
    assert words.startswith("Stages: pretrain (4 epochs at 2e-05, judged by its loss on dev, best weights kept), then ")
    assert planned["teacher_source"]["needs_on_dev"] == ["logits"]


def test_the_record_says_what_each_point_goes_through(make: Any) -> None:
    planned = make(
        "ptp", "--layers", "2", "--epochs", "3", "--set", "then=kd,ft", "--set", "ptp_lr=2e-5", "--trials", "2"
    )
    told = [
        [(one["stage"], one["epochs"], one["keep"], one["teacher"]) for one in p["stages"]] for p in distilled(planned)
    ]
    before = ("pretrain", 4, "best", True)
    assert sorted(told) == [[before, ("train", 3, "last", False)], [before, ("train", 3, "last", True)]]
    baseline = next(point for point in planned["points"] if point["origin"] == "baseline")
    assert [(one["stage"], one["epochs"], one["teacher"]) for one in baseline["stages"]] == [("finetune", 3, False)]
    assert planned["unset"]["t2"] == [0.0, "that of t"]


def test_pea_runs_layers_twice(make: Any) -> None:
    planned = make("pea", "--layers", "2", "--trials", "2")
    assert planned["student"]["kept"] == [1, 2]
    assert planned["student"]["init"] == "pretrained"
    for point in distilled(planned):
        assert point["sharing"] == {"mode": "swap", "layers": [1, 2, 1, 2]}
        assert (point["params"]["then"], point["params"]["layers"]) == ("pkd", "auto")
    plain = make("pea", "--layers", "2", "--trials", "2", "--set", "sps=none")
    assert {str(point["sharing"]) for point in plain["points"]} == {"None"}


def test_the_threshold_of_the_task_comes_first_whatever_the_size(make: Any) -> None:
    """CoLA's is 0.95; only students of 3 and 6 layers have rows."""
    for search in ("grid", "random", "tpe"):
        planned = make("ptp", "--layers", "2", "--search", search, "--trials", "3")
        first = distilled(planned)[0]
        assert (first["params"]["t"], first["grades"]["t"], first["origin"]) == (0.95, "published", "grid")
        assert planned["published_note"].endswith(
            "The first point has t 0.95, published for cola with 3 and 6 layers (README and programs, MRPC and CoLA)."
        )
    asked = make("ptp", "--layers", "2", "--set", "t=0.6", "--trials", "1")
    assert distilled(asked)[0]["params"]["t"] == 0.6
    assert "The first point" not in asked["published_note"]


def test_words_for_the_same_layers_are_one_point(make: Any, tmp_path: Path) -> None:
    """A student of 2 layers: `auto` and `all` repeat both."""
    said = ("--layers", "2", "--set", "t=0.8", "--set", "ptp_lr=2e-5", "--set", "lr=2e-5", "--set")
    points = distilled(make("pea", *said, "sps_repeat=all,1,auto,2"))
    assert [point["params"]["sps_repeat"] for point in points] == ["2", "1"]
    assert [point["sharing"]["layers"] for point in points] == [[1, 2, 1, 2], [1, 2, 2]]
    [usual] = distilled(make("pea", *said[:-1]))
    for words in ("auto", "all", "2"):
        [point] = distilled(make("pea", *said, f"sps_repeat={words}"))
        assert (point["hash"], point["grades"], point["origin"]) == (usual["hash"], usual["grades"], usual["origin"])
    axes = {name: {"values": [value]} for name, value in (("t", 0.8), ("ptp_lr", 2e-5), ("lr", 2e-5))}
    own = {"schema": 1, "method": "pea", "axes": {**axes, "sps_repeat": ["all", "1", "auto"]}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    in_file = ("--layers", "2", "--space", str(tmp_path / "own.yaml"))
    assert [point["params"]["sps_repeat"] for point in distilled(make("pea", *in_file))].count("2") == 1
    for asked in ((*said, "sps_repeat=all,1,auto"), in_file):
        ranges = make("pea", *asked, "--search", "tpe", "--trials", "2")["search"]["ranges"]
        # What a sampler draws from is what points have, or it would not know them again.
        assert next(found["values"] for found in ranges if found["name"] == "sps_repeat") == ["2", "1"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--layers", "3"), "A student of 6 logical layers cannot be laid onto a teacher of 4"),
        (("--layers", "2", "--set", "sps_repeat=1", "--set", "layers=skip"), "no multiple of the student's 3 logical"),
        (("--layers", "2", "--set", "ptp_schedule_epochs=2"), "would end the schedule before ptp_epochs=4 do"),
        (("--layers", "2", "--set", "sps_repeat=0"), "sps_repeat=0 is unknown; choose one of auto, all, 1, 2"),
        (("--layers", "2", "--set", "schedule_epochs=3"), "ends the schedule before epochs=5 do"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(UserError, match=why):
        make("pea", "--trials", "1", *arguments)


def test_the_published_recipe(make: Any) -> None:
    planned = make("ptp", "--layers", "3", "--recipe", "published", "--trials", "2")
    first = distilled(planned)[0]
    assert first["origin"] == "published"
    assert {name: first["params"][name] for name in ("t", "t2", "then", "layers", "reduction", "lr")} == {
        "t": 0.95,
        "t2": 0.7,
        "then": "pkd",
        "layers": "skip",
        "reduction": "mean",
        "lr": 2e-5,
    }
    pretrain, train = (one.training for one in steps.stages_of(planned, first))
    assert (pretrain.epochs, pretrain.schedule_epochs) == (4, 6)
    assert (train.epochs, train.schedule_epochs, train.optimizer) == (5, 6, "bertadam")
    assert steps.words(planned, first) == (
        "Stages: pretrain (4 epochs of a schedule for 6 at 2e-05, judged by its loss on dev, best weights kept), then "
        "train (5 epochs of a schedule for 6)."
    )
    baseline = next(point for point in planned["points"] if point["origin"] == "baseline")
    own = Training(**{**planned["training"], **baseline["training"]})
    assert (own.epochs, own.schedule_epochs, own.optimizer) == (5, 0, "adamw")
    with pytest.raises(UserError, match="no published row for task cola with 2 layers"):
        make("pea", "--layers", "2", "--recipe", "published")
