"""Whether the trials read the teacher's outputs from disk or ask the teacher itself. Imports without torch and Ray."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from distill import methods
from distill.artifact_command import size_words
from distill.methods.base import Method
from distill.tasks.base import Examples, TaskData, Windows
from distill.tasks.windows import estimated
from distill.teacher import parts
from trainables.shapes import shape_of, student_of

# A word is about 1.3 word pieces; special tokens come to a row, one more to a pair.
_PIECES, _SPECIAL = 1.3, 2


def plan_source(method: Method, plan: dict[str, Any], data: TaskData, limit: int) -> dict[str, Any]:
    """The plan's part "teacher_source": one decision for all points, so that they differ in what is swept alone.

    Logits and [CLS] are read from disk always. What comes token by token is where it is estimated to take no more than
    `limit`, unless the recipe reads the padding, which is not kept. Only layers that some point reads are kept. Dev
    rows are answered to where a stage is judged by its loss.

    Args:
        plan: With points, search, recipe, training, student and teacher.
        data: Its rows are counted.
        limit: Bytes that all but logits and [CLS] may take.

    Returns:
        `kind` ("cached" or "online"; "none" where the method has no teacher); `needs` of all points, on training and
        (`needs_on_dev`) on dev rows; `layers` that are read, or None for all; `bytes` that all but logits and [CLS]
        take by estimate; the `limit`; `disk`, all bytes that will be written, and those of the dev rows
        (`disk_on_dev`); `reason`, for people.
    """
    if not method.needs_teacher:
        sizes = {"layers": None, "bytes": 0, "limit": limit, "disk": 0, "disk_on_dev": 0}
        return {"kind": "none", "needs": [], "needs_on_dev": [], **sizes, "reason": "no trial asks it"}
    taken = _taken(method, plan, data.task.kind == "regression")
    large = [part for part in parts.LARGE if part in taken.needs]
    length, labels, shape = plan["training"]["max_length"], parts.labels_of(data.task), shape_of(plan["teacher"])

    def size(needs: Collection[str], split: Examples) -> int:
        return parts.size(needs, shape, labels, estimated_lengths(split, length, data.windows), taken.layers)

    on_dev = size(parts.kept(taken.on_dev), data.dev) if taken.on_dev else 0
    every = size(parts.kept(taken.needs), data.train) + on_dev
    most = size(large, data.train) + size([part for part in parts.LARGE if part in taken.on_dev], data.dev)
    words = " and ".join(parts.WORDS[part] for part in large)
    kind, reason = "cached", f"about {size_words(every)} (logits and [CLS])"
    if (large or (data.task.kind == "span" and taken.needs)) and method.reads_padding(plan["recipe"]):
        words = words or parts.WORDS["logits"]
        kind, reason = "online", f"the {plan['recipe']} recipe reads {words} at padded places too, which are not kept"
    elif large and most > limit:
        kind = "online"
        reason = f"{words} would take about {size_words(most)}, and --cache-gb allows {size_words(limit)}"
    elif large:
        numbers = [] if taken.layers is None else list(map(str, taken.layers))
        of = f" of layer{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" if numbers else ""
        held = ", ".join(parts.WORDS[part] for part in large)
        reason = f"about {size_words(most)} of {size_words(limit)} ({held}{of}, float16)"
    return {
        "kind": kind,
        "needs": sorted(taken.needs),
        "needs_on_dev": sorted(taken.on_dev),
        "layers": None if taken.layers is None else list(taken.layers),
        "bytes": most,
        "limit": limit,
        "disk": every if kind == "cached" else 0,
        "disk_on_dev": on_dev if kind == "cached" else 0,
        "reason": reason,
    }


def rows_bytes(data: TaskData, max_length: int) -> int:
    """About how many bytes tokenised rows take: four of a token's id and one of its segment."""
    splits = (data.train, data.dev)
    return 5 * sum(int(estimated_lengths(split, max_length, data.windows).sum()) for split in splits)


