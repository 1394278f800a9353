"""Which runs a confirmation consists of: points, opponents, seeds, names, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from tests.trainables.sweeps import result
from trainables import plan
from trainables.config import from_namespace
from trainables.confirmation import add, begin, confirmation, describe, winners
from trainables.describe import describe as describe_plan
from trainables.growth import grow
from trainables.option_values import parse_confirm
from trainables.recorder import Recorder
from trainables.resources import Machine

SCORES = {"p00": 0.3, "ft": 0.1, "p02": 0.5, "p03": 0.4}


@pytest.fixture
def sweep(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> Any:
    """A sweep whose search is over, unless its scores leave a point out."""

    def make(scores: dict[str, float] = SCORES, **more: Any) -> Recorder:
        values = {"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "trials": 3, "epochs": 1}
        header = plan.make(from_namespace({**values, "scheduler": "none", **more}, []), Machine(2, 0, False))
        recorder = Recorder.create(tmp_path / "s", header)
        run(recorder, scores)
        return recorder

    return make


def run(recorder: Recorder, scores: dict[str, float]) -> None:
    for point, score in scores.items():
        recorder.started(point, attempt=1)
        recorder.evaluation(point, result(point, 1, value=score))


def ids(points: list[dict[str, Any]]) -> list[str]:
    return [point["id"] for point in points]


def test_what_is_swept_beside_is_not_confirmed_here_too(sweep: Any) -> None:
    recorder = sweep()
    for beside, wanted in ((["kd"], ["ft", "p02"]), (["ft"], ["kd", "p02"]), (["ft", "kd"], ["p02"])):
        recorder.record.header["config"]["beside"] = beside
        assert list(confirmation(recorder.record, 1, 2).bases) == wanted
    # Undistilled students have no opponents of their own.
    recorder.record.header["config"]["beside"] = []
    recorder.record.header["plan"]["method"] = "ft"
    assert list(confirmation(recorder.record, 1, 2).bases) == ["p02"]


def test_each_seed_s_runs_stand_together(sweep: Any) -> None:
    recorder = sweep()
    found = confirmation(recorder.record, 2, 2)
    assert ids(found.points) == ["ft-c1", "kd-c1", "p02-c1", "p03-c1", "ft-c2", "kd-c2", "p02-c2", "p03-c2"]
    assert [point["seed"] for point in found.points] == [1] * 4 + [2] * 4
    assert (found.seeds, found.top, found.notes) == ([1, 2], 2, [])
    assert {point["phase"] for point in found.points} == {"confirm"}
    assert [point["of"] for point in found.points][:4] == ["ft", "kd", "p02", "p03"]
    assert len({point["hash"] for point in found.points}) == 8
    assert [point["number"] for point in found.points] == list(range(4, 12))
    base = recorder.record.trials["p02"].point
    again = found.points[2]
    assert {name for name in base if again[name] != base[name]} == {"id", "number", "seed", "label", "hash"}
    assert "p02  " in "\n".join(describe(recorder.record, found))


def test_distillation_has_the_best_point_s_learning_rate_and_training(sweep: Any) -> None:
    recorder = sweep()
    found = confirmation(recorder.record, 1, 2)
    best, kd = found.bases["p02"], found.bases["kd"]
    assert kd["params"] == {"alpha": 0.7, "T": 20.0, "reduction": "batchmean", "lr": best["params"]["lr"]}
    assert {name: kd[name] for name in ("recipe", "head", "training")} == {
        name: best[name] for name in ("recipe", "head", "training")
    }
    assert set(found.distributions) == {"kd"}
    assert set(kd["params"]) <= set(found.distributions["kd"])


def test_distillation_as_published_where_there_is_a_row(sweep: Any) -> None:
    """RTE with 3 layers: alpha .2, T 20; the rate is the best point's all the same."""
    recorder = sweep()
    recorder.record.header["plan"].update(task="rte", layers=3)
    kd = confirmation(recorder.record, 1, 2).bases["kd"]
    assert (kd["params"]["alpha"], kd["params"]["T"]) == (0.2, 20.0)
    assert (kd["grades"]["alpha"], kd["grades"]["reduction"]) == ("published", "code default")
    assert kd["params"]["lr"] == recorder.record.trials["p02"].params["lr"]


def test_distillation_follows_the_recipe_and_reads_through_the_same_head(sweep: Any) -> None:
    recorder = sweep()
    recorder.record.trials["p02"].point.update(recipe="published", head="relu")
    kd = confirmation(recorder.record, 1, 2).bases["kd"]
    assert (kd["recipe"], kd["head"], kd["params"]["reduction"]) == ("published", "relu", "mean")


def test_a_sweep_of_distillation_needs_no_second_one(sweep: Any) -> None:
    found = confirmation(sweep(method="kd").record, 1, 2)
    assert list(found.bases) == ["ft", "p02"]
    assert found.distributions == {}


def test_without_a_baseline_it_is_the_one_the_plan_would_have(sweep: Any) -> None:
    with_one = sweep()
    base = with_one.record.trials["ft"].point
    with_one.close()
    with_one.path.rename(with_one.path.with_name("other"))
    without = sweep({"p00": 0.3, "p01": 0.5, "p02": 0.4}, baseline=False)
    found = confirmation(without.record, 1, 2)
    assert ids(found.points)[:3] == ["ft-c1", "kd-c1", "p01-c1"]
    same = ("method", "params", "origin", "recipe", "head", "training")
    assert {name: found.bases["ft"][name] for name in same} == {name: base[name] for name in same}


