"""Shapes of a plan's networks, those of the points' students among them. Imports without torch and Ray.

A plan counts layers that have weights of their own. Points may ask that theirs run twice, so a student's shape is that
of a point.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.methods.base import Method, Shape
from distill.models import repeats
from distill.models.folder import check_embeddings
from distill.models.repeats import Sharing


def shape_of(network: Mapping[str, Any]) -> Shape:
    """Of the plan's teacher, or its student as it comes."""
    repeated = (network.get("sharing") or {}).get("repeated", 0)
    # Plans of before know no kind of teacher.
    kind = network.get("model_type", "bert")
    return Shape(network["layers"] + repeated, network["hidden_size"], network["heads"], repeated, kind)


def student_of(plan: Mapping[str, Any], method: Method, params: dict[str, Any]) -> Shape:
    """Of a point's student.

    Args:
        params: The point's resolved values.

    Raises:
        UserError: It asks for more layers to run twice than there are.
    """
    return shape_of(plan["student"]).shared(method.sharing(params))


def refuse_sharing(student: Mapping[str, Any], teacher: str, sharing: Sharing | None) -> None:
    """Raise UserError where the plan's student cannot run its layers twice as a point asks for.

    Args:
        teacher: Its name; a student that is cut from it is of its kind.
    """
    named = f"--student {student['name']}" if student["kept"] is None else f"--teacher {teacher}"
    own = student["sharing"] and (student["sharing"]["mode"], student["sharing"]["repeated"])
    repeats.check(sharing, named, student["model_type"], student["layers"], own)


def refuse_embeddings(method: Method, params: dict[str, Any], student: Mapping[str, Any], teacher: Path) -> None:
    """Raise UserError where a point's student shall have the teacher's embeddings and cannot.

    Args:
        student: The plan's; one that is cut from the teacher has no layers but the teacher's.
        teacher: Its folder.
    """
    if student["kept"] is None and method.embeddings(params) == "teacher":
        check_embeddings(Path(student["path"]), teacher, student["name"], "--set ")
