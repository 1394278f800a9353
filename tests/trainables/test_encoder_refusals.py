"""What some encoders cannot do, and sizes that do not fit, are refused in the plan by method, term and model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from tests.distill import tiny
from tests.distill.methods.test_deberta_pair import BASE, V3, XSMALL
from trainables import plan
from trainables.config import from_namespace
from trainables.recorder import Recorder
from trainables.resources import Machine


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("encoders")
    networks: dict[str, dict[str, Any]] = {
        **{kind: {"kind": kind, "layers": 4} for kind in ("bert", "albert", "deberta-v2", "modernbert", "distilbert")},
        "wide": {"kind": "distilbert", "layers": 2, "width": 24},
        "headed": {"kind": "distilbert", "layers": 2, "heads": 4},
        "worded": {"kind": "distilbert", "layers": 2, "vocab_size": 40},
    }
    return {name: tiny.encoder_folder(place / name, **how) for name, how in networks.items()}


@pytest.fixture
def make(folders: dict[str, Path], tiny_data: Path, tmp_path: Path) -> Any:
    def made(method: str, teacher: str, student: str | None, *settings: str) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "method": method,
            "teacher": str(folders[teacher]),
            "data_dir": str(tiny_data),
            "set": ["max_length=32", *settings],
            "trials": 2,
            "artifacts": str(tmp_path / "store"),
            **({"student": str(folders[student])} if student else {"layers": 2}),
        }
        return plan.make(from_namespace(asked, []), Machine(2, 0, False))

    return made


def test_layers_of_an_albert_are_not_copied(make: Any) -> None:
    words = (
        r"^BERT-EMD: no student of copied layers can be cut from --teacher albert, .* ALBERT \(albert\) share one set"
    )
    with pytest.raises(UserError, match=words):
        make("emd", "albert", None)
    header = make("emd", "albert", "albert")
    assert header["plan"]["student"]["layers"] == 4


@pytest.mark.parametrize("kind", ["modernbert", "albert"])
def test_layers_that_cannot_run_twice(make: Any, kind: str) -> None:
    with pytest.raises(UserError, match=rf"^--student {kind}: sps=swap \(shuffled parameter sharing\) .*\({kind}\)"):
        make("pea", kind, kind)
    assert make("pea", kind, kind, "sps=none")


def test_those_that_can(make: Any) -> None:
    for kind in ("distilbert", "deberta-v2"):
        assert make("pea", kind, None)["plan"]["student"]["model_type"] == kind


def test_attention_of_a_deberta_is_no_relation(make: Any, tmp_path: Path) -> None:
    from trainables.growth import grow

    words = r"^MiniLM's relation qk .* scores of the student, a DeBERTa \(deberta-v2\)"
    with pytest.raises(UserError, match=words):
        make("minilm", "deberta-v2", None, "version=v1")
    recorder = Recorder.create(tmp_path / "s", make("minilm", "deberta-v2", None, "version=v2"))
    with pytest.raises(UserError, match=words):
        grow(recorder.record, settings={"version": ["all"]})
    recorder.close()


@pytest.mark.parametrize(
    ("method", "student", "setting", "words"),
    [
        ("emd", "headed", "lr=1e-3", "4 attention heads and the teacher 2, but BERT-EMD compares scores head by head"),
        ("tinybert", "headed", "lr=1e-3", "4 attention heads and the teacher 2, but TinyBERT compares"),
        ("minilm", "headed", "version=v1", "4 attention heads and the teacher 2, but MiniLM v1 compares"),
        ("minilm", "wide", "relation_heads=3", "relation_heads=3 does not divide the teacher's width 16"),
        ("mixstep", "headed", "lr=1e-3", "but AttnMiniLM and AttnTinyBERT and ValMiniLM compare head by head"),
        ("pkd", "wide", "lr=1e-3", "width 24 differs from the teacher's 16"),
        ("lad", "wide", "lr=1e-3", "The student is 24 wide and the teacher 16"),
        ("kd", "worded", "lr=1e-3", "has 40 token ids and the teacher"),
    ],
)
def test_sizes_that_do_not_fit(make: Any, method: str, student: str, setting: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        make(method, "bert", student, setting)
    assert words in str(refused.value)


@pytest.mark.parametrize("method", ["emd", "kd", "pkd", "tinybert", "minilm", "lad", "ted", "mixstep"])
def test_the_rest_is_planned(make: Any, method: str) -> None:
    for teacher, student in (("bert", "distilbert"), ("modernbert", "modernbert"), ("deberta-v2", None)):
        assert make(method, teacher, student)["plan"]["points"]


@pytest.mark.parametrize("recipe", ["modern", "published"])
def test_teds_own_pair_is_planned(recipe: str, tiny_data: Path, tmp_path: Path) -> None:
    """DeBERTaV3-base and xsmall by their real configurations, of which a plan reads no weights."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig

    for name, sizes in (("base", BASE), ("xsmall", XSMALL)):
        AutoConfig.for_model("deberta-v2", **V3, **sizes).save_pretrained(tmp_path / name)
        tiny.tokenizer().save_pretrained(tmp_path / name)
        save_file({"none": torch.zeros(1)}, tmp_path / name / "model.safetensors")
    asked = {
        **{"method": "ted", "teacher": str(tmp_path / "base"), "student": str(tmp_path / "xsmall"), "recipe": recipe},
        **{"data_dir": str(tiny_data), "trials": 2, "artifacts": str(tmp_path / "store")},
    }

    made = plan.make(from_namespace(asked, []), Machine(2, 0, False))["plan"]

    assert [(made[who]["layers"], made[who]["hidden_size"]) for who in ("teacher", "student")] == [(12, 768), (12, 384)]
    assert made["student"]["model_type"] == made["teacher"]["model_type"] == "deberta-v2"
    assert made["training"]["max_length"] == (128 if recipe == "modern" else 256)
