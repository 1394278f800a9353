"""The plan in words, printed before anything starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from search_spaces import GIVEN, format_params
from trainables import describe_student, select, stages, teacher_source, windows
from trainables.draws import describe_search
from trainables.early import describe_scheduler
from trainables.option_values import parse_confirm
from trainables.progress import plural
from trainables.steps import stages_of, words

_OTHERS = {"ft": "the undistilled student", "kd": "knowledge distillation"}


def _steps(plan: dict[str, Any]) -> str:
    """Steps of a trial and rows of a step, as ranges where the points differ."""
    every, count = [stages_of(plan, point) for point in plan["points"]], windows.rows(plan)
    steps = [sum(planned.steps(count) for planned in stages) for stages in every]
    own = [planned.training for stages in every for planned in stages]
    rows = [training.batch_size * training.accumulation for training in own]
    return f"{_range(steps)} steps of {_range(rows)}"


def _stages(plan: dict[str, Any], points: list[dict[str, Any]]) -> list[str]:
    """What comes before the stage that reports, one line where all points agree."""
    told = list(dict.fromkeys(line for point in points if (line := words(plan, point)) is not None))
    return told if len(told) < 2 else [f"{told[0][:-1]}; other points have other numbers."]


def _range(numbers: list[int]) -> str:
    return f"{min(numbers)} to {max(numbers)}" if len(set(numbers)) > 1 else str(numbers[0])


def describe(header: dict[str, Any]) -> list[str]:
    """Lines that tell a person what will run, in which order, on what."""
    plan = header["plan"]
    resources, teacher, numerics, estimate = (plan[n] for n in ("resources", "teacher", "numerics", "estimate"))
    lines = [
        f"Sweep: {plan['method_title']} on {plan['task']} ({plan['task_title']}), {plan['layers']} layers, "
        f"recipe {plan['recipe']}.",
        *(f"Note: {notice}" for notice in plan["notices"]),
        f"Teacher: {teacher['name']}{_place(teacher)}, {teacher['layers']} layers × {teacher['hidden_size']}, "
        f"{_making(teacher)}.",
        *describe_student.student(plan, _place(plan["student"])),
        *describe_student.sharing(plan),
        *describe_student.meeting(plan),
        f"Data: {plan['data']['source']}, {select.words(plan)}{windows.words(plan)}, metric {plan['metric_title']}.",
    ]
    if plan["published"]:
        row = plan["published"]
        lines.append(
            f"Published for {row['task']}, {row['layers']} layers: {format_params(row['values'])} ({row['source']})."
        )
    else:
        lines.append(f"Note: {plan['published_note']}")
    lines.append(teacher_source.words(plan))
    distilled = describe_student.distilled(plan)
    lines += describe_search(plan["search"])
    count = plan["search"]["trials"] if plan["search"]["name"] == "tpe" else len(distilled)
    baseline = " and 1 undistilled baseline" if len(distilled) < len(plan["points"]) else ""
    lines.append(f"Points: {count}{baseline}, {plural(plan['epochs'], 'epoch')} each, {_steps(plan)} rows a trial.")
    lines += [*_stages(plan, distilled), *stages.words(plan)]
    sure = _sure(plan, distilled)
    for point in plan["points"]:
        if point not in distilled or point in sure:
            lines.append(f"  {point['id']}  {point['label']}  [{point['origin']}]")
    if len(sure) < len(distilled):
        lines.append(f"  and up to {len(distilled) - len(sure)} more of them, while its device-seconds last.")
    if count > len(distilled):
        lines.append(f"  and {count - len(distilled)} more, each suggested when a worker is free.")
    lines += _same(plan, distilled, header["config"].get("settings") or {})
    lines += _share(plan)
    lines.append(describe_scheduler(plan))
    if header["config"].get("confirm"):
        top, seeds = parse_confirm(header["config"]["confirm"])
        top = min(top, count)
        own = {plan["method"], *(header["config"].get("beside") or ())}
        others = [words for name, words in _OTHERS.items() if plan["method"] != "ft" and name not in own]
        beside = f", beside {' and '.join(others)}" if others else ""
        lines.append(
            f"Then: the best {top} again with {seeds} fresh seeds{beside}: up to {(top + len(others)) * seeds} runs of "
            f"{plural(plan['epochs'], 'epoch')}, none of which is stopped early. Time and disk below do not count them."
        )
    gpus = f", {resources['gpus_per_trial']:g} GPU" if resources["gpus_per_trial"] else ""
    lines.append(
        f"Resources: {plural(resources['max_concurrent'], 'trial')} at once, {resources['cpus_per_trial']:g} CPU{gpus} "
        f"and {resources['threads']} thread(s) each, on {plan['cpus']} cores and {resources['gpus']} GPUs; "
        f"{numerics['autocast'] or 'float32'} on {numerics['device']}."
    )
    part, points = 1.0, ""
    if len(sure) < len(distilled):
        part, points = (len(sure) + len(plan["points"]) - len(distilled)) / len(plan["points"]), " for these points"
    before = estimate["teacher_seconds"] + estimate["stage_seconds"]
    seconds = before + part * (estimate["seconds"] - before)
    minutes = max(1, round(seconds / 60))
    lines.append(f"Time: about {minutes} min by arithmetic{points} if nothing is stopped early, the teacher included.")
    lines.append(f"Disk: about {estimate['disk_bytes'] / 1e9:.1f} GB at most. Artifacts: {plan['artifacts']}.")
    return lines


def _same(plan: dict[str, Any], distilled: list[dict[str, Any]], asked: Collection[str]) -> list[str]:
    """Values that no label tells because all points share them: those of the method's axes, and those that were given.

    Args:
        asked: Names of settings that a person gave.
    """
    told = {word for point in distilled for word in point["label"].split(" · ")}
    axes = {axis["name"] for axis in plan["axes"]}
    found = []
    names = dict.fromkeys(name for point in distilled for name in point["params"] if name in axes or name in asked)
    for name in names:
        # Where it is inert a point has none.
        having = [point for point in distilled if name in point["params"]]
        words = dict.fromkeys(format_params({name: point["params"][name]}) for point in having)
        if len(words) == 1 and not told & words.keys():
            # Rows and grid may grade a value differently; most points are of the grid.
            grades = Counter(point["grades"][name] for point in having)
            found.append(f"{next(iter(words))} [{GIVEN if name in asked else grades.most_common(1)[0][0]}]")
    # The epochs stand with the points.
    fixed = [n for n in plan["training"] if n in asked and n not in names and n != "epochs"]
    found += [f"{format_params({name: plan['training'][name]})} [{GIVEN}]" for name in fixed]
    return [f"The same in all: {' · '.join(found)}."] if found else []


def _sure(plan: dict[str, Any], distilled: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Points that are run whatever the others use."""
    limit = plan.get("device_seconds") or {}
    return distilled[: limit.get("trials", len(distilled))]


def _share(plan: dict[str, Any]) -> list[str]:
    """What the sweep may use of the devices, if that is limited."""
    limit = plan.get("device_seconds")
    if limit is None:
        return []
    if limit["rule"] == "seconds":
        return [f"Device-seconds: {limit['seconds']:g}; no further point is started when they are used."]
    least = plural(limit["trials"], "point")
    return [f"Device-seconds: {least} in any case, then as many as the dearest sweep beside it takes for its own."]


def _place(encoder: dict[str, Any]) -> str:
    """Where a teacher or student comes from; the name of the embedded one says it."""
    if encoder["hub"]:
        return f" (hub, revision {encoder['hub']['revision'][:8]})"
    return f" ({encoder['path']})" if encoder["origin"] == "local" else ""


def _making(teacher: dict[str, Any]) -> str:
    if teacher["mode"] == "ready":
        return "taken as it is"
    epochs = plural(teacher["training"]["epochs"], "epoch")
    return f"fine-tuned for {epochs} at {teacher['lr']:g} unless the store has it"
