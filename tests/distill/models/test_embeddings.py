"""Embeddings that a student begins with: new ones, its own, or the teacher's, by every way into a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from distill import methods
from distill.errors import UserError
from distill.methods.base import Embeddings
from distill.models.embeddings import give
from distill.models.parameters import named
from distill.models.student import load_classifier
from distill.tasks import registry
from distill.training.assemble import assemble
from distill.training.settings import Numerics, Training
from tests.distill import tiny

COLA = registry.get("cola")


def _saved(folder: Path, **shape: Any) -> Path:
    tiny.classifier(**shape).save_pretrained(folder)
    return folder


def _made(encoder: Path, whose: Embeddings, teacher: Path | None = None, seed: int = 0) -> dict[str, Tensor]:
    method = replace(methods.get("ft"), embeddings=lambda values: whose)
    run = assemble(
        method,
        COLA,
        encoder,
        (1, 3),
        tiny.tokens(),
        params={"lr": 1e-4},
        training=Training(),
        numerics=Numerics(),
        seed=seed,
        teacher=teacher,
    )
    return dict(run.student.state_dict())


def _same(one: dict[str, Tensor], two: dict[str, Tensor], embeddings: bool) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one if ("embeddings" in name) == embeddings)


def test_whose_embeddings(encoder: Path, tmp_path: Path) -> None:
    teacher = _saved(tmp_path / "teacher", layers=4, seed=9)
    own, new, again, other = (
        _made(encoder, "pretrained", teacher),
        _made(encoder, "random", teacher),
        _made(encoder, "random"),
        _made(encoder, "random", seed=1),
    )
    theirs = _made(encoder, "teacher", teacher)
    for made in (new, again, theirs):
        assert _same(own, made, embeddings=False), "more than the embeddings is another's"
        assert not _same(own, made, embeddings=True)
    assert _same(new, again, embeddings=True)
    assert not _same(new, other, embeddings=True)
    assert _same(theirs, dict(load_classifier(teacher, COLA).state_dict()), embeddings=True)
    assert _same(own, dict(load_classifier(encoder, COLA).state_dict()), embeddings=True)


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_new_embeddings_are_those_of_a_new_encoder(kind: str) -> None:
    student = tiny.classifier(kind, vocab_size=4000, **({"embedding_size": 8} if kind == "electra" else {}))
    give(student, "random", None, COLA)
    found = {name: value for name, value in student.base_model.state_dict().items() if name.startswith("embeddings")}
    words = found["embeddings.word_embeddings.weight"]
    assert words.std().item() == pytest.approx(student.config.initializer_range, rel=0.05)
    assert not words[student.config.pad_token_id].any()
    assert found["embeddings.position_embeddings.weight"].std().item() == pytest.approx(0.02, rel=0.2)
    assert torch.equal(found["embeddings.LayerNorm.weight"], torch.ones_like(found["embeddings.LayerNorm.weight"]))
    assert not found["embeddings.LayerNorm.bias"].any()
    if kind == "electra":
        assert not student.base_model.embeddings_project.bias.any()
        assert student.base_model.embeddings_project.weight.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("kind", ["distilbert", "mpnet", "deberta-v2", "albert", "modernbert"])
def test_other_kinds_have_all_that_embeds_replaced_and_nothing_else(kind: str, tmp_path: Path) -> None:
    """Positions that lie elsewhere and what projects too; the teacher's are told from the student's by their seed."""
    teacher = _saved(tmp_path / "teacher", kind=kind, seed=5)
    theirs = dict(load_classifier(teacher, COLA).state_dict())
    for whose in ("random", "teacher"):
        student = tiny.classifier(kind, seed=6)
        before = {name: value.clone() for name, value in student.named_parameters()}
        wanted = named(student, ("embeddings",))
        give(student, whose, teacher, COLA)
        after = dict(student.named_parameters())
        assert {name for name, value in after.items() if not torch.equal(value, before[name])} == wanted
        if whose == "teacher":
            assert all(torch.equal(after[name], theirs[name]) for name in wanted)


def test_embeddings_of_another_size_are_refused(encoder: Path, tmp_path: Path) -> None:
    teacher = _saved(tmp_path, layers=2, max_position_embeddings=32)
    with pytest.raises(UserError, match=r"no position_embeddings.weight of 64 × 16 .* --set embeddings=pretrained"):
        _made(encoder, "teacher", teacher)
    with pytest.raises(ValueError, match="there is no teacher"):
        _made(encoder, "teacher")


def test_what_is_drawn_leaves_the_runs_own_draws_alone(encoder: Path) -> None:
    _made(encoder, "pretrained")
    straight = torch.rand(3)
    _made(encoder, "random")
    assert torch.equal(torch.rand(3), straight)
