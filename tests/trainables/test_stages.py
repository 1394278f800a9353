"""Stages that trials share: which points need the same one, how it is made and found again, and a trial behind it."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill import artifact_use
from distill.artifacts import SEAL, Store
from distill.errors import UserError
from tests.distill.methods import two_stage
from tests.trainables import taught
from tests.trainables.test_staged_trial import SPACE, timeless
from trainables import plan, prepare, spending, stage_rows, stage_work, stages, trial
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.record import TRIALS
from trainables.recorder import Recorder
from trainables.resources import Machine


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        two_stage.register(patch)
        yield


@pytest.fixture(scope="module")
def make(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("planned")
    (folder / "space.yaml").write_text(SPACE)

    def planned(settings: tuple[str, ...] = (), **values: Any) -> dict[str, Any]:
        asked = {
            **{"method": "two_stage", "space": folder / "space.yaml", "layers": 2, "trials": 2, "epochs": 2},
            **{"teacher": str(tiny_encoder), "data_dir": str(tiny_data), "artifacts": str(folder / "store")},
            **{"teacher_epochs": 1, "allow_weak_teacher": True, "max_train_rows": 80},
            **{"set": ["batch_size=16", "first_epochs=2", *settings], **values},
        }
        return plan.make(from_namespace(asked, []), Machine(1, 0, False))

    return planned


@pytest.fixture(scope="module")
def shared(make: Any) -> Iterator[dict[str, Any]]:
    """What is prepared for sweeps of these plans, but for stages."""
    with taught.prepared(make()) as found:
        yield found


@pytest.fixture
def sweep(make: Any, shared: dict[str, Any], tmp_path: Path) -> Iterator[Any]:
    """Opens sweeps in a store of their own."""
    opened: list[Recorder] = []

    def begun(settings: tuple[str, ...] = (), **values: Any) -> Recorder:
        header = make(settings, **values)
        header["plan"]["artifacts"] = str(tmp_path / "store")
        opened.append(Recorder.create(tmp_path / f"s{len(opened)}", header))
        opened[-1].prepared(shared)
        return opened[-1]

    yield begun
    for recorder in opened:
        recorder.close()
    for name in list((tmp_path / "store").glob("stage-*")):
        artifact_use.release(tmp_path / "store", name.name)


def made(recorder: Recorder) -> list[dict[str, Any]]:
    assert recorder.record.prepared is not None
    return list(recorder.record.prepared["stages"].values())


def reports(recorder: Recorder, point: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    trial.train_point(recorder.path, point, 0, rows.append)
    return rows


def test_what_the_plan_says(make: Any) -> None:
    header = make()
    assert "Stage intermediate: made once for 2 of 2 points, before the first trial." in describe(header)
    twice = make(("gain=1,2",), trials=4)
    assert "Stage intermediate: made 2 times for 4 of 4 points, before the first trial." in describe(twice)
    alone = make(("gain=1,2,3,4", "lr=1e-3"), trials=4)
    assert not any(line.startswith("Stage ") for line in describe(alone))
    assert stages.groups(alone["plan"]) == []
    # Of 3 points 2 share 13 epochs, which the baseline of 2 does not have.
    long = make(("first_epochs=13",))["plan"]
    assert stages.groups(long) == [stages.Group("intermediate", 13, 2)]
    assert stages.saved_epochs(long) == 13
    assert long["estimate"]["artifact_bytes"] > alone["plan"]["estimate"]["artifact_bytes"]


def test_what_a_sampler_may_suggest_shares_what_its_ranges_do_not_touch(make: Any) -> None:
    untouched = make(search="tpe", trials=9)["plan"]
    assert stages.groups(untouched) == [stages.Group("intermediate", 2, 9)]
    assert stages.words(untouched) == ["Stage intermediate: made once for 9 of 9 points, before the first trial."]
    assert stages.groups(make(("gain=1,2",), search="tpe", trials=9)["plan"]) == []
    # All draws of a random search stand in the plan.
    drawn = make(("gain=1,2",), search="random", trials=4)["plan"]
    assert sum(group.points for group in stages.groups(drawn)) > 1


def test_made_once_and_the_trials_begin_behind_it(sweep: Any, shared: dict[str, Any]) -> None:
    """Values, weights and draws of both trials are those of trials that train the stage themselves."""
    recorder, plain = sweep(), sweep()
    said: list[str] = []
    stage_work.share([recorder], said.append)
    (found,) = made(recorder)
    assert {name: found[name] for name in ("stage", "seed", "points", "failure")} == {
        **{"stage": "intermediate", "seed": 0, "points": 2, "failure": None}
    }
    assert found["seconds"] > 0
    assert [row["epoch"] for row in found["curve"]] == [1.0, 2.0]
    assert [line.partition(", loss")[0] for line in said[:2]] == [
        f"Stage intermediate (p00 and 1 more): epoch {n} of 2" for n in (1, 2)
    ]
    assert said[2].startswith(f"Stage intermediate (p00 and 1 more): {Path(found['path']).name}, ")
    assert len(recorder.record.trials) == 3
    for point in recorder.record.trials:
        rows, expected = reports(recorder, point), reports(plain, point)
        assert timeless(rows) == timeless(expected)
        assert [row["failure"] for row in rows] == [None, None]
        assert all(row["stage_seconds"] == 0.0 for row in rows)
        assert not (recorder.path / TRIALS / point / stage_rows.STAGES).exists()
        files = [sweep.path / TRIALS / point / "student" / "model.safetensors" for sweep in (recorder, plain)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert (plain.path / TRIALS / "p00" / stage_rows.STAGES).exists()
    # A second sweep over what the stage does not read finds it.
    said.clear()
    again = sweep(("lr=3e-3",), trials=1)
    stage_work.share([again], said.append)
    assert made(again)[0]["path"] == found["path"]
    assert len(said) == 1
    told = [{name: one[name] for name in ("trials", "epochs", "made")} for one in (found, made(again)[0])]
    assert told == [
        {"trials": ["p00", "p02"], "epochs": 2, "made": True},
        {"trials": ["p00"], "epochs": 2, "made": False},
    ]


def test_several_keys_and_several_sweeps_at_once(sweep: Any) -> None:
    one, two = sweep(("gain=1,2",), trials=4), sweep(("weight=0",))
    said: list[str] = []
    stage_work.share([one, two], said.append)
    assert len(made(one)) == 2
    assert len(made(two)) == 1
    assert len(list(Path(one.record.plan["artifacts"]).glob("stage-*"))) == 3
    assert any(line.startswith("Stage intermediate (s1, p00 and 1 more): ") for line in said)


def test_a_point_alone_trains_its_stage_itself(sweep: Any) -> None:
    recorder = sweep(trials=1)
    stage_work.share([recorder], lambda line: None)
    assert "stages" not in (recorder.record.prepared or {})
    assert len(reports(recorder, "p00")) == 2
    assert (recorder.path / TRIALS / "p00" / stage_rows.STAGES).exists()


def test_a_damaged_stage_is_made_again_or_trained_by_the_trial(sweep: Any) -> None:
    recorder = sweep()
    stage_work.share([recorder], lambda line: None)
    weights = Path(made(recorder)[0]["path"]) / "weights.pt"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    reports(recorder, "p00")
    assert (recorder.path / TRIALS / "p00" / stage_rows.STAGES).exists()
    stage_work.share([recorder], lambda line: None)
    assert weights.stat().st_size == len(whole)
    # What a killed process has half-built is swept up by the next build.
    shutil.rmtree(weights.parent)
    half = weights.parent.parent / f".{weights.parent.name}.{socket.gethostname()}.999999999"
    half.mkdir()
    stage_work.share([recorder], lambda line: None)
    assert weights.exists()
    assert not half.exists()


def test_a_stage_that_diverges_fails_the_points_that_need_it(sweep: Any) -> None:
    recorder = sweep(("gain=1,9",), trials=4)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        from distill.training.loop import Diverged, Run

        plain = Run._train

        def broken(self: Run, *how: Any) -> Any:
            if self.params["gain"] == 9 and self._position["stage"] == 0:
                raise Diverged("not finite by epoch 1 of stage intermediate: states")
            return plain(self, *how)

        patch.setattr(Run, "_train", broken)
        stage_work.share([recorder], said.append)
    assert said[-1].endswith("not finite by epoch 1 of stage intermediate: states; 2 points cannot be trained.")
    points = {t.id: t.params["gain"] for t in recorder.record.trials.values() if not t.is_baseline}
    for point, gain in points.items():
        rows = reports(recorder, point)
        if gain == 9:
            cause = "diverged: not finite by epoch 1 of stage intermediate: states"
            assert [row["failure"] for row in rows] == [cause]
        else:
            assert [row["failure"] for row in rows] == [None, None]


def test_what_earlier_sessions_made_still_counts(sweep: Any) -> None:
    """Its time stays in the record, wherever its weights are, and a node copies only what a point needs."""
    recorder = sweep(("gain=1,2",), trials=4)
    stage_work.share([recorder], lambda line: None)
    header, prepared = recorder.record.header, recorder.record.prepared
    assert prepared is not None
    own = stages.of_point(header, prepared, recorder.record.trials["p00"].point)["stages"]
    assert list(own) == stages.keys(header, prepared, recorder.record.trials["p00"].point)
    assert stages.of_point(header, prepared, recorder.record.trials["ft"].point)["stages"] == {}
    known = stage_work.known(recorder.record)["stages"]
    assert [one["path"] for one in known.values()] == [None, None]
    assert [one["seconds"] for one in known.values()] == [one["seconds"] for one in made(recorder)]
    recorder.prepared({**prepared, "stages": known})
    for trial_ in recorder.record.trials.values():
        recorder.stopped(trial_.id)
    stage_work.share([recorder], lambda line: None)
    assert made(recorder) == list(known.values())


def test_points_that_may_not_be_run_get_no_stage_made_for_them(sweep: Any) -> None:
    recorder = sweep(("gain=1,2",), trials=4)
    plan_ = recorder.record.header["plan"]
    assert [p["params"]["gain"] for p in plan_["points"] if p["origin"] != "baseline"].count(1.0) == 2
    plan_["device_seconds"] = {"rule": "dearest", "trials": 1}
    stage_work.share([recorder], lambda line: None)
    (found,) = made(recorder)
    assert found["points"] == 2
    first = recorder.record.trials["p00"].point
    assert list(recorder.record.prepared["stages"]) == stages.keys(
        recorder.record.header, recorder.record.prepared, first
    )
    assert "Stage intermediate: made once for 2 of 4 points, before the first trial." in stages.words(plan_)
    assert [group.points for group in stages.groups(plan_)] == [2]


def test_what_a_sweep_is_charged_does_not_depend_on_what_others_left_in_the_store(sweep: Any) -> None:
    whole, limited = sweep(("gain=1,2",), trials=4), sweep(("gain=1,2",), trials=4)
    stage_work.share([whole], lambda line: None)
    assert len(made(whole)) == 2
    limited.record.header["plan"]["device_seconds"] = {"rule": "dearest", "trials": 1}
    stage_work.share([limited], lambda line: None)
    (found,) = made(limited)
    assert spending.of_artifacts(limited.record) == found["seconds"]
    # It serves the others of its points also when the one that it was made for has ended.
    limited.stopped("p00")
    limited.prepared({**limited.record.prepared, **stage_work.known(limited.record)})
    stage_work.share([limited], lambda line: None)
    assert made(limited)[0]["path"] == found["path"]


def test_points_that_a_person_added_share_a_stage_whatever_was_used(sweep: Any) -> None:
    recorder = sweep()
    recorder.record.header["plan"]["device_seconds"] = {"rule": "dearest", "trials": 1}
    again = [
        {**recorder.record.trials[id].point, "id": f"{id}-s1", "number": 9, "seed": 1, "label": "again"}
        for id in ("p00", "p02")
    ]
    recorder.extend(again, ["--seeds", "1"])
    stage_work.share([recorder], lambda line: None)
    assert [(found["seed"], found["points"]) for found in made(recorder)] == [(0, 2), (1, 2)]


def test_what_is_yet_to_be_suggested_needs_it_when_all_others_are_finished(sweep: Any) -> None:
    recorder = sweep(search="tpe", trials=4)
    for trial_ in recorder.record.trials.values():
        recorder.stopped(trial_.id)
    assert recorder.record.to_suggest == 3
    stage_work.share([recorder], lambda line: None)
    assert [found["points"] for found in made(recorder)] == [3]


def test_seeds_have_stages_of_their_own(sweep: Any) -> None:
    recorder = sweep()
    header, prepared = recorder.record.header, recorder.record.prepared
    point = recorder.record.trials["p00"].point
    keys = {stages.keys(header, prepared, {**point, "seed": seed})[0] for seed in (0, 1)}
    assert len(keys) == 2


def test_no_room_in_the_store(sweep: Any) -> None:
    recorder = sweep()
    recorder.record.header["config"]["artifacts_gb"] = 1e-6
    with pytest.raises(UserError, match="--artifacts-gb"):
        stage_work.share([recorder], lambda line: None)


def test_no_room_for_the_stages_of_all_sweeps_together(sweep: Any) -> None:
    """Each alone would fit: the store is empty, and a stage is of 4,000 bytes by arithmetic."""
    both = [sweep(), sweep(("weight=0",))]
    for recorder in both:
        recorder.record.header["config"]["artifacts_gb"] = 6e-6
    with pytest.raises(UserError, match="--artifacts-gb"):
        stage_work.share(both, lambda line: None)
    assert not list(Path(both[0].record.plan["artifacts"]).glob("stage-*"))


def test_a_store_without_room_for_the_stages_is_refused_before_the_teacher_is_made(make: Any, tmp_path: Path) -> None:
    header = make()
    data = prepare.load_data(header["config"], header["plan"])
    header["plan"]["artifacts"] = str(tmp_path / "store")
    estimate, source = header["plan"]["estimate"], header["plan"]["teacher_source"]
    rows = 5 * 10 * (len(data.train) + len(data.dev))
    enough = 2 * rows + estimate["teacher_bytes"] + source["disk"] + estimate["stage_bytes"]
    header["config"]["artifacts_gb"] = enough / 1e9
    prepare.check_room(header, data, lambda line: None)
    header["config"]["artifacts_gb"] = (enough - 2 * rows - 1) / 1e9
    with pytest.raises(UserError, match="--artifacts-gb"):
        prepare.check_room(header, data, lambda line: None)


def test_its_seal_says_what_it_is(sweep: Any) -> None:
    recorder = sweep()
    stage_work.share([recorder], lambda line: None)
    folder = Path(made(recorder)[0]["path"])
    inputs = json.loads((folder / SEAL).read_text())["inputs"]
    assert inputs["stages"][0]["stage"] == "intermediate"
    from distill.artifact_inventory import entries

    (entry,) = entries(Store(folder.parent).place)
    loss = made(recorder)[0]["curve"][-1]["value"]
    assert entry.what == f"stage intermediate of two_stage on cola, seed 0: loss {loss:.3g}"
    assert entry.busy
