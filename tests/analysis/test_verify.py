"""The proof holds for honest records and names what was tampered with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import verify
from tests.analysis.conftest import Build
from trainables.record import UserError

Row = dict[str, Any]


def faults(folder: Path) -> dict[str, list[str]]:
    """Titles of the checks that failed, with their sentences."""
    return {check.title: check.faults for check in verify.verify(folder) if check.faults}


def change(folder: Path, edit: Callable[[list[Row]], None]) -> None:
    """Rewrites the rows after an edit, which must change something."""
    file = folder / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    before = json.dumps(rows)
    edit(rows)
    assert json.dumps(rows) != before
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def first(rows: list[Row], **wanted: Any) -> Row:
    return next(row for row in rows if all(row.get(key) == value for key, value in wanted.items()))


def renumber(rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        row["seq"] = number


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"journal": True},
        {"scheduler": "none", "journal": True},
        {"fail_all": True, "journal": True},
        {"events": 17, "journal": True},
        {"events": 0},
        {"baseline": False},
        {"hand": ("p03", "ft"), "journal": True},
        {"epochs": 2, "evaluations_per_epoch": 4, "journal": True},
        {"seeds": {"p03": 3, "ft": 2}, "extended": True, "journal": True},
        {"predictions": False},
        {"confirmed": 3, "journal": True},
        {"confirmed": 3, "top": 1, "events": 60, "journal": True},
        {"prepared": False, "events": 0},
    ],
    ids=str,
)
def test_honest_records_pass(sweep: Build, changes: Row) -> None:
    folder = sweep(**changes)
    assert faults(folder) == {}
    assert verify.main([str(folder)]) == 0


def test_every_check_looks_at_something(sweep: Build) -> None:
    folder = sweep(journal=True, confirmed=2, top=1)

    def repeat(rows: list[Row]) -> None:
        rows.append({**first(rows, kind="evaluation"), "seq": len(rows), "decision": None})

    change(folder, repeat)
    assert all(check.count > 0 for check in verify.verify(folder))
    assert faults(folder) == {}


def stops(rows: list[Row]) -> Row:
    return next(row for row in rows if (row.get("decision") or {}).get("stop"))


def cutoff(rows: list[Row]) -> float:
    return float(stops(rows)["decision"]["cutoff"])


def continues(rows: list[Row]) -> Row:
    return next(row for row in rows if (row.get("decision") or {}).get("cutoff") and not row["decision"]["stop"])


EDITS: dict[str, tuple[Callable[[list[Row]], None], str]] = {
    "cutoff": (lambda rows: stops(rows)["decision"].update(cutoff=0.9), "rung decisions"),
    "cutoff by a hair": (
        lambda rows: stops(rows)["decision"].update(cutoff=np.nextafter(stops(rows)["decision"]["cutoff"], 1)),
        "rung decisions",
    ),
    "recorded": (lambda rows: stops(rows)["decision"].update(recorded=1), "rung decisions"),
    "rung": (lambda rows: stops(rows)["decision"].update(rung=3.0), "rung decisions"),
    "stop withdrawn": (lambda rows: stops(rows)["decision"].update(stop=False), "rung decisions"),
    "stop invented": (lambda rows: continues(rows)["decision"].update(stop=True), "rung decisions"),
    "decision dropped": (lambda rows: continues(rows).update(decision=None), "rung decisions"),
    "baseline judged": (
        lambda rows: first(rows, kind="evaluation", point="ft").update(
            decision={"rung": 1.0, "cutoff": None, "recorded": 0, "stop": False}
        ),
        "rung decisions",
    ),
    "value": (lambda rows: first(rows, kind="evaluation", point="p00").update(value=0.99), "evaluations"),
    "value and metric": (
        lambda rows: first(rows, kind="evaluation", point="p00").update(value=0.99, metrics={"mcc": 0.99}),
        "scores",
    ),
    "epoch": (lambda rows: first(rows, kind="evaluation", evaluation=3).update(epoch=2.5), "evaluations"),
    "number": (lambda rows: first(rows, kind="evaluation", point="p01").update(evaluation=2), "evaluations"),
    "complete too early": (lambda rows: first(rows, state="PRUNED").update(state="COMPLETE"), "states"),
    "pruned without a stop": (lambda rows: first(rows, state="COMPLETE").update(state="PRUNED"), "states"),
    "pruned for another cause": (
        lambda rows: first(rows, state="COMPLETE").update(state="PRUNED", cause="out of patience"),
        "states",
    ),
    "by hand what a rung had stopped": (
        lambda rows: first(rows, state="PRUNED").update(cause="stopped by hand"),
        "states",
    ),
    "complete by hand without having run": (
        lambda rows: rows.append(
            {**first(rows, state="COMPLETE"), "seq": len(rows), "point": "p02", "cause": "stopped by hand"}
        ),
        "states",
    ),
    "failed without a cause": (lambda rows: first(rows, state="FAIL").update(cause=None), "states"),
    "unknown state": (lambda rows: first(rows, state="FAIL").update(state="GONE"), "states"),
    "row after the end": (
        lambda rows: rows.append({**first(rows, kind="state", point="p00"), "seq": len(rows)}),
        "states",
    ),
    "never ran": (
        lambda rows: (rows.remove(first(rows, state="RUNNING", point="p02")), renumber(rows)),
        "states",
    ),
    "row lost": (lambda rows: rows.pop(9), "rows follow"),
    "row doubled": (lambda rows: rows.insert(9, rows[8]), "rows follow"),
    "repeat differs": (
        lambda rows: rows.append(
            {**first(rows, kind="evaluation", point="p03"), "seq": len(rows), "decision": None, "value": 0.5}
        ),
        "repeated",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_tampering_is_named(sweep: Build, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    edit, title = EDITS[name]
    folder = sweep()
    change(folder, edit)
    found = faults(folder)
    assert any(wanted.startswith(title) for wanted in found), found
    assert verify.main([str(folder)]) == 1
    printed = capsys.readouterr().out
    assert next(iter(found.values()))[0] in printed


def test_a_waiting_trial_may_be_stopped_by_hand(sweep: Build) -> None:
    folder = sweep(events=0)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    row = {"kind": "state", "point": "p05", "state": "PRUNED", "cause": "stopped by hand", "attempt": 0}
    rows.append({"seq": len(rows), "time": rows[-1]["time"], **row})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert faults(folder) == {}


def test_order_decides_the_cutoff(sweep: Build) -> None:
    """Swapping two values of one rung keeps their set, but not what each of them met."""
    folder = sweep(scheduler="asha", fail=())

    def swap(rows: list[Row]) -> None:
        judged = [i for i, row in enumerate(rows) if (row.get("decision") or {}).get("rung") == 1.0]
        i, j = judged[1], judged[2]
        rows[i], rows[j] = rows[j], rows[i]
        renumber(rows)

    change(folder, swap)
    assert any(title.startswith("rung decisions") for title in faults(folder))


def test_other_rungs_than_asked(sweep: Build) -> None:
    folder = sweep()
    file = folder / "sweep.json"
    header = json.loads(file.read_text())
    header["plan"]["scheduler"]["rungs"] = [1.0, 3.0]
    file.write_text(json.dumps(header))
    assert any("rungs are the ones" in title for title in faults(folder))


def test_changed_predictions(sweep: Build) -> None:
    folder = sweep()
    file = folder / "trials" / "p03" / "predictions-best.npz"
    with np.load(file) as stored:
        logits, labels = stored["logits"], stored["labels"]
    logits[:5] = -logits[:5]
    np.savez(file, logits=logits, labels=labels)
    (title,) = faults(folder)
    assert title.startswith("scores")
    file.write_bytes(b"torn")
    assert "can't be read" in faults(folder)[title][0]


def test_not_finite_is_the_worst(sweep: Build) -> None:
    """A value that is not finite is judged like the lowest number and stands as null."""
    folder = sweep(predictions=False)

    def lose(rows: list[Row]) -> None:
        stopped = max(i for i, row in enumerate(rows) if (row.get("decision") or {}).get("stop"))
        rows[stopped].update(value=None, metrics={})
        del rows[stopped + 1 :]

    change(folder, lose)
    assert faults(folder) == {}


@pytest.mark.parametrize("what", ["state", "value", "step", "missing"])
def test_study_that_disagrees(sweep: Build, what: str) -> None:
    folder = sweep(journal=True)
    file = folder / "study.journal"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    mine = next(line for line in lines if line.get("user_attrs", {}).get("id") == "p01")
    if what == "state":
        mine["state"] = 3
        mine["value"] = None
    elif what == "value":
        mine["value"] = 0.123
    elif what == "step":
        mine["intermediate_values"]["2"] = 0.123
    else:
        lines.remove(mine)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (title,) = faults(folder)
    assert title.startswith("trials of the Optuna study")
    assert "p01" in faults(folder)[title][0]


def test_study_may_lag_one_row_behind_a_kill(sweep: Build) -> None:
    folder = sweep(journal=True, events=15)
    last = json.loads((folder / "rows.jsonl").read_text().splitlines()[-1])
    assert last["kind"] == "evaluation"
    file = folder / "study.journal"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    mine = next(line for line in lines if line.get("user_attrs", {}).get("id") == last["point"])
    del mine["intermediate_values"][str(last["evaluation"])]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert faults(folder) == {}


def test_no_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    with pytest.raises(UserError, match=r"sweep\.json is missing"):
        verify.verify(tmp_path)
