"""The proof of a record: `python -m analysis.verify DIR`.

Reads the rows in order and proves from what stood before each of them that it had to be so: every decision of
a rung, every state. Then the predictions and the Optuna study are held against the rows.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.confirm_check import check_confirming
from analysis.last_look import check_reported
from analysis.study import check_study
from distill.errors import error_line
from trainables.families import is_family, read_family
from trainables.record import BY_HAND, COMPLETE, FAIL, FINISHED, PRUNED, RUNNING, WAITING, Record, UserError, read
from trainables.rungs import Rule, milestones, rule_of
from trainables.statistics import recomputed

SHOWN = 10


@dataclass(frozen=True)
class Check:
    """One kind of proof.

    Attributes:
        title: What was proved, in the words of the list that is printed.
        count: How many single facts were looked at.
        faults: Contradictions, one sentence each, in the order of the rows.
    """

    title: str
    count: int
    faults: list[str]


def verify(path: Path | str) -> list[Check]:
    """Run every check on the sweep in `path`.

    Raises:
        UserError: The folder holds no readable sweep.
    """
    record = read(path)
    checks: list[tuple[str, Callable[[Record], Iterator[str | None]]]] = [
        ("rows follow each other without a gap", _sequence),
        ("rungs are the ones that were asked for", _rungs),
        ("rung decisions follow from the values before them", _decisions),
        ("suggested points are new and stand in order", _suggestions),
        ("evaluations are in order and their epochs fit", _evaluations),
        ("repeated evaluations are equal bit for bit", _repeats),
        ("states follow from the evaluations and decisions before them", _states),
        ("scores follow from the saved predictions", _scores),
        ("dev decided what it was to decide, and no more", check_reported),
        ("confirming runs are the points they name, with fresh seeds", check_confirming),
        ("trials of the Optuna study agree with the rows", check_study),
    ]
    found = []
    for title, check in checks:
        outcome = list(check(record))
        found.append(Check(title, len(outcome), [fault for fault in outcome if fault is not None]))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the checks: 0 when all hold, 1 with the first contradictions, 2 when there is no sweep."""
    parser = argparse.ArgumentParser(prog="python -m analysis.verify", description="Prove a sweep's record.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of a sweep, or of several")
    folder = parser.parse_args(argv).folder
    try:
        if is_family(folder):
            found = {record.path.name: verify(record.path) for record in read_family(folder).records().values()}
        else:
            found = {"": verify(folder)}
    except UserError as error:
        print(error_line(error), file=sys.stderr)
        return 2
    faults = 0
    for name, checks in found.items():
        if name:
            print(f"{name}:")
        faults += _tell(checks)
    return 1 if faults else 0


def _tell(checks: Sequence[Check]) -> int:
    """Print what was checked and the first contradictions; how many there are."""
    for check in checks:
        print(f"{'fault' if check.faults else 'ok':>5}  {check.count:5d}  {check.title}")
    faults = [fault for check in checks for fault in check.faults]
    for fault in faults[:SHOWN]:
        print(fault)
    if len(faults) > SHOWN:
        print(f"… and {len(faults) - SHOWN} more.")
    return len(faults)


# Every check yields one item per fact it looked at: None where it holds, else a sentence.


def _sequence(record: Record) -> Iterator[str | None]:
    for number, row in enumerate(record.rows):
        fault = None
        if row["seq"] != number:
            fault = f"Row {number} carries the number {row['seq']}: a row is missing, doubled or out of order."
        yield fault


def _rungs(record: Record) -> Iterator[str | None]:
    scheduler = record.plan["scheduler"]
    if scheduler["name"] != "asha":
        # The median rule compares at every evaluation.
        yield None if not scheduler.get("rungs") else "The plan has rungs but no scheduler that uses them."
        return
    wanted = list(milestones(record.plan["epochs"], scheduler["grace"], scheduler["reduction_factor"]))
    if list(scheduler["rungs"]) == wanted:
        yield None
    else:
        yield f"The plan's rungs are {scheduler['rungs']}, but what was asked for gives {wanted}."


