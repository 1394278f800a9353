"""Ready filters in the plan of a sweep and where its points are born later: no network is trained here."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from distill import given, methods
from distill.artifacts import SEAL, Store, hash_file
from distill.errors import UserError
from distill.methods.base import Shape
from distill.models.folder import EncoderFolder, encoder_facts, inspect
from distill.tasks import registry
from distill.teacher import choose
from tests.trainables.test_family import ask
from trainables import door_trial, family, plan, prepare
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.growth import grow
from trainables.recorder import Recorder
from trainables.resources import Machine
from trainables.shapes import shape_of

__all__ = ["ask"]

TED = methods.get("ted")
_KINDS = {given.TEACHER: ("teacher-stage", "teacher."), given.STUDENT: ("stage", "")}


@pytest.fixture
def header(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> Any:
    def make(**more: Any) -> dict[str, Any]:
        values = {"method": "ted", "layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), **more}
        values["artifacts"] = str(tmp_path / "store")
        return plan.make(from_namespace(values, []), Machine(2, 0, False))

    return make


@pytest.fixture
def ready(header: Any, tiny_encoder: Path, tmp_path: Path) -> Any:
    """Folders such as those of the store, which fit that plan but for what is changed in their facts."""

    def make(what: str, **changed: Any) -> str:
        planned = header()["plan"]
        student, teacher = shape_of(planned["student"]), shape_of(planned["teacher"])
        assert TED.on_teacher is not None
        shapes = TED.on_teacher.shapes(TED.resolve({}, "modern"), student, teacher)[what]
        kind, prefix = _KINDS[what]
        encoder = encoder_facts("bert", inspect(tiny_encoder, "--teacher").vocabulary)

        def fill(folder: Path) -> dict[str, Any]:
            left = {prefix + name: torch.full(shape, 0.5) for name, shape in shapes.items()}
            for name in ("left.pt", "weights.pt"):
                torch.save(left, folder / name)
            own = [student.layers, student.hidden_size, student.heads, 2]
            stage = {given.TEACHER: "teacher-filters", given.STUDENT: "student-filters"}[what]
            facts = {
                "method": "ted",
                "stage": stage,
                "task": "cola",
                "failure": None,
                "student": own,
                "encoder": encoder,
            }
            return {**facts, "left": {name: list(value.shape) for name, value in left.items()}, **changed}

        return str(Store(tmp_path / "ready").build(kind, {"what": what, **changed}, fill))

    return make


def numbers(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [point["params"] for point in points if point["origin"] != "baseline"]


@pytest.mark.parametrize("given_too", [(given.TEACHER,), (given.STUDENT,), (given.TEACHER, given.STUDENT)])
def test_more_of_a_grid_with_ready_filters(header: Any, ready: Any, tmp_path: Path, given_too: Any) -> None:
    folders = {what: ready(what) for what in given_too}
    small = Recorder.create(tmp_path / "s", header(trials=3, **folders))
    added = grow(small.record, trials=6)
    larger = header(trials=6, **folders)["plan"]["points"]
    assert numbers(small.record.plan["points"]) + numbers(added) == numbers(larger)
    assert all(point["params"][name] == 0 for point in added for name in given.idle(TED, folders))
    assert {point["hash"] for point in [*small.record.plan["points"], *added]} == {p["hash"] for p in larger}
    small.close()


def test_a_session_that_finds_other_filters_ends_at_once(header: Any, ready: Any, monkeypatch: Any) -> None:
    planned = header(teacher_filters=ready(given.TEACHER))
    monkeypatch.setattr(prepare, "make_room", lambda *how: None)
    monkeypatch.setattr(prepare, "make_teacher", lambda *how: pytest.fail("something is made"))
    folder = Path(planned["plan"]["given"][given.TEACHER]["path"])
    Path(ready(given.TEACHER, terms={})).rename(folder.with_name("other"))
    folder.rename(folder.with_name("old"))
    (folder.with_name("other") / "left.pt").write_bytes(b"other weights")
    seal = json.loads((folder.with_name("other") / SEAL).read_text())
    seal["files"]["left.pt"] = hash_file(folder.with_name("other") / "left.pt")
    (folder.with_name("other") / SEAL).write_text(json.dumps(seal))
    folder.with_name("other").rename(folder)
    with pytest.raises(UserError, match=r"^--teacher-filters .* holds other files than when the sweep was planned"):
        prepare.prepare(planned, None, print)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", [given.TEACHER, given.STUDENT])
def test_a_point_that_takes_nothing_of_what_is_given_is_the_same_without(header: Any, ready: Any, what: str) -> None:
    """So that sweeps with and without it have one undistilled student."""

    def hashes(**more: Any) -> dict[str, str]:
        points = header(set=["mse_alpha=0,10", "kl_alpha=5"], **more)["plan"]["points"]
        return {"ft" if p["method"] == "ft" else str(p["params"]["mse_alpha"]): p["hash"] for p in points}

    plain, brought = hashes(), hashes(**{what: ready(what)})
    assert plain.keys() == brought.keys() == {"ft", "0.0", "10.0"}
    # Without distances the teacher's filters play no part, but a student is begun with all the same.
    same = {"ft", "0.0"} if what == given.TEACHER else {"ft"}
    assert {name for name in plain if plain[name] == brought[name]} == same


def test_of_several_methods_those_with_filters_take_them(ask: Any, ready: Any) -> None:
    named = ("--teacher-filters", ready(given.TEACHER), f"--student-filters={ready(given.STUDENT)}")
    headers = family.plan_family(ask("--method", "ft,ted,lwd", "--layers", "2", *named)).headers
    assert {name for name, header in headers.items() if "given" in header["plan"]} == {"ted"}
    assert set(headers["ted"]["plan"]["given"]) == {given.TEACHER, given.STUDENT}
    told = {name: [word for word in header["command"] if "-filters" in word] for name, header in headers.items()}
    assert {name: len(words) for name, words in told.items()} == {"ft": 0, "ted": 2, "lwd": 0}
    with pytest.raises(UserError, match=r"^--teacher-filters plays no part: none of ft and lwd has filters; leave"):
        family.plan_family(ask("--method", "ft,lwd", "--layers", "2", *named))


@pytest.mark.parametrize(
    ("what", "changed", "words"),
    [
        (given.TEACHER, {"task": "rte"}, "was trained on rte, not on cola"),
        (given.STUDENT, {"task": "rte"}, "was trained on rte, not on cola"),
        (given.STUDENT, {"encoder": ["roberta", 50265]}, "is of a student with type and number of token ids"),
        (given.TEACHER, {"encoder": ["bert", 7]}, "is of a teacher with type and number of token ids"),
    ],
)
def test_filters_of_another_task_or_architecture_are_refused(
    header: Any, ready: Any, what: str, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as error:
        header(**{what: ready(what, **changed)})
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("filter_nonlinear", "true", "has no filters.filters.0.2.weight"),
        ("filter_output_dim", "8", "and 8 × "),
        ("filter_interval", "2", "holds 4 tensors, and this sweep needs 2"),
        ("teacher_filter_lr", "1e-3", "--set teacher_filter_lr plays no part beside --teacher-filters"),
    ],
)
def test_a_point_that_is_added_must_fit_them_too(
    header: Any, ready: Any, tmp_path: Path, name: str, value: str, words: str
) -> None:
    folder = ready(given.TEACHER)
    small = Recorder.create(tmp_path / "s", header(trials=2, teacher_filters=folder))
    with pytest.raises(UserError) as error:
        grow(small.record, settings={name: [value]})
    assert words in str(error.value)
    small.close()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"filter_nonlinear": True}, "has no filters.filters.0.2.weight"),
        ({"filter_output_dim": 8}, "and 8 × "),
        ({"teacher_filter_epochs": 2}, "teacher_filter_epochs plays no part beside --teacher-filters"),
    ],
)
def test_so_must_a_trial_of_a_persons_own_tuner(header: Any, ready: Any, config: dict[str, Any], words: str) -> None:
    plan_ = header()["plan"]
    spec = {
        **{
            "method": "ted",
            "task": "cola",
            "metric": "mcc",
            "recipe": "modern",
            "seed": 0,
            "training": plan_["training"],
        },
        "params": {"teacher_filter_epochs": 0},
        "student_shape": list(astuple(shape_of(plan_["student"]))),
        "teacher_shape": list(astuple(shape_of(plan_["teacher"]))),
        "given": {given.TEACHER: ready(given.TEACHER)},
    }
    assert door_trial.settle(spec, {"kl_alpha": 5}).params["teacher_filter_epochs"] == 0
    with pytest.raises(UserError) as error:
        door_trial.settle(spec, config)
    assert words in str(error.value)


def test_layers_that_run_twice_count_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are settled by them, wherever a network's shape is needed."""
    kind, seen = "bert-shared-layers", []
    folder = EncoderFolder(Path("x"), kind, 4, 32, 4, 100, 64, 0, ("share", 2))
    monkeypatch.setattr(given, "check", lambda *arguments: seen.append(arguments[-1]) or {})
    student = {"layers": 2, "hidden_size": 32, "heads": 4, "sharing": {"mode": "share", "repeated": 1}}
    models: Any = SimpleNamespace(teacher=folder, task=registry.get("cola"))
    points = [{"method": "ted", "params": TED.resolve({}, "modern")}]
    plan._given({given.TEACHER: "x"}, TED, points, {**student, "model_type": kind}, models)
    (fit,) = seen
    assert (fit.student, fit.teacher) == (Shape(3, 32, 4, 1), Shape(6, 32, 4, 2))
    assert (fit.student_type, fit.teacher_type, fit.vocabulary) == (kind, kind, 100)
    assert choose._shape(folder) == fit.teacher


