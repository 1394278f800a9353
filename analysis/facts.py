"""How to reproduce a sweep: where everything came from, as headings and texts."""

from __future__ import annotations

from typing import Any

from analysis import tables
from analysis.choice import teacher_on_dev
from analysis.search_words import scheduler_words, search_words
from analysis.state import left_out, moment
from analysis.style import duration, number, own_score, parameter, plural
from trainables import spending
from trainables.record import Record

# Where things lie on one machine tells a reader nothing; sweep.json has it.
_PLACES = ("path",)
_SHORT = 12


def facts(record: Record) -> list[tuple[str, str]]:
    """Heading and text of all that decided the numbers, in the order of the page."""
    plan, header, prepared = record.plan, record.header, record.prepared or {}
    teacher, data = teacher_on_dev(record), prepared.get("data") or {}
    where = "curve on the held-out rows" if record.held_out else "dev curve"
    best = record.chosen_trial()
    times = [moment(row["time"]) for row in record.rows]
    work = sum(trial.seconds for trial in record.everything())
    found = [
        ("tool", f"{header.get('tool')}, record schema {header['schema']}"),
        ("started", moment(header["created"]) + (f", last event {times[-1]}" if times else "")),
        ("sessions", f"{record.sessions}" if record.sessions > 1 else ""),
        ("time in trials", duration(work) if work else ""),
        ("device-seconds", _devices(record)),
        ("method", f"{plan['method_title']} ({plan['method']}), recipe {plan['recipe']}"),
        ("epochs", f"{plan['epochs']:g}, {plural(plan['evaluations_per_epoch'], 'evaluation')} each"),
        ("search", search_words(plan)),
        ("scheduler", scheduler_words(plan)),
        ("seed", str(plan["seed"])),
        ("confirmed by", _confirmed(record)),
        (
            "data",
            _origin(plan["data"] | ({"fingerprint": data["fingerprint"]} if "fingerprint" in data else {})),
        ),
        (
            "majority class",
            f"{number(data['majority'])} of the dev rows" if data.get("majority") is not None else "",
        ),
        ("teacher", _origin(plan["teacher"])),
        ("teacher key", " ".join(filter(None, (teacher.get("key"), f"content {teacher.get('content')}"))))
        if teacher
        else ("teacher key", ""),
        ("teacher's score", _scores(teacher)),
        ("teacher's answers", _source(plan.get("teacher_source") or {})),
        (f"teacher's {where}", " → ".join(number(score) for score in teacher.get("curve") or [])),
        ("student", _origin(plan["student"])),
        ("training", _pairs(_shared(record))),
        ("numerics", _pairs(plan["numerics"])),
        ("resources", _pairs(record.resources)),
        ("out of memory", _retries(record)),
        ("hash of the best point", f"{best.id}: {best.point.get('hash')}" if best else ""),
        ("fingerprint", _pairs(header.get("fingerprint") or {})),
        ("versions", _pairs(header.get("versions") or {})),
    ]
    return [(heading, text) for heading, text in found if text]


def _confirmed(record: Record) -> str:
    """The command that asked for the confirming runs, where the sweep's own did not."""
    asked = [row for row in record.rows if row["kind"] == "confirm"]
    if not asked or record.header["config"].get("confirm"):
        return ""
    top, seeds = max(row["top"] for row in asked), max(len(row["seeds"]) for row in asked)
    return f"python -m trainables.confirm {record.path.name} --top {top} --seeds {seeds}"


def _retries(record: Record) -> str:
    """Trials that went on with more memory or in smaller pieces, which change rounding and dropout's draws."""
    found = []
    for trial in record.everything():
        if trial.retry is not None:
            share, parts = trial.retry["resources"]["GPU"], trial.retry["micro"]
            cut = f", each batch in {parts} parts (the same but for rounding and dropout's draws)" if parts > 1 else ""
            found.append(f"{trial.id} went on with {share:g} GPU{cut}")
    return " · ".join(found)


def _origin(part: dict[str, Any]) -> str:
    """What the plan says of teacher, student or data; of a hub's revision only so much as names it."""
    hub = part.get("hub") or {}
    rest = {key: value for key, value in part.items() if key != "hub"}
    if not hub:
        return _pairs(rest)
    revision = str(hub.get("revision") or "")[:_SHORT]
    return _pairs({"hub id": hub.get("id"), "revision": revision or "not recorded", **rest})


def _devices(record: Record) -> str:
    """What the search used of the devices, where that was limited."""
    if spending.rule(record) is None:
        return ""
    ends = [f", of {row['limit']:.0f}" for row in record.rows if row["kind"] == "spent"]
    return f"{spending.used(record):.0f} used by the search{ends[-1] if ends else ''}{left_out(record)}"


def _source(source: dict[str, Any]) -> str:
    """Whether trials read the teacher's outputs from disk or ran it."""
    return f"{source['kind']}: {source['reason']}" if source else ""


def _scores(teacher: dict[str, Any]) -> str:
    own = own_score(teacher)
    if own is None:
        return ""
    return f"{number(teacher.get('score'))} as it teaches here · {number(own)} as it was fine-tuned"


def _shared(record: Record) -> dict[str, Any]:
    """Training values that no point sets for itself."""
    own = tables.parameter_names(record)
    return {name: value for name, value in record.plan["training"].items() if name not in own}


def _pairs(values: dict[str, Any]) -> str:
    values = {key: value for key, value in values.items() if key not in _PLACES}
    return " · ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in values.items() if value is not None)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + _pairs(value) + ")"
    return parameter(value) if isinstance(value, (bool, float, list, tuple)) else str(value)
