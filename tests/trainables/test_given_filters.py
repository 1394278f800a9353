"""Ready filters in the plan of a sweep and where its points are born later: no network is trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from distill import given, methods
from distill.artifacts import Store
from distill.errors import UserError
from tests.trainables.test_family import ask
from trainables import family, plan
from trainables.config import from_namespace
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
def ready(header: Any, tmp_path: Path) -> Any:
    """Folders such as those of the store, which fit that plan but for what is changed in their facts."""

    def make(what: str, **changed: Any) -> str:
        planned = header()["plan"]
        student, teacher = shape_of(planned["student"]), shape_of(planned["teacher"])
        assert TED.on_teacher is not None
        shapes = TED.on_teacher.shapes(TED.resolve({}, "modern"), student, teacher)[what]
        kind, prefix = _KINDS[what]

        def fill(folder: Path) -> dict[str, Any]:
            left = {prefix + name: torch.full(shape, 0.5) for name, shape in shapes.items()}
            for name in ("left.pt", "weights.pt"):
                torch.save(left, folder / name)
            own = [student.layers, student.hidden_size, student.heads, 2]
            facts = {"method": "ted", "task": "cola", "failure": None, "student": own}
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


def test_of_several_methods_those_with_filters_take_them(ask: Any, ready: Any) -> None:
    named = ("--teacher-filters", ready(given.TEACHER), f"--student-filters={ready(given.STUDENT)}")
    headers = family.plan_family(ask("--method", "ft,ted,lwd", "--layers", "2", *named)).headers
    assert {name for name, header in headers.items() if "given" in header["plan"]} == {"ted"}
    assert set(headers["ted"]["plan"]["given"]) == {given.TEACHER, given.STUDENT}
    told = {name: [word for word in header["command"] if "-filters" in word] for name, header in headers.items()}
    assert {name: len(words) for name, words in told.items()} == {"ft": 0, "ted": 2, "lwd": 0}
    with pytest.raises(UserError, match=r"^--teacher-filters plays no part: none of ft and lwd has filters; leave"):
        family.plan_family(ask("--method", "ft,lwd", "--layers", "2", *named))
