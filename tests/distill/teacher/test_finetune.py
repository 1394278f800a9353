"""The teacher: made once per identity, its best epoch kept, its facts true."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.artifacts import Store, hash_encoder
from distill.errors import UserError
from distill.models.student import parameter_count
from distill.tasks import registry
from distill.tasks.metrics import get as get_metric
from distill.teacher import finetune
from distill.teacher.facts import MODEL, PREDICTIONS
from distill.teacher.finetune import TeacherRecipe, identity
from distill.training.batching import Tokens
from distill.training.loop import Diverged, Evaluation
from distill.training.predictions import predict
from distill.training.settings import Numerics, Training
from tests.distill import tiny

COLA = registry.get("cola")
RECIPE = TeacherRecipe(Training(epochs=6, batch_size=8, max_length=32), lr=4e-3, seed=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> tuple[Store, Path, Path, list[Evaluation]]:
    from distill.tasks import tokens

    store = Store(tmp_path_factory.mktemp("artifacts"))
    rows = tokens.prepare(store, tiny.data("cola", train=96, dev=48), encoder, max_length=32)
    seen: list[Evaluation] = []
    return store, rows, finetune.finetune(store, encoder, rows, COLA, RECIPE, Numerics(), seen.append), seen


def test_the_best_epoch_is_kept(made: tuple[Store, Path, Path, list[Evaluation]]) -> None:
    store, _, folder, seen = made
    facts = store.facts(folder)
    values = [evaluation.value for evaluation in seen]
    assert facts["curve"] == values
    assert len(values) == 6
    assert facts["score"] == max(values)
    assert facts["kept_epoch"] == 1 + values.index(max(values))
    with np.load(folder / PREDICTIONS) as kept:
        assert np.array_equal(kept["logits"], seen[values.index(max(values))].logits)


def test_the_last_epoch_is_kept_where_asked(made: tuple[Store, Path, Path, list[Evaluation]], encoder: Path) -> None:
    """The same training, so its last evaluation is known; here an earlier one is the first of the best."""
    from transformers import AutoModelForSequenceClassification

    store, rows, folder, seen = made
    assert seen[-1] is not max(seen, key=lambda evaluation: evaluation.value)
    last = finetune.finetune(store, encoder, rows, COLA, dataclasses.replace(RECIPE, keep="last"), Numerics())
    facts = store.facts(last)
    assert last != folder
    assert (facts["score"], facts["kept_epoch"], facts["curve"]) == (seen[-1].value, 6, store.facts(folder)["curve"])
    dev = Tokens.load(rows / "dev.npz")
    logits = predict(AutoModelForSequenceClassification.from_pretrained(last / MODEL), dev, 64)
    np.testing.assert_allclose(logits, seen[-1].logits, atol=1e-6)
    with np.load(last / PREDICTIONS) as kept:
        assert np.array_equal(kept["logits"], seen[-1].logits)


def test_the_kept_model_gives_the_recorded_score(made: tuple[Store, Path, Path, list[Evaluation]]) -> None:
    from transformers import AutoModelForSequenceClassification

    store, rows, folder, _ = made
    dev = Tokens.load(rows / "dev.npz")
    logits = predict(AutoModelForSequenceClassification.from_pretrained(folder / MODEL), dev, 64)
    with np.load(folder / PREDICTIONS) as kept:
        np.testing.assert_allclose(logits, kept["logits"], atol=1e-6)
        assert np.array_equal(kept["labels"], dev.labels)
    assert get_metric("mcc").compute(logits, dev.labels) == store.facts(folder)["score"]


def test_facts(made: tuple[Store, Path, Path, list[Evaluation]]) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    store, _, folder, seen = made
    facts = store.facts(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder / MODEL)
    assert facts["parameters"] == parameter_count(model)
    assert (facts["layers"], facts["hidden_size"], facts["heads"]) == (4, 16, 2)
    assert facts["metric"] == "mcc"
    assert facts["content"] == hash_encoder(folder / MODEL)
    assert facts["seconds"] == pytest.approx(sum(evaluation.seconds for evaluation in seen))
    assert facts["verdict"]["ok"] == (facts["verdict"]["interval"][0] > facts["verdict"]["chance"])
    assert facts["verdict"]["interval"][0] <= facts["score"] <= facts["verdict"]["interval"][1]
    words = "the old cat runs"
    assert AutoTokenizer.from_pretrained(folder / MODEL)(words)["input_ids"] == tiny.tokenizer()(words)["input_ids"]


def test_it_is_made_once(made: tuple[Store, Path, Path, list[Evaluation]], encoder: Path) -> None:
    store, rows, folder, _ = made
    again: list[Evaluation] = []
    assert finetune.finetune(store, encoder, rows, COLA, RECIPE, Numerics(threads=2), again.append) == folder
    assert not again


def test_the_same_recipe_gives_the_same_teacher(
    made: tuple[Store, Path, Path, list[Evaluation]], encoder: Path, tmp_path: Path
) -> None:
    store, rows, folder, _ = made
    other = Store(tmp_path)
    twin = finetune.finetune(other, encoder, rows, COLA, RECIPE, Numerics())
    assert twin.name == folder.name
    assert other.facts(twin)["content"] == store.facts(folder)["content"]
    assert other.facts(twin)["curve"] == store.facts(folder)["curve"]


def test_its_own_training_numbers_act(store: Store, cola_tokens: Path, encoder: Path) -> None:
    """A number that is part of the identity and changes nothing would be a dead one."""
    base = dataclasses.replace(RECIPE.training, epochs=1)
    changes: list[dict[str, Any]] = [
        {}, {"dropout": 0.4}, {"batch_size": 16}, {"accumulation": 2}, {"optimizer": "bertadam"},
        {"schedule": "constant"}, {"warmup": 0.6}, {"weight_decay": 0.5}, {"clip": 0.01}, {"drop_last": True},
    ]  # fmt: skip
    contents = set()
    for change in changes:
        # 96 rows: the last batch of an epoch is incomplete.
        training = dataclasses.replace(base, **{"batch_size": 20, **change})
        recipe = dataclasses.replace(RECIPE, training=training)
        made = finetune.finetune(store, encoder, cola_tokens, COLA, recipe, Numerics())
        contents.add(store.facts(made)["content"])
    assert len(contents) == len(changes)


def test_identity_changes_with_all_that_matters(encoder: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens-abc"
    base: dict[str, Any] = {
        "encoder": encoder, "tokens": tokens, "task": COLA, "recipe": RECIPE, "numerics": Numerics(),
    }  # fmt: skip
    other = tiny.encoder_folder(tmp_path / "other", layers=4, seed=9)
    training = dataclasses.replace(RECIPE.training, weight_decay=0.5)
    changes: list[dict[str, Any]] = [
        {"encoder": other},
        {"tokens": tmp_path / "tokens-abd"},
        {"task": registry.get("sst2")},
        {"recipe": dataclasses.replace(RECIPE, lr=1e-4)},
        {"recipe": dataclasses.replace(RECIPE, seed=4)},
        {"recipe": dataclasses.replace(RECIPE, keep="last")},
        {"recipe": dataclasses.replace(RECIPE, training=training)},
        {"numerics": Numerics(autocast="bfloat16")},
        {"numerics": Numerics(device="cuda")},
    ]
    identities = [identity(**{**base, **change}) for change in changes]
    assert identity(**base) not in identities
    assert all(one != two for i, one in enumerate(identities) for two in identities[:i])
    assert identity(**{**base, "numerics": Numerics(threads=4)}) == identity(**base)


def test_a_failure_leaves_nothing(store: Store, cola_tokens: Path, encoder: Path) -> None:
    wild = dataclasses.replace(RECIPE, lr=1e30)
    with pytest.raises(Diverged):
        finetune.finetune(store, encoder, cola_tokens, COLA, wild, Numerics())
    assert not list(store.place.glob("*teacher*"))
    with pytest.raises(UserError):
        finetune.finetune(store, cola_tokens, cola_tokens, COLA, RECIPE, Numerics())
    assert not list(store.place.glob("*teacher*"))
