"""A teacher read through another head or at another length than it was trained with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.artifacts import Store
from distill.tasks import registry, tokens
from distill.tasks.metrics import get as get_metric
from distill.tasks.metrics import teacher_verdict
from distill.teacher import examine as examining
from distill.teacher import finetune
from distill.teacher.adopt import adopt
from distill.teacher.examine import examine, identity
from distill.teacher.facts import MODEL, PREDICTIONS
from distill.teacher.finetune import TeacherRecipe
from distill.training.batching import Tokens
from distill.training.settings import Numerics, Training
from tests.distill import tiny

COLA = registry.get("cola")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def rows(store: Store, encoder: Path) -> dict[int, Path]:
    """The same data at two lengths; the shorter one cuts words off."""
    data = tiny.data("cola", train=96, dev=48)
    return {length: tokens.prepare(store, data, encoder, max_length=length) for length in (32, 5)}


@pytest.fixture(scope="module")
def made(store: Store, rows: dict[int, Path], encoder: Path) -> Path:
    recipe = TeacherRecipe(Training(epochs=3, batch_size=8, max_length=32), lr=4e-3, seed=3)
    return finetune.finetune(store, encoder, rows[32], COLA, recipe, Numerics())


def literally(made: Path, rows: Path, relu: bool) -> np.ndarray:
    """Logits row by row, the head written out: classifier(relu(pooled)) or classifier(pooled)."""
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(made / MODEL).eval()
    dev = Tokens.load(rows / "dev.npz")
    found = []
    with torch.no_grad():
        for row in range(len(dev)):
            inputs = dev.batch(np.array([row]))
            inputs.pop("labels")
            pooled = model.bert(**inputs).pooler_output
            found.append(model.classifier(pooled.relu() if relu else pooled)[0].numpy())
    return np.stack(found)


@pytest.mark.parametrize(("head", "length"), [("own", 5), ("relu", 32), ("relu", 5)])
def test_the_reading_is_what_the_trials_get(
    store: Store, rows: dict[int, Path], made: Path, head: Any, length: int
) -> None:
    folder = examine(store, made, rows[length], COLA, head, Numerics(), 64)
    expected = literally(made, rows[length], relu=head == "relu")
    labels = Tokens.load(rows[length] / "dev.npz").labels
    with np.load(folder / PREDICTIONS) as kept, np.load(made / PREDICTIONS) as own:
        np.testing.assert_allclose(kept["logits"], expected, atol=1e-5)
        assert np.array_equal(kept["labels"], labels)
        assert not np.allclose(kept["logits"], own["logits"], atol=1e-3)
    facts = store.facts(folder)
    assert facts["score"] == get_metric("mcc").compute(expected, labels)
    assert facts["verdict"]["ok"] == teacher_verdict("mcc", expected, labels).ok


def test_it_is_read_once(store: Store, rows: dict[int, Path], made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = examine(store, made, rows[5], COLA, "own", Numerics(), 64)
    monkeypatch.setattr(examining, "load_classifier", None)
    assert examine(store, made, rows[5], COLA, "own", Numerics(threads=2), 64) == first
    assert first.name.startswith("teacher-reading-")


def test_what_decides_its_key(rows: dict[int, Path]) -> None:
    base = ("content", rows[32], COLA, "own")
    changed = [("other", *base[1:]), (base[0], rows[5], COLA, "own"), (*base[:2], registry.get("sst2"), "own"),
               (*base[:3], "relu")]  # fmt: skip
    found = [identity(*key) for key in (base, *changed)]
    assert all(one != two for i, one in enumerate(found) for two in found[:i])


def test_only_a_teacher_from_elsewhere_is_asked_for_its_label_order(
    store: Store, rows: dict[int, Path], made: Path, encoder: Path, tmp_path: Path
) -> None:
    data = tiny.data("cola", train=96, dev=48)
    turned = replace(data, dev=replace(data.dev, labels=1 - data.dev.labels))
    upside = tokens.prepare(store, turned, encoder, max_length=32)
    # As it was made it has learnt, or no order would be shown.
    assert store.facts(made)["verdict"]["ok"]
    taken = adopt(store, made / MODEL, upside, COLA, Numerics(), 64)
    # Both have the same weights, so that in one store they would share their reading.
    apart = Store(tmp_path)
    found = [taken, examine(apart, taken, upside, COLA, "own", Numerics(), 64)]
    found.append(examine(store, made, upside, COLA, "own", Numerics(), 64))
    reasons = [str(store.facts(folder)["verdict"]["reason"]) for folder in found]
    assert ["another order" in reason for reason in reasons] == [True, True, False]
    assert "lies below the 0.000" in reasons[2]
