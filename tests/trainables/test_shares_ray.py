"""Sweeps that share device-seconds on real Ray workers: dear points are few, cheap ones many, none is left open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.verify import verify
from tests.trainables.curves import FAULTS, curve
from tests.trainables.sweeps import header
from trainables import shares
from trainables.record import COMPLETE, Record, read
from trainables.recorder import Recorder
from trainables.spending import used

CPUS, POINTS = 2, 9


def create(folder: Path, rule: dict[str, object], seconds: float) -> Recorder:
    planned = header(points=POINTS, epochs=1, scheduler="none", concurrent=CPUS, baseline=False)
    planned["plan"]["device_seconds"] = rule
    sweep = Recorder.create(folder, planned)
    (sweep.path / FAULTS).write_text(json.dumps({f"p{number:02d}": ("pace", seconds) for number in range(POINTS)}))
    sweep.session([])
    return sweep


def run(*sweeps: Recorder) -> list[Record]:
    from trainables import engine

    engine.catch_signals(lambda line: None)
    engine.run(sweeps, curve)
    shares.settle(sweeps, lambda line: None)
    for sweep in sweeps:
        sweep.close()
    return [read(sweep.path) for sweep in sweeps]


@pytest.mark.parametrize("kind", ["dearest", "seconds"])
def test_each_sweep_has_its_share_and_no_more(ray: None, tmp_path: Path, kind: str) -> None:
    rule = {"rule": "dearest", "trials": 2} if kind == "dearest" else {"rule": "seconds", "seconds": 200.0}
    # Far more than the wall time of a stand-in, so that clocks decide nothing.
    pace = {"cheap": 30.0, "dear": 100.0}
    cheap, dear = run(*(create(tmp_path / name, rule, seconds) for name, seconds in pace.items()))
    # What is at work when the share is used up ends as it is: one more of a kind for each further slot.
    assert 2 <= len(dear.trials) <= 3
    assert 7 <= len(cheap.trials) <= 8
    for record, seconds in ((cheap, 30.0), (dear, 100.0)):
        assert {trial.state for trial in record.trials.values()} == {COMPLETE}
        assert used(record) == seconds * len(record.trials)
        assert len(record.trials) + len(record.left_out) == POINTS
        assert record.left == 0
        (row,) = [row for row in record.rows if row["kind"] == "spent"]
        assert row["used"] == used(record) >= (row["limit"] if record is cheap or kind == "seconds" else 0)
        assert [fault for check in verify(record.path) for fault in check.faults] == []
