"""A method of two stages behind the command: its plan, what is prepared for it, and a trial that is cut anywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.artifacts import Store
from distill.teacher.parts import Kept
from tests.distill.methods import two_stage
from tests.trainables import taught
from trainables import memory, plan, stage_rows, status, steps, teacher_source, trial
from trainables.callbacks import StageCallback
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.progress import event_line, seconds_left
from trainables.record import PREPARED, SWEEP, TRIALS
from trainables.recorder import Recorder, write_json
from trainables.resources import Machine

SPACE = "method: two_stage\nepochs: 2\naxes: {lr: [1e-3, 2e-3]}\n"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        two_stage.register(patch)
        yield


@pytest.fixture(scope="module")
def make(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Headers of sweeps of two points and the baseline."""
    folder = tmp_path_factory.mktemp("planned")
    (folder / "space.yaml").write_text(SPACE)

    def planned(settings: tuple[str, ...] = (), **values: Any) -> dict[str, Any]:
        asked = {
            **{"method": "two_stage", "space": folder / "space.yaml", "layers": 2, "trials": 2, "epochs": 2},
            **{"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(folder / "store")},
            **{"teacher_epochs": 1, "allow_weak_teacher": True, "max_train_rows": 80},
            **{"set": ["batch_size=16", "first_epochs=3", *settings], **values},
        }
        return plan.make(from_namespace(asked, []), Machine(1, 0, False))

    return planned


@pytest.fixture(scope="module")
def ready(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sweep, prepared and not begun."""
    folder = tmp_path_factory.mktemp("sweep")
    header = make()
    write_json(folder / SWEEP, header)
    with taught.prepared(header) as facts:
        write_json(folder / PREPARED, facts)
        yield folder


@pytest.fixture
def sweep(ready: Path, tmp_path: Path) -> Path:
    for name in (SWEEP, PREPARED):
        shutil.copy(ready / name, tmp_path / name)
    return tmp_path


def train(sweep: Path, recorded: int = 0, until: int | None = None) -> list[dict[str, Any]]:
    """What p00 reports; with `until` it ends, as a killed worker, after so many evaluations of this start."""
    reported: list[dict[str, Any]] = []
    count = 0

    def written() -> None:
        nonlocal count
        count += 1
        if count == until:
            raise SystemExit

    def report(row: dict[str, Any]) -> None:
        reported.append(row)
        written()

    try:
        trial.train_point(sweep, "p00", recorded, report, written)
    except SystemExit:
        assert until is not None
    return reported


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in ("seconds", "stage_seconds")} for row in rows]


def early(sweep: Path) -> list[dict[str, Any]]:
    text = (sweep / TRIALS / "p00" / stage_rows.STAGES).read_text()
    return timeless([json.loads(line) for line in text.splitlines()])


@pytest.fixture(scope="module")
def straight(ready: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return timeless(train(ready)), early(ready)


def test_a_trial(ready: Path, straight: tuple[list[dict[str, Any]], ...], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, before = straight
    assert [(row["evaluation"], row["stage"], row["epoch"], row["steps"]) for row in rows] == [
        (n, "prediction", float(n), 5) for n in (1, 2)
    ]
    assert [(row["evaluation"], row["stage"], row["epoch"], row["epochs"]) for row in before] == [
        (n, "intermediate", float(n), 3) for n in (1, 2, 3)
    ]
    assert all(row["value"] == row["metrics"]["loss"] > 0 for row in before)
    assert before[0]["terms"].keys() == {"states", "values", "total"}
    states = sorted(file.name for file in (ready / TRIALS / "p00").glob("state-*"))
    assert states == ["state-00004.pt", "state-00005.pt"]


def test_no_process_loads_the_teacher(
    sweep: Path, straight: tuple[list[dict[str, Any]], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "teacher", None)
    assert timeless(train(sweep)) == straight[0]


@pytest.mark.parametrize("cuts", [(1,), (3,), (4,), (2, 1, 1)])
def test_cut_and_continued_bit_for_bit(
    sweep: Path, straight: tuple[list[dict[str, Any]], ...], cuts: tuple[int, ...]
) -> None:
    rows: list[dict[str, Any]] = []
    for cut in (*cuts, None):
        rows += train(sweep, recorded=len(rows), until=cut)
    assert timeless(rows) == straight[0]
    assert early(sweep) == straight[1]


def test_lines_without_their_state_are_written_again(sweep: Path, straight: tuple[list[dict[str, Any]], ...]) -> None:
    """A kill between the line of an evaluation and the state that goes with it, and one within the line."""
    train(sweep, until=2)
    folder = sweep / TRIALS / "p00"
    max(folder.glob("state-*.pt")).unlink()
    with (folder / stage_rows.STAGES).open("a") as file:
        file.write('{"evaluation": 3, "st')
    newest = stage_rows.newest(folder)
    assert newest is not None
    assert newest["evaluation"] == 2
    assert timeless(train(sweep)) == straight[0]
    assert early(sweep) == straight[1]


def test_a_damaged_newest_state_costs_one_evaluation(sweep: Path, straight: tuple[list[dict[str, Any]], ...]) -> None:
    train(sweep, until=4)
    newest = max((sweep / TRIALS / "p00").glob("state-*.pt"))
    newest.write_bytes(newest.read_bytes()[:100])
    assert timeless(train(sweep)) == straight[0]
    assert early(sweep) == straight[1]


def test_what_is_prepared(ready: Path) -> None:
    facts = json.loads((ready / PREPARED).read_text())["teacher"]
    store = Store(Path(facts["outputs"]).parent)
    # Layers 0 and 2 of four: the student's last layer has no part in the first stage.
    for name, rows in (("outputs", 80), ("outputs_dev", 60)):
        folder = Path(facts[name])
        held = store.facts(folder)
        assert (held["rows"], held["kept_layers"]) == (rows, [0, 2])
        assert {file.stem for file in folder.glob("*.npy")} == {"logits", "cls", "hidden", "value"}
    source = json.loads((ready / SWEEP).read_text())["plan"]["teacher_source"]
    assert source["needs"] == ["hidden", "logits", "value"]
    assert source["needs_on_dev"] == ["hidden", "value"]
    assert source["layers"] == [0, 2]
    # 4 words a row: 8 tokens at most; two layers of states and one of values × 32, two bytes a number.
    assert source["bytes"] == (80 + 60) * 2 * 8 * 3 * 32
    assert source["disk"] == source["bytes"] + (80 + 60) * 4 * (2 + 5 * 32)
    assert source["disk_on_dev"] * 140 == source["disk"] * 60


def test_what_the_plan_says(make: Any) -> None:
    header = make()
    lines = describe(header)
    assert "Teacher source: cached, about 215.0 kB of 8.0 GB (hidden states, values of layers 0, 2, float16)." in lines
    assert "Points: 2 and 1 undistilled baseline, 2 epochs each, 10 to 25 steps of 16 rows a trial." in lines
    assert (
        "Stages: intermediate (3 epochs at 0.002, judged by its loss on dev, best weights kept), then prediction "
        "(2 epochs)." in lines
    )
    assert header["plan"]["estimate"]["steps_per_trial"] == 25
    longer = make(("first_epochs=13",))["plan"]["estimate"]
    assert longer["seconds"] > header["plan"]["estimate"]["seconds"]
    assert longer["steps_per_trial"] == 75
    several = describe(make(("first_epochs=3,4",), trials=4))
    assert any(line.startswith("Stages: ") and line.endswith("; other points have other numbers.") for line in several)


def test_layers_of_all_points_are_kept(make: Any) -> None:
    every = make(("layers=even,last",), trials=4)["plan"]
    assert every["teacher_source"]["layers"] == [0, 2, 3]
    listed = make(("layers=1-4",))["plan"]
    assert listed["teacher_source"]["layers"] == [0, 1]
    assert {point["params"]["layers"] for point in listed["points"] if point["method"] == "two_stage"} == {"1-4"}


def test_points_that_come_later(make: Any) -> None:
    header = make(("weight=0",))["plan"]
    point = next(p for p in header["points"] if p["method"] == "two_stage")
    held = ("logits", "cls", "hidden")
    assert teacher_source.kept_outputs(header) == [Kept(held, (0, 2)), Kept(held, (0, 2), "dev")]

    def source(**params: Any) -> str | None:
        return teacher_source.source_of(header, {**point, "params": {**point["params"], **params}})

    assert source() == source(layers="2-4") == "cached"
    assert source(weight=1.0) == source(layers="last") == source(layers="1-4") == "online"
    # A sweep of before has no word of layers and dev rows.
    old = {name: header["teacher_source"][name] for name in ("kind", "needs")}
    assert teacher_source.kept_outputs({"teacher_source": old}) == [Kept(held)]
    assert teacher_source.source_of({**header, "teacher_source": old}, point) == "online"


def test_largest_batches(make: Any) -> None:
    header = make(("batch_size=8",))["plan"]
    point = next(p for p in header["points"] if p["method"] == "two_stage")
    # The first stage takes 16 whatever the run's number is.
    assert [planned.training.batch_size for planned in steps.stages_of(header, point)] == [16, 8]
    assert steps.batch_rows(header, point) == 16
    assert [p["id"] for p in memory.representatives(header["points"], header)] == ["p00", "ft"]


def test_views_tell_how_far_a_trial_is(sweep: Path) -> None:
    train(sweep, until=2)
    recorder = Recorder(sweep)
    try:
        told: list[str | None] = []
        recorder.started("p00", 1)
        recorder.listeners.append(lambda kind, trial, row: told.append(event_line(kind, trial, row, recorder.record)))
        callback = StageCallback(recorder)
        callback.look()
        callback.look()
        (line,) = told
        assert line is not None
        loss = early(sweep)[-1]["value"]
        assert line.startswith(f"p00 (lr 0.002): stage intermediate, epoch 2 of 3, loss {loss:.3g}, ")
        shown = status.describe(status.status(sweep))
        assert any(f"stage intermediate, epoch 2 of 3, loss {loss:.3g}" in text for text in shown)
    finally:
        recorder.close()


def test_the_time_of_the_stages_before_is_counted(sweep: Path) -> None:
    rows = train(sweep, until=2)
    rows += train(sweep)
    spent = json.loads((sweep / TRIALS / "p00" / stage_rows.STAGES).read_text().replace("}\n{", "},{").join("[]"))
    assert [row["stage_seconds"] for row in rows] == [sum(row["seconds"] for row in spent), 0.0]
    recorder = Recorder(sweep)
    try:
        recorder.started("p00", 1)
        for row in rows:
            recorder.evaluation("p00", row)
        found = recorder.record.trial("p00")
        assert found.seconds == pytest.approx(sum(row["seconds"] for row in (*spent, *rows)))
        # One point more, two evaluations each, of which the baseline has no stage before.
        each = sum(row["seconds"] for row in rows) / 2
        assert seconds_left(recorder.record) == pytest.approx(4 * each + sum(row["seconds"] for row in spent))
    finally:
        recorder.close()


def test_nothing_is_read_of_methods_with_one_stage(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(sweep)
    try:
        for point in recorder.record.plan["points"]:
            point["method"] = "kd"
        monkeypatch.setattr(stage_rows, "newest", None)
        recorder.started("p00", 1)
        StageCallback(recorder).look()
    finally:
        recorder.close()


def test_the_student_at_the_end_is_that_of_the_reporting_stage(ready: Path, straight: Any) -> None:
    with np.load(ready / TRIALS / "p00" / "predictions-last.npz") as found:
        assert found["logits"].shape == (60, 2)
    assert (ready / TRIALS / "p00" / "student").is_dir()
