"""The student of a sweep: its shape and where its first weights come from. Imports without torch and Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distill.errors import UserError
from distill.methods.base import Method
from distill.models.cutting import check_cut
from distill.models.folder import EncoderFolder
from distill.models.layers import chosen
from distill.models.repeats import uncut
from trainables.config import SweepConfig
from trainables.models import Models, find_encoder, own_sharing


def resolve_student(config: SweepConfig, method: Method, models: Models) -> tuple[dict[str, Any], list[str]]:
    """The plan's `student`, with `positions` and `model_type` for the checks that follow, and what to say of it.

    Raises:
        UserError: It does not fit the teacher, the number of layers, or the recipe.
    """
    named = config.student
    notices: list[str] = []
    if named is None and config.recipe == "published":
        named, notices = _published(config, method, models)
    if named is not None:
        return _whole(named, config, method, models, notices)
    return _truncated(config, method, models, notices)


def _published(config: SweepConfig, method: Method, models: Models) -> tuple[str | None, list[str]]:
    """Hub id of the student that the method was published with; None where layers of the teacher serve instead."""
    assert method.published is not None
    if not method.published.students:
        return None, []
    if config.student_layers or config.student_init:
        return None, ["The student is cut from the teacher, as asked; the published one was another encoder."]
    if models.teacher_origin == "embedded":
        return None, ["The student is cut from the embedded encoder; the published one comes from the hub."]
    if config.layers is None:
        raise UserError("--layers is missing: say how many layers the student has, or name one with --student.")
    if config.layers not in method.published.students:
        known = " or ".join(str(layers) for layers in sorted(method.published.students))
        raise UserError(
            f"--layers {config.layers}: {method.title} was published with students of {known} layers; choose one of "
            "these, name a --student, or use --recipe modern."
        )
    named = method.published.students[config.layers]
    if config.source == "local":
        raise UserError(
            f"--source local needs --student, a folder, with --recipe published: the student that {method.title} was "
            f"published with, {named}, lies on the hub."
        )
    return named, [f"No --student was named: the published one serves, {named}."]


def _departures(config: SweepConfig, method: Method, kept: Sequence[int], teacher: EncoderFolder) -> list[str]:
    """What to say where a student that was published cut from the teacher is cut otherwise."""
    if config.recipe != "published" or (method.published and method.published.students):
        return []
    init = method.student_inits[0]
    same = list(kept) == list(chosen(method.student_layers, len(kept), teacher.layers))
    if same and config.student_init in (None, init):
        return []
    usual = {"first": "first", "evenly": "evenly spaced"}[method.student_layers]
    return [f"The student is cut as asked; the published one has the {usual} layers of the {init} encoder."]


def _whole(
    named: str, config: SweepConfig, method: Method, models: Models, notices: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """An encoder of its own, from a folder or the hub."""
    folder, origin, hub = find_encoder(named, config, "--student")
    teacher = models.teacher
    if config.layers is not None and config.layers != folder.layers:
        raise UserError(
            f"--layers {config.layers} does not fit --student {named}, which has {folder.layers} layers; "
            "leave --layers out."
        )
    if folder.vocabulary != teacher.vocabulary:
        raise UserError(
            f"--student {named} has {folder.vocabulary} token ids and the teacher {teacher.vocabulary}: "
            "both must share one vocabulary."
        )
    if folder.hidden_size != teacher.hidden_size:
        widths = f"The student's width {folder.hidden_size} differs from the teacher's {teacher.hidden_size}"
        notices = [*notices, f"{widths}{f': {method.projects}' if method.projects else ''}."]
    return (
        {
            "init": "folder",
            "path": str(folder.path),
            "name": hub["id"] if hub else folder.path.name,
            "origin": origin,
            "hub": hub,
            "kept": None,
            "hidden_size": folder.hidden_size,
            "heads": folder.heads,
            "sharing": own_sharing(folder),
            "layers": folder.layers,
            "positions": folder.positions,
            "model_type": folder.model_type,
        },
        notices,
    )


def _truncated(
    config: SweepConfig, method: Method, models: Models, notices: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Some layers of the teacher, before or after its fine-tuning."""
    teacher = models.teacher
    uncut(teacher.sharing, f"--teacher {models.teacher_name}")
    check_cut(teacher.model_type, f"--teacher {models.teacher_name}", method.title)
    kept = config.student_layers
    if kept is None:
        if config.layers is None:
            raise UserError("--layers is missing: say how many layers the student has, or name one with --student.")
        kept = chosen(method.student_layers, config.layers, teacher.layers)
    elif config.layers is not None and config.layers != len(kept):
        raise UserError(f"--student-layers names {len(kept)} layers, --layers {config.layers}; leave one out.")
    if min(kept) < 1 or max(kept) > teacher.layers:
        raise UserError(
            f"--student-layers {','.join(map(str, kept))} does not fit an encoder of {teacher.layers} layers."
        )
    if list(kept) != sorted(set(kept)):
        raise UserError(f"--student-layers {','.join(map(str, kept))} must ascend, each layer named once.")
    notices = [*notices, *_departures(config, method, kept, teacher)]
    init = config.student_init or method.student_inits[0]
    if models.teacher_mode == "ready" and init == "pretrained":
        if config.student_init:
            raise UserError(
                "--student-init pretrained: the teacher was fine-tuned elsewhere and its pre-trained weights are not "
                "here; leave the option out, or name the encoder with --student."
            )
        init = "teacher"
        notices = [*notices, "The student starts from layers of the fine-tuned teacher: its encoder is not here."]
    return (
        {
            "init": init,
            "path": str(teacher.path) if init == "pretrained" else None,
            "name": f"layers {', '.join(map(str, kept))} of the {init} encoder",
            "origin": models.teacher_origin,
            "hub": None,
            "kept": list(kept),
            "hidden_size": teacher.hidden_size,
            "heads": teacher.heads,
            "sharing": None,
            "layers": len(kept),
            "positions": teacher.positions,
            "model_type": teacher.model_type,
        },
        notices,
    )
