"""The teacher's filters as an artifact of its side: what decides their key, and that the teacher stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from distill import given, methods
from distill.artifacts import SEAL, Store, key_of
from distill.errors import UserError
from distill.methods.base import Shape
from distill.models.filters import Filters
from distill.tasks import registry
from distill.tasks import tokens as rows
from distill.teacher import beside
from distill.teacher.beside import Side
from distill.training.loop import Diverged
from distill.training.settings import Numerics, Training
from tests.distill import tiny

TED = methods.get("ted")
STUDENT, TEACHER = Shape(2, 12, 2), Shape(4, 16, 2)


@pytest.fixture
def side(tmp_path: Path) -> Side:
    tiny.classifier(layers=4, seed=1).save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    folder = rows.prepare(Store(tmp_path / "store"), tiny.data(), tmp_path / "model", 32)
    training = Training(epochs=3, batch_size=8, max_length=32).as_dict()
    numerics = Numerics().as_dict()
    return Side(str(tmp_path / "model"), "teacher", str(folder), "cola", training, 1e-3, 0, numerics)


def inputs(side: Side, student: Shape = STUDENT, **values: Any) -> dict[str, Any]:
    return beside.identity(TED, TED.resolve(values, "modern"), "modern", student, TEACHER, side)


@pytest.mark.parametrize(
    ("student", "values"),
    [
        (STUDENT, {"kl_alpha": 0}),
        (STUDENT, {"mse_alpha": 1, "lr": 1e-3, "finetune_epochs": 9, "filter_lr": 1e-3}),
        # A student of another width with as many layers, and one whose own interval settles the teacher's alike.
        (Shape(2, 48, 4), {}),
        (Shape(4, 12, 2), {"filter_interval": 2}),
        (STUDENT, {"teacher_interval": 2, "filter_output_dim": 16}),
    ],
)
def test_one_for_all_that_settle_alike(side: Side, student: Shape, values: dict[str, Any]) -> None:
    assert key_of(inputs(side, student, **values)) == key_of(inputs(side))
    assert key_of(inputs(replace(side, model="elsewhere"))) == key_of(inputs(side))


def test_numbers_that_the_teachers_own_training_has_too_are_one(side: Side, tmp_path: Path) -> None:
    named: dict[str, Any] = {"teacher_filter_epochs": 3, "teacher_filter_batch": 8, "teacher_filter_lr": 1e-3}
    assert inputs(side, **named) == inputs(side)
    shorter: dict[str, Any] = {**named, "teacher_filter_epochs": 1, "teacher_filter_lr": 1e-4}
    other = replace(side, lr=1e-4, training={**side.training, "epochs": 1})
    assert inputs(side, **shorter) == inputs(other)
    found, same = (
        beside.carried(beside.make(Store(tmp_path / place), inputs(one, **values), TED, one))
        for place, one, values in (("a", side, shorter), ("b", other, {}))
    )
    assert all(torch.equal(value, same[name]) for name, value in found.items())


@pytest.mark.parametrize(
    "values",
    [
        {"filter_interval": 2},
        {"filter_output_dim": 8},
        {"filter_nonlinear": True},
        {"teacher_filter_epochs": 1},
        {"teacher_filter_lr": 1e-4},
        {"teacher_filter_batch": 4},
    ],
)
def test_what_is_trained_otherwise_is_another(side: Side, values: dict[str, Any]) -> None:
    assert key_of(inputs(side, **values)) != key_of(inputs(side))


@pytest.mark.parametrize(
    "changed",
    [
        *({"content": "x"}, {"seed": 1}, {"lr": 1e-4}, {"rows": "x"}, {"task": "rte"}),
        # As what a trial computes is another's with other threads.
        *({"numerics": {**Numerics().as_dict(), **how}} for how in ({"threads": 4}, {"autocast": "bfloat16"})),
    ],
)
def test_so_is_one_of_another_teacher(side: Side, changed: dict[str, Any]) -> None:
    assert key_of(inputs(replace(side, **changed))) != key_of(inputs(side))


def test_filters_learn_the_task_and_the_teacher_stays(side: Side, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    told: list[Any] = []
    folder = beside.make(store, inputs(side), TED, side, told.append)
    assert [evaluation.stage for evaluation in told] == ["teacher-filters"] * 3
    assert told[-1].terms["filtered"] < told[0].terms["filtered"]
    found = beside.carried(folder)
    expected = TED.on_teacher.shapes(TED.resolve({}, "modern"), STUDENT, TEACHER)  # type: ignore[union-attr]
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        f"teacher.{name}": shape for name, shape in expected["teacher_filters"].items()
    }
    Filters(2, 16, 16).load_state_dict({k.removeprefix("teacher.filters."): v for k, v in found.items()})
    # Made once, and the same wherever it is made.
    assert beside.make(store, inputs(side), TED, side) == folder
    again = beside.carried(beside.make(Store(tmp_path / "other"), inputs(side), TED, side))
    assert all(torch.equal(value, found[name]) for name, value in again.items())


def test_what_is_not_finite_is_said(side: Side, tmp_path: Path) -> None:
    wild = replace(side, lr=1e30, training={**side.training, "clip": 0.0, "warmup": 0.0})
    folder = beside.make(Store(tmp_path / "store"), inputs(wild), TED, wild)
    with pytest.raises(Diverged, match="of stage teacher-filters"):
        beside.carried(folder)


def test_given_filters(side: Side, tmp_path: Path) -> None:
    folder = beside.make(Store(tmp_path / "store"), inputs(side, teacher_filter_epochs=1), TED, side)
    fit = given.Fit(STUDENT, TEACHER, "bert", "bert", len(tiny.VOCABULARY), registry.get("cola"))
    fits = (TED, TED.resolve({}, "modern"), fit)
    found = given.check(given.TEACHER, str(folder), *fits)
    assert found["path"] == str(folder)
    assert given.carried({given.TEACHER: found["path"]}).keys() == beside.carried(folder).keys()

    def refused(what: str, path: Path, fit: given.Fit = fit, **values: Any) -> str:
        with pytest.raises(UserError) as error:
            given.check(what, str(path), TED, TED.resolve(values, "modern"), fit)
        assert "\n" not in str(error.value)
        assert str(error.value).endswith(".")
        assert str(error.value).startswith(f"--{what.replace('_', '-')} {path}")
        return str(error.value)

    assert "does not exist" in refused(given.TEACHER, tmp_path / "nowhere")
    assert SEAL in refused(given.TEACHER, tmp_path)
    assert "is a teacher-stage, not a stage" in refused(given.STUDENT, folder)
    assert "16 × 16, and 8 × 16 is needed" in refused(given.TEACHER, folder, filter_output_dim=8)
    assert "has no filters.filters.0.2" in refused(given.TEACHER, folder, filter_nonlinear=True)
    assert "holds 4 tensors, and this sweep needs 2" in refused(given.TEACHER, folder, filter_interval=2)
    assert "was trained on cola, not on rte" in refused(given.TEACHER, folder, replace(fit, task=registry.get("rte")))
    kinds = "is of a teacher with type and number of token ids ['bert', "
    assert kinds in refused(given.TEACHER, folder, replace(fit, teacher_type="roberta"))
    assert kinds in refused(given.TEACHER, folder, replace(fit, vocabulary=9))
    # Read through another head, an encoder is the same.
    read = replace(fit, teacher_type="bert-relu-head", student_type="roberta")
    assert given.check(given.TEACHER, str(folder), TED, TED.resolve({}, "modern"), read) == found
    (folder / "left.pt").write_bytes(b"other")
    assert "damaged: left.pt" in refused(given.TEACHER, folder)
    (folder / "left.pt").unlink()
    assert "damaged: left.pt" in refused(given.TEACHER, folder)
    folder = beside.make(Store(tmp_path / "fresh"), inputs(side, teacher_filter_epochs=1), TED, side)
    with pytest.raises(UserError, match="made by ted, not by lwd"):
        given.check(given.TEACHER, str(folder), replace(TED, name="lwd"), *fits[1:])
    with pytest.raises(UserError, match="EMD has no filters"):
        given.idle(methods.get("emd"), {given.TEACHER: "x"})
    with pytest.raises(UserError, match=r"--set teacher_filter_lr plays no part beside --teacher-filters; leave"):
        given.refuse_idle(TED, {given.TEACHER: "x"}, {"teacher_filter_lr": [1.0]}, "--set ")
    assert given.idle(TED, {given.STUDENT: "x", given.TEACHER: None}) == {"finetune_epochs": 0, "filter_epochs": 0}
