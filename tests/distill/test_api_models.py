"""`distill.run`: teachers and students in every form, and the machine's part of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import distill
from distill.artifacts import Store
from distill.errors import UserError
from distill.models import embedded, folder, hub
from distill.models.student import parameter_count
from distill.teacher import choose
from distill.training import machine
from tests.distill import tiny
from tests.distill.test_api import QUICK
from trainables import models as sweeps
from trainables import resources

PLAIN = {name: value for name, value in QUICK.items() if name != "teacher_settings"}


def copies(model: Any) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_loaded_models_are_copied_and_a_classifier_is_taken_as_it_is(tmp_path: Path) -> None:
    teacher, student = tiny.classifier(layers=3, seed=1), tiny.classifier(layers=2, seed=2)
    before = copies(teacher), copies(student)
    said: list[str] = []
    common: dict[str, Any] = {"method": "emd", "data": tiny.data(), "params": {"lr": 1e-3}, **PLAIN}
    found = distill.run(
        teacher, student, tokenizer=tiny.tokenizer(), artifacts=tmp_path / "one", progress=said.append, **common
    )
    for model, kept in zip((teacher, student), before, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), kept, strict=True))
        assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any("Teacher: epoch" in line for line in said)
    folders = []
    for name, model in (("teacher", teacher), ("student", student)):
        model.save_pretrained(tmp_path / name)
        tiny.tokenizer().save_pretrained(tmp_path / name)
        folders.append(tmp_path / name)
    same = distill.run(*folders, artifacts=tmp_path / "two", **common)
    assert [e.terms for e in same.evaluations] == [e.terms for e in found.evaluations]
    assert same.teacher_score == found.teacher_score


def test_a_ready_teacher_lends_the_layers_of_the_fine_tuned_network(tmp_path: Path) -> None:
    teacher = tiny.classifier(layers=3, seed=1)
    found = distill.run(
        teacher,
        (1, 3),
        "emd",
        tiny.data(),
        tokenizer=tiny.tokenizer(),
        artifacts=tmp_path,
        params={"lr": 1e-8},
        **PLAIN,
    )
    ours, theirs = found.student.bert.encoder.layer, teacher.bert.encoder.layer
    for mine, source in zip(ours, (theirs[0], theirs[2]), strict=True):
        torch.testing.assert_close(mine.output.dense.weight, source.output.dense.weight, atol=1e-5, rtol=0)
    assert found.student.config.num_hidden_layers == 2


def test_a_ready_teacher_has_no_training_to_set(tmp_path: Path) -> None:
    teacher = tiny.classifier(layers=3, seed=1)
    common: dict[str, Any] = {"tokenizer": tiny.tokenizer(), "artifacts": tmp_path, **QUICK}
    with pytest.raises(UserError, match='finetune_teacher="always"'):
        distill.run(teacher, 2, "emd", tiny.data(), **common)
    said: list[str] = []
    distill.run(teacher, 2, "emd", tiny.data(), finetune_teacher="always", progress=said.append, **common)
    assert any(line.startswith("Teacher: epoch 1 of 1") for line in said)


def test_a_weak_teacher_is_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="allow_weak_teacher=True"):
        distill.run(encoder, 2, "emd", tiny.data(), artifacts=tmp_path, **{**QUICK, "allow_weak_teacher": False})


def test_a_loaded_model_without_a_known_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name its folder or hub id as tokenizer="):
        distill.run(tiny.classifier(), 1, "emd", tiny.data(), artifacts=tmp_path, **PLAIN)
    with pytest.raises(UserError, match="transformers library"):
        distill.run(torch.nn.Linear(2, 2), 1, "emd", tiny.data(), artifacts=tmp_path, **PLAIN)


def test_fine_tuning_needs_no_teacher_but_takes_layers(encoder: Path, tmp_path: Path) -> None:
    plain: dict[str, Any] = {"epochs": 1, "max_length": 32, "device": "cpu", "artifacts": tmp_path}
    whole = distill.run(None, encoder, "ft", tiny.data(), **plain)
    half = distill.run(encoder, 2, "ft", tiny.data(), **plain)
    assert whole.teacher_score is half.teacher_score is None
    assert whole.student.config.num_hidden_layers == 4
    assert half.student.config.num_hidden_layers == 2
    assert parameter_count(half.student) < parameter_count(whole.student)
    with pytest.raises(UserError, match="there is no teacher to take them from"):
        distill.run(None, 2, "ft", tiny.data(), **plain)


def test_a_hub_id_is_fetched_and_a_folder_of_that_name_goes_first(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def fetch(name: str, revision: str | None, flag: str, **rest: Any) -> Path:
        asked.append((name, revision))
        return encoder

    monkeypatch.setattr(hub, "fetch", fetch)
    monkeypatch.chdir(tmp_path)
    plain: dict[str, Any] = {"epochs": 1, "max_length": 32, "device": "cpu", "artifacts": tmp_path / "store"}
    distill.run(None, "somebody/encoder@v1", "ft", tiny.data(), **plain)
    assert asked == [("somebody/encoder", "v1")]
    tiny.encoder_folder(tmp_path / "somebody" / "encoder", layers=1)
    assert folder.hub_id("somebody/encoder") is None
    found = distill.run(None, "somebody/encoder", "ft", tiny.data(), **plain)
    assert found.student.config.num_hidden_layers == 1
    assert len(asked) == 1


def test_the_published_recipe(encoder: Path, tmp_path: Path) -> None:
    """Its own numbers and teacher, and a head whose code the student carries."""
    from transformers import AutoModelForSequenceClassification

    found = distill.run(
        encoder,
        2,
        "emd",
        tiny.data("cola-made-up"),
        recipe="published",
        params={"lr": 1e-3},
        epochs=1,
        max_length=32,
        teacher_settings={"epochs": 1, "max_length": 48},
        allow_weak_teacher=True,
        device="cpu",
        artifacts=tmp_path / "store",
        out=tmp_path / "student",
    )
    assert (found.training.optimizer, found.training.padding, found.training.evaluation_steps) == (
        *("bertadam", "max_length", 50),
    )
    assert found.params["update"] == "v2020"
    assert len(list((tmp_path / "store").glob("tokens-*"))) == 2
    assert len(list((tmp_path / "store").glob("teacher-reading-*"))) == 1
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student", trust_remote_code=True)
    assert model.config.model_type == folder.RELU_HEAD
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), found.student.parameters(), strict=True))


def test_made_up_rows_by_the_name_of_the_task(encoder: Path, tmp_path: Path) -> None:
    found = distill.run(
        None,
        encoder,
        "ft",
        "cola-made-up",
        max_train_rows=32,
        epochs=1,
        max_length=16,
        device="cpu",
        artifacts=tmp_path,
    )
    assert found.task.name == "cola-made-up"
    assert len(found.best.logits) == 800


def test_numerics_are_decided_like_a_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    here = resources.detect()
    decided = machine.decide_numerics("cpu", "auto", 1)
    assert decided == resources.numerics(
        resources.Machine(here.cpus, 0, here.bfloat16), resources.Resources(1, 0, 1, 1)
    )
    assert machine.decide_numerics("cpu", None, 3).as_dict() == {"device": "cpu", "autocast": None, "threads": 3}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.decide_numerics(None, "auto", 1).as_dict() == {
        **{"device": "cuda", "autocast": "bfloat16", "threads": 1}
    }


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("recipe", ["modern", "published"])
def test_teachers_are_trained_like_a_sweeps(tmp_path: Path, small: bool, recipe: str) -> None:
    """The same numbers, or the store would not find the sweep's teacher."""
    from distill import methods
    from distill.tasks import registry
    from distill.training.settings import Training
    from trainables.config import SweepConfig

    place = tmp_path / (embedded.PACKAGE if small else "encoder")
    found = folder.EncoderFolder(place, "bert", 6, 384, 12, 30522, 512, 1)
    data = tiny.data()
    task = registry.get("cola-made-up" if small else "cola")
    origin = "embedded" if small else "local"
    asked = SweepConfig(recipe=recipe, layers=3)
    training = Training(max_length=100)
    planned = sweeps.teacher_recipe(
        asked, sweeps.Models(task, data, found, origin, "encoder", origin, ()), training, methods.get("emd")
    )
    published = methods.get("emd").published if recipe == "published" else None
    ours = choose.teacher_recipe(found, task, training, published, {})
    assert {"training": ours.training.as_dict(), "lr": ours.lr, "seed": ours.seed, "keep": ours.keep} == planned


