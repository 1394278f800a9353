"""`--adaptors`, and what the plan says of parameters that no step trains. No torch, no Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from distill.errors import UserError
from distill.methods.adaptors import ADAPTORS
from trainables import plan
from trainables.config import SweepConfig, from_namespace
from trainables.options import parser
from trainables.resources import Machine


def asked(*arguments: str) -> SweepConfig:
    return from_namespace(vars(parser().parse_args(list(arguments))), list(arguments))


def weights(**on: float) -> dict[str, list[float]]:
    return {name: [on.get(name, 0.0)] for name in ADAPTORS}


@pytest.fixture
def make(tiny_encoder: Path, tiny_data: Path) -> Any:
    def planned(*arguments: str) -> dict[str, Any]:
        typed = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), *arguments]
        header = plan.make(from_namespace(vars(parser().parse_args(typed)), typed), Machine(4, 0, True))
        return dict(header["plan"])

    return planned


@pytest.mark.parametrize("method", ["mixstep", "twostep"])
def test_it_is_short_for_all_eight_weights(method: str) -> None:
    found = asked("--method", method, "--adaptors", "AttnMiniLM, ValMiniLM:2,LogitMSE:0.5", "--set", "lr=1e-4,1e-3")
    expected = weights(AttnMiniLM=1.0, ValMiniLM=2.0, LogitMSE=0.5)
    assert found.settings == {"lr": ["1e-4", "1e-3"], **expected}


def test_a_file_may_have_it_and_what_is_typed_counts(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    for listed in ("HidnPKD:3,LogitCE", ["HidnPKD:3", "LogitCE"]):
        file.write_text(yaml.safe_dump({"method": "mixstep", "adaptors": listed}))
        assert asked("--config", str(file)).settings == weights(HidnPKD=3.0, LogitCE=1.0)
    assert asked("--config", str(file), "--adaptors", "LogitMSE").settings == weights(LogitMSE=1.0)
    typed = asked("--config", str(file), "--set", "HidnPKD=1,2").settings
    assert typed == {**weights(LogitCE=1.0), "HidnPKD": ["1", "2"]}
    file.write_text(yaml.safe_dump({"method": "mixstep", "set": {"HidnPKD": 7, "tau": 2}}))
    assert asked("--config", str(file), "--adaptors", "LogitMSE").settings == {"tau": [2], **weights(LogitMSE=1.0)}
    file.write_text("method: mixstep\nadaptors:\n")
    assert asked("--config", str(file)).settings == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "--method emd --adaptors LogitMSE",
            r"^--adaptors LogitMSE: --method emd has no adaptors; choose mixstep or tw",
        ),
        ("--adaptors LogitMSE", "--method emd has no adaptors"),
        ("--method mixstep --adaptors AttnMinLM", r"AttnMinLM is no adaptor; did you mean AttnMiniLM\?$"),
        ("--method mixstep --adaptors LogitMSE,", "an empty name is no adaptor"),
        ("--method mixstep --adaptors LogitMSE,LogitMSE:2", "names LogitMSE twice; name it once"),
        (
            "--method mixstep --adaptors LogitMSE:-1",
            "-1 is no weight of LogitMSE; write a number from 0",
        ),
        ("--method mixstep --adaptors LogitMSE:much", "much is no weight"),
        ("--method mixstep --adaptors LogitMSE:nan", "nan is no weight"),
        ("--method mixstep --adaptors LogitMSE:", "nothing is no weight"),
        ("--method mixstep --adaptors LogitMSE --set LogitMSE=1,2", "and --set LogitMSE sets one of them again; leave"),
        ("--method mixstep --adaptors LogitMSE --set HidnPKD=1", "and --set HidnPKD sets one of them again"),
    ],
)
def test_what_is_refused(arguments: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        asked(*arguments.split())
    assert str(refused.value).count("\n") == 0


def test_points_hold_all_weights_and_reproduce(make: Any, tmp_path: Path) -> None:
    how = ("--method", "mixstep", "--layers", "2", "--set", "lr=1e-4")
    (point,) = [p for p in make(*how, "--adaptors", "HidnTinyBERT:2,LogitMSE")["points"] if p["origin"] != "baseline"]
    assert {name: point["params"][name] for name in ADAPTORS} == {
        **dict.fromkeys(ADAPTORS, 0.0),
        "HidnTinyBERT": 2.0,
        "LogitMSE": 1.0,
    }
    file = tmp_path / "best.yaml"
    file.write_text(yaml.safe_dump({"method": "mixstep", "layers": 2, "set": point["params"]}))
    (again,) = [p for p in make("--config", str(file))["points"] if p["origin"] != "baseline"]
    assert again["params"] == point["params"]
    assert again["hash"] == point["hash"]


def test_parameters_that_no_step_trains_are_named(make: Any) -> None:
    def told(*arguments: str) -> list[str]:
        notices = make("--method", "twostep", "--layers", "2", *arguments)["notices"]
        return [notice for notice in notices if notice.startswith("No step trains")]

    only = ("--adaptors", "AttnMiniLM,ValMiniLM,LogitMSE")
    left = "layer 2 (attention.output, intermediate, output), pooler"
    said = f"No step trains these parameters of the student, which stay as they come: {left}."
    assert told("--recipe", "published", *only) == [said]
    assert told(*only) == []
    some = told(
        *only, "--set", "prediction_trains=auto,classifier", "--set", "lr=1e-4", "--set", "intermediate_epochs=6"
    )
    assert some == [said.replace("student,", "student in 1 of 2 points,")]
    assert told("--recipe", "published", "--adaptors", "HidnTinyBERT") == [said.replace(left, "pooler")]


def test_the_published_recipe_is_for_every_task_and_size(make: Any) -> None:
    planned = make("--method", "twostep", "--recipe", "published", "--layers", "3", "--trials", "1")
    training, teacher = planned["training"], planned["teacher"]
    assert (training["epochs"], training["batch_size"], training["max_length"]) == (10, 32, 128)
    assert (training["optimizer"], training["weight_decay"], training["clip"]) == ("adamw", 5e-5, 0.0)
    assert (training["flooding"], teacher["training"]["flooding"]) == (0.0, 0.1)
    assert (teacher["lr"], teacher["training"]["epochs"], teacher["keep"]) == (3e-5, 20, "best")
    assert {p["params"].get("prediction_trains") for p in planned["points"] if p["origin"] != "baseline"} == {
        "classifier"
    }


def test_one_point_that_cannot_be_run_is_refused_before_anything_starts(make: Any) -> None:
    with pytest.raises(UserError, match="Step 1 of twostep has nothing to learn"):
        make("--method", "twostep", "--layers", "2", "--adaptors", "LogitMSE")
