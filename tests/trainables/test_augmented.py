"""`--augmented FILE`: students train on its rows, the teacher on the task's own, and the plan says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.best import best_yaml
from distill.artifacts import Store
from distill.errors import UserError
from distill.tasks.tokens import load_tokenizer
from distill.training.batching import Tokens, tokenise
from tests.trainables.doors import session
from tests.trainables.test_trial import train
from tests.trainables.test_trial_source import ready_for
from trainables import changes, plan, prepare, sweep, trial
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.door_plan import plan_trials
from trainables.door_trial import train as train_by_door
from trainables.record import PREPARED, SWEEP, read
from trainables.recorder import write_json
from trainables.resources import Machine
from trainables.teacher_source import source_of

MACHINE = Machine(1, 0, False)


def write(file: Path, data: Path, copies: int = 3) -> Path:
    """The task's training rows, each with copies that end in other words."""
    lines = ["sentence\tlabel"]
    for line in (data / "CoLA" / "train.tsv").read_text().splitlines():
        _, label, _, text = line.split("\t")
        lines.append(f"{text}\t{label}")
        lines += [f"{text} {end}\t{label}" for end in ("the cat", "the dog", "wait")[:copies]]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("augmented")


@pytest.fixture(scope="module")
def file(tiny_data: Path, place: Path) -> Path:
    return write(place / "aug.tsv", tiny_data)


@pytest.fixture(scope="module")
def asked(tiny_encoder: Path, tiny_data: Path, place: Path) -> dict[str, Any]:
    return {
        **{"layers": 2, "teacher": str(tiny_encoder), "data_dir": str(tiny_data), "epochs": 2, "trials": 1},
        **{"artifacts": str(place / "store"), "teacher_epochs": 1, "allow_weak_teacher": True},
        **{"set": ["lr=1e-3", "batch_size=16"]},
    }


@pytest.fixture(scope="module")
def header(asked: dict[str, Any], file: Path) -> dict[str, Any]:
    return plan.make(from_namespace({**asked, "augmented": str(file)}, []), MACHINE)


@pytest.fixture(scope="module")
def ready(header: dict[str, Any], place: Path) -> Iterator[Path]:
    """The sweep, prepared in this process."""
    import torch

    threads = torch.get_num_threads()
    folder = place / "sweep"
    folder.mkdir()
    write_json(folder / SWEEP, header)
    write_json(folder / PREPARED, ready_for(header))
    yield folder
    trial.outputs.cache_clear()
    trial.tokens.cache_clear()
    torch.set_num_threads(threads)


def test_the_plan_counts_the_student_s_rows(header: dict[str, Any], asked: dict[str, Any], file: Path) -> None:
    plain = plan.make(from_namespace(asked, []), MACHINE)
    made, without = header["plan"], plain["plan"]
    assert (made["data"]["train_rows"], made["data"]["teacher_rows"]) == (640, 160)
    assert (without["data"]["train_rows"], without["data"]["teacher_rows"]) == (160, 160)
    assert without["data"]["augmented"] is None
    counts = made["data"]["augmented"]
    assert counts["file"] == str(file)
    assert (counts["rows"], counts["own_rows"], counts["originals"]) == (640, 160, 160)
    assert made["estimate"]["steps_per_trial"] == 2 * 640 // 16
    assert made["estimate"]["teacher_seconds"] == without["estimate"]["teacher_seconds"]
    assert made["teacher_source"]["bytes"] > 4 * without["teacher_source"]["bytes"]
    assert {p["hash"] for p in made["points"]}.isdisjoint(p["hash"] for p in without["points"])
    said = "\n".join(describe(header))
    assert f"640 augmented training rows from {file}, 160 of the task's own for the teacher, 60 dev rows" in said
    assert "Students train on all 640 rows of aug.tsv, in which 160 of the task's 160 training rows stand" in said
    assert "The undistilled baseline trains on the augmented rows too" in said
    assert "80 steps of 16 rows" in said
    assert "Students train" not in "\n".join(describe(plain))


def test_one_teacher_serves_with_and_without(header: dict[str, Any], asked: dict[str, Any]) -> None:
    plain = plan.make(from_namespace(asked, []), MACHINE)
    orders = [
        prepare.teacher_order(each["plan"], prepare.load_data(each["config"], each["plan"])) for each in (header, plain)
    ]
    assert orders[0].key() == orders[1].key()


def test_the_outputs_are_those_of_the_augmented_rows(ready: Path, header: dict[str, Any], file: Path) -> None:
    prepared = read(ready).prepared
    assert prepared is not None
    data = prepare.load_data(header["config"], header["plan"])
    rows = Path(prepared["data"]["path"])
    train_rows = Tokens.load(rows / "train.npz")
    wanted = tokenise(data.of_student().train, load_tokenizer(Path(header["plan"]["teacher"]["path"])), 128)
    assert np.array_equal(train_rows.ids, wanted.ids)
    assert np.array_equal(train_rows.labels, wanted.labels)
    assert Store(rows.parent).facts(Path(prepared["teacher"]["outputs"]))["rows"] == 640
    # The teacher's own rows are an artifact beside it.
    assert len(list(rows.parent.glob("tokens-*"))) == 2


