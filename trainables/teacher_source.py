"""Whether the trials read the teacher's outputs from disk or ask the teacher itself. Imports without torch and Ray."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from distill import methods
from distill.artifact_command import size_words
from distill.methods.base import Method, Shape
from distill.tasks.base import Examples, TaskData
from distill.teacher import parts

# A word is about 1.3 word pieces; special tokens come to a row, one more to a pair.
_PIECES, _SPECIAL = 1.3, 2


def plan_source(method: Method, plan: dict[str, Any], data: TaskData, limit: int) -> dict[str, Any]:
    """The plan's part "teacher_source": one decision for all points, so that they differ in what is swept alone.

    Logits and [CLS] are read from disk always. Hidden states and attention scores are where they are estimated to take
    no more than `limit`, unless the recipe reads the padding, which is not kept.

    Args:
        plan: With points, search, recipe, training and teacher.
        data: Its training rows are counted.
        limit: Bytes that hidden states and attention scores may take.

    Returns:
        `kind` ("cached" or "online"; "none" where the method has no teacher); `needs` of all points; `bytes` that
        hidden states and scores take by estimate; the `limit`; `disk`, all bytes that will be written; `reason`,
        for people.
    """
    if not method.needs_teacher:
        return {"kind": "none", "needs": [], "bytes": 0, "limit": limit, "disk": 0, "reason": "no trial asks it"}
    needs = _needs(method, plan, data.task.kind == "regression")
    large = [part for part in parts.LARGE if part in needs]
    shape = Shape(*(plan["teacher"][name] for name in ("layers", "hidden_size", "heads")))
    lengths = estimated_lengths(data.train, plan["training"]["max_length"])
    size = parts.size(large, shape, data.task.num_labels, lengths)
    words = " and ".join(parts.WORDS[part] for part in large)
    every = parts.size(parts.kept(needs), shape, data.task.num_labels, lengths)
    kind, reason = "cached", f"about {size_words(every)} (logits and [CLS])"
    if large and method.reads_padding(plan["recipe"]):
        kind, reason = "online", f"the {plan['recipe']} recipe reads {words} at padded places too, which are not kept"
    elif large and size > limit:
        kind = "online"
        reason = f"{words} would take about {size_words(size)}, and --cache-gb allows {size_words(limit)}"
    elif large:
        reason = (
            f"about {size_words(size)} of {size_words(limit)} ({', '.join(parts.WORDS[p] for p in large)}, float16)"
        )
    return {
        "kind": kind,
        "needs": sorted(needs),
        "bytes": size,
        "limit": limit,
        "disk": every if kind == "cached" else 0,
        "reason": reason,
    }


def estimated_lengths(split: Examples, max_length: int) -> np.ndarray:
    """About how many tokens each row has, int64 [n]."""
    words = np.array([len(text.split()) for text in split.first], dtype=np.int64)
    special = _SPECIAL
    if split.second is not None:
        words += np.array([len(text.split()) for text in split.second], dtype=np.int64)
        special += 1
    return np.minimum(np.ceil(_PIECES * words).astype(np.int64) + special, max_length)


def source_of(plan: dict[str, Any], point: dict[str, Any]) -> str | None:
    """How a point gets at the teacher: "cached", "online", or None where its method has none.

    A point that came later and needs more than was planned for asks the teacher itself.
    """
    method = methods.get(point["method"])
    if not method.needs_teacher:
        return None
    source = plan.get("teacher_source") or {"kind": "online"}
    if source["kind"] == "online":
        return "online"
    needs = method.needs(_own(method, point["params"]), point.get("recipe", plan["recipe"]))
    return "cached" if needs <= set(parts.kept(source["needs"])) else "online"


def kept_parts(plan: dict[str, Any]) -> tuple[str, ...]:
    """What has to be on disk before the first trial; nothing where the teacher itself is asked."""
    source = plan.get("teacher_source") or {"kind": "online"}
    return parts.kept(source["needs"]) if source["kind"] == "cached" else ()


def words(plan: dict[str, Any]) -> str:
    """The decision as a sentence."""
    source = plan["teacher_source"]
    if source["kind"] == "none":
        return f"Teacher source: none, {source['reason']}."
    if source["kind"] == "cached":
        return f"Teacher source: cached, {source['reason']}."
    return f"Teacher source: online, one teacher in each process, because {source['reason']}."


def _needs(method: Method, plan: dict[str, Any], regression: bool) -> frozenset[str]:
    """What the points take of the teacher, those included that the search may still suggest."""
    recipe = plan["recipe"]
    points = [_own(method, point["params"]) for point in plan["points"] if point["method"] == method.name]
    found = frozenset().union(*(method.needs(params, recipe) for params in points))
    for drawn in (plan.get("search") or {}).get("ranges", ()):
        if method.hyperparameter(drawn["name"]) is not None:
            for params in points:
                for value in _ends(drawn):
                    values = method.resolve({**params, drawn["name"]: value}, recipe, regression)
                    found |= method.needs(values, recipe)
    return found


def _ends(drawn: dict[str, Any]) -> Iterable[Any]:
    """Values that stand for all that a range can give."""
    listed = drawn.get("values")
    return listed if listed else [end for name in ("low", "high") if (end := drawn.get(name)) is not None]


def _own(method: Method, params: dict[str, Any]) -> dict[str, Any]:
    """A point's values without training numbers."""
    return {name: value for name, value in params.items() if method.hyperparameter(name) is not None}
