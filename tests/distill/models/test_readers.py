"""Encoders of every kind as models that point to tokens: cut, captured, saved, read again, and asked for answers."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.models.architectures import SHARED, architecture
from distill.models.capture import Capture, encoder_layers
from distill.models.folder import check_span_dropout
from distill.models.parameters import HEAD, left_alone, named, output_layer
from distill.models.positions import PADDED
from distill.models.repeats import Sharing
from distill.models.student import load_classifier
from distill.tasks import registry
from distill.training.predictions import look, predict
from tests.distill import tiny
from tests.distill.models.kinds import CASES, INPUTS, MASK, own_inputs

SQUAD = registry.get("squad2")
_NEEDS = frozenset({"logits", "hidden"})


@cache
def reader(name: str) -> Any:
    return tiny.classifier(**CASES[name], layers=3, width=24, heads=3, span=True).eval()


@pytest.mark.parametrize("name", CASES)
def test_logits_of_a_cut_reader_are_the_librarys(name: str, tmp_path: Path) -> None:
    from transformers import AutoModelForQuestionAnswering

    reader(name).save_pretrained(tmp_path / "whole")
    # An ALBERT's layers are one set, of which none can be left out.
    kept = None if CASES[name]["kind"] == "albert" else (1, 3)
    student = load_classifier(tmp_path / "whole", SQUAD, kept).eval()

    found = Capture(student, _NEEDS).run(**INPUTS)

    expected = student(**own_inputs(name), output_hidden_states=True)
    # The start of a row, and behind it the end.
    literal = torch.stack(
        [half for row in zip(expected.start_logits, expected.end_logits, strict=True) for half in row]
    )
    real = MASK.repeat_interleave(2, 0)
    torch.testing.assert_close(found.logits[real], literal[real], atol=1e-5, rtol=0)
    assert (found.logits[~real] == PADDED).all()
    assert found.hidden is not None
    for mine, states in zip(found.hidden, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine[MASK], states[MASK], atol=1e-5, rtol=0)
    assert torch.equal(output_layer(student)[1].weight, output_layer(reader(name))[1].weight)
    assert student.config.id2label == {0: "start", 1: "end"}

    student.save_pretrained(tmp_path / "cut")
    for again in (
        AutoModelForQuestionAnswering.from_pretrained(tmp_path / "cut").eval(),
        load_classifier(tmp_path / "cut", SQUAD).eval(),
    ):
        assert len(encoder_layers(again)) == len(encoder_layers(student))
        assert torch.equal(Capture(again, _NEEDS).run(**INPUTS).logits, found.logits)
    _answers(student)


@pytest.mark.parametrize("kind", SHARED)
def test_layers_that_run_twice_point_too(kind: str, tmp_path: Path) -> None:
    tiny.classifier(kind, span=True).save_pretrained(tmp_path / "plain")
    student = load_classifier(tmp_path / "plain", SQUAD, sharing=Sharing("swap")).eval()
    assert student.config.model_type == SHARED[kind]
    found = Capture(student, _NEEDS).run(**INPUTS)
    assert found.hidden is not None
    assert len(found.hidden) == 2 * 2 + 1

    student.save_pretrained(tmp_path / "student")
    again = load_classifier(tmp_path / "student", SQUAD).eval()

    assert type(again) is type(student)
    assert torch.equal(Capture(again, _NEEDS).run(**INPUTS).logits, found.logits)
    _answers(again)


def _answers(model: Any) -> None:
    """What `predict` says of windows is what a look at one of them after the other gives."""
    _, dev = tiny.tokens("squad2")
    found = predict(model, dev, 16)
    assert found.shape == (24, 3)
    assert np.isfinite(found).all()
    alone = [look(model, dev, np.array([window]))[:, :length].T for window, length in enumerate(np.diff(dev.offsets))]
    assert dev.spans is not None
    literal = dev.spans.judged(np.concatenate(alone), dev.offsets)
    np.testing.assert_allclose(found[:, 2], literal[:, 2], atol=1e-4)
    assert [len(rows) for rows in alone] == [end - begin for begin, end in pairwise(dev.offsets)]


@pytest.mark.parametrize("name", CASES)
def test_all_behind_the_layers_is_the_head(name: str) -> None:
    head = named(reader(name), (HEAD,))
    last = {f"{output_layer(reader(name))[0]}.{what}" for what in ("weight", "bias")}
    assert last <= head
    assert bool(head - last) == (CASES[name]["kind"] == "modernbert")


@pytest.mark.parametrize("name", CASES)
def test_the_dropout_before_the_ends_is_known(name: str, tmp_path: Path) -> None:
    """Where an encoder has one, a rate of its own acts on the logits alone; elsewhere it is refused."""
    kind = CASES[name]["kind"]
    reader(name).save_pretrained(tmp_path)
    student = load_classifier(tmp_path, SQUAD, dropout=0.0, classifier_dropout=0.5).train()
    one, two = (Capture(student, _NEEDS).run(**INPUTS) for _ in range(2))
    assert one.hidden is not None
    assert two.hidden is not None
    assert torch.equal(one.hidden, two.hidden)
    acts = not torch.equal(one.logits, two.logits)
    assert acts == bool(architecture(kind).span_dropout)
    if acts:
        check_span_dropout(0.5, True, kind, "student")
    else:
        with pytest.raises(UserError, match=f"--set classifier_dropout=0.5 plays no part: a student of type {kind} "):
            check_span_dropout(0.5, True, kind, "student", "--set ")
    check_span_dropout(0.5, False, kind, "student")
    check_span_dropout(None, True, kind, "student")


class _Stage:
    """What `left_alone` asks of a stage."""

    def trained(self, params: dict[str, Any], recipe: str, student: Any) -> tuple[str, ...]:
        return ("embeddings", "encoder.", "classifier.")


@pytest.mark.parametrize("name", CASES)
def test_a_head_that_stays_behind_is_told(name: str) -> None:
    stages: Any = [_Stage()]
    kind = CASES[name]["kind"]
    found = left_alone(stages, {}, "modern", Capture(reader(name), frozenset()).shape, kind, span=True)
    assert found == ("pooler" if kind == "modernbert" else "")
