"""A teacher that was fine-tuned elsewhere: taken as it is, its labels in the task's order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from distill.artifacts import Store, hash_encoder
from distill.models.outputs import reorder
from distill.tasks import registry
from distill.tasks.metrics import get as get_metric
from distill.teacher import finetune
from distill.teacher.adopt import adopt, identity
from distill.teacher.facts import KIND, MODEL, PREDICTIONS, judged
from distill.teacher.finetune import TeacherRecipe
from distill.training.batching import Tokens
from distill.training.predictions import predict
from distill.training.settings import Numerics, Training
from tests.distill import tiny

COLA = registry.get("cola")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def rows(store: Store, encoder: Path) -> Path:
    from distill.tasks import tokens

    return tokens.prepare(store, tiny.data("cola", train=96, dev=48), encoder, max_length=32)


@pytest.fixture(scope="module")
def made(store: Store, rows: Path, encoder: Path) -> Path:
    """A teacher that this program fine-tuned."""
    recipe = TeacherRecipe(Training(epochs=3, batch_size=8, max_length=32), lr=4e-3, seed=3)
    return finetune.finetune(store, encoder, rows, COLA, recipe, Numerics())


def turned(made: Path, folder: Path, words: tuple[str, str]) -> Path:
    """The same teacher with the rows of its classifier exchanged, its labels called `words` in the new order."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(made / MODEL)
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight.flip(0))
        model.classifier.bias.copy_(model.classifier.bias.flip(0))
    model.config.id2label = dict(enumerate(words))
    model.config.label2id = {word: i for i, word in enumerate(words)}
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(made / MODEL).save_pretrained(folder)
    return folder


def test_it_is_like_a_fine_tuned_one(store: Store, rows: Path, made: Path) -> None:
    taken = adopt(store, made / MODEL, rows, COLA, Numerics(), 64)
    assert taken.name.startswith(f"{KIND}-")
    assert taken != made
    mine, theirs = store.facts(taken), store.facts(made)
    assert set(theirs) <= set(mine)
    same = ("score", "metric", "verdict", "parameters", "layers", "hidden_size", "heads")
    assert {name: mine[name] for name in same} == {name: theirs[name] for name in same}
    assert mine["curve"] == []
    assert mine["kept_epoch"] is None
    assert mine["content"] == hash_encoder(taken / MODEL)
    with np.load(taken / PREDICTIONS) as kept, np.load(made / PREDICTIONS) as expected:
        np.testing.assert_allclose(kept["logits"], expected["logits"], atol=1e-6)
        assert np.array_equal(kept["labels"], expected["labels"])


def test_words_in_another_order(store: Store, rows: Path, made: Path, tmp_path: Path) -> None:
    """Where the words tell the order it is put right, also in what is saved; else the verdict refuses it."""
    from transformers import AutoModelForSequenceClassification

    dev = Tokens.load(rows / "dev.npz")
    told = adopt(store, turned(made, tmp_path / "told", ("acceptable", "unacceptable")), rows, COLA, Numerics(), 64)
    assert store.facts(told)["score"] == store.facts(made)["score"] > 0.5
    assert store.facts(told)["label_order"] == [1, 0]
    again = AutoModelForSequenceClassification.from_pretrained(told / MODEL)
    assert again.config.id2label == {0: "0", 1: "1"}
    assert get_metric("mcc").compute(predict(again, dev, 64), dev.labels) == store.facts(made)["score"]

    silent = adopt(store, turned(made, tmp_path / "silent", ("LABEL_0", "LABEL_1")), rows, COLA, Numerics(), 64)
    verdict = store.facts(silent)["verdict"]
    assert store.facts(silent)["score"] == pytest.approx(-store.facts(made)["score"])
    assert not verdict["ok"]
    assert "another order" in verdict["reason"]


def test_what_decides_its_key(store: Store, rows: Path, made: Path, tmp_path: Path) -> None:
    folder = turned(made, tmp_path / "other", ("0", "1"))
    base = identity(made / MODEL, rows, COLA)
    changed = [
        identity(folder, rows, COLA),
        identity(made / MODEL, rows.with_name("tokens-x"), COLA),
        identity(made / MODEL, rows, registry.get("sst2")),
    ]
    assert base not in changed
    # Names of labels alone are enough: they decide the order.
    before = identity(folder, rows, COLA)
    file = folder / "config.json"
    file.write_text(file.read_text().replace('"0": "0"', '"0": "zero"'))
    assert identity(folder, rows, COLA) != before


def test_it_is_taken_once(store: Store, rows: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = adopt(store, made / MODEL, rows, COLA, Numerics(), 64)
    monkeypatch.setattr("distill.teacher.adopt.load_classifier", None)
    assert adopt(store, made / MODEL, rows, COLA, Numerics(threads=2), 64) == first


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_outputs_change_places(kind: str) -> None:
    model = tiny.classifier(kind, labels=3).eval()
    inputs = tiny.inputs_of(tiny.batch())
    with torch.no_grad():
        before = model(**inputs).logits
        reorder(model, (2, 0, 1))
        after = model(**inputs).logits
    torch.testing.assert_close(after, before[:, [2, 0, 1]])
    assert not torch.allclose(after, before)


def test_a_teacher_of_another_scale_may_not_teach() -> None:
    """Its correlation is perfect, and its scores would pull students away from the labels."""
    labels = np.arange(40, dtype=np.float32) % 6
    scores = registry.get("stsb")
    for factor, ok in ((1.0, True), (0.2, False)):
        found = judged(scores, labels[:, None] * factor, labels, made_here=False)
        assert found["score"] == pytest.approx(1)
        assert found["verdict"]["ok"] is ok
        assert ok or "another scale" in found["verdict"]["reason"]
    # One that learned these labels here is no matter of scale.
    assert judged(scores, labels[:, None] * 0.2, labels, made_here=True)["verdict"]["ok"]
