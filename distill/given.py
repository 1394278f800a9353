"""What a person gives in place of what would be trained: filters of the teacher, or a student with its filters.

Both are folders such as those of the store, with their seal. Imports without torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.artifacts import SEAL, hash_file, key_of
from distill.errors import UserError
from distill.methods.base import Method, Shape
from distill.models.folder import encoder_facts
from distill.tasks.base import Task
from distill.teacher import beside
from distill.training import stages

if TYPE_CHECKING:
    from torch import Tensor

    from distill.training.loop import Run

TEACHER, STUDENT = "teacher_filters", "student_filters"
_KINDS = {TEACHER: beside.KIND, STUDENT: stages.KIND}
_FILES = {TEACHER: (stages.LEFT,), STUDENT: (stages.LEFT, stages.WEIGHTS)}


def idle(method: Method, given: Mapping[str, str | None]) -> dict[str, int]:
    """Hyper-parameters that are 0 where something is given, because nothing is trained for it.

    Args:
        given: Folder by `TEACHER` or `STUDENT`; None where there is none.

    Raises:
        UserError: The method takes no such thing.
    """
    found: dict[str, int] = {}
    for what, folder in given.items():
        if folder is None:
            continue
        if method.on_teacher is None:
            raise UserError(f"{_flag(what)} plays no part: {method.title} has no filters; leave it out.")
        found.update(dict.fromkeys(method.on_teacher.idle[what], 0))
    return found


def refuse_idle(method: Method, given: Mapping[str, str | None], named: Mapping[str, Any], flag: str) -> None:
    """Raise UserError where a person also named a number of what is not trained then.

    Args:
        named: Values by the names of hyper-parameters, as a person gave them.
        flag: Put before such a name.
    """
    for what, folder in given.items():
        for name in idle(method, {what: folder}):
            stem = name.removesuffix("_epochs")
            for number in ("epochs", "lr", "batch"):
                if (wrong := f"{stem}_{number}") in named:
                    raise UserError(f"{flag}{wrong} plays no part beside {_flag(what)}; leave one of them out.")


def taken(method: Method, params: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Of what is given, the part by which a point's values are changed.

    The undistilled student takes nothing, and where layers are not compared the teacher's filters play no part.

    Args:
        params: The point's resolved values.
        given: Anything by `TEACHER` or `STUDENT`.
    """
    if method.on_teacher is None:
        return {}
    return {what: it for what, it in given.items() if what == STUDENT or method.taken_of_teacher(params) is not None}


@dataclass(frozen=True)
class Fit:
    """The networks and the task that what is given has to fit.

    Attributes:
        student, teacher: Layers that run twice count twice.
        student_type, teacher_type: Their `model_type`.
        vocabulary: Number of token ids of both.
    """

    student: Shape
    teacher: Shape
    student_type: str
    teacher_type: str
    vocabulary: int
    task: Task


def check(what: str, folder: str, method: Method, params: dict[str, Any], fit: Fit) -> dict[str, str]:
    """`path` and `content` (a hash) of what is given, which fits a point of the method.

    Args:
        what: `TEACHER` or `STUDENT`.
        params: The point's resolved values.
        fit: Networks and task of all points.

    Raises:
        UserError: There is no such folder, it is of another method or kind, damaged, or of another task, architecture
            or size.
    """
    flag, seal = f"{_flag(what)} {folder}", _seal(what, folder)
    facts = seal["facts"]
    if (found := facts.get("stage")) != (needed := _stage(what, method)):
        raise UserError(f"{flag} is stage {found}, not {needed}; name a folder of that stage.")
    if facts.get("method") != method.name:
        raise UserError(
            f"{flag} was made by {facts.get('method')}, not by {method.name}; name a folder of this method."
        )
    if facts.get("failure"):
        raise UserError(f"{flag} holds nothing, because its training failed ({facts['failure']}); name another.")
    if facts.get("task") != fit.task.name:
        raise UserError(f"{flag} was trained on {facts.get('task')}, not on {fit.task.name}; name another folder.")
    own = [fit.student.layers, fit.student.hidden_size, fit.student.heads, fit.task.num_labels]
    # First of sizes: with other layers there are other filters too.
    if what == STUDENT and (there := facts.get("student")) != own:
        raise UserError(
            f"{flag} holds a student of {_sizes(there, own)}, and this sweep's has {_sizes(own, there)}; name another "
            "folder, or another student."
        )
    check_sizes(what, folder, method, params, fit.student, fit.teacher)
    whose, kind = ("student", fit.student_type) if what == STUDENT else ("teacher", fit.teacher_type)
    if (encoder := facts.get("encoder")) != (wanted := encoder_facts(kind, fit.vocabulary)):
        raise UserError(
            f"{flag} is of a {whose} with type and number of token ids {encoder}, and this sweep's has {wanted}; name "
            f"another folder, or another {whose}."
        )
    return {"path": str(Path(folder).absolute()), "content": key_of(seal["files"])}


