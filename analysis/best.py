"""The best point as a configuration that the sweep command reads back."""

from __future__ import annotations

from typing import Any

import yaml

from analysis.choice import chosen_by
from analysis.confirmed import BASELINE, KD, Confirmed, confirmed
from analysis.style import interval, number, plural
from trainables.record import Record

NAME = "best.yaml"
# What belongs to the search, to its folder or to one session, and not to the one point that is to be run again.
_OF_THE_SEARCH = (
    *("command", "confirm", "out", "settings", "sizes", "search", "trials"),
    *("methods", "beside", "device_seconds"),
)
_OF_A_SESSION = (
    *("time_budget", "max_failures", "max_consecutive_failures"),
    # Where it ran: a cluster that is gone by then, and folders for its nodes.
    *("address", "dashboard", "storage"),
)


def best_config(record: Record) -> dict[str, Any] | None:
    """What was asked, narrowed to the best point: `set` fixes every hyper-parameter to one value.

    None while no distilled trial has a score. The point is the best confirmed one where confirming runs say which that
    is, with the seed of its best run, whose student is exported. What was left open when the sweep was asked for and
    settled by its plan (epochs, the commit of a model, the task whose made-up data stood in) is written as the plan has
    it; training settings that were asked for stay.
    """
    best = record.student_trial()
    if best is None:
        return None
    plan, config = record.plan, record.header["config"]
    asked = {
        key: value
        for key, value in config.items()
        if value is not None and key not in (*_OF_THE_SEARCH, *_OF_A_SESSION)
    }
    if config.get("beside"):
        # One point alone has no sweep of undistilled students beside it.
        asked.pop("baseline", None)
    # Where made-up data stood in for a task, the hub may answer the next time and bring other rows.
    asked["task"] = plan["task"]
    if config.get("task_file") and not config.get("task"):
        # The files make the task.
        del asked["task"]
    if config.get("task_file") and (found := plan["data"].get("hub")):
        asked["task_file"] = f"{found['id']}:{found['config']}@{found['revision']}"
    if _wholly_embedded(record):
        asked["source"] = "embedded"
    for part in ("teacher", "student"):
        if found := plan[part].get("hub"):
            # What the hub calls main may be another model by then.
            asked[part] = f"{found['id']}@{found['revision']}"
    training = {name: plan["training"][name] for name in config.get("settings", {}) if name in plan["training"]}
    return {
        "schema": record.header["schema"],
        **asked,
        "epochs": plan["epochs"],
        "seed": best.point["seed"],
        "set": {**training, **best.params},
    }


def _wholly_embedded(record: Record) -> bool:
    """Whether `--source embedded` describes the sweep: that option goes with nothing that is named."""
    plan, config = record.plan, record.header["config"]
    named = any(config.get(name) for name in ("teacher", "student", "data_dir"))
    return not named and plan["teacher"]["origin"] == plan["data"]["origin"] == "embedded"


def _reservations(record: Record) -> list[str]:
    """What running the best point again may do otherwise, because no option can say it; one sentence each."""
    best, plan, config = record.student_trial(), record.plan, record.header["config"]
    assert best is not None
    found = []
    if plan["teacher"]["origin"] == "embedded" and not _wholly_embedded(record):
        found.append(
            "The embedded encoder served as teacher because the hub did not answer; where it answers, another one "
            "will serve."
        )
    if record.held_out and best.point["seed"] != plan["seed"]:
        found.append(
            f"The sweep held out {plural(record.held_out, 'training row')} by seed {plan['seed']}; seed "
            f"{best.point['seed']} will hold out others, so the scores may differ."
        )
    rows = config.get("max_train_rows")
    if rows == plan["data"].get("teacher_rows", plan["data"]["train_rows"]) and best.point["seed"] != plan["seed"]:
        found.append(
            f"The sweep drew its {plural(rows, 'training row')} by seed {plan['seed']}; seed {best.point['seed']} will "
            "draw others, so the score may differ."
        )
    return found


def _confirmation(record: Record, found: Confirmed) -> str:
    """What chose the point where confirming runs did."""
    assert found.best is not None
    group, points = found.group(found.best), sum(one.id not in (BASELINE, KD) for one in found.groups)
    spread = "" if group.interval is None else f" (95 % interval {interval(*group.interval)})"
    return (
        f"Best of {plural(points, 'confirmed point')}: {group.id}, mean {record.plan['metric_title']} "
        f"{number(group.mean, 4)}{spread} on dev over {plural(len(group.scores), 'fresh seed')}."
    )


def best_yaml(record: Record) -> str | None:
    """`best_config` as YAML under a comment that says what it scored; None while there is no score."""
    config, best = best_config(record), record.student_trial()
    if config is None or best is None or best.best is None:
        return None
    plan = record.plan
    again = confirmed(record)
    scored = sum(trial.score is not None and not trial.is_baseline for trial in record.trials.values())
    one = (
        f"{best.id}, {plan['metric_title']} {number(best.reported, 4)} on dev of {plan['task']} after epoch "
        f"{best.best['epoch']:g}{chosen_by(record, best)}."
    )
    lead = f"Best of {plural(scored, 'configuration')}: {one}"
    if again is not None and again.best is not None:
        lead = f"{_confirmation(record, again)}\n# The seed is that of its best run: {one}"
    head = [
        lead,
        "Run it again with: python -m trainables.sweep --config best.yaml",
        *_reservations(record),
    ]
    comment = "".join(f"# {line}\n" for line in head)
    return comment + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, default_flow_style=False)