def test_more_seeds_and_points_add_what_is_new(sweep: Any) -> None:
    recorder = sweep()
    add(recorder, confirmation(recorder.record, 1, 2), [])
    more = confirmation(recorder.record, 1, 3)
    assert ids(more.points) == ["ft-c3", "kd-c3", "p02-c3"]
    larger = confirmation(recorder.record, 2, 2)
    assert ids(larger.points) == ["p03-c1", "p03-c2"]
    assert larger.distributions == {}
    # Fewer of both: nothing, and no seed is forgotten.
    assert confirmation(recorder.record, 1, 2).points == []
    assert confirmation(recorder.record, 2, 2).seeds == [1, 2]
    add(recorder, larger, [])
    # A point that was confirmed before keeps pace.
    assert ids(confirmation(recorder.record, 1, 3).points) == ["ft-c3", "kd-c3", "p02-c3", "p03-c3"]
    assert confirmation(recorder.record, 1, 3).notes == ["Confirmed before, and given the same seeds: p03."]


def test_seeds_of_the_search_are_not_fresh(sweep: Any) -> None:
    recorder = sweep(seed=7)
    recorder.extend(grow(recorder.record, seeds=[8, 10]), [])
    run(recorder, {id: 0.6 if id.startswith("p00") else 0.2 for id in ids(recorder.record.plan["points"])[4:]})
    found = confirmation(recorder.record, 1, 3)
    assert found.seeds == [9, 11, 12]
    # The best trial is p00 with a further seed; the point is p00.
    assert list(found.bases) == ["ft", "kd", "p00"]
    assert [trial.id for trial in winners(recorder.record, 9)] == ["p00", "p02", "p03"]


def test_seeds_go_round_at_the_largest(sweep: Any) -> None:
    assert confirmation(sweep(seed=2**32 - 2).record, 1, 3).seeds == [2**32 - 1, 0, 1]


def test_a_larger_top_than_there_is_takes_what_there_is(sweep: Any) -> None:
    found = confirmation(sweep().record, 9, 2)
    assert list(found.bases) == ["ft", "kd", "p02", "p03", "p00"]
    assert found.notes == ["--top 9: only 3 of the points differ and have a score; all of them are confirmed."]


def test_nothing_to_confirm(sweep: Any) -> None:
    with pytest.raises(UserError, match=r"no scored point yet, so there is nothing to confirm; finish the sweep\."):
        confirmation(sweep({}).record, 1, 2)


def test_an_unfinished_search_is_refused(sweep: Any) -> None:
    with pytest.raises(UserError, match=r"has 2 unfinished trials \(p02, p03\), and the best may be among them"):
        confirmation(sweep({"p00": 0.3, "ft": 0.1}).record, 1, 2)


def test_only_a_failed_search_is_refused_too(sweep: Any) -> None:
    recorder = sweep({"ft": 0.1})
    for point in ("p00", "p02", "p03"):
        recorder.failed(point, "diverged")
    with pytest.raises(UserError, match="no scored point"):
        confirmation(recorder.record, 1, 2)
    assert not begin([recorder], lambda line: None)


def test_the_sweep_s_own_option_begins_when_the_search_is_over(sweep: Any) -> None:
    said: list[str] = []
    recorder = sweep({"p00": 0.3, "ft": 0.1, "p02": 0.5}, confirm="1x2")
    assert not begin([recorder], said.append)
    run(recorder, {"p03": 0.4})
    assert begin([recorder], said.append)
    assert list(recorder.record.confirming) == ["ft-c1", "kd-c1", "p02-c1", "ft-c2", "kd-c2", "p02-c2"]
    assert "6 new runs of 1 epoch," in said[0]
    assert not begin([recorder], said.append)
    # An extension brings a better point, which is then confirmed with the same seeds.
    recorder.extend(grow(recorder.record, trials=4), [])
    run(recorder, {"p04": 0.9})
    assert begin([recorder], said.append)
    assert list(recorder.record.confirming)[6:] == ["p04-c1", "p04-c2"]


def test_an_extension_leaves_the_seeds_of_a_confirmation_alone(sweep: Any) -> None:
    recorder = sweep()
    add(recorder, confirmation(recorder.record, 1, 2), [])
    with pytest.raises(UserError, match="--seeds 2: confirming runs have it"):
        grow(recorder.record, seeds=[3, 2])
    assert ids(grow(recorder.record, seeds=[3])) == ["p00-s3", "ft-s3", "p02-s3", "p03-s3"]


def test_the_plan_says_what_comes_after_the_search(sweep: Any) -> None:
    header = sweep(confirm="2x3").record.header
    lines = describe_plan(header)
    assert [line for line in lines if line.startswith("Then: the best 2 again with 3 fresh seeds")]
    assert any("up to 12 runs of 1 epoch," in line for line in lines)
    distilled = sum(point["origin"] != "baseline" for point in header["plan"]["points"])
    header["config"]["confirm"] = "900x3"
    (told,) = [line for line in describe_plan(header) if line.startswith("Then: ")]
    assert told.startswith(f"Then: the best {distilled} again with 3 fresh seeds")
    assert f"up to {3 * (distilled + 2)} runs of 1 epoch," in told


def test_without_the_option_nothing_begins(sweep: Any) -> None:
    assert not begin([sweep()], lambda line: None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "--confirm 3 is not of the form TOPxSEEDS, such as 3x5."),
        ("3x", "is not of the form"),
        ("-1x5", "is not of the form"),
        ("0x5", "--confirm 0x5: TOP 0 is too small; the least is 1."),
        ("3x1", "--confirm 3x1: SEEDS 1 is too small; the least is 2, because an interval needs two runs."),
    ],
)
def test_bad_options(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        from_namespace({"layers": 2, "confirm": text}, [])
    assert message in str(error.value)


def test_good_options() -> None:
    assert parse_confirm("3x5") == (3, 5)
    assert from_namespace({"layers": 2, "confirm": "1x2"}, []).confirm == "1x2"
