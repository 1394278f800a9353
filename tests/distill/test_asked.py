"""Numbers of `distill.run` in the published recipe: those of a sweep's row, and a person's before them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import distill
import search_spaces
from distill import methods
from distill.asked import settle
from distill.errors import UserError
from distill.tasks import registry
from distill.training.settings import Training
from tests.distill import tiny
from trainables import points
from trainables.config import SweepConfig

PUBLISHED = [name for name in search_spaces.methods() if methods.get(name).published is not None]


def asked(method: str, task: str, layers: int, training: Training | None = None, **params: Any) -> Any:
    found = settle(methods.get(method), "published", registry.get(task), params, training, {}, [])
    return found.with_row("published", registry.get(task), layers)


def swept(method: str, task: str, layers: int) -> Any:
    """The first point of a sweep, and its training."""
    config = SweepConfig(method=method, task=task, layers=layers, recipe="published")
    found, space = methods.get(method), search_spaces.load(method)
    row = space.rows[0]
    usual = next((int(r.training["epochs"]) for r in space.rows if r.task == row.task and "epochs" in r.training), None)
    known = registry.get(task)
    values, training = points.split_settings(config, found, known, usual)
    made = points.make_points(config, found, space, known, layers, values, training, 1, 768)
    return points.split(made.points[0]["params"], training)


@pytest.mark.parametrize("method", PUBLISHED)
def test_they_are_those_of_the_first_point_of_a_sweep(method: str) -> None:
    space = search_spaces.load(method)
    if not space.rows:
        assert asked(method, "cola", 4)[0] == methods.get(method).resolve({}, "published")
        return
    row = space.rows[0]
    task = next(one for name in registry.names() if (one := registry.get(name)).published_as == row.task)
    values, training = asked(method, task.name, row.layers)
    assert (values, training) == swept(method, task.name, row.layers)
    assert {name: value for name, value in values.items() if name in row.values} == {
        name: value for name, value in row.values.items() if name in values
    }


def test_what_a_person_gives_goes_before_the_row() -> None:
    row = search_spaces.load("lad").row("sst2", 6)
    assert row is not None
    values, training = asked("lad", "sst2", 6, lr=1e-5, epochs=2)
    assert (values["lr"], values["gate_lr"]) == (1e-5, row.values["gate_lr"])
    assert (training.epochs, training.warmup) == (2, row.training["warmup"])
    # TinyBERT has an axis of batch sizes, which are no values of the method.
    assert asked("tinybert", "cola", 4)[1].batch_size == search_spaces.load("tinybert").axis("batch_size").default
    assert asked("tinybert", "cola", 4, batch_size=7)[1].batch_size == 7
    assert asked("tinybert", "cola", 4, training=Training(batch_size=9))[1].batch_size == 9


@pytest.mark.parametrize("method", ["ted", "lwd"])
@pytest.mark.parametrize("task", ["squad2", "span-made-up"])
def test_texts_are_read_at_the_length_of_their_kind(method: str, task: str) -> None:
    """Not at the recipe's for pairs and single sentences, where no row says either."""
    layers = next(row.layers for row in search_spaces.load(method).rows if row.task == "squad2")
    found, config = registry.get(task), SweepConfig(method=method, task=task, recipe="published")
    values = points.split_settings(config, methods.get(method), found)
    assert values[1].max_length == asked(method, task, layers)[1].max_length == 384
    published = points.published_of(config, methods.get(method), found)
    assert published is not None
    assert published.teacher["max_length"] == 384
    assert asked(method, "cola-made-up", layers)[1].max_length == 256
    own = settle(methods.get(method), "published", found, {"max_length": 64}, None, {}, [])
    assert own.with_row("published", found, layers)[1].max_length == 64


@pytest.mark.parametrize(("task", "layers"), [("stsb", 6), ("cola", 6), ("rte", 4)])
def test_without_a_row_it_is_refused_as_in_a_sweep(task: str, layers: int) -> None:
    words = rf"^recipe published: LAD has no published row for task {task} with {layers} layers .*; choose a published"
    with pytest.raises(UserError, match=words):
        asked("lad", task, layers)
    # In the modern recipe there is none to ask for, and made-up data has none.
    modern = settle(methods.get("lad"), "modern", registry.get(task), {}, None, {}, [])
    assert modern.with_row("modern", registry.get(task), layers)
    assert asked("lad", "cola-made-up", layers)[0] == methods.get("lad").resolve({}, "published")


def test_a_run_is_refused_before_a_teacher_is_trained(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="recipe published: LAD has no published row for task stsb with 2 layers"):
        distill.run(encoder, 2, "lad", tiny.data("stsb"), recipe="published", artifacts=tmp_path / "store")
    assert not (tmp_path / "store").exists()
