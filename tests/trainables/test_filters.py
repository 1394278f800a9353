"""TED behind the command: filters that are made once, found again by other sweeps, or given; and trials behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.artifacts import Store
from distill.errors import UserError
from distill.training.loop import Run
from tests.trainables import taught
from trainables import beside, memory, plan, spending, stage_work, stages, trial
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.recorder import Recorder
from trainables.resources import Machine

SPACE = "method: {}\nepochs: 1\naxes: {{kl_alpha: [5, 20], mse_alpha: [10]}}\n"
SHORT = ("batch_size=16", "finetune_epochs=1")


@pytest.fixture(scope="module")
def make(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("planned")

    def planned(settings: tuple[str, ...] = (), method: str = "ted", **values: Any) -> dict[str, Any]:
        (folder / f"{method}.yaml").write_text(SPACE.format(method))
        short = (*SHORT, "filter_epochs=1") if method == "ted" and "student_filters" not in values else SHORT
        asked = {
            **{"method": method, "space": str(folder / f"{method}.yaml"), "layers": 2, "trials": 2, "epochs": 1},
            **{"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(folder / "store")},
            **{"teacher_epochs": 1, "allow_weak_teacher": True, "max_train_rows": 48},
            **{"set": [*(() if "student_filters" in values else short), *settings], **values},
        }
        return plan.make(from_namespace(asked, []), Machine(1, 0, False))

    return planned


@pytest.fixture(scope="module")
def shared(make: Any) -> Iterator[dict[str, Any]]:
    """What is prepared for sweeps of these plans, but for stages and filters."""
    with taught.prepared(make()) as found:
        yield found


@pytest.fixture(scope="module")
def sweep(make: Any, shared: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Opens sweeps in one store, and tells what was said while their stages were made."""
    opened: list[Recorder] = []
    place = tmp_path_factory.mktemp("sweeps")

    def begun(
        settings: tuple[str, ...] = (), planned: dict[str, Any] | None = None, **values: Any
    ) -> tuple[Recorder, list[str]]:
        header = make(settings, **values)
        header["plan"] |= {"artifacts": str(place / "store"), **(planned or {})}
        opened.append(Recorder.create(place / f"s{len(opened)}", header))
        given = header["plan"].get("given")
        paths = {"given": {what: found["path"] for what, found in given.items()}} if given else {}
        opened[-1].prepared({**shared, **paths})
        said: list[str] = []
        stage_work.share([opened[-1]], said.append)
        return opened[-1], said

    yield begun
    for recorder in opened:
        recorder.close()


def reports(recorder: Recorder, point: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    trial.train_point(recorder.path, point, 0, rows.append)
    return rows


def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]


@pytest.fixture(scope="module")
def first(sweep: Any) -> tuple[Recorder, list[str]]:
    """A sweep of two points whose filters and stages are made."""
    found: tuple[Recorder, list[str]] = sweep()
    return found


def test_what_the_plan_says(make: Any) -> None:
    header = make()
    lines = describe(header)
    assert "Stage teacher-filters: made once on the teacher, before the first trial, unless the store has it." in lines
    assert "Stage finetune: made once for 2 of 2 points, before the first trial." in lines
    assert "Stage student-filters: made once for 2 of 2 points, before the first trial." in lines
    assert header["plan"]["teacher_source"]["needs_on_dev"] == []
    # The tiny teacher has four layers, and a student of two meets its second and last.
    assert header["plan"]["teacher_source"]["layers"] == [2, 4]
    raw = describe(make(("finetune_epochs=0",), method="lwd"))
    assert not any(line.startswith(("Stage ", "Stages:")) for line in raw)


def test_the_estimate_counts_them_once_for_all_that_settle_alike(make: Any) -> None:
    def seconds(*settings: str) -> tuple[float, float]:
        estimate = make(("batch_size=16", "finetune_epochs=0", "filter_epochs=0", *settings))["plan"]["estimate"]
        return estimate["stage_seconds"], estimate["seconds"]

    one, whole = seconds("teacher_filter_epochs=2")
    assert one > 0
    assert seconds("teacher_filter_epochs=4")[0] == pytest.approx(2 * one)
    assert seconds("teacher_filter_epochs=2", "kl_alpha=5")[0] == pytest.approx(one)
    assert seconds("teacher_filter_epochs=2", "filter_nonlinear=false,true")[0] == pytest.approx(2 * one)
    none, rest = seconds("teacher_filter_epochs=0")
    assert none == 0
    assert whole - rest == pytest.approx(one)


def test_without_distances_nothing_concerns_filters(make: Any) -> None:
    header = make(("mse_alpha=0", "filter_nonlinear=false,true", "teacher_filter_epochs=1,2"), trials=8, baseline=False)
    points = header["plan"]["points"]
    assert sorted(point["params"]["kl_alpha"] for point in points) == [5, 20]
    assert not any("filter" in name for point in points for name in point["params"])
    said = [line for line in describe(header) if line.startswith("Stage ")]
    assert said == ["Stage finetune: made once for 2 of 2 points, before the first trial."]
    assert beside.epochs_before(header["plan"]) == 0


