"""`--task-file`: what it decides in plan, hashes, resume and best.yaml, and which options go with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import distill
from analysis.best import best_yaml
from distill import methods
from distill.errors import UserError
from distill.tasks import own, registry
from distill.tasks.planned import task_of
from search_spaces import SearchSpace, load
from tests.distill import tiny
from trainables import changes, door, plan, points, sweep
from trainables.config import SweepConfig, from_namespace
from trainables.options import parser
from trainables.point_notices import about_grid
from trainables.prepare import load_data, teacher_order
from trainables.record import read
from trainables.resources import Machine

Typed = Callable[..., SweepConfig]


def rows(count: int, labels: tuple[Any, ...] = ("bad", "good", "meh")) -> list[dict[str, Any]]:
    words = tiny.NOUNS
    return [
        {"review": f"the {words[i % 6]} runs", "reply": f"a {words[i % 5]}", "stars": labels[i % len(labels)]}
        for i in range(count)
    ]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """The options that name them."""
    place = tmp_path / "Hotel reviews"
    place.mkdir()
    for name, count in (("train", 24), ("dev", 12)):
        (place / f"{name}.json").write_text(json.dumps(rows(count)))
    named = ("--task-file", str(place / "train.json"), "--dev-file", str(place / "dev.json"))
    return (*named, "--text-column", "review", "--label-column", "stars")


@pytest.fixture
def typed(tiny_encoder: Path) -> Typed:
    def config(*arguments: str) -> SweepConfig:
        usual = ("--teacher", str(tiny_encoder), "--layers", "2", "--trials", "2")
        return from_namespace(vars(parser().parse_args([*usual, *arguments])), [])

    return config


def made(config: SweepConfig) -> dict[str, Any]:
    return plan.make(config, Machine(4, 0, True))


def test_the_plan_carries_the_task_to_all_who_ask_it(typed: Typed, files: tuple[str, ...]) -> None:
    header = made(typed(*files))
    planned = json.loads(json.dumps(header))["plan"]
    assert (planned["task"], planned["metric"]) == ("hotel-reviews", "accuracy")
    assert planned["data"]["origin"] == "local"
    task = task_of(planned)
    assert (task.labels, task.num_labels, task.own) == (("bad", "good", "meh"), 3, True)
    data = load_data(header["config"], planned)
    assert data.task == task
    assert teacher_order(planned, data).task == task
    changes.refuse_changed(header, data, False)
    assert task_of(made(typed(*files, "--metric", "macro_f1"))["plan"]).metric == "macro_f1"


def test_whence_the_points_come() -> None:
    task, space = distill.own_data(rows(6), rows(6), text_column="review", label_column="stars").task, load("emd")

    def told(found: SearchSpace, **how: Any) -> str:
        note = about_grid(replace(SweepConfig(task=""), **how), task, found, 2, False, ())
        return note.removeprefix("rows is a task of your own, for which no row is published: the points come from ")

    emd = "the axes of BERT-EMD, which hold what it was published with for any task, with values of ours beside these."
    assert told(space) == emd
    assert told(space, search="random") == told(space, search="tpe") == f"ranges around the values of {emd}"
    assert told(space, search="published") == "the rows of all tasks that BERT-EMD was published with."
    assert told(space, space="mine.yaml") == "the axes of mine.yaml."
    assert told(space, space="mine.yaml", search="published") == "the rows of mine.yaml."
    bare = replace(space, rows=())
    assert told(bare) == "The search space of BERT-EMD has no published rows; the points come from its axes alone."


@pytest.mark.parametrize("name", ["emd", "lad", "tinybert"])
def test_every_value_that_was_published_is_among_the_points(name: str) -> None:
    task, space = distill.own_data(rows(6), rows(6), text_column="review", label_column="stars").task, load(name)
    assert not space.row(task.name, 6)
    method, config = methods.get(name), SweepConfig(method=name, task="", layers=6)
    values, training = points.split_settings(config, method, task, 3)
    found = points.make_points(config, method, space, task, 6, values, training, None, 768)
    acting = {axis.name for axis in space.active("modern")}
    for row in space.rows:
        for axis, value in row.values.items():
            params = [point["params"] for point in found.points if point["origin"] != "baseline"]
            had = {one[axis] for one in params if axis in one}
            # What equals the training of all points is no value of each.
            assert axis not in acting or value in had or not had, (row.task, axis, value)


def test_rows_decide_and_not_their_file(typed: Typed, files: tuple[str, ...], tmp_path: Path) -> None:
    import pandas as pd

    usual = made(typed(*files))
    elsewhere = tmp_path / "other.parquet"
    pd.DataFrame(rows(24)).to_parquet(elsewhere)
    moved = made(typed(*files, "--task-file", str(elsewhere)))
    assert moved["plan"]["task"] == "other"
    assert moved["fingerprint"]["data"] == usual["fingerprint"]["data"]
    assert [p["hash"] for p in moved["plan"]["points"]] == [p["hash"] for p in usual["plan"]["points"]]
    pairs = made(typed(*files, "--pair-column", "reply"))
    assert pairs["fingerprint"]["data"] != usual["fingerprint"]["data"]
    assert task_of(pairs["plan"]).pair


@pytest.mark.parametrize("labels", [("bad", "good", "meh", "no"), ("bad", "good")])
def test_a_resumed_sweep_refuses_other_rows_and_labels(
    typed: Typed, files: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    header = made(typed(*files))
    for option in (1, 3):
        Path(files[option]).write_text(json.dumps(rows(24 if option == 1 else 12, labels)))
    for allowed in (False, True):
        with pytest.raises(UserError, match="the rows of hotel-reviews"):
            changes.refuse_changed(header, load_data(header["config"], header["plan"]), allowed)


def test_scores_and_every_method_that_is_defined_for_them(typed: Typed, files: tuple[str, ...]) -> None:
    for option in (1, 3):
        Path(files[option]).write_text(json.dumps(rows(24, (0.5, 2, 4.5))))
    planned = made(typed(*files))["plan"]
    assert (planned["metric"], task_of(planned).kind) == ("pearson_spearman", "regression")
    classes = made(typed(*files, "--label-kind", "classification"))["plan"]
    assert task_of(classes).labels == ("0.5", "2", "4.5")


def test_the_published_recipe_has_no_row_for_it_behind_any_door(
    typed: Typed, files: tuple[str, ...], tiny_encoder: Path, tmp_path: Path
) -> None:
    told = "recipe published: Patient knowledge distillation has no published row for task hotel-reviews with 2 layers "
    published: dict[str, Any] = {"method": "pkd", "recipe": "published"}
    with pytest.raises(UserError, match=f"--{told}"):
        made(typed(*files, "--method", "pkd", "--recipe", "published"))
    columns: dict[str, Any] = {"text_column": "review", "label_column": "stars"}
    common: dict[str, Any] = {"layers": 2, "teacher": tiny_encoder, "artifacts": tmp_path}
    with pytest.raises(UserError, match=f"--{told}"):
        door.trainable(**published, task_file=files[1], dev_file=files[3], **columns, **common)
    data = distill.own_data(files[1], files[3], name="hotel-reviews", **columns)
    with pytest.raises(UserError, match=told):
        distill.run(str(tiny_encoder), 2, data=data, artifacts=tmp_path, **published)


def test_best_yaml_makes_the_task_again(typed: Typed, files: tuple[str, ...], tmp_path: Path) -> None:
    header = made(typed(*files, "--metric", "macro_f1"))
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps(header))
    best = header["plan"]["points"][-1]
    row = {"kind": "evaluation", "point": best["id"], "evaluation": 1, "epoch": 1.0, "value": 0.5}
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    text = best_yaml(read(folder))
    assert text is not None
    content = yaml.safe_load(text)
    assert "task" not in content
    assert (content["text_column"], content["label_column"]) == ("review", "stars")
    (folder / "best.yaml").write_text(text)
    again = plan.make(from_namespace({"config": str(folder / "best.yaml")}, []), Machine(4, 0, True))
    assert task_of(again["plan"]) == task_of(header["plan"])
    assert best["hash"] in [point["hash"] for point in again["plan"]["points"]]


def test_known_tasks_take_other_files(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("sentence\tlabel\nthe cat runs\t1\na dog falls\t0\n")
    (tmp_path / "b.csv").write_text('text,grade\n"the cat, runs",0\na dog,1\n')
    options = ("--task", "cola", "--train-file", str(tmp_path / "a.tsv"), "--dev-file", str(tmp_path / "a.tsv"))
    planned = made(typed(*options))["plan"]
    assert (planned["task"], planned["metric"], own.PLANNED in planned) == ("cola", "mcc", False)
    assert task_of(planned) == registry.get("cola")
    mixed = typed(*options[:2], "--task-file", str(tmp_path / "b.csv"), "--dev-file", str(tmp_path / "b.csv"))
    with pytest.raises(UserError, match=r"b\.csv has no column 'label' .*; name one with --label-column"):
        made(mixed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dev-file", "x.csv"), r"--dev-file x\.csv goes with --task-file; name that file too"),
        (("--label-kind", "regression"), "--label-kind regression goes with --task-file"),
        (("--task-file", "x.csv", "--data-dir", "d"), r"x\.csv and --data-dir .* both name the rows"),
        (("--task-file", "x.csv", "--source", "embedded"), "is a file, which --source embedded excludes"),
        (("--task-file", "org/name", "--source", "local"), "is a data set on the hub, which --source local excludes"),
        (("--task-file", "x.csv", "--dev-split", "dev"), "is a file, which has no splits; leave --dev-split out"),
        (("--task", "cola", "--task-file", "x.csv"), "rows of cola that choose are missing; name their file with"),
        (("--task", "cola", "--task-file", "org/name"), "org/name is no file with rows of cola"),
        (
            ("--task", "snli", "--task-file", "stanfordnlp/snli"),
            "leave --task-file out, because --task snli reads stan",
        ),
        (("--task", "cola-made-up", "--task-file", "x.csv"), "the data of cola-made-up is generated"),
        (
            ("--task", "cola", "--task-file", "x.csv", "--dev-file", "y.csv", "--pair-column", "z"),
            "--pair-column z: cola has one text a row; leave --task cola out for a task of your own",
        ),
        *(
            (
                ("--task", "squad2", "--task-file", "x.json", "--dev-file", "y.json", f"--{column}-column", "z"),
                f"^--{column}-column z: files of squad2 are in SQuAD's form, which has no columns; leave it out",
            )
            for column in ("text", "pair", "label")
        ),
    ],
)
def test_options_that_contradict_each_other(typed: Typed, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        typed(*arguments)


def test_a_broken_file_ends_the_command_with_one_sentence(
    files: tuple[str, ...], tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(files[1]).write_text('[{"review": "x", "stars": "bad"}, {"review": 3, "stars": "bad"}]')
    out = tmp_path / "out"
    asked = [*files, "--teacher", str(tiny_encoder), "--layers", "2", "--out", str(out)]
    assert sweep.main(asked) == 2
    said = capsys.readouterr().err
    assert f"{files[1]}, row 2: column 'review' holds 3 where a text is expected" in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_one_student_of_rows_in_memory(tiny_encoder: Path, tmp_path: Path) -> None:
    data = distill.own_data(rows(24), rows(12), text_column="review", pair_column="reply", label_column="stars")
    common: dict[str, Any] = {"artifacts": tmp_path, "allow_weak_teacher": True, "teacher_settings": {"epochs": 1}}
    found = distill.run(str(tiny_encoder), 1, "kd", data, epochs=1, **common)
    assert found.evaluations[-1].logits.shape == (12, 3)
    assert set(found.metrics) >= {"accuracy", "macro_f1"}


def test_the_trainable_takes_files_and_rows(
    tiny_encoder: Path, files: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def planned(config: SweepConfig, say: Any, given: Any = None) -> dict[str, Any]:
        seen.append((config, given))
        return {"task": "x", "layers": 2, "gpus": 0}

    monkeypatch.setattr("trainables.door_plan.plan_trials", planned)
    common: dict[str, Any] = {"layers": 2, "teacher": tiny_encoder}
    door.trainable("emd", task_file=files[1], dev_file=files[3], **common)
    data = distill.own_data(rows(24), rows(12), text_column="review", label_column="stars")
    door.trainable("emd", task=data, **common)
    door.trainable("emd", **common)
    assert [(config.task, given) for config, given in seen] == [("", None), ("", data), ("cola", None)]
    with pytest.raises(UserError, match="data_dir names rows, and task holds rows already"):
        door.trainable("emd", task=data, data_dir="x", **common)
