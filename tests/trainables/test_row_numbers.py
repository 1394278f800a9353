"""Training numbers that a published row has of its own, for the students and for the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import search_spaces
from distill import methods
from distill.errors import UserError
from distill.published import for_task, published_of, task_of
from distill.tasks import registry
from search_spaces import SearchSpace
from trainables import plan
from trainables.config import from_namespace
from trainables.resources import Machine

ROW = """method: ted
epochs: 9
axes: {{lr: [1e-4], kl_alpha: [20]}}
rows:
  - task: cola
    layers: 2
    values: {{lr: 1e-4}}
    training: {{{training}}}
    teacher: {{{teacher}}}
    source: made for a test
"""


@pytest.fixture
def planned(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> Any:
    def make(
        recipe: str,
        training: str = "epochs: 3, batch_size: 8, warmup_steps: 7",
        teacher: str = "lr: 3e-5, epochs: 2, warmup_steps: 4",
        **values: Any,
    ) -> dict[str, Any]:
        (tmp_path / "space.yaml").write_text(ROW.format(training=training, teacher=teacher))
        asked = {
            **{"method": "ted", "space": str(tmp_path / "space.yaml"), "layers": 2, "recipe": recipe},
            **{"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(tmp_path / "store")},
            **{"set": ["max_length=16"], "teacher_set": ["max_length=16"], **values},
        }
        found: dict[str, Any] = plan.make(from_namespace(asked, []), Machine(1, 0, False))["plan"]
        return found

    return make


def test_the_published_recipe_takes_them(planned: Any) -> None:
    found = planned("published")
    assert found["epochs"] == 3
    training = {name: found["training"][name] for name in ("epochs", "batch_size", "warmup_steps", "warmup", "clip")}
    assert training == {"epochs": 3, "batch_size": 8, "warmup_steps": 7, "warmup": 0.0, "clip": 0.0}
    teacher = found["teacher"]
    assert (teacher["lr"], teacher["training"]["epochs"], teacher["training"]["warmup_steps"]) == (3e-5, 2, 4)
    (baseline,) = [point for point in found["points"] if point["origin"] == "baseline"]
    assert (baseline["training"]["warmup_steps"], baseline["training"]["warmup"]) == (0, 0.1)


def test_a_teacher_trained_beyond_the_schedule_of_its_row(planned: Any) -> None:
    row = "lr: 7e-5, epochs: 3, schedule_epochs: 5"
    assert planned("published", teacher=row, teacher_epochs=5)["teacher"]["training"]["schedule_epochs"] == 5
    for longer in ({"teacher_epochs": 6}, {"teacher_set": ["max_length=16", "epochs=6"]}):
        with pytest.raises(UserError) as error:
            planned("published", teacher=row, **longer)
        assert str(error.value) == (
            "--teacher-set schedule_epochs=5 (a published recipe may have one) ends the schedule before epochs=6 do; "
            "schedule_epochs=0 makes it as long as they are."
        )
    found = planned("published", teacher=row, teacher_epochs=6, teacher_set=["max_length=16", "schedule_epochs=0"])[
        "teacher"
    ]["training"]
    assert (found["epochs"], found["schedule_epochs"]) == (6, 0)


def test_the_modern_recipe_and_a_person_do_not(planned: Any) -> None:
    found = planned("modern")
    assert (found["epochs"], found["training"]["warmup_steps"], found["teacher"]["lr"]) == (9, 0, 5e-5)
    asked = planned("published", set=["max_length=16", "warmup_steps=1"], epochs=1, teacher_lr=1e-3)
    assert (asked["epochs"], asked["training"]["warmup_steps"], asked["teacher"]["lr"]) == (1, 1, 1e-3)


def test_a_wrong_number_is_refused(planned: Any) -> None:
    with pytest.raises(UserError, match=r"unknown number epoch; did you mean epochs\?"):
        planned("published", training="epoch: 3")
    with pytest.raises(UserError, match="epochs=0 must be a whole number"):
        planned("published", training="epochs: 0")


@pytest.mark.parametrize("name", search_spaces.methods())
def test_what_ships_is_legal(name: str) -> None:
    space, method = search_spaces.load(name), methods.get(name)
    for task in (*space.tasks, None):
        if method.published is not None:
            for_task(method.published, space, task)
    assert SearchSpace.from_dict(space.to_dict(), strict=True) == space


@pytest.mark.parametrize("name", ["ted", "lwd"])
def test_rows_of_ted(name: str) -> None:
    """Batch, epochs, warm-up and rates of the scripts, for the students and the teacher."""
    found = published_of(methods.get(name), "published", registry.get("mnli"))
    assert found is not None
    assert {k: found.training[k] for k in ("batch_size", "epochs", "warmup_steps")} == {
        **{"batch_size": 64, "epochs": 3, "warmup_steps": 1500},
    }
    assert found.teacher["lr"] == 2e-5
    cola = published_of(methods.get(name), "published", task_of("cola"))
    assert cola is not None
    assert (cola.training["warmup_steps"], cola.teacher["warmup_steps"]) == (0, 100)
    rte = published_of(methods.get(name), "published", registry.get("rte"))
    assert rte is not None
    assert rte.training["dropout"] == rte.teacher["dropout"] == 0
    assert published_of(methods.get(name), "modern", registry.get("rte")) is None
    assert task_of("no such task") is None
    space = search_spaces.load(name)
    assert len(space.rows) == 9 * (1 if name == "ted" else 2)
