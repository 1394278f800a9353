"""What an encoder folder says about itself, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from distill.models.architectures import SUPPORTED
from distill.models.folder import check_embeddings, check_head, embedding_sizes, inspect
from tests.distill import tiny


def test_facts(encoder: Path) -> None:
    found = inspect(encoder, "--teacher")
    assert (found.model_type, found.layers, found.hidden_size, found.heads) == ("bert", 4, 16, 2)
    assert (found.vocabulary, found.positions) == (len(tiny.VOCABULARY), 64)
    assert found.weights == (encoder / "model.safetensors").stat().st_size
    assert found.path.is_absolute()


@pytest.fixture
def copy(tmp_path: Path, encoder: Path) -> Path:
    for file in encoder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def _refusal(folder: Path) -> str:
    with pytest.raises(UserError) as refused:
        inspect(folder, "--student")
    message = str(refused.value)
    assert "--student" in message
    assert str(folder) in message
    assert "\n" not in message
    return message


def test_missing_folder(tmp_path: Path) -> None:
    assert "is not a folder" in _refusal(tmp_path / "nowhere")


def test_missing_configuration(copy: Path) -> None:
    (copy / "config.json").unlink()
    assert "no config.json" in _refusal(copy)


def test_missing_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert "no weights" in _refusal(copy)


def test_missing_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    for name in ("vocab.txt", "vocab.json"):
        (copy / name).unlink(missing_ok=True)
    assert "no tokenizer" in _refusal(copy)


def test_torn_configuration(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    assert "not the configuration" in _refusal(copy)


@pytest.mark.parametrize("key", ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"])
def test_configuration_of_something_else(copy: Path, key: str) -> None:
    config = json.loads((copy / "config.json").read_text())
    del config[key]
    (copy / "config.json").write_text(json.dumps(config))
    assert key in _refusal(copy)


@pytest.mark.parametrize("kind", SUPPORTED)
def test_a_relu_reads_only_a_bert(kind: str) -> None:
    check_head("own", kind, "--teacher")
    if kind in ("bert", "bert-relu-head"):
        check_head("relu", kind, "--teacher")
        return
    with pytest.raises(UserError, match=f"^--teacher: .*type {kind} do not have; name a BERT"):
        check_head("relu", kind, "--teacher")


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_sizes_of_embeddings_are_those_of_the_weights(kind: str, tmp_path: Path) -> None:
    narrow: dict[str, Any] = {"embedding_size": 8} if kind == "electra" else {}
    tiny.encoder_folder(tmp_path, kind=kind, **narrow)
    weights = tiny.classifier(kind=kind, **narrow).base_model.embeddings
    sizes = embedding_sizes(tmp_path)
    width = sizes["width"]
    assert width == (8 if kind == "electra" else 16)
    assert weights.word_embeddings.weight.shape == (sizes["token ids"], width)
    assert weights.position_embeddings.weight.shape == (sizes["positions"], width)
    assert weights.token_type_embeddings.weight.shape == (sizes["token types"], width)


def test_embeddings_that_do_not_fit_are_told_with_both_sizes(copy: Path, encoder: Path) -> None:
    check_embeddings(copy, encoder, "x", "--set ")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "vocab_size": 9, "max_position_embeddings": 32}))
    with pytest.raises(UserError) as refused:
        check_embeddings(copy, encoder, "x", "--set ")
    assert str(refused.value) == (
        "--set embeddings=teacher: the teacher's embeddings do not fit student x, because they have "
        f"{len(tiny.VOCABULARY)} token ids, not 9 and 64 positions, not 32; take --set embeddings=pretrained, or a "
        "student whose embeddings have the teacher's sizes."
    )