def test_a_trial_without_distances_trains_no_filters(first: Any, sweep: Any) -> None:
    recorder, said = sweep(("mse_alpha=0",), baseline=False)
    assert [line.partition(" (")[0] for line in said] == ["Stage finetune"]
    assert "beside" not in (recorder.record.prepared or {})
    assert [row["failure"] for row in reports(recorder, "p00")] == [None]


def test_filters_are_made_once_and_counted(first: tuple[Recorder, list[str]]) -> None:
    recorder, said = first
    (line,) = [line for line in said if line.startswith("Teacher's filters: teacher-stage-")]
    assert "found" not in line
    (made,) = (recorder.record.prepared or {})["beside"].values()
    assert (made["made"], made["keep"]) == (True, "last")
    assert made["trials"] == [trial.id for trial in recorder.record.everything() if not trial.is_baseline]
    assert made["epochs"] == made["curve"][-1]["epoch"]
    assert made["failure"] is None
    assert made["seconds"] > 0
    stages_made = sum(found["seconds"] for found in (recorder.record.prepared or {})["stages"].values())
    assert spending.of_artifacts(recorder.record) == pytest.approx(stages_made + made["seconds"])


def test_another_sweep_of_other_weights_finds_everything(first: Any, sweep: Any, monkeypatch: Any) -> None:
    recorder, _ = first
    before = {path.name for path in Store(recorder.record.plan["artifacts"]).place.glob("*stage-*")}
    monkeypatch.setattr(Run, "through", lambda *how: pytest.fail("something is trained"))
    other, said = sweep(("kl_alpha=0,10", "mse_alpha=5000"))
    assert [line.partition(":")[0] for line in said if "found in the store" in line] == [
        "Teacher's filters",
        "Stage finetune (p00 and 1 more)",
        "Stage student-filters (p00 and 1 more)",
    ]
    assert {path.name for path in Store(other.record.plan["artifacts"]).place.glob("*stage-*")} == before
    assert {point["params"]["kl_alpha"] for point in other.record.plan["points"] if point["method"] == "ted"} == {0, 10}


def test_lwd_begins_with_the_same_student(first: Any, sweep: Any) -> None:
    recorder, said = sweep(method="lwd")
    (line,) = said
    assert line.startswith("Stage finetune (p00 and 1 more): found in the store")
    assert "beside" not in (recorder.record.prepared or {})
    assert [row["stage"] for row in reports(recorder, "p00")] == ["distill"]


def test_a_trial_behind_them_gives_what_one_gives_that_trains_all(first: Any, sweep: Any, tmp_path: Path) -> None:
    recorder, _ = first
    behind = reports(recorder, "p00")
    assert [row["failure"] for row in behind] == [None]
    seen = (recorder.path / "trials" / "p00" / "seen.jsonl").read_text()
    assert '"filter_distances": {"student": [1, 2], "teacher": [2, 4]' in seen
    alone, _ = sweep(("kl_alpha=20",), trials=1)
    facts = {name: x for name, x in (alone.record.prepared or {}).items() if name not in ("beside", "stages")}
    alone.prepared(facts)
    header = alone.record.header
    header["plan"]["artifacts"] = str(tmp_path / "store")
    first_point = alone.record.plan["points"][0]
    assert first_point["params"]["kl_alpha"] == recorder.record.plan["points"][0]["params"]["kl_alpha"]
    assert timeless(reports(alone, "p00")) == timeless(behind)


def test_given_filters_take_the_place_of_what_would_be_trained(first: Any, sweep: Any, make: Any) -> None:
    recorder, _ = first
    (filters,) = (found["path"] for found in (recorder.record.prepared or {})["beside"].values())
    by_stage = {f["stage"]: f["path"] for f in (recorder.record.prepared or {})["stages"].values()}
    student = by_stage["student-filters"]
    other, said = sweep(("batch_size=16",), teacher_filters=filters, student_filters=student)
    assert said == []
    assert "beside" not in (other.record.prepared or {})
    assert not any(line.startswith("Stage") for line in describe(other.record.header))
    values = [[row["value"] for row in reports(one, "p00")] for one in (recorder, other)]
    # Dropout is drawn alike in the last stage, whatever was trained before it.
    assert values[0] == values[1]
    hashes = [point["hash"] for point in other.record.plan["points"] if point["method"] == "ted"]
    assert not {point["hash"] for point in recorder.record.plan["points"]} & set(hashes)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"teacher_filters": "/nowhere"}, "--teacher-filters /nowhere does not exist"),
        ({"student_filters": "/nowhere"}, "--student-filters /nowhere does not exist"),
        ({"method": "emd", "teacher_filters": "/nowhere"}, "--teacher-filters plays no part: BERT-EMD has no filters"),
        ({"set": ["teacher_filter_lr=1"], "teacher_filters": "/x"}, "--set teacher_filter_lr plays no part beside"),
        ({"set": ["filter_interval=2", "teacher_interval=1"]}, "filter_interval=2 and teacher_interval=1: 2 layers of"),
    ],
)
def test_what_is_refused(make: Any, values: dict[str, Any], sentence: str) -> None:
    if values.get("method") == "emd":
        values = {**values, "space": None, "set": []}
    with pytest.raises(UserError) as error:
        make(**values)
    assert str(error.value).startswith(sentence)


