"""What the driver makes of a worker's row that Ray hands over flat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.tune.utils.util import flatten_dict

from tests.trainables.sweeps import create, result
from trainables.schedule import PointScheduler


class Asked:
    """A trial as Ray knows it."""

    def __init__(self, sweep: Path, point: str) -> None:
        self.config = {"sweep": str(sweep), "point": point}


def test_parts_of_a_row_come_back_whole(tmp_path: Path) -> None:
    recorder = create(tmp_path / "sweep")
    scheduler = PointScheduler({str(recorder.path): recorder})
    recorder.started("p00", attempt=1)
    trial: Any = Asked(recorder.path, "p00")
    rows = [
        result("p00", 1, reported={"mcc": 0.25, "accuracy": 0.5}),
        result("p00", 2, reported=None),
    ]
    for row in rows:
        scheduler.on_trial_result(None, trial, flatten_dict(row))
    for row in rows:
        found = recorder.record.trials["p00"].evaluations[row["evaluation"]]
        for name in ("value", "metrics", "terms", "reported"):
            assert found[name] == row[name]
    recorder.close()