@pytest.mark.parametrize("named", ["embedded", "local"])
def test_the_embedded_encoder_by_its_path_is_the_embedded_one(tmp_path: Path, named: str) -> None:
    """A sweep that is given the folder, by a link even, trains it at the rate of one that finds it by itself."""
    from distill import methods
    from distill.training.settings import Training
    from trainables.config import SweepConfig

    (tmp_path / embedded.PACKAGE / "model").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / embedded.PACKAGE / "model")
    data = tiny.data()
    for path in (tmp_path / embedded.PACKAGE / "model", tmp_path / "link"):
        found = folder.EncoderFolder(path, "bert", 6, 384, 12, 30522, 512, 1)
        models = sweeps.Models(data.task, data, found, named, "encoder", "local", ())
        planned = sweeps.teacher_recipe(SweepConfig(layers=3), models, Training(), methods.get("emd"))
        ours = choose.teacher_recipe(found, data.task, Training(), None, {})
        assert planned["lr"] == ours.lr == 1e-4


@pytest.mark.parametrize("how", ["always", "auto"])
def test_the_store_knows_a_teacher_by_its_name(tmp_path: Path, how: Any) -> None:
    """Fine-tuned or adopted: a loaded model has no folder of its own to be named by."""
    distill.run(
        tiny.classifier(layers=3, seed=1),
        2,
        "emd",
        tiny.data(),
        tokenizer=tiny.tokenizer(),
        artifacts=tmp_path,
        finetune_teacher=how,
        **({**QUICK, "teacher_settings": {"epochs": 1} if how == "always" else {}}),
    )
    (artifact,) = tmp_path.glob("teacher-*")
    assert Store(tmp_path).facts(artifact)["encoder"] == "BertForSequenceClassification"
