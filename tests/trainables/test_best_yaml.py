"""best.yaml: the sweep command takes it, and plans what ran."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.best import best_yaml
from distill.models import embedded
from trainables import plan, sweep
from trainables.config import from_namespace
from trainables.growth import grow
from trainables.options import parser
from trainables.record import read
from trainables.resources import Machine

needs_embedded = pytest.mark.skipif(
    importlib.util.find_spec(embedded.PACKAGE) is None, reason="the embedded encoder is not installed"
)
GRID = ("--layers", "2", "--trials", "3", "--epochs", "2")


class Planned:
    """A sweep that was planned and whose last distilled point has the only score."""

    def __init__(self, folder: Path, *arguments: str, seed: int | None = None) -> None:
        folder.mkdir()
        self.machine = Machine(4, 0, True)
        self.header = plan.make(from_namespace(vars(parser().parse_args([*arguments])), []), self.machine)
        (folder / "sweep.json").write_text(json.dumps(self.header))
        rows: list[dict[str, Any]] = []
        if seed is not None:
            rows.append({"kind": "extend", "points": grow(read(folder), seeds=[seed])})
        points = [*self.header["plan"]["points"], *(rows[0]["points"] if rows else [])]
        self.best = [point for point in points if point["origin"] != "baseline"][-1]
        rows.append({"kind": "evaluation", "point": self.best["id"], "evaluation": 1, "epoch": 1.0, "value": 0.5})
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        text = best_yaml(read(folder))
        assert text is not None
        self.comment = [line for line in text.splitlines() if line.startswith("#")]
        self.content = yaml.safe_load(text)
        self.file = folder / "best.yaml"
        self.file.write_text(text)

    def again(self, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
        """The plan of the file, after the command took it."""
        capsys.readouterr()
        assert sweep.main(["--config", str(self.file), "--dry-run"]) == 0
        assert "Points: 1 and 1 undistilled baseline" in capsys.readouterr().out
        return dict(plan.make(from_namespace({"config": str(self.file)}, []), self.machine)["plan"])


def hashes(planned: dict[str, Any]) -> list[str]:
    return [point["hash"] for point in planned["points"]]


def acting(planned: dict[str, Any], point: dict[str, Any]) -> dict[str, Any]:
    """All numbers of a point, whether it names one itself or shares it with others; hashes tell these two apart."""
    numbers = {**planned["training"], **point["training"], **point["params"]}
    return {**numbers, **{name: point[name] for name in ("method", "recipe", "head", "seed")}}


@pytest.fixture
def named(tiny_encoder: Path, tiny_data: Path) -> tuple[str, ...]:
    return ("--teacher", str(tiny_encoder), "--data-dir", str(tiny_data))


def test_modern(named: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Planned(tmp_path / "sweep", *named, *GRID, "--set", "clip=2", "--set", "batch_size=8,16", "--seed", "3")
    again = made.again(capsys)
    assert made.best["params"]["batch_size"] in (8, 16)
    assert acting(again, again["points"][0]) == acting(made.header["plan"], made.best)
    assert again["training"]["clip"] == 2
    assert "source" not in made.content
    assert len(made.comment) == 2


def test_published_with_a_grid_of_ones_own(
    named: tuple[str, ...], tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = {
        "T_emd": {"type": "float", "default": 2, "values": [2, 4]},
        "lr": {"type": "float", "default": 1e-5, "values": [1e-5]},
        "batch_size": {"type": "int", "default": 8, "values": [8]},
    }
    space = tmp_path / "mine.yaml"
    space.write_text(yaml.safe_dump({"schema": 1, "method": "emd", "axes": axes}, sort_keys=False))
    made = Planned(
        tmp_path / "sweep",
        *named,
        *("--recipe", "published", "--student", str(tiny_encoder), "--space", str(space), "--epochs", "2"),
    )
    again = made.again(capsys)
    assert made.best["params"]["T_emd"] in (2.0, 4.0)
    assert (made.best["head"], again["points"][0]["head"]) == ("relu", "relu")
    assert acting(again, again["points"][0]) == acting(made.header["plan"], made.best)


@needs_embedded
def test_what_is_embedded_stays_so_when_the_hub_answers_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Planned(tmp_path / "sweep", "--task", "cola", *GRID)
    assert made.header["config"]["source"] is None
    assert (made.content["task"], made.content["source"]) == ("cola-made-up", "embedded")
    monkeypatch.setattr("trainables.models._from_hub", lambda *given: pytest.fail("the hub was asked"))
    assert hashes(made.again(capsys))[0] == made.best["hash"]
    assert len(made.comment) == 2


def test_made_up_data_stays_so_when_the_hub_answers_again(
    tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Planned(tmp_path / "sweep", "--task", "cola", "--teacher", str(tiny_encoder), *GRID)
    assert made.content["task"] == "cola-made-up"
    assert "source" not in made.content, "it takes nothing by name"
    monkeypatch.setattr("distill.tasks.hub.load", lambda *given: pytest.fail("the hub was asked"))
    assert hashes(made.again(capsys))[0] == made.best["hash"]
    assert len(made.comment) == 2


def test_made_up_data_has_no_row_of_the_task_that_it_stands_in_for(
    tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--method", "lad", "--recipe", "published", "--task", "sst2", "--teacher", str(tiny_encoder))
    made = Planned(tmp_path / "sweep", *asked, "--layers", "2", "--trials", "2", "--epochs", "2")
    assert made.content["task"] == "opinion-made-up"
    training = made.header["plan"]["training"]
    # 0.3 and 2000 are the numbers of the row of SST-2.
    assert (training["warmup"], training["evaluation_steps"]) != (0.3, 2000)
    assert hashes(made.again(capsys))[0] == made.best["hash"]


@needs_embedded
def test_an_embedded_teacher_of_real_rows_cannot_be_named(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Planned(tmp_path / "sweep", "--data-dir", str(tiny_data), *GRID)
    assert made.content["task"] == "cola"
    assert not {"source", "teacher"} & set(made.content)
    assert "The embedded encoder served as teacher" in made.comment[-1]
    # The hub does not answer in tests.
    assert hashes(made.again(capsys))[0] == made.best["hash"]


def test_another_seed_draws_other_rows(
    named: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = Planned(tmp_path / "few", *named, *GRID, "--max-train-rows", "100", seed=5)
    assert few.content["seed"] == 5
    assert few.comment[-1] == (
        "# The sweep drew its 100 training rows by seed 0; seed 5 will draw others, so the score may differ."
    )
    assert hashes(few.again(capsys))[0] != few.best["hash"], "the comment is wrong"
    for name, more, seed in (("all", ("--max-train-rows", "1000"), 5), ("same", ("--max-train-rows", "100"), None)):
        made = Planned(tmp_path / name, *named, *GRID, *more, seed=seed)
        assert len(made.comment) == 2
        assert hashes(made.again(capsys))[0] == made.best["hash"]
