"""The plan in words: the student, what is given in place of its training, and which layers meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distill import given, methods
from distill.models import repeats
from distill.training import stages
from distill.training.settings import Training, split
from trainables.shapes import shape_of, student_of

_EMBEDDINGS = {"random": "with random embeddings", "teacher": "with the teacher's embeddings", "pretrained": None}


def student(plan: dict[str, Any], place: str) -> list[str]:
    """Its weights and shape, and the filters that are given.

    Args:
        place: Where an encoder of its own comes from, after its name.
    """
    found, brought = plan["student"], plan.get("given") or {}
    name, layers, other = found["name"], f"{plan['layers']} layers × {found['hidden_size']}", ""
    comes = f"{name}{'' if found['kept'] else place}"
    if given.STUDENT in brought:
        stage = stages.before_report(methods.get(plan["method"]))[-1].name
        if any(point["origin"] == "baseline" for point in plan["points"]):
            other = f"; the undistilled one begins with {comes}"
        comes = f"weights and filters of stage {stage} in {brought[given.STUDENT]['path']}"
    embeddings = [_EMBEDDINGS[methods.get(plan["method"]).embeddings(own)] for own in _values(plan)]
    lines = [f"Student: {', '.join([comes, layers, *_counted(embeddings)])}{other}."]
    if given.TEACHER in brought:
        lines.append(f"Teacher's filters: those in {brought[given.TEACHER]['path']}; none are trained here.")
    return lines


def sharing(plan: dict[str, Any]) -> list[str]:
    """Which layers run twice, one line for each way in which points differ."""
    lines = [f"Teacher's layers: {of_it}."] if (of_it := _own(plan["teacher"])) else []
    if of_it := _own(plan["student"]):
        return [*lines, f"Layers: {of_it}."]
    found = [point.get("sharing") for point in distilled(plan)]
    said = [one and repeats.described(plan["layers"], one["mode"], len(one["layers"])) for one in found]
    return [*lines, *(f"Layers: {words}." for words in _counted(said))]


def meeting(plan: dict[str, Any]) -> list[str]:
    """Which layers of both networks are compared, where the method says it; one line for each way of it."""
    method, teacher = methods.get(plan["method"]), shape_of(plan["teacher"])
    said = [method.meets(own, student_of(plan, method, own), teacher) for own in _values(plan)]
    return [f"{words}." for words in _counted(said)]


def distilled(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The points but for the undistilled baseline."""
    return [point for point in plan["points"] if point["origin"] != "baseline"]


def _values(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each distilled point the method's own."""
    training = Training(**plan["training"])
    return [split(point["params"], training)[0] for point in distilled(plan)]


def _counted(said: Sequence[str | None]) -> list[str]:
    """Each thing that is said of points once, with their number where it is not said of all."""
    return [
        words if (count := said.count(words)) == len(said) else f"{words}, in {count} of {len(said)} points"
        for words in dict.fromkeys(said)
        if words
    ]


def _own(network: dict[str, Any]) -> str:
    """Which layers of an encoder run twice by itself; empty where none do."""
    shape = shape_of(network)
    return repeats.described(shape.physical, network["sharing"]["mode"], shape.layers) if shape.repeated else ""