def refuse_unused(method: Method, given: Mapping[str, Any], values: Iterable[dict[str, Any]]) -> None:
    """Raise UserError where no point takes anything of what is given.

    Args:
        given: Folder by `TEACHER` or `STUDENT`; None where there is none.
        values: Those of each of the method's points, resolved.
    """
    named = {what: folder for what, folder in given.items() if folder}
    used = {what for params in values for what in taken(method, params, named)}
    for what, folder in named.items():
        if what not in used:
            raise UserError(
                f"{_flag(what)} {folder} plays no part: no layers are compared (mse_alpha=0); leave it out, or give "
                "mse_alpha a weight."
            )


def refuse_changed(given: Mapping[str, Mapping[str, str]]) -> None:
    """Raise UserError where a folder holds something else than it did for `check`.

    Args:
        given: What `check` gave, by `TEACHER` or `STUDENT`.
    """
    for what, found in given.items():
        if key_of(_seal(what, found["path"])["files"]) != found["content"]:
            raise UserError(
                f"{_flag(what)} {found['path']} holds other files than when the sweep was planned; bring these back, "
                "or start a new sweep."
            )


def check_sizes(what: str, folder: str, method: Method, params: dict[str, Any], student: Shape, teacher: Shape) -> None:
    """Raise UserError where the filters of a folder, which was found sound, do not fit a further point.

    Args:
        what: `TEACHER` or `STUDENT`.
        params: The point's resolved values.
    """
    if (on_teacher := method.taken_of_teacher(params)) is None:
        return
    flag, facts = f"{_flag(what)} {folder}", _read_seal(what, folder)["facts"]
    stem = "" if what == STUDENT else beside.PREFIX
    expected = on_teacher.shapes(params, student, teacher)[what]
    found = {name: tuple(shape) for name, shape in (facts.get("left") or {}).items()}
    for name, shape in expected.items():
        if (there := found.get(stem + name)) is None:
            raise UserError(
                f"{flag} has no {name}: {len(found)} tensors are there, and {len(expected)} are needed; name another "
                "folder, or change filter_interval, teacher_interval or filter_nonlinear."
            )
        if there != shape:
            raise UserError(
                f"{flag}: {name} is {_by(there)}, and {_by(shape)} is needed; name another folder, or change "
                "filter_output_dim."
            )
    if len(found) > len(expected):
        raise UserError(
            f"{flag} holds {len(found)} tensors, and this sweep needs {len(expected)}; name another folder, or change "
            "filter_interval, teacher_interval or filter_nonlinear."
        )


def carried(given: Mapping[str, str]) -> dict[str, Tensor]:
    """What all that is given carries into the stages.

    Args:
        given: Folder by `TEACHER` or `STUDENT`.
    """
    found: dict[str, Tensor] = {}
    for folder in given.values():
        found.update(beside.carried(Path(folder)))
    return found


def begin(run: Run, given: Mapping[str, str]) -> None:
    """Let a run that is at its beginning start with the student that is given, if one is."""
    if folder := given.get(STUDENT):
        import torch

        weights = torch.load(Path(folder) / stages.WEIGHTS, map_location="cpu", weights_only=True)
        run.student.load_state_dict(weights)


def _seal(what: str, folder: str) -> dict[str, Any]:
    """The seal of a folder whose files are as it says."""
    flag, place, seal = f"{_flag(what)} {folder}", Path(folder), _read_seal(what, folder)
    if seal["facts"].get("failure"):
        return seal
    files = seal["files"]
    for name in dict.fromkeys((*_FILES[what], *files)):
        if name not in files or not (place / name).is_file() or hash_file(place / name) != files[name]:
            raise UserError(f"{flag} is damaged: {name} is missing or not as it was written; name another folder.")
    return seal


def _read_seal(what: str, folder: str) -> dict[str, Any]:
    flag, place = f"{_flag(what)} {folder}", Path(folder)
    if not place.is_dir():
        raise UserError(f"{flag} does not exist; name a folder {_KINDS[what]}-… of the store.")
    try:
        seal: dict[str, Any] = json.loads((place / SEAL).read_text(encoding="utf-8"))
        kind = seal["kind"]
        dict(seal["files"])
        dict(seal["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{flag} has no readable {SEAL}; name a folder {_KINDS[what]}-… of the store.") from None
    if kind != _KINDS[what]:
        raise UserError(f"{flag} is a {kind}, not a {_KINDS[what]}; name a folder {_KINDS[what]}-… of the store.")
    return seal


def _stage(what: str, method: Method) -> str:
    """Name of the stage that leaves it: the one on the teacher, or the student's last before it is distilled."""
    assert method.on_teacher is not None
    return method.on_teacher.stage.name if what == TEACHER else stages.before_report(method)[-1].name


def _sizes(sizes: Any, beside: Any) -> str:
    """Numbers of layers, features, heads and labels, as far as they are others than those beside them."""
    words = ("layers", "features", "heads", "labels")
    if not isinstance(sizes, list) or not isinstance(beside, list):
        return str(sizes)
    return ", ".join(f"{n} {word}" for n, other, word in zip(sizes, beside, words, strict=True) if n != other)


def _flag(what: str) -> str:
    return f"--{what.replace('_', '-')}"


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
