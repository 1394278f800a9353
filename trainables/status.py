"""`python -m trainables.status DIR`: how a sweep stands, as its folder tells. Imports neither Ray nor torch."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.command_line import Parser
from distill.errors import UserError
from distill.output import show
from trainables import preparing, spending, stage_rows
from trainables.disk import usage
from trainables.families import is_family
from trainables.lock import holder
from trainables.progress import plural, seconds_left
from trainables.record import COMPLETE, FAIL, FINISHED, PRUNED, RUNNING, WAITING, Record, Trial, read
from trainables.sweep import guarded

# Failures of one cause are named by so many of their trials.
_NAMED = 6


def status(folder: Path | str) -> dict[str, Any]:
    """How a sweep stands that runs, was killed, or is finished; plain data. Of a parent of several, all of them.

    Raises:
        UserError: The folder holds no readable sweep.
    """
    if is_family(folder):
        from trainables import status_family

        return status_family.status(folder)
    record = read(folder)
    driver = holder(record.path)
    plan, trials = record.plan, record.everything()
    by_hand = sum(trial.by_hand for trial in trials)
    count = {state: sum(t.state == state for t in trials) for state in (WAITING, RUNNING, COMPLETE, PRUNED, FAIL)}
    best, baseline = record.best_trial(), record.best_trial(baseline=True)
    published = next((t for t in record.trials.values() if t.point["origin"] == "published"), None)
    open_ones = record.unfinished()
    left = seconds_left(record) if record.left else 0.0
    failures: dict[str, list[str]] = {}
    for trial in trials:
        if trial.state == FAIL:
            failures.setdefault(str(trial.cause), []).append(trial.id)
    return {
        "folder": str(record.path.absolute()),
        "state": _state(record, driver),
        "preparing": preparing.newest(record.path) if driver else None,
        "driver": driver,
        "sweep": {name: plan[name] for name in ("method_title", "task", "layers", "recipe", "metric", "epochs")}
        | {"held_out": record.held_out},
        "created": record.header["created"],
        "sessions": record.sessions,
        "halt": None if driver or record.halt is None else record.halt["reason"],
        "last_event": record.rows[-1]["time"] if record.rows else None,
        "trials": {
            "total": len(trials) + record.to_suggest,
            "to_suggest": record.to_suggest,
            "waiting": count[WAITING],
            "running": count[RUNNING],
            "complete": count[COMPLETE],
            "stopped_early": count[PRUNED] - by_hand,
            "stopped_by_hand": by_hand,
            "failed": count[FAIL],
        },
        "confirming": {
            "total": len(record.confirming),
            "finished": sum(trial.state in FINISHED for trial in record.confirming.values()),
            "seeds": record.settled_seeds(),
            "best": record.confirmed_best(),
        },
        "evaluations": {
            "done": sum(len(trial.evaluations) for trial in trials),
            "possible": plan["evaluations"] * (len(trials) + record.to_suggest),
            "open": sum(plan["evaluations"] - len(trial.evaluations) for trial in open_ones)
            + plan["evaluations"] * record.to_suggest,
        },
        "device_seconds": _devices(record),
        "left_out": [point["id"] for point in record.left_out],
        "seconds_left": left,
        "open": [_at_work(trial) for trial in trials if trial.state == RUNNING],
        "best": _scored(best),
        "baseline": _scored(baseline),
        "published": _scored(published),
        "teacher": ((record.prepared or {}).get("teacher") or {}).get("score"),
        "failures": failures,
        "disk": usage(record.path),
        "store": plan.get("artifacts"),
        "resume": f"python -m trainables.sweep --resume {shlex.quote(str(record.path.absolute()))}"
        if record.left and driver is None
        else None,
    }


def _state(record: Record, driver: dict[str, Any] | None) -> str:
    if driver is not None:
        if not record.left:
            return "finishing"
        started = any(trial.state != WAITING for trial in record.everything())
        return "running" if started else "preparing"
    if not record.left:
        return "finished"
    return "interrupted" if record.rows else "not started"


def _devices(record: Record) -> dict[str, Any] | None:
    """Device-seconds that a sweep used, and the `limit` where that is a number; None where nothing limits it."""
    rule = spending.rule(record)
    if rule is None:
        return None
    ends = [row["limit"] for row in record.rows if row["kind"] == "spent"]
    return {"used": spending.used(record), "limit": rule.get("seconds", ends[-1] if ends else None)}


def _at_work(trial: Trial) -> dict[str, Any]:
    last = trial.last or {}
    return {
        "id": trial.id,
        "label": trial.point["label"],
        "attempt": trial.attempts,
        "evaluation": last.get("evaluation", 0),
        "epoch": last.get("epoch", 0.0),
        "value": last.get("value"),
        "best": trial.score,
        "stage": None if last else stage_rows.newest(trial.folder),
    }


def _scored(trial: Trial | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {
        "id": trial.id,
        "label": trial.point["label"],
        "state": trial.state,
        "score": trial.score,
        "epoch": None if trial.best is None else trial.best["epoch"],
    }


def describe(found: dict[str, Any]) -> list[str]:
    """The same for people: one fact a line."""
    if "sweeps" in found:
        from trainables import status_family

        return status_family.describe(found)
    sweep, trials, evaluations, disk = (found[name] for name in ("sweep", "trials", "evaluations", "disk"))
    metric = f"held-out {sweep['metric']}" if sweep["held_out"] else sweep["metric"]
    recipe = "" if sweep["recipe"] == "modern" else f", recipe {sweep['recipe']}"
    lines = [
        f"{sweep['method_title']} on {sweep['task']}, {sweep['layers']} layers{recipe}: {found['folder']}",
        f"State: {_words(found)}.",
        *preparing.words(found["preparing"]),
        *([f"Ended because {found['halt']}."] if found["halt"] else []),
    ]
    names = ("running", "waiting", "to_suggest", "complete", "stopped_early", "stopped_by_hand", "failed")
    counts = [f"{trials[name]} {_title(name, found)}" for name in names if trials[name]]
    lines.append(f"Trials: {trials['total']}, {', '.join(counts)}.")
    share = f"{evaluations['done']} of {evaluations['possible']} done"
    lines.append(f"Evaluations: {share}, {evaluations['open']} still possible{_left(found)}.")
    if found["device_seconds"]:
        lines.append(f"{devices_words(found)}.")
    if (again := found["confirming"])["total"]:
        best = f", best mean so far by {again['best']}" if again["best"] else ""
        seeds = plural(len(again["seeds"]), "seed")
        lines.append(f"Confirming runs: {again['finished']} of {again['total']} finished, {seeds} whole{best}.")
    for trial in found["open"]:
        lines.append(f"  {trial['id']}  {_reached(trial, sweep, metric)}  [{trial['label']}]")
    lines.append(f"Best: {_score(found['best'], metric)}{_margin(found)}")
    lines.append(f"Baseline: {_score(found['baseline'], metric)}")
    if found["published"] is not None:
        lines.append(f"Published point: {_score(found['published'], metric)}")
    if found["teacher"] is not None:
        lines.append(f"Teacher: {metric} {found['teacher']:.3f}.")
    for cause, ids in sorted(found["failures"].items(), key=lambda item: -len(item[1])):
        more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        lines.append(f"Failed: {', '.join(ids[:_NAMED])}{more}: {cause}.")
    sizes = ", ".join(f"{name} {size(disk[name])}" for name in ("students", "states", "rest"))
    lines.append(f"Disk: {size(disk['folder'])} ({sizes}). Store: {found['store']}.")
    if found["resume"]:
        lines.append(f"Continue with: {found['resume']}")
    return lines


def _words(found: dict[str, Any]) -> str:
    driver, state = found["driver"], found["state"]
    if driver is not None:
        who = "a process that has just started" if driver["pid"] is None else f"{driver['pid']} on {driver['host']}"
        return f"{state}, driver {who}, session {found['sessions']}"
    if state == "not started":
        return "not started, no driver holds it"
    return f"{state} after {plural(found['sessions'], 'session')}, last event {found['last_event']}; no driver holds it"


def _title(name: str, found: dict[str, Any]) -> str:
    """A trial that was running when the driver ended is only open."""
    if name == "to_suggest":
        return "yet to be suggested"
    return "cut while running" if name == "running" and found["driver"] is None else name.replace("_", " ")


def _left(found: dict[str, Any]) -> str:
    if found["seconds_left"] is None:
        return "; no evaluation was timed yet"
    if not found["evaluations"]["open"]:
        return ""
    return f", about {duration(found['seconds_left'])} if no more trials are stopped early"


def _reached(trial: dict[str, Any], sweep: dict[str, Any], metric: str) -> str:
    again = f", attempt {trial['attempt']}" if trial["attempt"] > 1 else ""
    if not trial["evaluation"]:
        stage = trial.get("stage")
        return f"{stage_rows.words(stage) if stage else 'no evaluation yet'}{again}"
    value = "not finite" if trial["value"] is None else f"{trial['value']:.3f}"
    best = "" if trial["best"] in (None, trial["value"]) else f", best {trial['best']:.3f}"
    return f"epoch {trial['epoch']:g} of {sweep['epochs']}, {metric} {value}{best}{again}"


def _score(trial: dict[str, Any] | None, metric: str) -> str:
    if trial is None or trial["score"] is None:
        state = "" if trial is None else f" ({trial['id']} is {trial['state'].lower()})"
        return f"none yet{state}."
    return f"{metric} {trial['score']:.3f} by {trial['id']} at epoch {trial['epoch']:g} [{trial['label']}]."


def _margin(found: dict[str, Any]) -> str:
    best, baseline = found["best"], found["baseline"]
    if best is None or baseline is None or baseline["score"] is None:
        return ""
    return f" {best['score'] - baseline['score']:+.3f} against the baseline."


def devices_words(found: dict[str, Any]) -> str:
    """Device-seconds used, of how many, and what was not run for want of them."""
    used, limit = (found["device_seconds"][name] for name in ("used", "limit"))
    words = f"Device-seconds: {used:.0f}" + ("" if limit is None else f" of {limit:.0f}")
    return words + (f", {plural(len(found['left_out']), 'point')} not run" if found["left_out"] else "")


def duration(seconds: float) -> str:
    """ "40 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """ "1.5 GB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how a sweep stands; 2 where there is none."""
    parser = Parser(prog="python -m trainables.status", description="How a sweep stands that runs or ran.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep, or of several")
    parser.add_argument("--json", action="store_true", help="print it as JSON, one line an observation")
    parser.add_argument("--watch", action="store_true", help="print it again until no driver holds the sweep any more")
    parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="pause of --watch (default: 5)")
    asked = parser.parse_args(arguments)
    return guarded(lambda: _run(asked.folder, asked.json, asked.watch, asked.every))