def _decisions(record: Record) -> Iterator[str | None]:
    """Replay the stopping rule; baseline and confirming runs are exempt, and a last evaluation needs no decision."""
    rule: Rule | None = rule_of(record.plan["scheduler"])
    for row, first in _firsts(record):
        found, wanted = row.get("decision"), None
        trial = record.trial(row["point"])
        exempt = trial.is_baseline or trial.confirms or row["evaluation"] >= record.plan["evaluations"]
        if not first:
            yield (None if found is None else f"{_name(row)} repeats an earlier one and still carries a decision.")
            continue
        if rule is not None and not exempt:
            decision = rule.judge(row["point"], row["epoch"], row["value"])
            wanted = None if decision is None else decision.as_dict()
        yield _decision_fault(row, found, wanted)


def _suggestions(record: Record) -> Iterator[str | None]:
    """A sampler's points came one at a time, before they ran, each new and with a later number than the one before."""
    later = {point["id"] for row in record.rows for point in row.get("points", ())}
    last, settings = 0, {_setting(point) for point in record.plan["points"] if point["id"] not in later}
    asked = (record.plan.get("search") or {}).get("name") == "tpe"
    some = any(row["kind"] == "suggest" for row in record.rows)
    yield "Points were suggested, but the plan asks no sampler." if some and not asked else None
    for row in record.rows:
        if row["kind"] == "extend":
            settings |= {_setting(point) for point in row["points"]}
        if row["kind"] != "suggest":
            continue
        new = [_setting(point) for point in row["points"]]
        if row["k"] <= last:
            yield f"Row {row['seq']} is suggestion {row['k']} after suggestion {last}."
        elif twice := [point["id"] for point, key in zip(row["points"], new, strict=True) if key in settings]:
            yield f"Row {row['seq']} suggests {', '.join(twice)}, a point that was there already."
        else:
            yield None
        last, settings = row["k"], settings | set(new)


def _setting(point: dict[str, Any]) -> str:
    return json.dumps([point["method"], point["params"], point["seed"]], sort_keys=True)


def _decision_fault(row: dict[str, Any], found: dict[str, Any] | None, wanted: dict[str, Any] | None) -> str | None:
    if found == wanted:
        return None
    if wanted is None:
        return f"{_name(row)} carries a decision at rung {found and found.get('rung')} where none was due."
    if found is None:
        return f"{_name(row)} has no decision, but rung {wanted['rung']:g} was due with {_words(wanted)}."
    wrong = [key for key in wanted if found.get(key) != wanted[key]]
    return (
        f"{_name(row)}, value {row['value']}: the record says {_words(found)}, the values before it give "
        f"{_words(wanted)} (differs in {', '.join(wrong)})."
    )


def _evaluations(record: Record) -> Iterator[str | None]:
    seen: dict[str, int] = {}
    per_epoch, metric = record.plan["evaluations_per_epoch"], record.plan["metric"]
    for row, first in _firsts(record):
        before = seen.get(row["point"], 0)
        named = (row.get("metrics") or {}).get(metric)
        fault = None
        if first and row["evaluation"] != before + 1:
            fault = f"{_name(row)} follows evaluation {before}: one between them is missing."
        elif row["evaluation"] > record.plan["evaluations"]:
            fault = f"{_name(row)} is beyond the {record.plan['evaluations']} evaluations of a trial."
        elif not math.isclose(row["epoch"] * per_epoch, row["evaluation"], abs_tol=1e-6):
            fault = f"{_name(row)} stands at epoch {row['epoch']:g}, which is not where it belongs."
        elif named is not None and row["value"] is not None and named != row["value"]:
            fault = f"{_name(row)} has value {row['value']}, but its metric {metric} is {named}."
        seen[row["point"]] = max(before, row["evaluation"])
        yield fault


def _repeats(record: Record) -> Iterator[str | None]:
    for row, first in _firsts(record):
        if not first:
            known = record.trial(row["point"]).evaluations[row["evaluation"]]
            same = known["value"] == row["value"]
            yield None if same else f"{_name(row)} was first {known['value']} and then {row['value']}."


