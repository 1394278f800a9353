"""Real training that moves from node to node through a storage gives the rows of a straight run, bit for bit."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.trainables.test_trial import ready, straight, timeless  # noqa: F401
from trainables import node_store, trial
from trainables.node_store import bundles, upload
from trainables.node_trial import BUNDLES, train_here
from trainables.record import PREPARED, SWEEP, read
from trainables.storage import Place


class Ended(BaseException):
    """What Ray raises within a report."""


def test_a_trial_that_changes_its_node_at_every_evaluation(
    ready: Path,  # noqa: F811
    straight: dict[str, Any],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import json

    place, prepared = Place(str(tmp_path / "storage")), read(ready).prepared
    assert prepared is not None
    found = bundles(prepared)
    for bundle in found:
        upload(place, bundle)
    place.write(f"s/{BUNDLES}", json.dumps({str(b.folder): b.name for b in found}).encode())
    for name in (SWEEP, PREPARED):
        place.put(ready / name, f"s/{name}")
    rows: list[dict[str, Any]] = []
    for attempt in range(4):
        # Each node copies for itself, and keeps nothing of the trial.
        monkeypatch.setenv(node_store.NODE_DIR, str(tmp_path / f"node{attempt}"))
        config = {
            "point": "p00",
            "sweep": "/driver/s",
            "recorded": len(rows),
            "resources": {"CPU": 1.0, "GPU": 0.0},
            "micro": 1,
        }

        def report(row: dict[str, Any]) -> None:
            rows.append(row)
            raise Ended

        with contextlib.suppress(Ended):
            train_here(trial.train_in, config, place, "s", report, tmp_path / f"home{attempt}")
        shutil.rmtree(tmp_path / f"node{attempt}")
        assert not list((tmp_path / f"home{attempt}").iterdir())
    assert timeless(rows) == straight["p00"]
    assert {"predictions-best.npz", "predictions-last.npz", "student/model.safetensors"} < set(
        place.names("s/trials/p00")
    )
    assert [n for n in place.names("s/trials/p00") if n.startswith("state")] == ["state-00002.pt", "state-00003.pt"]
