"""Real encoders and real rows, where a machine has them.

`DISTILL_TUNE_ENCODERS` names a folder of encoder folders, `DISTILL_TUNE_DATA` a folder in GLUE's layout; without
them these tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.models.capture import Capture, shape_of
from distill.models.folder import inspect
from distill.models.layers import evenly
from distill.models.student import load_classifier
from distill.tasks import glue, registry
from distill.tasks.tokens import load_tokenizer
from distill.training.batching import tokenise, training_order

ENCODERS = os.environ.get("DISTILL_TUNE_ENCODERS")
DATA = os.environ.get("DISTILL_TUNE_DATA")
FOLDERS = sorted(file.parent for file in Path(ENCODERS).glob("*/config.json")) if ENCODERS else []
COLA = registry.get("cola")
SENTENCES = ["The old cat sleeps.", "A child that nobody has ever seen here is singing again."]

encoders = pytest.mark.parametrize("folder", FOLDERS or [pytest.param(None, marks=pytest.mark.skip)], ids=str)


@pytest.mark.skipif(not FOLDERS, reason="DISTILL_TUNE_ENCODERS names no folder of encoders")
@encoders
def test_capture_of_a_truncated_real_encoder(folder: Path) -> None:
    facts = inspect(folder, "--teacher")
    kept = evenly(2, facts.layers)
    torch.manual_seed(0)
    student = load_classifier(folder, COLA, kept).eval()
    assert shape_of(student).layers == 2
    assert shape_of(student).hidden_size == facts.hidden_size
    assert {p.dtype for p in student.parameters()} == {torch.float32}
    inputs = dict(load_tokenizer(folder)(SENTENCES, padding=True, return_tensors="pt"))
    inputs.setdefault("token_type_ids", torch.zeros_like(inputs["input_ids"]))
    student.set_attn_implementation("eager")
    with torch.no_grad():
        expected = student(**inputs, output_hidden_states=True, output_attentions=True)
        student.set_attn_implementation("sdpa")
        seen = Capture(student, frozenset({"hidden", "scores"})).run(**inputs)
    mask = inputs["attention_mask"].bool()
    assert seen.hidden is not None
    assert seen.scores is not None
    for mine, theirs in zip(seen.hidden, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine[mask], theirs[mask], atol=1e-4, rtol=0)
    additive = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)[:, None, None, :]
    for scores, probabilities in zip(seen.scores, expected.attentions, strict=True):
        queries = mask[:, None, :, None].expand_as(probabilities)
        torch.testing.assert_close(
            torch.softmax(scores + additive, -1)[queries], probabilities[queries], atol=1e-5, rtol=0
        )


@pytest.mark.skipif(not FOLDERS or not DATA, reason="DISTILL_TUNE_ENCODERS or DISTILL_TUNE_DATA is not set")
@encoders
def test_real_rows(folder: Path) -> None:
    data = glue.load(COLA, Path(str(DATA))).limit_train(2000, seed=0)
    tokenizer = load_tokenizer(folder)
    tokens = tokenise(data.train, tokenizer, 128)
    for row in range(0, 2000, 97):
        span = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]]
        assert span.tolist() == tokenizer(data.train.first[row])["input_ids"]
    batches = list(training_order(tokens.lengths, 32, 0, 0))
    padded = sum(len(batch) * tokens.lengths[batch].max() for batch in batches)
    assert padded < 1.1 * np.sum(tokens.lengths)