def _states(record: Record) -> Iterator[str | None]:
    ids = [trial.id for trial in record.everything()]
    state = dict.fromkeys(ids, WAITING)
    done: dict[str, int] = dict.fromkeys(ids, 0)
    stopped: dict[str, bool] = dict.fromkeys(ids, False)
    lost: dict[str, bool] = dict.fromkeys(ids, False)
    for row in record.rows:
        if row["kind"] == "evaluation":
            point = row["point"]
            repeat = row["evaluation"] <= done[point]
            fault = None
            if state[point] != RUNNING and not (repeat and state[point] in FINISHED):
                fault = f"{_name(row)} was recorded while the trial was {state[point]}."
            elif lost[point] and not repeat:
                fault = f"{_name(row)} was recorded although the value before it was not finite."
            elif stopped[point] and not repeat:
                fault = f"{_name(row)} was recorded although a rung had stopped the trial."
            done[point] = max(done[point], row["evaluation"])
            stopped[point] |= bool((row.get("decision") or {}).get("stop"))
            lost[point] |= row["value"] is None and not repeat
            yield fault
        elif row["kind"] == "state":
            point = row["point"]
            fault = _state_fault(row, state[point], done[point], stopped[point], record)
            if fault is None and lost[point] and row["state"] in (COMPLETE, PRUNED) and row.get("cause") != BY_HAND:
                fault = f"Row {row['seq']} sets {point} to {row['state']}, but its last value was not finite."
            yield fault
            state[point] = row["state"]
        elif row["kind"] == "retry":
            point, before = row["point"], state[row["point"]]
            yield None if before == RUNNING else f"Row {row['seq']} sends {point} back although it was {before}."
            state[point] = WAITING


def _state_fault(row: dict[str, Any], before: str, done: int, stopped: bool, record: Record) -> str | None:
    new, what = row["state"], f"Row {row['seq']} sets {row['point']} to {row['state']}"
    needed = record.plan["evaluations"]
    by_hand = new == PRUNED and row.get("cause") == BY_HAND
    if before in FINISHED:
        return f"{what}, but it was already {before}."
    if new in (COMPLETE, PRUNED) and before != RUNNING and not by_hand:
        return f"{what}, but it never ran."
    if new == COMPLETE and done < needed:
        return f"{what} after {done} of {needed} evaluations."
    if new == COMPLETE and stopped:
        return f"{what}, but a rung had stopped it."
    if new == PRUNED and not stopped and not by_hand:
        return f"{what}, but no rung stopped it and it was not {BY_HAND}."
    if by_hand and stopped:
        return f"{what} as {BY_HAND}, but a rung had stopped it."
    if new == FAIL and not row.get("cause"):
        return f"{what} without a cause."
    return f"{what}, a state that does not exist." if new not in (RUNNING, *FINISHED) else None


def _scores(record: Record) -> Iterator[str | None]:
    """Finished trials only: a running trial's files may be one evaluation ahead of its rows."""
    for trial in record.everything():
        for which, row in (("best", trial.best), ("last", trial.last)):
            file = trial.predictions(which)
            if trial.state not in (COMPLETE, PRUNED) or row is None or not file.exists():
                continue
            value = recomputed(record, file)
            where = file.relative_to(record.path)
            if value is None:
                yield f"{where} can't be read."
            elif row["value"] is None:
                same = math.isnan(value)
                yield None if same else f"{where} gives {value}, but the record has no finite value there."
            else:
                same = math.isclose(value, row["value"], rel_tol=0.0, abs_tol=1e-12)
                yield None if same else f"{where} gives {value}, the record says {row['value']}."


def _firsts(record: Record) -> Iterator[tuple[dict[str, Any], bool]]:
    """Evaluation rows in order, and whether each is the first of its number."""
    seen = set()
    for row in record.rows:
        if row["kind"] == "evaluation":
            key = (row["point"], row["evaluation"])
            yield row, key not in seen
            seen.add(key)


def _name(row: dict[str, Any]) -> str:
    return f"Row {row['seq']}, evaluation {row['evaluation']} of {row['point']},"


def _words(decision: dict[str, Any]) -> str:
    verb = "stop" if decision.get("stop") else "go on"
    return (
        f"“{verb}” at rung {decision.get('rung')}, cutoff {decision.get('cutoff')}, {decision.get('recorded')} recorded"
    )


if __name__ == "__main__":
    # `| head` leaves before all is printed; the command then ends in silence, as others do. Windows has no such signal.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
