"""`--metric`: what it changes in plan, hashes and artifacts, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import search_spaces
from distill import methods
from distill.errors import UserError
from distill.published import metric_of
from distill.tasks import registry
from distill.tasks.judged import judged_by
from distill.tasks.planned import task_of
from tests.distill import tiny
from trainables import plan, stages
from trainables.config import SweepConfig, from_namespace
from trainables.judging import judged
from trainables.models import Models
from trainables.options import parser
from trainables.prepare import load_data, teacher_order
from trainables.resources import Machine


@pytest.fixture
def make(tiny_encoder: Path, tiny_data: Path) -> Any:
    """Headers on the tiny models, with one point."""

    def planned(*arguments: str) -> dict[str, Any]:
        typed = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--layers", "4", "--trials", "1"]
        typed += arguments
        return plan.make(from_namespace(vars(parser().parse_args(typed)), typed), Machine(4, 0, True))

    return planned


def hashes(header: dict[str, Any]) -> list[str]:
    return [point["hash"] for point in header["plan"]["points"]]


def test_the_plan_has_it_and_everyone_who_asks_the_plan_for_its_task(make: Any) -> None:
    header = make("--metric", "accuracy")
    planned = header["plan"]
    assert (planned["metric"], planned["metric_title"], header["config"]["metric"]) == ("accuracy",) * 3
    assert task_of(planned) == judged_by(registry.get("cola"), "accuracy")
    assert load_data(header["config"], planned).task == task_of(planned)
    told = "Accuracy chooses epochs and points, as --metric asks; Matthews correlation stands beside it."
    assert told in planned["notices"]


def test_points_and_teacher_are_others_and_those_without_it_stay_as_they_were(make: Any) -> None:
    usual, own, other = make(), make("--metric", "mcc"), make("--metric", "accuracy")
    assert hashes(own) == hashes(usual)
    assert not set(hashes(other)) & set(hashes(usual))
    assert usual["plan"]["notices"] == own["plan"]["notices"]
    data = load_data(usual["config"], usual["plan"])
    keys = [teacher_order(header["plan"], data).key() for header in (usual, own, other)]
    assert keys[0] == keys[1] != keys[2]


def test_what_does_not_judge_the_task_is_refused_before_anything_is_looked_for(make: Any) -> None:
    with pytest.raises(
        UserError, match=r"^--metric pearson does not judge cola, which has 2 labels; choose one of mcc"
    ):
        make("--metric", "pearson", "--teacher", "/nowhere")


def test_stages_that_keep_the_best_metric_are_others_and_those_judged_by_their_loss_are_not() -> None:
    shape = {"layers": 2, "hidden_size": 16, "heads": 2, "sharing": None}
    common = {
        "task": "cola",
        "recipe": "modern",
        "layers": 2,
        "training": {},
        "numerics": {"device": "cpu"},
        "teacher_source": {"kind": "online", "needs": [], "reason": ""},
        "student": {**shape, "kept": [1, 2], "path": None, "init": "pretrained"},
        "teacher": {**shape, "layers": 4},
    }
    chains = {}
    for name in ("ted", "tinybert"):
        point = {"method": name, "params": methods.get(name).resolve({"lr": 1e-4}, "modern", layers=2), "seed": 0}
        for metric in ("mcc", "accuracy"):
            chains[name, metric] = stages.identities({**common, "metric": metric}, point, {"student": "a"})
    assert chains["tinybert", "mcc"] == chains["tinybert", "accuracy"]
    assert chains["ted", "accuracy"] == [{**found, "metric": "accuracy"} for found in chains["ted", "mcc"]]


@pytest.mark.parametrize(
    ("name", "task", "metric"),
    [
        ("ted", "mrpc", "f1"),
        ("lwd", "qqp", "f1"),
        ("ted", "stsb", "spearman"),
        ("ted", "rte", None),
        ("emd", "mrpc", None),
    ],
)
def test_published_metrics(name: str, task: str, metric: str | None) -> None:
    space, known = search_spaces.load(name), registry.get(task)
    assert metric_of(space, "published", known) == metric
    assert metric_of(space, "modern", known) is None
    shown = search_spaces.SearchSpace.from_dict(space.to_dict(), strict=True)
    assert shown.rows == space.rows


def of_task(name: str) -> Models:
    data = tiny.data(name)
    return Models(data.task, data, None, "local", "tiny", "local", ())  # type: ignore[arg-type]


def test_the_published_recipe_of_ted_judges_as_its_program_does_unless_a_person_says_otherwise() -> None:
    method = methods.get("ted")
    found = judged(of_task("mrpc"), SweepConfig(method="ted", task="mrpc", recipe="published"), method)
    assert (found.task.metric, found.task.also) == ("f1", ("accuracy", "accuracy_f1"))
    assert found.data.task is found.task
    assert found.notices == ("F1 chooses epochs and points, as TED was published; accuracy stands beside it.",)
    asked = SweepConfig(method="ted", task="mrpc", recipe="published", metric="accuracy")
    assert judged(of_task("mrpc"), asked, method).task == registry.get("mrpc")
    assert judged(of_task("mrpc"), SweepConfig(method="ted", task="mrpc"), method).task == registry.get("mrpc")
