"""Everything a report says, gathered from a record and free of markup."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

from analysis import tables
from analysis.state import Progress, moment, progress
from analysis.style import NOTHING, STATE_WORDS, apart, count, duration, interval, number, parameter, plural, role
from analysis.verdict import Network, Verdict, caveats, judge, networks
from trainables.record import FAIL, Record, Trial
from trainables.statistics import Interval, trial_interval

STUDENT = "student"
# Where things lie on one machine tells a reader nothing; sweep.json has it.
_PLACES = ("path",)


@dataclass(frozen=True)
class Line:
    """One row of the table of trials, ready to print."""

    id: str
    role: str
    state: str
    values: list[str]
    score: str
    interval: str
    best_epoch: str
    epochs: str
    stopped: str
    time: str
    cause: str | None
    number: float | None
    spread: Interval | None


@dataclass(frozen=True)
class Summary:
    """The contents of a report.

    Attributes:
        beside: Rows (hyper-parameter, best here, published, grade of the value here); empty where nothing
            is published, and `beside_note` says why.
        names: Hyper-parameters that vary.
        grades: Where the values of each come from, such as "published: 1, 3 · ours: 7".
        student: Folder of the exported best student, relative to the sweep's; None before there is one.
        facts: How to reproduce: heading and text.
    """

    title: str
    made_up: bool
    verdict: Verdict
    networks: list[Network]
    progress: Progress
    weak: str | None
    notices: list[str]
    faults: list[str]
    beside: list[tuple[str, str, str, str]]
    beside_note: str
    names: list[str]
    grades: dict[str, str]
    fixed: str
    lines: list[Line]
    failures: list[tuple[str, str, str]]
    caveats: list[str]
    command: str
    student: str | None
    facts: list[tuple[str, str]] = field(default_factory=list)


def summarise(record: Record, running: bool | None = None) -> Summary:
    """Gather what a report says.

    Args:
        record: The sweep.
        running: Whether its driver is at work; asked of the folder's lock when None.
    """
    plan = record.plan
    state = progress(record, running)
    teacher = (record.prepared or {}).get("teacher") or {}
    names = tables.varying(record)
    lines = [_line(record, trial, names) for trial in record.trials.values()]
    fixed = " · ".join(f"{name} {parameter(value)}" for name, value in tables.fixed(record).items())
    return Summary(
        title=f"{plan['method_title']} on {plan['task']}, {plan['layers']} layers",
        made_up=plan["data"].get("origin") == "embedded",
        verdict=judge(record, finished=state.word == "complete"),
        networks=networks(record),
        progress=state,
        weak=_weak(teacher),
        notices=list(plan.get("notices") or []),
        faults=_faults(record),
        beside=_beside(record),
        beside_note=_beside_note(record),
        names=names,
        grades=_grades(record),
        fixed=fixed,
        lines=sorted(lines, key=lambda line: (line.number is None, -(line.number or 0.0))),
        failures=[_failure(trial) for trial in record.trials.values() if trial.state == FAIL],
        caveats=caveats(record),
        command=command(record),
        student=STUDENT if (record.path / STUDENT).is_dir() else None,
        facts=_facts(record),
    )


def command(record: Record) -> str:
    """The command line that asked for the sweep, as one would type it."""
    return shlex.join(["python", "-m", "trainables.sweep", *map(str, record.header["command"])])


def _line(record: Record, trial: Trial, names: list[str]) -> Line:
    best, last, stop = trial.best, trial.last, trial.stop
    spread = trial_interval(record, trial)
    stopped = ""
    if stop is not None:
        at = next(row for row in trial.evaluations.values() if row.get("decision") == stop)
        value, cutoff = (
            (number(None), number(stop["cutoff"])) if at["value"] is None else apart(at["value"], stop["cutoff"])
        )
        stopped = f"rung {stop['rung']:g}: {value} < {cutoff}"
    return Line(
        id=trial.id,
        role=role(record, trial),
        state=STATE_WORDS.get(trial.state, trial.state),
        values=[parameter(trial.params.get(name)) for name in names],
        score=number(trial.score),
        interval=NOTHING if spread is None else interval(spread.low, spread.high),
        best_epoch=NOTHING if best is None else f"{best['epoch']:g}",
        epochs=f"{0 if last is None else last['epoch']:g} of {record.plan['epochs']:g}",
        stopped=stopped,
        time=duration(trial.seconds) if trial.evaluations else NOTHING,
        cause=trial.cause,
        number=trial.score,
        spread=spread,
    )


def _failure(trial: Trial) -> tuple[str, str, str]:
    """Id, cause and the end of the traceback."""
    file = trial.folder / "failure.txt"
    text = file.read_text(errors="replace") if file.exists() else ""
    return trial.id, trial.cause or "no cause was recorded", "\n".join(text.strip().splitlines()[-30:])


def _weak(teacher: dict[str, Any]) -> str | None:
    if not teacher.get("weak"):
        return None
    return str(teacher.get("weak_reason") or "its score is no better than chance").rstrip(".") + "."


def _faults(record: Record) -> list[str]:
    return [
        f"Trial {trial.id}, evaluation {fault['evaluation']}: recorded {fault['first']}, "
        f"repeated after a restart {fault['again']}."
        for trial in record.trials.values()
        for fault in trial.faults
    ]


def _beside(record: Record) -> list[tuple[str, str, str, str]]:
    published, best = record.plan.get("published"), record.best_trial()
    if not published or best is None:
        return []
    values, grades = published["values"], best.point.get("grades", {})
    # Switches that nothing published names and no point changes would only fill the table.
    shown = {*values, *tables.varying(record)}
    names = [name for name in best.params if name in shown]
    names += [name for name in values if name not in best.params]
    return [
        (name, parameter(best.params.get(name)), parameter(values.get(name)), grades.get(name, "inert here"))
        for name in names
    ]


def _beside_note(record: Record) -> str:
    plan = record.plan
    if not plan.get("published"):
        return plan.get("published_note") or f"Nothing is published for {plan['task']} with {plan['layers']} layers."
    source = plan["published"].get("source", "")
    if record.best_trial() is None:
        return "The published values stand here beside the best ones once a trial has a score."
    here = [trial for trial in record.trials.values() if trial.point["origin"] == "published"]
    if not here:
        return f"Published: {source}. The published point itself is not in this sweep."
    score = f"scored {number(here[0].score)}" if here[0].score is not None else "has no score"
    best = " and is the best" if here[0] is record.best_trial() else ""
    return f"Published: {source}. The published point ({here[0].id}) {score} here{best}."


def _grades(record: Record) -> dict[str, str]:
    found = {}
    for axis in record.plan.get("axes", []):
        by_grade: dict[str, list[str]] = {}
        for value in axis["values"]:
            by_grade.setdefault(value["grade"], []).append(parameter(value["value"]))
        found[axis["name"]] = " · ".join(f"{grade}: {', '.join(values)}" for grade, values in by_grade.items())
    return found


def _facts(record: Record) -> list[tuple[str, str]]:
    plan, header, prepared = record.plan, record.header, record.prepared or {}
    teacher, data = prepared.get("teacher") or {}, prepared.get("data") or {}
    best = record.best_trial()
    scheduler = plan["scheduler"]
    rungs = ", ".join(f"{rung:g}" for rung in scheduler.get("rungs") or [])
    asha = f"ASHA, reduction factor {scheduler.get('reduction_factor')}, rungs at epochs {rungs or 'none'}"
    times = [moment(row["time"]) for row in record.rows]
    work = sum(trial.seconds for trial in record.trials.values())
    found = [
        ("tool", f"{header.get('tool')}, record schema {header['schema']}"),
        ("started", moment(header["created"]) + (f", last event {times[-1]}" if times else "")),
        ("sessions", f"{record.sessions}" if record.sessions > 1 else ""),
        ("time in trials", duration(work) if work else ""),
        ("method", f"{plan['method_title']} ({plan['method']}), recipe {plan['recipe']}"),
        ("epochs", f"{plan['epochs']:g}, {plural(plan['evaluations_per_epoch'], 'evaluation')} each"),
        ("scheduler", asha if scheduler["name"] == "asha" else "none: every trial runs all its epochs"),
        ("seed", str(plan["seed"])),
        (
            "data",
            _pairs(plan["data"] | ({"fingerprint": data["fingerprint"]} if "fingerprint" in data else {})),
        ),
        (
            "majority class",
            f"{number(data['majority'])} of the dev rows" if data.get("majority") is not None else "",
        ),
        ("teacher", _pairs(plan["teacher"])),
        ("teacher key", " ".join(filter(None, (teacher.get("key"), f"content {teacher.get('content')}"))))
        if teacher
        else ("teacher key", ""),
        ("teacher's dev curve", " → ".join(number(score) for score in teacher.get("curve") or [])),
        ("student", _pairs(plan["student"])),
        ("training", _pairs(plan["training"])),
        ("numerics", _pairs(plan["numerics"])),
        ("resources", _pairs(plan["resources"])),
        ("hash of the best point", f"{best.id}: {best.point.get('hash')}" if best else ""),
        ("fingerprint", _pairs(header.get("fingerprint") or {})),
        ("versions", _pairs(header.get("versions") or {})),
    ]
    return [(heading, text) for heading, text in found if text]


def _pairs(values: dict[str, Any]) -> str:
    values = {key: value for key, value in values.items() if key not in _PLACES}
    return " · ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in values.items() if value is not None)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + _pairs(value) + ")"
    return parameter(value) if isinstance(value, (bool, float, list, tuple)) else str(value)


def sizes(network: Network) -> tuple[str, str, str]:
    """Layers, width and parameters of a network in words."""
    return str(network.layers or NOTHING), str(network.hidden_size or NOTHING), count(network.parameters)
