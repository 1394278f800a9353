"""The proof of suggested points, of the median rule and of lost values: it holds, and names what was tampered with."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.verify import verify
from tests.trainables.sweeps import result
from trainables import plan
from trainables.config import from_namespace
from trainables.recorder import Recorder
from trainables.resources import Machine
from trainables.rungs import Median
from trainables.suggest import suggest

Row = dict[str, Any]
LEVELS = (0.5, 0.9, 0.7, 0.2, 0.8, 0.3)


@pytest.fixture(scope="module")
def recorded(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of suggested points under the median rule, the last but one lost at its second evaluation."""
    asked = {"layers": 4, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "epochs": 3, "trials": len(LEVELS)}
    config = from_namespace({**asked, "search": "tpe", "scheduler": "median"}, [])
    recorder = Recorder.create(tmp_path_factory.mktemp("sweep") / "s", plan.make(config, Machine(2, 0, False)))
    for number, level in enumerate(LEVELS):
        points, k = suggest(recorder.record)
        if number:
            recorder.suggested(points, k)
        id = points[0]["id"] if number else "p00"
        recorder.started(id, attempt=1)
        for evaluation in (1, 2, 3):
            value = float("nan") if (number, evaluation) == (4, 2) else level * evaluation
            report = result(id, evaluation, value=value, metrics={"mcc": value})
            if recorder.evaluation(id, report):
                break
    recorder.close()
    return recorder.path


@pytest.fixture
def sweep(recorded: Path, tmp_path: Path) -> Path:
    for name in ("sweep.json", "rows.jsonl"):
        (tmp_path / name).write_bytes((recorded / name).read_bytes())
    return tmp_path


def faults(folder: Path) -> list[str]:
    return [fault for check in verify(folder) for fault in check.faults]


def test_an_honest_record_holds(recorded: Path, sweep: Path) -> None:
    assert faults(recorded) == faults(sweep) == []
    rows = [json.loads(line) for line in (sweep / "rows.jsonl").read_text().splitlines()]
    stops = [(row["value"], row["decision"]["cutoff"]) for row in rows if (row.get("decision") or {}).get("stop")]
    # At epoch 1 the fourth is held against the first three, the sixth against five; at epoch 2 the fifth, whose best is
    # 0.8, against three whose means are 0.75, 1.35 and 1.05.
    assert stops == [(0.2, 0.7), (None, pytest.approx(1.05)), (0.3, 0.7)]
    assert [row["state"] for row in rows if row["kind"] == "state" and row["state"] != "RUNNING"] == (
        ["COMPLETE"] * 3 + ["PRUNED", "FAIL", "PRUNED"]
    )


def pick(rows: list[Row], **wanted: Any) -> Row:
    return next(row for row in rows if all(row.get(key) == value for key, value in wanted.items()))


def suggestions(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] == "suggest"]


def decided(rows: list[Row]) -> Row:
    return next(row for row in rows if row.get("decision"))


def repeat(rows: list[Row]) -> None:
    first, second = suggestions(rows)[:2]
    second["points"][0]["params"] = first["points"][0]["params"]


EDITS: dict[str, tuple[Callable[[list[Row]], object], str]] = {
    "same number again": (
        lambda rows: suggestions(rows)[1].update(k=suggestions(rows)[0]["k"]),
        "is suggestion 1 after",
    ),
    "same point again": (repeat, "a point that was there already"),
    "cutoff": (lambda rows: decided(rows)["decision"].update(cutoff=0.71), "differs in cutoff"),
    "others": (lambda rows: decided(rows)["decision"].update(recorded=2), "differs in recorded"),
    "epoch": (lambda rows: decided(rows)["decision"].update(rung=2.0), "differs in rung"),
    "stop withdrawn": (lambda rows: decided(rows)["decision"].update(stop=False), "differs in stop"),
    "decision dropped": (lambda rows: decided(rows).update(decision=None), "has no decision"),
    "lost and complete": (
        lambda rows: pick(rows, state="FAIL").update(state="PRUNED", cause=None),
        "but (its last value was not finite|no rung stopped it)",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_tampering_is_named(sweep: Path, name: str) -> None:
    edit, sentence = EDITS[name]
    file = sweep / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    edit(rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert any(re.search(sentence, fault) for fault in faults(sweep)), faults(sweep)


def test_suggestions_without_a_sampler_are_named(sweep: Path) -> None:
    header = json.loads((sweep / "sweep.json").read_text())
    header["plan"]["search"] = {"name": "grid", "seed": 0, "ranges": []}
    (sweep / "sweep.json").write_text(json.dumps(header))
    assert "Points were suggested, but the plan asks no sampler." in faults(sweep)


def test_an_evaluation_after_a_lost_value_is_named(sweep: Path) -> None:
    file = sweep / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    lost = pick(rows, kind="evaluation", value=None)
    further = {**lost, "evaluation": 3, "epoch": 3.0, "value": 0.5, "metrics": {"mcc": 0.5}, "decision": None}
    rows.insert(rows.index(lost) + 1, further)
    for number, row in enumerate(rows):
        row["seq"] = number
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert any("although the value before it was not finite" in fault for fault in faults(sweep))


def test_a_resumed_sweep_knows_all_that_the_median_rule_knew(recorded: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(recorded, tmp_path / "s")
    again = Recorder(folder)
    # Whoever began with 0.2 or 0.3 stopped there; the fifth was lost, and a third value is never judged.
    wanted = {n: [(float(e), level * e) for e in (1, 2)] for n, level in enumerate(LEVELS[:3])}
    wanted |= {3: [(1.0, 0.2)], 4: [(1.0, 0.8), (2.0, -math.inf)], 5: [(1.0, 0.3)]}
    ids = [trial.id for trial in again.record.trials.values() if not trial.is_baseline]
    assert isinstance(again.rule, Median)
    assert again.rule.recorded == {ids[n]: values for n, values in wanted.items()}
    again.close()