def test_a_trial_learns_from_them(ready: Path, header: dict[str, Any]) -> None:
    assert source_of(header["plan"], header["plan"]["points"][0]) == "cached"
    for point in ("p00", "ft"):
        found = train(ready, point)
        assert [row["evaluation"] for row in found] == [1, 2]
        assert [row["steps"] for row in found] == [40, 40]
        assert all(row["failure"] is None for row in found)


def test_the_door_takes_the_file(asked: dict[str, Any], file: Path, ready: Path, tmp_path: Path) -> None:
    door = {**asked, "augmented": file.as_posix(), "baseline": False, "scheduler": "none", "set": ["batch_size=16"]}
    spec = plan_trials(from_namespace(door, []), lambda line: None)
    with session(tmp_path) as seen:
        train_by_door(spec, {"lr": 1e-3})
    assert len(seen.rows) == 2
    prepared = read(ready).prepared
    assert prepared is not None
    assert spec["data"] == prepared["data"]["path"]


def test_a_changed_file_is_never_allowed(asked: dict[str, Any], tiny_data: Path, tmp_path: Path) -> None:
    own = write(tmp_path / "own.tsv", tiny_data, copies=1)
    header = plan.make(from_namespace({**asked, "augmented": str(own)}, []), MACHINE)
    data = prepare.load_data(header["config"], header["plan"])
    changes.refuse_changed(header, data, allowed=False)
    own.write_text(own.read_text().replace("the cat", "the dog", 1))
    data = prepare.load_data(header["config"], header["plan"])
    with pytest.raises(UserError, match=r"the rows of cola or of .*own\.tsv"):
        changes.refuse_changed(header, data, allowed=True)
    own.unlink()
    with pytest.raises(UserError, match=r"--augmented .*own\.tsv is no file"):
        prepare.load_data(header["config"], header["plan"])


def test_fewer_rows_are_the_teacher_s_alone(asked: dict[str, Any], file: Path) -> None:
    few = plan.make(from_namespace({**asked, "augmented": str(file), "max_train_rows": 80}, []), MACHINE)
    data = few["plan"]["data"]
    assert (data["train_rows"], data["teacher_rows"], data["augmented"]["own_rows"]) == (640, 80, 160)
    assert "The teacher trains on 80 of 160 rows." in few["plan"]["notices"]
    assert len(prepare.load_data(few["config"], few["plan"]).of_teacher().train) == 80


def test_best_yaml_names_the_file(header: dict[str, Any], file: Path, tmp_path: Path) -> None:
    write_json(tmp_path / SWEEP, header)
    row = {"kind": "evaluation", "point": "p00", "evaluation": 1, "epoch": 1.0, "value": 0.5}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    text = best_yaml(read(tmp_path))
    assert text is not None
    (tmp_path / "best.yaml").write_text(text)
    again = plan.make(from_namespace({"config": str(tmp_path / "best.yaml")}, []), MACHINE)
    assert again["config"]["augmented"] == str(file)
    assert again["plan"]["points"][0]["hash"] == header["plan"]["points"][0]["hash"]


def test_dev_rows_among_them_are_told(asked: dict[str, Any], tiny_data: Path, tmp_path: Path) -> None:
    own = write(tmp_path / "own.tsv", tiny_data, copies=0)
    dev = [line.split("\t")[3] for line in (tiny_data / "CoLA" / "dev.tsv").read_text().splitlines()]
    trained = {line.split("\t")[0] for line in own.read_text().splitlines()}
    doubles = sum(text in trained for text in dev)
    assert doubles > 0
    header = plan.make(from_namespace({**asked, "augmented": str(own), "baseline": False}, []), MACHINE)
    notices = " ".join(header["plan"]["notices"])
    assert f"Of the dev rows, {doubles} stand among the augmented rows too." in notices
    assert "baseline trains" not in notices


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--augmented", "none.tsv"], "none.tsv is no file; python -m distill.augment makes one."),
        (["--augmented", ""], "--augmented is empty"),
        (["--augmented", "other.tsv"], "other.tsv, line 1: 1 column found where 4"),
        (
            ["--augmented", "aug.tsv", "--select-on", "train-holdout:0.1"],
            "--select-on train-holdout:0.1 does not go with",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    asked: dict[str, Any],
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "aug.tsv", tiny_data)
    (tmp_path / "other.tsv").write_text("text\n")
    named = ["--layers", "2", "--teacher", asked["teacher"], "--data-dir", asked["data_dir"]]
    assert sweep.main([*named, *more, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
