"""What the plan says of a search, and how a sweep of random or suggested points grows."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from trainables import plan
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.growth import grow
from trainables.record import read
from trainables.recorder import Recorder
from trainables.resources import Machine

# README of BERT-EMD, table of best hyper-parameters, 4 layers CoLA; the modern recipe reads no T_emd.
ROW = {"alpha": 1.0, "beta": 0.001, "T": 1.0, "lr": 2e-5, "theta": 1.0}


@pytest.fixture
def header(tiny_encoder: Path, tiny_data: Path) -> Any:
    def make(**asked: Any) -> dict[str, Any]:
        values = {"layers": 4, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), **asked}
        return plan.make(from_namespace(values, []), Machine(2, 0, False))

    return make


@pytest.fixture
def sweep(header: Any, tmp_path: Path) -> Any:
    return lambda **asked: Recorder.create(tmp_path / "s", header(**asked))


def distilled(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [point for point in points if point["origin"] != "baseline"]


def acting(point: dict[str, Any]) -> dict[str, Any]:
    return {name: point["params"][name] for name in ROW}


def test_random_points_are_all_planned_and_a_longer_sweep_begins_alike(header: Any) -> None:
    short, long = (distilled(header(search="random", trials=n)["plan"]["points"]) for n in (4, 9))
    assert (len(short), len(long)) == (4, 9)
    assert [p["params"] for p in long[:4]] == [p["params"] for p in short]
    assert (acting(short[0]), short[0]["origin"]) == (ROW, "published")
    assert {p["origin"] for p in long[1:]} == {"drawn"}
    for point in long[1:]:
        assert 6.67e-6 <= point["params"]["lr"] <= 3e-4
        assert 3.33e-4 <= point["params"]["beta"] <= 0.03
        assert 0.7 <= point["params"]["alpha"] <= 1
        assert point["grades"]["lr"] == "searched"
        assert point["grades"]["theta"] == "code default"
    assert len({json.dumps(p["params"]) for p in long}) == 9
    other = distilled(header(search="random", trials=4, seed=1)["plan"]["points"])
    assert other[0]["params"] == short[0]["params"]
    assert all(mine["params"] != theirs["params"] for mine, theirs in zip(short[1:], other[1:], strict=True))


def test_draw_k_has_the_seed_hash_of_seed_and_k(header: Any) -> None:
    points = distilled(header(search="random", trials=3, seed=5)["plan"]["points"])
    for k, point in enumerate(points[1:], 1):
        draw = random.Random(int.from_bytes(hashlib.sha256(f"suggestion {k} of seed 5".encode()).digest()[:4], "big"))
        share = {name: draw.random() for name in ("alpha", "beta", "T", "lr")}
        wanted = {
            "alpha": 0.7 + share["alpha"] * 0.3,
            "beta": 3.33e-4 * (0.03 / 3.33e-4) ** share["beta"],
            "T": 0.333 * (21 / 0.333) ** share["T"],
            "lr": 6.67e-6 * (3e-4 / 6.67e-6) ** share["lr"],
        }
        assert {name: point["params"][name] for name in wanted} == pytest.approx(wanted, rel=5e-3)


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_as_many_points_as_the_grid_has(header: Any, search: str) -> None:
    grid = len(distilled(header()["plan"]["points"]))
    made = header(search=search)["plan"]
    assert made["search"]["trials"] == grid
    assert len(distilled(made["points"])) == (grid if search == "random" else 1)
    assert made["estimate"]["trials"] == grid + 1


def test_without_a_published_row_the_defaults_come_first(header: Any) -> None:
    first = header(search="random", layers=3, trials=3)["plan"]["points"][0]
    assert (acting(first), first["origin"]) == ({**ROW, "beta": 0.01, "lr": 3e-5}, "grid")


def test_settings_narrow_what_is_drawn(header: Any) -> None:
    made = header(search="random", trials=12, set=["lr=1e-5,4e-5", "beta=0.02", "batch_size=8,16", "warmup=0"])["plan"]
    points = distilled(made["points"])
    assert {p["params"]["lr"] for p in points} == {1e-5, 4e-5}
    assert {p["params"]["batch_size"] for p in points} == {8, 16}
    assert {p["params"]["beta"] for p in points} == {0.02}
    assert {p["grades"]["lr"] for p in points} == {"given"}
    assert points[0]["origin"] == "given"
    assert made["training"]["warmup"] == 0
    assert all("warmup" not in p["params"] for p in points)


def test_what_never_acts_is_not_drawn(header: Any) -> None:
    names = [found["name"] for found in header(search="tpe")["plan"]["search"]["ranges"]]
    assert names == ["alpha", "beta", "T", "lr", "theta"]
    v2020 = header(search="tpe", set=["update=v2020"])["plan"]["search"]["ranges"]
    assert [found["name"] for found in v2020] == [*names, "update"]


def test_nothing_to_search_is_refused(header: Any) -> None:
    fixed = ["alpha=1", "beta=0.01", "T=1", "lr=1e-5"]
    with pytest.raises(UserError, match="--search tpe: there is nothing to draw"):
        header(search="tpe", set=fixed)
    with pytest.raises(UserError, match="--search random: there is nothing to draw"):
        header(search="random", set=fixed)


def test_few_different_points_are_told(header: Any) -> None:
    made = header(search="random", trials=9, set=["alpha=1", "beta=0.01", "T=1", "lr=1e-5,2e-5,4e-5"])["plan"]
    assert len(distilled(made["points"])) == 3
    assert "Only 3 different points can be drawn from these ranges; 9 were wanted." in made["notices"]


def test_a_method_without_rows_has_no_published_search(header: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("method: emd\naxes:\n  lr: [1.0e-5, 3.0e-5]\n")
    with pytest.raises(UserError, match="--search published: BERT-EMD has no published rows; choose --search grid"):
        header(search="published", space=str(file))


def test_published_settings_of_a_task_without_its_own(header: Any) -> None:
    made = header(search="published", layers=2, trials=4)["plan"]
    assert {p["origin"] for p in distilled(made["points"])} == {"published elsewhere"}
    assert made["published"] is None
    assert "the points are those of other tasks or sizes" in made["published_note"]


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ("grid", "Search: the published point where there is one, then the grid, shuffled by the seed."),
        ("published", "Search: what was published, the setting of this task and size first, once each."),
        ("random", "Search: random, draw k with the seed hash(3, k)."),
        ("tpe", "Search: Optuna's TPE, at random until 2 trials have ended, then by their results."),
    ],
)
def test_the_dry_run_says_how_points_are_found(header: Any, search: str, words: str) -> None:
    lines = describe(header(search=search, seed=3, trials=5))
    assert words in lines
    ranges = [line for line in lines if line.startswith("Ranges: ")]
    assert ranges == [
        "Ranges: alpha 0.7 to 1; beta 0.000333 to 0.03, log scale; T 0.333 to 21, log scale; lr 6.67e-06 to 0.0003, "
        "log scale; fixed: theta 1."
    ] * (search in ("random", "tpe"))
    assert ("  and 4 more, each suggested when a worker is free." in lines) is (search == "tpe")
    assert any(line.startswith("Points: 5 and 1 undistilled baseline") for line in lines)


def test_a_random_sweep_grows_by_the_draws_that_follow(sweep: Any, header: Any) -> None:
    record = sweep(search="random", trials=3).record
    long = distilled(header(search="random", trials=6)["plan"]["points"])
    added = grow(record, trials=6)
    assert [p["params"] for p in added] == [p["params"] for p in long[3:]]
    assert [p["id"] for p in added] == ["p04", "p05", "p06"]
    assert {p["hash"] for p in added} == {p["hash"] for p in long[3:]}
    with pytest.raises(UserError, match="has 3 distilled points already"):
        grow(record, trials=3)


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_further_values_are_laid_over_points_that_lie_on_no_grid(sweep: Any, search: str) -> None:
    record = sweep(search=search, trials=3).record
    bases = distilled(record.plan["points"])
    added = grow(record, settings={"beta": ["0.5"], "batch_size": ["8"]})
    half = [p for p in added if p["params"]["beta"] == 0.5 and "batch_size" not in p["params"]]
    assert [p["params"] for p in half] == [{**b["params"], "beta": 0.5} for b in bases]
    small = [p for p in added if "batch_size" in p["params"]]
    assert [p["params"] for p in small] == [{**p["params"], "batch_size": 8} for p in [*bases, *half]]
    assert {p["origin"] for p in added} == {"given"}
    assert len(added) == 3 * len(bases)


def test_a_suggested_sweep_grows_by_a_number(sweep: Any) -> None:
    recorder = sweep(search="tpe", trials=3)
    assert recorder.record.to_suggest == 2
    with pytest.raises(UserError, match="has 3 distilled points already"):
        grow(recorder.record, trials=3)
    assert grow(recorder.record, trials=7) == []
    recorder.extend([], ["--trials", "7"], trials=7)
    assert recorder.record.to_suggest == 6
    recorder.close()
    assert read(recorder.path).to_suggest == 6
    # The baseline of the plan, p00, and those that are still to be suggested.
    assert read(recorder.path).left == 8
