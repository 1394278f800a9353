"""Everything a report says, gathered from a record and free of markup."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis import confirmed_words, tables
from analysis.also import also
from analysis.before import Before, before
from analysis.called import Called, called, roles
from analysis.facts import facts
from analysis.failures import Failure, failures
from analysis.further import further
from analysis.logical import Passes, passes
from analysis.seeds import repeated, seeds_differ
from analysis.seen_tables import Table, seen_tables
from analysis.state import Progress, again, progress
from analysis.style import (
    NOTHING,
    STATE_WORDS,
    apart,
    count,
    duration,
    interval,
    number,
    parameter,
    plural,
    role,
    state_words,
)
from analysis.verdict import Network, Verdict, caveats, layers, networks
from trainables.record import BY_HAND, FAIL, PRUNED, RUNNING, Record, Trial
from trainables.rungs import place_of
from trainables.statistics import Interval, trial_interval

STUDENT = "student"


@dataclass(frozen=True)
class Line:
    """One row of the table of trials, ready to print."""

    id: str
    role: str
    state: str
    values: list[str]
    score: str
    interval: str
    chosen_by: str
    best_epoch: str
    epochs: str
    stopped: str
    time: str
    number: float | None
    rank: float | None
    spread: Interval | None


@dataclass(frozen=True)
class Summary:
    """The contents of a report.

    Attributes:
        confirmed: What the confirming runs show; None where there are none.
        beside: Rows (hyper-parameter, best here, published, grade of the value here); empty where nothing
            is published, and `beside_note` says why.
        recipe: Which recipe trained the points, as a sentence.
        names: Hyper-parameters that vary, and the seed where it does: the columns of `Line.values`.
        grades: Where the values of each come from, such as "published: 1, 3 · ours: 7".
        passes: How layers of students run twice, where some do.
        recipes: Points that another recipe trained than the plan's, as a sentence; or empty.
        seeds: Rows (point, values, seeds that ran all epochs, mean ± deviation, scores) of points with two at least.
        terms: Rows (loss term, best trial, undistilled student), each as first → last value.
        legend: How to read the learning curves.
        student: Folder of the exported best student, relative to the sweep's; None before there is one.
        loads: Class of transformers that loads the student.
        own_code: Whether the student is no stock model, so that its folder carries the code that loads it.
        before: What was made before the trials.
        called: What students and method are called.
        compared: Whether a student that the method did not touch has a score.
        causes: What the marks of a figure against one hyper-parameter may be taken for.
        seen: What the method recorded of itself, in tables.
        facts: How to reproduce: heading and text.
        further: What the networks score otherwise than by what the table tells, and on rows beside dev.
    """

    title: str
    made_up: bool
    verdict: Verdict
    networks: list[Network]
    confirmed: confirmed_words.ConfirmedSection | None
    progress: Progress
    recipe: str
    weak: str | None
    notices: list[str]
    faults: list[str]
    beside: list[tuple[str, str, str, str]]
    beside_note: str
    names: list[str]
    grades: dict[str, str]
    fixed: str
    passes: list[Passes]
    recipes: str
    lines: list[Line]
    seeds: list[tuple[str, str, str, str, str]]
    terms: list[tuple[str, str, str]]
    failures: list[Failure]
    legend: str
    caveats: list[str]
    command: str
    student: str | None
    loads: str
    own_code: bool
    before: Before | None
    called: Called
    compared: bool
    causes: str
    seen: list[Table]
    roles: dict[str, tuple[str, str]]
    facts: list[tuple[str, str]] = field(default_factory=list)
    further: list[str] = field(default_factory=list)


def summarise(record: Record, running: bool | None = None) -> Summary:
    """Gather what a report says.

    Args:
        record: The sweep.
        running: Whether its driver is at work; asked of the folder's lock when None.
    """
    plan = record.plan
    state = progress(record, running)
    teacher = (record.prepared or {}).get("teacher") or {}
    varying = tables.varying(record)
    names = [*varying, "seed"] if seeds_differ(record) else varying
    lines = [_line(record, trial, names, state.word == "running") for trial in record.trials.values()]
    fixed = " · ".join(f"{name} {tables.worded(record, name, value)}" for name, value in tables.fixed(record).items())
    return Summary(
        title=f"{plan['method_title']} on {plan['task']}, {plural(plan['layers'], 'layer')}",
        made_up=plan["data"].get("origin") == "embedded",
        verdict=confirmed_words.outcome(record, finished=state.word == "complete"),
        networks=confirmed_words.networks(record) or networks(record),
        confirmed=confirmed_words.section(record),
        progress=state,
        recipe=_recipe(plan["recipe"]),
        weak=_weak(teacher),
        notices=list(plan.get("notices") or []),
        faults=_faults(record),
        beside=_beside(record),
        beside_note=_beside_note(record),
        names=names,
        grades=_grades(record),
        fixed=fixed,
        passes=passes(record),
        recipes=_recipes(record),
        lines=sorted(lines, key=lambda line: (line.rank is None, -(line.rank or 0.0))),
        seeds=_seeds(record, varying),
        terms=_terms(record),
        failures=failures(record),
        legend=_legend(record),
        caveats=[*confirmed_words.caveats(record), *caveats(record)],
        command=command(record),
        student=STUDENT if (record.path / STUDENT).is_dir() else None,
        loads=_loads(record.path / STUDENT / "config.json"),
        own_code=_carries_code(record.path / STUDENT / "config.json"),
        before=before(record),
        called=called(record),
        roles=roles(record),
        compared=record.best_trial(baseline=True) is not None,
        causes=_causes(names),
        seen=seen_tables(record),
        facts=facts(record),
        further=[*also(record), *further(record)],
    )


def _causes(names: list[str]) -> str:
    """How marks that differ in these may be read."""
    if len(names) > 1:
        return "Several hyper-parameters change from mark to mark, so read tendencies, not causes."
    return "Nothing else changes from mark to mark."


def command(record: Record) -> str:
    """The command line that asks for the sweep once more, as one would type it."""
    return again(record.header["command"])


def _loads(config: Path) -> str:
    """An auto class for what was saved."""
    found = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    kinds = {name.partition("For")[2] for name in found.get("architectures") or ()}
    return f"AutoModelFor{'QuestionAnswering' if 'QuestionAnswering' in kinds else 'SequenceClassification'}"


def _carries_code(config: Path) -> bool:
    return config.is_file() and "auto_map" in json.loads(config.read_text(encoding="utf-8"))


def _line(record: Record, trial: Trial, names: list[str], running: bool) -> Line:
    best, last, stop = trial.best, trial.last, trial.stop
    spread = trial_interval(record, trial)
    stopped = ""
    if stop is not None:
        at = next(row for row in trial.evaluations.values() if row.get("decision") == stop)
        value, cutoff = (
            (number(None), number(stop["cutoff"])) if at["value"] is None else apart(at["value"], stop["cutoff"])
        )
        stopped = f"{place_of(record.plan['scheduler'], stop)}: {value} < {cutoff}"
    values = trial.params | {"seed": trial.point.get("seed")}
    return Line(
        id=trial.id,
        role=role(record, trial),
        state=state_words(trial) if running or trial.state != RUNNING else "cut while running",
        values=[tables.worded(record, name, values.get(name)) for name in names],
        score=number(trial.reported),
        interval=NOTHING if spread is None else interval(spread.low, spread.high),
        chosen_by=number(trial.score),
        best_epoch=NOTHING if best is None else f"{best['epoch']:g}",
        epochs=f"{0 if last is None else last['epoch']:g} of {record.plan['epochs']:g}",
        stopped=stopped,
        time=duration(trial.seconds) if trial.evaluations else NOTHING,
        number=trial.reported,
        rank=trial.score,
        spread=spread,
    )


def _recipe(name: str) -> str:
    words = {
        "published": "Published recipe: trained the way the method's reference program trains.",
        "modern": "Modern recipe: today's optimizer and schedule, not the reference program's.",
    }
    return words.get(name, f"Recipe: {name}.")


def _recipes(record: Record) -> str:
    own = record.plan["recipe"]
    others: dict[str, list[str]] = {}
    for trial in record.trials.values():
        name = trial.point.get("recipe") or own
        if name != own:
            values = " · ".join(f"{key} {parameter(value)}" for key, value in trial.point.get("training", {}).items())
            others.setdefault(name, []).append(f"{trial.id} ({values})" if values else trial.id)
    return " ".join(
        f"Trained with the {name} recipe's optimizer, not the {own} one's: {', '.join(ids)}."
        for name, ids in others.items()
    )


def _legend(record: Record) -> str:
    """How to read the learning curves; names only what is drawn."""
    found = []
    rungs = [f"{rung:g}" for rung in record.plan["scheduler"].get("rungs") or []]
    states = {state_words(trial) for trial in record.trials.values() if trial.score is not None}
    if rungs:
        at = " and ".join(filter(None, (", ".join(rungs[:-1]), rungs[-1])))
        found.append(f"Dotted lines are the rungs, at {'epoch' if len(rungs) == 1 else 'epochs'} {at}.")
    signs = {STATE_WORDS[PRUNED]: "×", BY_HAND: "■", STATE_WORDS[FAIL]: "▼"}
    ends = [f"{sign} {word}" for word, sign in signs.items() if word in states]
    if ends:
        found.append(f"Ends of trials: {', '.join(ends)}; point at one to see why.")
    if record.prepared is not None:
        found.append("The green band is the teacher's 95 % interval.")
    if record.held_out:
        found.append(f"All of it on the {plural(record.held_out, 'held-out row')} that choose, not on dev.")
    return " ".join(found)


def _seeds(record: Record, varying: list[str]) -> list[tuple[str, str, str, str, str]]:
    found, plain = [], called(record).label
    for group in repeated(record):
        params = group.trials[0].params
        values = " · ".join(f"{name} {parameter(params[name])}" for name in varying if name in params)
        ran = f"{len(group.scores)} of {len(group.trials)}"
        spread = f"{number(group.mean)} ± {number(group.deviation)}"
        name = f"{group.id} ({plain})" if group.trials[0].is_baseline else group.id
        found.append((name, values or NOTHING, ran, spread, ", ".join(number(score) for score in group.scores)))
    return found


def _terms(record: Record) -> list[tuple[str, str, str]]:
    sides = [_course(record.chosen_trial()), _course(record.best_trial(baseline=True))]
    names = list(dict.fromkeys(name for side in sides for name in side))
    return [(name, sides[0].get(name, NOTHING), sides[1].get(name, NOTHING)) for name in names]


def _course(trial: Trial | None) -> dict[str, str]:
    """First and last mean of every loss term of a trial."""
    steps = [] if trial is None else [row["terms"] for _, row in sorted(trial.evaluations.items()) if row.get("terms")]
    names = dict.fromkeys(name for terms in steps for name in terms)
    found = {name: [terms[name] for terms in steps if terms.get(name) is not None] for name in names}
    ends = {name: [f"{value:.4g}" for value in (values[0], values[-1])] for name, values in found.items() if values}
    return {name: " → ".join(words if len(found[name]) > 1 else words[:1]) for name, words in ends.items()}


def _weak(teacher: dict[str, Any]) -> str | None:
    if not teacher.get("weak"):
        return None
    return str(teacher.get("weak_reason") or "its score is no better than chance").rstrip(".") + "."


def _faults(record: Record) -> list[str]:
    return [
        f"Trial {trial.id}, evaluation {fault['evaluation']}: recorded {fault['first']}, "
        f"repeated after a restart {fault['again']}."
        for trial in record.everything()
        for fault in trial.faults
    ]


def _beside(record: Record) -> list[tuple[str, str, str, str]]:
    published, best = record.plan.get("published"), record.chosen_trial()
    if not published or best is None:
        return []
    values, grades = published["values"], best.point.get("grades", {})
    # Switches that nothing published names and no point changes would only fill the table.
    shown = {*values, *tables.varying(record)}
    names = [name for name in best.params if name in shown]
    names += [name for name in values if name not in best.params]
    return [
        (
            name,
            tables.worded(record, name, best.params.get(name)),
            tables.worded(record, name, values.get(name)),
            grades.get(name, NOTHING if name in best.params else "inert here"),
        )
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
    score = f"scored {number(here[0].reported)}" if here[0].score is not None else "has no score"
    best = " and is the best" if here[0] is record.chosen_trial() else ""
    return f"Published: {source}. The published point ({here[0].id}) {score} here{best}."


def _grades(record: Record) -> dict[str, str]:
    found = {}
    for axis in record.plan.get("axes", []):
        by_grade: dict[str, list[str]] = {}
        for value in axis["values"]:
            by_grade.setdefault(value["grade"], []).append(parameter(value["value"]))
        found[axis["name"]] = " · ".join(f"{grade}: {', '.join(values)}" for grade, values in by_grade.items())
    return found


def sizes(network: Network) -> tuple[str, str, str]:
    """Layers, width and parameters of a network in words."""
    return layers(network.layers, network), str(network.hidden_size or NOTHING), count(network.parameters)