def estimated_lengths(split: Examples, max_length: int, windows: Windows | None = None) -> np.ndarray:
    """About how many tokens each row has, int64 [n].

    Args:
        windows: How rows with answers are read, each of which counts as its windows; None as usual.
    """
    if split.answers is not None:
        questions, contexts = (_pieces(column) for column in (split.first, split.second or ()))
        return estimated(questions, contexts, max_length, windows or Windows())
    words = np.array([len(text.split()) for text in split.first], dtype=np.int64)
    special = _SPECIAL
    if split.second is not None:
        words += np.array([len(text.split()) for text in split.second], dtype=np.int64)
        special += 1
    return np.minimum(np.ceil(_PIECES * words).astype(np.int64) + special, max_length)


def _pieces(column: Sequence[str]) -> np.ndarray:
    """About how many tokens each text has, int64 [n]."""
    return np.array([math.ceil(_PIECES * len(text.split())) for text in column], dtype=np.int64)


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
    own, recipe = _own(method, point["params"]), point.get("recipe", plan["recipe"])
    needs, on_dev = method.needs(own, recipe), method.needs_on_dev(own, recipe)
    held = [set(kept.parts) for kept in kept_outputs(plan)]
    if not needs <= held[0] or (on_dev and (len(held) < 2 or not on_dev <= held[1])):
        return "online"
    if source.get("layers") is None or not needs & set(parts.LARGE):
        return "cached"
    layers = method.layers_read(own, recipe, student_of(plan, method, own), shape_of(plan["teacher"]))
    return "cached" if layers is not None and set(layers) <= set(source["layers"]) else "online"


def kept_outputs(plan: dict[str, Any]) -> list[parts.Kept]:
    """What has to be on disk before the first trial, of training rows and perhaps of dev rows; nothing where the
    teacher itself is asked."""
    source = plan.get("teacher_source") or {"kind": "online"}
    if source["kind"] != "cached":
        return []
    # Sweeps of before have no layers and no dev rows.
    layers = None if source.get("layers") is None else tuple(source["layers"])
    found = [parts.Kept(parts.kept(source["needs"]), layers)]
    if on_dev := source.get("needs_on_dev"):
        found.append(parts.Kept(parts.kept(on_dev), layers, "dev"))
    return found


def words(plan: dict[str, Any]) -> str:
    """The decision as a sentence."""
    source = plan["teacher_source"]
    if source["kind"] == "none":
        return f"Teacher source: none, {source['reason']}."
    if source["kind"] == "cached":
        return f"Teacher source: cached, {source['reason']}."
    return f"Teacher source: online, one teacher in each process, because {source['reason']}."


class _Taken(NamedTuple):
    """What points take of the teacher: parts on training and on dev rows, and layers, or None for all of them."""

    needs: frozenset[str]
    on_dev: frozenset[str]
    layers: tuple[int, ...] | None


def _taken(method: Method, plan: dict[str, Any], regression: bool) -> _Taken:
    """What the points take of the teacher, those included that the search may still suggest."""
    recipe = plan["recipe"]
    points = [_own(method, point["params"]) for point in plan["points"] if point["method"] == method.name]
    every = list(points)
    for drawn in (plan.get("search") or {}).get("ranges", ()):
        if method.hyperparameter(drawn["name"]) is not None:
            for params in points:
                for value in _ends(drawn):
                    every.append(method.resolve({**params, drawn["name"]: value}, recipe, regression))
    needs = frozenset().union(*(method.needs(params, recipe) for params in every))
    on_dev = frozenset().union(*(method.needs_on_dev(params, recipe) for params in every))
    layered = [params for params in every if method.needs(params, recipe) & set(parts.LARGE)]
    teacher = shape_of(plan["teacher"])
    read = [method.layers_read(params, recipe, student_of(plan, method, params), teacher) for params in layered]
    if not read or None in read:
        return _Taken(needs, on_dev, None)
    return _Taken(needs, on_dev, tuple(sorted({layer for layers in read for layer in layers or ()})))


def _ends(drawn: dict[str, Any]) -> Iterable[Any]:
    """Values that stand for all that a range can give."""
    listed = drawn.get("values")
    return listed if listed else [end for name in ("low", "high") if (end := drawn.get(name)) is not None]


def _own(method: Method, params: dict[str, Any]) -> dict[str, Any]:
    """A point's values without training numbers."""
    return {name: value for name, value in params.items() if method.hyperparameter(name) is not None}