def _run(folder: Path, as_json: bool, again: bool, pause: float) -> int:
    if not 0.1 <= pause < float("inf"):
        raise UserError(f"--every {pause:g} must be a number of seconds from 0.1.")
    if not again:
        show(_text(status(folder), as_json))
        return 0
    try:
        if sys.stdout.isatty() and not as_json:
            _live(folder, pause)
        else:
            _plain(folder, as_json, pause)
    except KeyboardInterrupt:
        # The usual end of watching.
        print(file=sys.stderr)
    return 0


def _text(found: dict[str, Any], as_json: bool) -> str:
    return json.dumps(found, allow_nan=False) if as_json else "\n".join(describe(found))


def _plain(folder: Path, as_json: bool, pause: float) -> None:
    while True:
        found = status(folder)
        show(_text(found, as_json) if as_json else f"{time.strftime('%H:%M:%S')} {_text(found, as_json)}\n")
        if found["driver"] is None:
            return
        time.sleep(pause)


def _live(folder: Path, pause: float) -> None:
    from rich.live import Live
    from rich.text import Text

    found = status(folder)
    with Live(Text("\n".join(describe(found))), auto_refresh=False) as view:
        while found["driver"] is not None:
            time.sleep(pause)
            found = status(folder)
            view.update(Text("\n".join(describe(found))), refresh=True)


__all__ = ["describe", "main", "status"]

if __name__ == "__main__":
    sys.exit(main())