def test_a_point_that_comes_later_has_filters_made_for_it(first: Any) -> None:
    recorder, _ = first
    record = recorder.record
    point = dict(record.plan["points"][0])
    point["params"] = {**point["params"], "filter_nonlinear": True}
    assert record.prepared is not None
    found = beside.carried(record.plan, record.prepared, point)
    assert len(found) == 8
    inputs = beside.identity(record.plan, record.prepared, point)
    assert inputs is not None
    assert stages.key_of(inputs) not in record.prepared["beside"]


@pytest.mark.parametrize("values", [{}, {"filter_nonlinear": True, "filter_output_dim": 8}, {"mse_alpha": 0}])
def test_measuring_a_step_trains_no_filters(
    make: Any, shared: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    """That comes before anything is made, and what it needs has the size of what will be made, no more."""
    planned = make()["plan"]
    planned["artifacts"] = str(tmp_path)
    point = dict(planned["points"][0])
    point["params"] = {**point["params"], **values}
    monkeypatch.setattr(Run, "through", lambda *how: pytest.fail("something is trained"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8 * 10**9, 8 * 10**9))
    measured = memory.measure_here(planned, shared, point)
    assert measured.peak is not None
    assert measured.peak > 0
    assert list(tmp_path.iterdir()) == []


def test_what_earlier_sessions_made_on_the_teacher_stays_charged(sweep: Any) -> None:
    recorder, _ = sweep()
    (made,) = recorder.record.prepared["beside"].values()
    charged, path = spending.of_artifacts(recorder.record), made["path"]
    later = stage_work.known(recorder.record)
    (kept,) = later["beside"].values()
    assert kept == {**made, "path": None}
    # As the next session prepares the sweep: where its filters are is looked up anew by those that still need them.
    recorder.prepared({**{n: x for n, x in recorder.record.prepared.items() if n not in later}, **later})
    assert spending.of_artifacts(recorder.record) == pytest.approx(charged)
    stage_work.share([recorder], lambda line: None)
    (found,) = recorder.record.prepared["beside"].values()
    assert found == {**made, "path": path}


def test_points_that_may_not_be_run_pay_for_their_own_filters(sweep: Any, first: Any) -> None:
    limit = {"rule": "dearest", "trials": 1}
    wish = ("kl_alpha=20", "filter_nonlinear=false,true")
    recorder, _ = sweep(wish, {"device_seconds": limit}, baseline=False)
    (made,) = recorder.record.prepared["beside"].values()
    paths = spending.of_artifacts(recorder.record)
    plain, other = (reports(recorder, id)[0] for id in ("p00", "p01"))
    assert plain["stage_seconds"] == 0.0
    alone = [Store.facts(Store(f.parent), f) for f in Path(made["path"]).parent.glob("teacher-stage-*")]
    (own,) = [facts["seconds"] for facts in alone if len(facts["left"]) == 8]
    rows = (recorder.path / "trials" / "p01" / "stages.jsonl").read_text().splitlines()
    stages_alone = sum(json.loads(row)["seconds"] for row in rows)
    assert other["stage_seconds"] == pytest.approx(own + stages_alone)
    # What the store has now is still no part of what the sweep needs in any case.
    stage_work.share([recorder], lambda line: None)
    assert spending.of_artifacts(recorder.record) == pytest.approx(paths)


def test_they_are_trained_within_a_trials_share_of_the_gpu(sweep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, _ = sweep()
    plan_ = recorder.record.plan
    inputs = beside.identity(plan_, recorder.record.prepared, plan_["points"][0])
    assert inputs is not None
    fenced: list[float] = []
    monkeypatch.setattr(memory, "fence", fenced.append)
    monkeypatch.setattr(beside.beside, "make", lambda *how: fenced.append(-1.0))
    recorder.record.prepared["resources"] = {"gpus_per_trial": 0.25, "max_concurrent": 4}
    recorder.record.header["plan"]["numerics"] = {**plan_["numerics"], "device": "cuda"}
    order = beside._job(recorder, inputs).order
    order.carry_out(lambda line: None)
    assert fenced == [0.25, -1.0]
