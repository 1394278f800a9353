"""A sweep of a method of two stages on real Ray workers: its first stage is trained once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.verify import verify
from tests.distill.methods import two_stage
from tests.trainables import staged_worker
from tests.trainables.commands import ROOT, as_before
from tests.trainables.test_staged_trial import SPACE
from trainables import cluster, engine, plan, prepare, stage_work
from trainables.config import from_namespace
from trainables.record import COMPLETE, read
from trainables.recorder import Recorder
from trainables.resources import Machine
from trainables.trial import trial


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Path]:
    """Ray with two cores, whose workers write into this file when a first stage begins."""
    import ray

    file = tmp_path / "notes"
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with as_before(), pytest.MonkeyPatch.context() as patch:
        two_stage.register(patch)
        cluster.keep_tasks_here(False)
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=100 * 1024 * 1024,
            runtime_env={
                "env_vars": {staged_worker.NOTES: str(file), "PYTHONPATH": path},
                "worker_process_setup_hook": "tests.trainables.staged_worker.setup",
            },
        )
        yield file
        ray.shutdown()


def test_swept_over_the_second_stage_the_first_runs_once(
    notes: Path, tiny_encoder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    asked = {
        **{"method": "two_stage", "space": tmp_path / "space.yaml", "layers": 2, "trials": 2, "epochs": 1},
        **{"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(tmp_path / "store")},
        **{"teacher_epochs": 1, "allow_weak_teacher": True, "max_train_rows": 40, "baseline": False},
        **{"set": ["batch_size=16", "first_epochs=2"]},
    }
    header = plan.make(from_namespace(asked, []), Machine(2, 0, False))
    recorder = Recorder.create(tmp_path / "s", header)
    said: list[str] = []
    engine.catch_signals(said.append)
    recorder.session([])
    data = prepare.load_data(header["config"], header["plan"])
    recorder.prepared(prepare.prepare(header, data, said.append, engine.stop_requested))
    stage_work.share([recorder], said.append, engine.stop_requested)
    engine.run([recorder], trial)
    recorder.close()

    found = read(tmp_path / "s")
    assert {t.id: t.state for t in found.trials.values()} == {"p00": COMPLETE, "p01": COMPLETE}
    assert len(notes.read_text().splitlines()) == 1
    assert found.prepared is not None
    (made,) = found.prepared["stages"].values()
    assert made["points"] == 2
    assert any(line.startswith("Stage intermediate (p00 and 1 more): epoch 2 of 2, loss ") for line in said)
    assert all(row.get("stage_seconds", 0.0) == 0.0 for row in found.rows)
    assert [fault for check in verify(found.path) for fault in check.faults] == []
