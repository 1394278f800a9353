"""Which points of a sweep need the same of the stages before the one that reports. Imports without torch and Ray.

What such a stage leaves is an artifact of the store when two points or more need the same one: the plan counts it once,
it is made before the first trial, and a trial begins behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from distill import methods
from distill.artifacts import Store, key_of
from distill.tasks.planned import task_of
from distill.training import stages
from distill.training.settings import Training, split
from trainables.points import Maker, suggestible
from trainables.progress import plural
from trainables.record import Record
from trainables.shapes import shape_of, student_of
from trainables.spending import later
from trainables.teacher_source import source_of

if TYPE_CHECKING:
    from distill.training.loop import Run

# In place of what is not known before anything is prepared, and is the same for all points of a sweep.
_UNKNOWN = {"student": None, "tokens": None, "teacher": None}


def ground(header: Mapping[str, Any], prepared: Mapping[str, Any]) -> dict[str, Any]:
    """What all points of a sweep stand on, by content: the student's first weights, rows, teacher."""
    teacher = prepared["teacher"]["content"]
    # A student that is cut from the fine-tuned teacher has no folder of its own.
    return {
        "student": header["fingerprint"]["student"] or teacher,
        "tokens": prepared["data"]["key"],
        "teacher": teacher,
    }


def identities(plan: Mapping[str, Any], point: Mapping[str, Any], common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What determines the student at the end of each stage of a point before the one that reports.

    Args:
        common: What all points of the sweep stand on.
    """
    method = methods.get(point["method"])
    before = stages.before_report(method)
    if not before:
        return []
    params, training = split(point["params"], Training(**{**plan["training"], **point.get("training", {})}))
    own = {
        **common,
        "task": plan["task"],
        **task_of(plan).chosen_metric,
        "seed": point["seed"],
        "head": point.get("head", "own"),
        "kept": plan["student"]["kept"],
        "source": source_of(dict(plan), dict(point)),
        "numerics": plan["numerics"],
    }
    recipe = point.get("recipe", plan["recipe"])
    shapes = student_of(plan, method, params), shape_of(plan["teacher"])
    return [stages.identity(method, number, params, recipe, training, own, *shapes) for number in range(len(before))]


def trains(inputs: Mapping[str, Any]) -> bool:
    """Whether the last of the stages that `identities` tells of has epochs, so that it leaves something of its own."""
    return bool(inputs["stages"][-1]["training"]["epochs"])


def keys(header: Mapping[str, Any], prepared: Mapping[str, Any], point: Mapping[str, Any]) -> list[str]:
    """Keys in the store of a point's stages before the one that reports, in their order."""
    if not stages.before_report(methods.get(point["method"])):
        return []
    return [key_of(found) for found in identities(header["plan"], point, ground(header, prepared))]


def to_come(plan: Mapping[str, Any], common: Mapping[str, Any]) -> list[str | None]:
    """The keys that all points which a sampler may still suggest have, stage by stage; None where they differ.

    Empty where nothing is suggested.
    """
    search, method = plan["search"], methods.get(plan["method"])
    if search["name"] != "tpe" or not stages.before_report(method):
        return []
    regression = task_of(plan).kind == "regression"
    maker = Maker(method, plan["recipe"], Training(**plan["training"]), regression, plan["layers"])
    first = {found["name"]: (found.get("values") or [found["low"]])[0] for found in search["ranges"]}
    found = [
        [key_of(one) for one in identities(plan, {**point, "seed": plan["seed"]}, common)]
        for point in suggestible(maker, {"params": first}, search)
    ]
    return [each[0] if len(set(each)) == 1 else None for each in zip(*found, strict=True)]


def certain(plan: Mapping[str, Any], at_once: int) -> set[str]:
    """Ids of the distilled points that are run whatever other sweeps use of the devices; of all without such a limit.

    Stages are made for these alone, so that what a sweep is charged for its stages is what it needs in any case.

    Args:
        at_once: How many trials run at a time, which all begin before anything is used.
    """
    limit = plan.get("device_seconds")
    own = [str(point["id"]) for point in plan["points"] if point["origin"] != "baseline"]
    return set(own if limit is None else own[: limit.get("trials", at_once)])


def in_any_case(record: Record) -> set[str]:
    """Ids of a sweep's trials that are run whatever the others use of the devices, where that is limited; else of all.

    Those of a person's later wishes and of confirming runs are among them.
    """
    return {*certain(record.plan, int(record.resources["max_concurrent"])), *record.confirming, *later(record)}


class Group(NamedTuple):
    """Points of a plan that share what a stage leaves.

    Attributes:
        epochs: Of the stage.
        points: How many, those to be suggested included.
    """

    stage: str
    epochs: int
    points: int


def groups(plan: Mapping[str, Any], every: bool = False) -> list[Group]:
    """What is made once for several points of a plan, by stage.

    Args:
        every: Also what none needs of the points that are run in any case.
    """
    counts: Counter[tuple[int, str]] = Counter()
    epochs: dict[tuple[int, str], tuple[str, int]] = {}
    needed: set[tuple[int, str]] = set()
    sure = certain(plan, plan["resources"]["max_concurrent"])
    for point in plan["points"]:
        for number, found in enumerate(identities(plan, point, _UNKNOWN)):
            if not trains(found):
                continue
            known = number, key_of(found)
            counts[known] += 1
            if point["id"] in sure:
                needed.add(known)
            epochs[known] = found["stages"][-1]["stage"], found["stages"][-1]["training"]["epochs"]
    for number, key in enumerate(to_come(plan, _UNKNOWN)):
        if key is not None and (number, key) in counts:
            counts[number, key] += _left_to_suggest(plan)
            needed.add((number, key))
    return [Group(*epochs[known], count) for known, count in counts.items() if count > 1 and (every or known in needed)]


def _left_to_suggest(plan: Mapping[str, Any]) -> int:
    return max(0, int(plan["search"]["trials"]) - sum(point["origin"] != "baseline" for point in plan["points"]))


def saved_epochs(plan: Mapping[str, Any]) -> int:
    """Passes over the training rows that points do not make because they share a stage.

    Of points that may never be run it is not known which do, so here all share that need the same.
    """
    return sum(group.epochs * (group.points - 1) for group in groups(plan, every=True))


def words(plan: Mapping[str, Any]) -> list[str]:
    """What is shared, one sentence for each stage of which something is."""
    total = sum(bool(stages.before_report(methods.get(point["method"]))) for point in plan["points"])
    total += _left_to_suggest(plan) if plan["search"]["name"] == "tpe" else 0
    shared: dict[str, list[Group]] = {}
    for group in groups(plan):
        shared.setdefault(group.stage, []).append(group)
    lines = []
    method = methods.get(plan["method"])
    beside = method.on_teacher
    taken = any(method.taken_of_teacher(p["params"]) for p in plan["points"] if p["method"] == method.name)
    if beside is not None and taken and "teacher_filters" not in (plan.get("given") or {}):
        lines.append(
            f"Stage {beside.stage.name}: made once on the teacher, before the first trial, unless the store has it."
        )
    for name, found in shared.items():
        often = "once" if len(found) == 1 else f"{len(found)} times"
        lines.append(
            f"Stage {name}: made {often} for {sum(group.points for group in found)} of {plural(total, 'point')}, "
            "before the first trial."
        )
    return lines


def of_point(header: Mapping[str, Any], prepared: dict[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """`prepared.json` without the stages that a point does not need, so that no node copies those."""
    made = prepared.get("stages") or {}
    if not made:
        return prepared
    mine = keys(header, prepared, point)
    return {**prepared, "stages": {key: found for key, found in made.items() if key in mine and found["path"]}}


def begin(run: Run, header: Mapping[str, Any], prepared: Mapping[str, Any], point: Mapping[str, Any]) -> str | None:
    """Let a point's run that is at its beginning start behind the last stage that is there, unharmed.

    Returns:
        Name of the artifact; None where the run trains all of its stages itself.

    Raises:
        Diverged: The loss of one of them was not finite.
    """
    made = prepared.get("stages") or {}
    if not made:
        return None
    for number, key in reversed(list(enumerate(keys(header, prepared, point)))):
        path = (made.get(key) or {}).get("path")
        if path and (folder := Store(Path(path).parent).get(stages.KIND, key)):
            stages.begin_behind(run, number, folder)
            return folder.name
    return None
