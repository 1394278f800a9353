"""What the plan says of values, layers and students, and what it leaves out. No torch, no Ray."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainables import plan
from trainables.config import from_namespace
from trainables.describe import describe
from trainables.options import parser
from trainables.resources import Machine


@pytest.fixture
def say(tiny_encoder: Path, tiny_data: Path) -> Any:
    """Lines of plans on a teacher of 4 layers of 32."""

    def said(method: str, *arguments: str) -> list[str]:
        typed = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--method", method, *arguments]
        return describe(plan.make(from_namespace(vars(parser().parse_args(typed)), typed), Machine(4, 0, True)))

    return said


def one(lines: list[str], start: str) -> str:
    (line,) = [line for line in lines if line.startswith(start)]
    return line


def test_what_all_points_share(say: Any) -> None:
    typed = ("--set", "kl_alpha=0,5", "--set", "mse_alpha=10", "--set", "lr=1e-4", "--set", "clip=0", "--epochs", "2")
    lines = say("ted", "--layers", "2", *typed)
    words = one(lines, "The same in all: ").removeprefix("The same in all: ").removesuffix(".").split(" · ")
    assert {"mse_alpha 10 [given]", "lr 0.0001 [given]", "clip 0 [given]"} <= set(words)
    # T acts beside kl_alpha alone; the interval of the teacher is no axis, and nobody named it.
    assert "T 2 [published]" in words
    assert not any(word.startswith(("kl_alpha", "teacher_interval", "finetune", "epochs")) for word in words)
    assert lines.index(one(lines, "The same in all: ")) > lines.index(one(lines, "  p02"))


def test_what_a_label_tells_is_not_told_again(say: Any) -> None:
    alone = say("kd", "--layers", "2", "--set", "lr=1e-4", "--set", "T=5", "--set", "alpha=0.5")
    assert "lr 0.0001" in one(alone, "  p00")
    assert not [line for line in alone if line.startswith("The same in all")]
    batch = say("kd", "--layers", "2", "--set", "batch_size=8", "--trials", "3")
    assert "batch_size 8 [given]" in one(batch, "The same in all: ")


def test_of_rows_and_grid_the_grade_of_the_most_points(say: Any) -> None:
    lines = say("ptp", "--layers", "3", "--set", "then=pkd")
    assert "  [published]" in one(lines, "  p00")
    assert "alpha 0.7 [code default]" in one(lines, "The same in all: ")


def test_where_filters_lie(say: Any) -> None:
    assert "Filters: student 1, 2 ↔ teacher 2, 4, width 32." in say("ted", "--layers", "2", "--trials", "2")
    # An interval that does not divide the layers leaves those at the top without.
    odd = say("ted", "--layers", "3", "--trials", "2", "--set", "filter_interval=2", "--set", "filter_output_dim=8")
    assert "Filters: student 2 ↔ teacher 4, width 8." in odd
    several = say("ted", "--layers", "2", "--set", "filter_interval=1,2", "--set", "kl_alpha=5", "--set", "lr=1e-4")
    assert [line for line in several if line.startswith("Filters: ")] == [
        "Filters: student 1, 2 ↔ teacher 2, 4, width 32, in 7 of 14 points.",
        "Filters: student 2 ↔ teacher 4, width 32, in 7 of 14 points.",
    ]
    lwd = say("lwd", "--layers", "2", "--set", "mse_alpha=0,5", "--set", "kl_alpha=5", "--set", "lr=1e-4")
    pairs = "student 1, 2 ↔ teacher 2, 4, the student's through a linear layer each to width 32, in 1 of 2 points."
    assert one(lwd, "Layers compared: ") == f"Layers compared: {pairs}"
    none = say("ted", "--layers", "2", "--set", "mse_alpha=0")
    assert not [line for line in none if "↔" in line]


def test_whose_embeddings(say: Any) -> None:
    def student(*typed: str) -> str:
        return one(say("lad", "--layers", "2", *typed), "Student: ").partition("32")[2]

    assert student("--trials", "2") == "."
    assert student("--trials", "2", "--set", "embeddings=teacher") == ", with the teacher's embeddings."
    assert student("--trials", "2", "--set", "embeddings=random") == ", with random embeddings."
    several = ("embeddings=pretrained,random", "soft=0.5", "hard=0.5", "hidden=500", "T=10", "gate_lr=1e-6", "lr=1e-4")
    typed = [word for setting in several for word in ("--set", setting)]
    assert student(*typed) == ", with random embeddings, in 1 of 2 points."


def test_nothing_is_said_of_what_nobody_named(say: Any, tmp_path: Path) -> None:
    def idle(*typed: str) -> list[str]:
        return [line for line in say(*typed, "--trials", "2", "--layers", "2") if "would change nothing" in line]

    assert idle("ted") == idle("emd") == idle("ted", "--set", "mse_alpha=0") == []
    assert len(idle("emd", "--set", "T_emd=1,5")) == 1
    (named,) = idle("ted", "--set", "mse_alpha=0", "--set", "filter_batch=8", "--set", "filter_lr=1e-4")
    assert named.startswith("Note: filter_lr and filter_batch would change nothing here (recipe modern)")
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"method": "emd", "axes": {"T_emd": [1, 5], "lr": [1e-5, 3e-5]}}))
    assert len(idle("emd", "--space", str(file))) == 1


def test_values_that_mean_the_same_are_explained(say: Any, tmp_path: Path) -> None:
    def told(*typed: str) -> list[str]:
        fixed = ("--set", "t=0.5", "--set", "lr=1e-4", "--set", "ptp_lr=1e-4", "--set", "then=kd", "--layers", "2")
        return [line for line in say("ptp", *fixed, *typed) if "is written" in line]

    means = "which means the same there (the same where the teacher is wrong; 0 takes t)."
    assert told("--set", "t2=0.5,0.9") == [f"Note: t2 0.5 is written t2 0 in 1 of 2 points, {means}"]
    assert told("--set", "t2=0.5") == [f"Note: t2 0.5 is written t2 0, {means}"]
    assert told("--set", "t2=0.9") == told() == []
    # A file that lists them wants them tried in the modern recipe too.
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"method": "ptp", "axes": {"t2": [0.6, 0.9], "lr": [1e-4]}}))
    points = [line for line in say("ptp", "--layers", "2", "--space", str(file)) if line.startswith("  p")]
    assert [" t2 0.6 " in line or " t2 0.9 " in line for line in points] == [True, True]


@pytest.mark.parametrize("task", ["wnli", "cola"])
@pytest.mark.parametrize("method", ["pea", "ptp", "ted", "lwd"])
def test_the_first_point_has_what_was_published_for_the_task(say: Any, method: str, task: str, tmp_path: Path) -> None:
    if task == "wnli":
        (tmp_path / "WNLI").mkdir()
        rows = "".join(f"{n}\tone thing {n}\tanother\t{n % 2}\n" for n in range(64))
        for name in ("train", "dev"):
            (tmp_path / "WNLI" / f"{name}.tsv").write_text(f"index\tsentence1\tsentence2\tlabel\n{rows}")
    here = ("--task", task, "--data-dir", str(tmp_path)) if task == "wnli" else ()
    lines = say(method, "--layers", "2", "--trials", "2", *here)
    defaults = {
        "pea": "t 0.95",
        "ptp": "t 0.95",
        "ted": "kl_alpha 20 · mse_alpha 100",
        "lwd": "kl_alpha 20 · mse_alpha 20",
    }
    colas = {"pea": "t 0.95", "ptp": "t 0.95", "ted": "kl_alpha 0 · mse_alpha 10", "lwd": "kl_alpha 0 · mse_alpha 5"}
    assert (defaults if task == "wnli" else colas)[method] in one(lines, "  p00")
    note = [line for line in lines if "The first point has" in line]
    assert len(note) == (task == "cola")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("ted", ": its filters lead both networks to one width where their layers are compared."),
        ("lwd", ": a linear layer on each of its layers that is compared leads to the teacher's, and is dropped at "),
        ("emd", ": a linear projection is trained beside it and dropped at the end."),
        ("kd", "."),
    ],
)
def test_what_brings_another_width_to_the_teachers(
    say: Any, method: str, words: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "narrow")
    file = tmp_path / "narrow" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"hidden_size": 16}))
    lines = say(method, "--student", str(tmp_path / "narrow"), "--trials", "2")
    assert one(lines, "Note: The student's width ").partition("teacher's 32")[2].startswith(words)
