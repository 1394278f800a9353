"""What the plan makes of methods with layers, stages and refusals of their own. No torch, no Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from distill.errors import UserError
from trainables import plan, steps
from trainables.config import from_namespace
from trainables.options import parser
from trainables.resources import Machine


@pytest.fixture
def make(tiny_encoder: Path, tiny_data: Path) -> Any:
    """Plans of three trials on a teacher of 4 layers."""

    def planned(method: str, *arguments: str) -> dict[str, Any]:
        typed = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--method", method, "--trials", "3"]
        typed += arguments
        header = plan.make(from_namespace(vars(parser().parse_args(typed)), typed), Machine(4, 0, True))
        return dict(header["plan"])

    return planned


def distilled(planned: dict[str, Any]) -> list[dict[str, Any]]:
    return [point for point in planned["points"] if point["origin"] != "baseline"]


def grid(folder: Path, method: str, **axes: list[Any]) -> str:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"method": method, "axes": axes}))
    return str(file)


def test_patience_chooses_among_the_layers(make: Any) -> None:
    planned = make("pkd", "--layers", "3")
    assert planned["student"]["kept"] == [1, 2, 3]
    assert {point["params"]["layers"] for point in distilled(planned)} <= {"skip", "last"}
    for asked in ("last", "3-1"):
        chosen = make("pkd", "--layers", "3", "--set", f"layers={asked}")
        assert {point["params"]["layers"] for point in distilled(chosen)} == {asked}
    # [CLS] vectors are kept at all layers in any case.
    assert planned["teacher_source"]["needs"] == ["cls", "logits"]
    assert planned["teacher_source"].get("layers") is None


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--layers", "1"), "a student of 1 has none; choose --layers 2"),
        (
            ("--layers", "3", "--set", "layers=2"),
            "layers=2 has 1 of the teacher's layers, but 2 of the student's learn from them",
        ),
        (("--layers", "3", "--set", "layers=2-5"), "the teacher has layers 1 to 4"),
        (("--layers", "3", "--set", "layers=first"), "give one of skip, last, or the layers themselves"),
    ],
)
def test_patience_refuses_other_counts(make: Any, arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(UserError, match=why):
        make("pkd", *arguments)


def test_the_stages_of_tinybert(make: Any) -> None:
    planned = make("tinybert", "--layers", "2", "--set", "intermediate_epochs=7", "--set", "batch_size=16")
    point = distilled(planned)[0]
    first, second = steps.stages_of(planned, point)
    assert (first.training.epochs, first.training.batch_size) == (7, 32)
    assert (second.training.epochs, second.training.batch_size, planned["epochs"]) == (3, 16, 3)
    source = planned["teacher_source"]
    assert source["needs"] == ["hidden", "logits", "scores"]
    assert (source["needs_on_dev"], source["layers"]) == (["hidden", "scores"], [0, 2, 4])


def test_tinybert_as_published_asks_for_a_multiple(make: Any, tmp_path: Path) -> None:
    space = grid(tmp_path, "tinybert", lr=[1e-5, 3e-5])
    cut = ("--recipe", "published", "--space", space, "--student-layers")
    with pytest.raises(UserError, match=r"4 layers of the teacher are no multiple of the student's 3.*choose --layers"):
        make("tinybert", *cut, "1,2,3")
    planned = make("tinybert", *cut, "1,2")
    assert {point["head"] for point in distilled(planned)} == {"relu"}
    assert (planned["training"]["optimizer"], planned["training"]["evaluation_steps"]) == ("bertadam", 100)
    first, second = steps.stages_of(planned, distilled(planned)[0])
    assert (first.training.schedule, second.training.schedule) == ("constant", "linear")
    assert first.training.evaluation_steps == 0


def test_lad_reads_all_layers_below_its_targets(make: Any) -> None:
    planned = make("lad", "--layers", "2", "--set", "reverse=false,true")
    source = planned["teacher_source"]
    assert (source["kind"], source["needs"], source["layers"]) == ("cached", ["hidden", "logits"], [1, 2, 3, 4])
    assert planned["student"]["kept"] == [2, 4]
    assert make("lad", "--layers", "2", "--set", "reverse=true")["teacher_source"]["layers"] == [2, 3, 4]
    frozen = make("lad", "--layers", "2", "--set", "gates=frozen", "--set", "embeddings=teacher")
    assert all("gate_lr" not in point["params"] for point in distilled(frozen))
    assert {point["params"]["embeddings"] for point in distilled(frozen)} == {"teacher"}


def test_lad_as_published(make: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="LAD has no published row for task cola with 2 layers"):
        make("lad", "--layers", "2", "--recipe", "published")
    cut = ("--recipe", "published", "--space", grid(tmp_path, "lad", lr=[1e-4, 7e-4]), "--student-layers")
    with pytest.raises(UserError, match=r"4 layers of the teacher are no multiple of the student's 3.*choose --layers"):
        make("lad", *cut, "1,2,3")
    with pytest.raises(UserError, match="leave padding at max_length"):
        make("lad", *cut, "1,2", "--set", "padding=longest")
    planned = make("lad", *cut, "1,2", "--set", "max_length=32")
    assert planned["teacher_source"]["kind"] == "online"
    assert {point["params"]["embeddings"] for point in distilled(planned)} == {"random"}
    assert (planned["training"]["optimizer"], planned["training"]["padding"]) == ("adamw", "max_length")


def test_minilm_has_no_published_setting(make: Any, tmp_path: Path) -> None:
    assert make("minilm", "--layers", "2", "--recipe", "published")["published"] is None
    with pytest.raises(UserError, match="--search published: MiniLM has no published rows"):
        make("minilm", "--layers", "2", "--search", "published")
    planned = make("minilm", "--layers", "2")
    assert planned["teacher_source"]["layers"] == [4]
    assert planned["teacher_source"]["needs_on_dev"] == ["key", "query", "value"]
    mine = grid(tmp_path, "minilm", lr=[1e-5, 3e-5])
    found = make("minilm", "--layers", "2", "--recipe", "published", "--space", mine)
    assert {point["params"]["relation_lr"] for point in distilled(found)} == {6e-4}


def test_minilm_refuses_heads_that_do_not_divide(make: Any) -> None:
    with pytest.raises(UserError, match=r"relation_heads=5 does not divide"):
        make("minilm", "--layers", "2", "--set", "relation_heads=5")