def test_the_plan_names_them_and_where_the_student_comes_from(header: Any, ready: Any) -> None:
    student, teacher = ready(given.STUDENT), ready(given.TEACHER)

    def lines(**more: Any) -> list[str]:
        return [line for line in describe(header(trials=2, **more)) if line.startswith(("Student: ", "Teacher's fil"))]

    cut = "layers 2, 4 of the pretrained encoder"
    assert lines() == [f"Student: {cut}, 2 layers × 32."]
    own = f"Student: weights and filters of stage student-filters in {student}, 2 layers × 32"
    assert lines(student_filters=student, teacher_filters=teacher) == [
        f"{own}; the undistilled one begins with {cut}.",
        f"Teacher's filters: those in {teacher}; none are trained here.",
    ]
    assert lines(student_filters=student, baseline=False) == [f"{own}."]


def test_filters_that_no_point_takes_are_refused(header: Any, ready: Any) -> None:
    folder = ready(given.TEACHER)
    with pytest.raises(UserError) as error:
        header(set=["mse_alpha=0"], teacher_filters=folder)
    assert str(error.value).startswith(
        f"--teacher-filters {folder} plays no part: no layers are compared (mse_alpha=0)"
    )
    # A student is begun with all the same.
    assert header(set=["mse_alpha=0"], student_filters=ready(given.STUDENT))["plan"]["given"]


def test_a_folder_of_another_stage_or_size_is_called_so(header: Any, ready: Any) -> None:
    other = ready(given.STUDENT, stage="finetune", left={})
    with pytest.raises(UserError) as error:
        header(student_filters=other)
    assert str(error.value) == (
        f"--student-filters {other} is stage finetune, not student-filters; name a folder of that stage."
    )
    with pytest.raises(UserError, match=r"holds a student of 2 layers, and this sweep's has 3 layers; name another"):
        header(layers=3, student_filters=ready(given.STUDENT))
    narrow = ready(given.STUDENT, student=[2, 16, 2, 2])
    with pytest.raises(
        UserError, match=r"a student of 16 features, 2 heads, and this sweep's has 32 features, 4 heads;"
    ):
        header(student_filters=narrow)
