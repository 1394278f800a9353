"""`python -m trainables.teacher`: the teacher that a sweep with the same options would make, and ready ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.artifacts import Store
from distill.tasks import registry, rows
from trainables import plan, prepare, resources, sweep, teacher
from trainables.config import from_namespace
from trainables.options import parser
from trainables.teacher_work import find

Make = Callable[..., int]


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread and float32, whatever the machine: these networks are too small for more."""
    monkeypatch.setattr(resources, "detect", lambda: resources.Machine(cpus=1, gpus=0, bfloat16=False))


@pytest.fixture
def arguments(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> list[str]:
    return [
        *("--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--artifacts", str(tmp_path / "store")),
        *("--teacher-lr", "2e-3", "--teacher-epochs", "2", "--allow-weak-teacher"),
    ]


def header(*arguments: str) -> dict[str, Any]:
    """The header of a sweep, planned without starting it."""
    return plan.make(from_namespace(vars(parser().parse_args([*arguments])), []))


def teachers(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "store").glob("teacher-*") if "reading" not in path.name)


@pytest.mark.parametrize(
    ("given", "planned"),
    [
        ([], []),
        (["--set", "batch_size=16"], ["--teacher-set", "batch_size=16"]),
        (["--teacher-set", "batch_size=16"], ["--set", "batch_size=8", "--teacher-set", "batch_size=16"]),
        (["--recipe", "published"], ["--recipe", "published"]),
        (["--teacher-seed", "4", "--max-train-rows", "80", "--seed", "1"], ["--max-train-rows", "80", "--seed", "1",
                                                                             "--teacher-seed", "4"]),
    ],
)  # fmt: skip
def test_sweeps_find_it(
    arguments: list[str], tiny_encoder: Path, tmp_path: Path, given: list[str], planned: list[str]
) -> None:
    assert teacher.main([*arguments, *given]) == 0
    found = header(*arguments, "--student", str(tiny_encoder), *planned)
    data = prepare.load_data(found["config"], found["plan"])
    assert find(prepare.teacher_order(found["plan"], data)) == teachers(tmp_path)[0]
    # Other options, another teacher.
    other = header(*arguments, "--student", str(tiny_encoder), *planned, "--teacher-set", "weight_decay=0.5")
    assert find(prepare.teacher_order(other["plan"], data)) is None


def test_rate_and_epochs_by_set(arguments: list[str], tmp_path: Path) -> None:
    assert teacher.main(arguments) == 0
    assert teacher.main([*arguments[:6], "--set", "lr=2e-3", "--set", "epochs=2", "--allow-weak-teacher"]) == 0
    assert len(teachers(tmp_path)) == 1


def test_published_is_read_as_the_trials_do(
    arguments: list[str], tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained with its own head at its own length, scored through the ReLU at the trials' length."""
    trained = ("--teacher-lr", "1e-3", "--teacher-epochs", "3", "--teacher-set", "batch_size=8")
    published = [*arguments, *trained, "--recipe", "published"]
    assert teacher.main(published) == 0
    said = capsys.readouterr().out
    assert "as it was fine-tuned and, read as the trials do (through a ReLU before the classifier" in said
    assert "at most 64 tokens a row" in said
    found = header(*published, "--student", str(tiny_encoder))
    data = prepare.load_data(found["config"], found["plan"])
    lines: list[str] = []
    # Everything is in the store, so no Ray task is started.
    prepared = prepare.prepare(found, data, lines.append)["teacher"]
    store, folder = Store(tmp_path / "store"), teachers(tmp_path)[0]
    own = store.facts(folder)
    assert prepared["own_score"] == own["score"] == own["curve"][-1]
    reading = next((tmp_path / "store").glob("teacher-reading-*"))
    facts = store.facts(reading)
    assert facts["score"] < own["score"]
    assert prepared["predictions"] == str(reading / "predictions.npz")
    assert (prepared["score"], prepared["interval"]) == (facts["score"], facts["verdict"]["interval"])
    assert prepared["weak"] == (not facts["verdict"]["ok"])
    with np.load(reading / "predictions.npz") as read, np.load(folder / "predictions.npz") as trained:
        assert not np.allclose(read["logits"], trained["logits"], atol=1e-3)
    assert f"{own['score']:.3f} as it was fine-tuned" in next(line for line in lines if "read as the trials" in line)


def test_read_as_it_was_trained(arguments: list[str], tiny_encoder: Path, tmp_path: Path) -> None:
    assert teacher.main(arguments) == 0
    found = header(*arguments, "--layers", "2", "--cache-gb", "0")
    prepared = prepare.prepare(found, prepare.load_data(found["config"], found["plan"]), lambda line: None)["teacher"]
    assert prepared["own_score"] == prepared["score"]
    assert prepared["predictions"] == str(teachers(tmp_path)[0] / "predictions.npz")
    assert not list((tmp_path / "store").glob("teacher-reading-*"))


@pytest.fixture(scope="module")
def made_once(tiny_encoder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a teacher that knows its task."""
    place = tmp_path_factory.mktemp("made")
    options = ["--teacher", str(tiny_encoder), "--data-dir", str(tiny_data), "--artifacts", str(place / "store")]
    options += ["--set", "lr=2e-3", "--set", "epochs=8", "--set", "batch_size=8"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resources, "detect", lambda: resources.Machine(cpus=1, gpus=0, bfloat16=False))
        assert teacher.main(options) == 0
    return teachers(place)[0]


@pytest.fixture
def ready(made_once: Path, tmp_path: Path) -> Path:
    """Its folder, to be named from now on."""
    shutil.copytree(made_once, tmp_path / "made")
    return tmp_path / "made" / "model"


@pytest.fixture
def take(ready: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Runs the command on a folder; training anything is an error."""
    from distill.teacher import finetune

    monkeypatch.setattr(finetune, "finetune", None)

    def run(folder: Path, *more: str) -> int:
        place = ("--data-dir", str(tiny_data), "--artifacts", str(tmp_path / "other"))
        return teacher.main(["--teacher", str(folder), *place, *more])

    return run


def test_a_ready_teacher_is_taken(
    take: Make, ready: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert take(ready) == 0
    said = capsys.readouterr().out
    assert "taken as it is, nothing is trained" in said
    assert "epoch" not in said
    first, again = (json.loads((folder / "artifact.json").read_text())["facts"]
                    for folder in (ready.parent, next((tmp_path / "other").glob("teacher-*"))))  # fmt: skip
    assert again["score"] == first["score"] > 0.3
    assert again["curve"] == []
    assert take(ready, "--finetune-teacher", "never") == 0
    assert "found in the store" in capsys.readouterr().out

    place = ["--data-dir", str(tiny_data), "--artifacts", str(tmp_path / "other"), "--layers", "2"]
    found = header("--teacher", str(ready), *place, "--cache-gb", "0")
    assert found["plan"]["teacher"]["mode"] == "ready"
    prepared = prepare.prepare(found, prepare.load_data(found["config"], found["plan"]), lambda line: None)
    assert prepared["teacher"]["own_score"] == prepared["teacher"]["score"] == first["score"]
    # Its pre-trained encoder is not here, so the student starts from its layers.
    assert prepared["student"]["init"] == "teacher"
    assert prepared["student"]["path"] == prepared["teacher"]["path"]


def test_a_ready_teacher_with_turned_labels(take: Make, ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Told by their words they are put right; untold, the measured score refuses it and offers to train."""
    from safetensors.torch import load_file, save_file

    weights = load_file(ready / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, ready / "model.safetensors", {"format": "pt"})
    config = json.loads((ready / "config.json").read_text())

    (ready / "config.json").write_text(json.dumps({**config, "id2label": {"0": "acceptable", "1": "unacceptable"}}))
    capsys.readouterr()
    assert take(ready) == 0
    assert "brought into the order of cola" in capsys.readouterr().out

    (ready / "config.json").write_text(json.dumps({**config, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}))
    assert take(ready) == 2
    said = capsys.readouterr().err
    assert "another order" in said
    assert "--finetune-teacher always" in said
    assert "--allow-weak-teacher" in said
    assert said.count("\n") == 1
    assert take(ready, "--allow-weak-teacher") == 0


def test_always_and_never(arguments: list[str], take: Make, ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert take(ready, "--finetune-teacher", "always", "--dry-run") == 0
    assert "fine-tuning for 4 epochs" in capsys.readouterr().out
    assert take(Path(arguments[1]), "--finetune-teacher", "never") == 2
    assert "has no classifier" in capsys.readouterr().err
    assert take(ready, "--search") == 2
    assert "--finetune-teacher always" in capsys.readouterr().err


def test_device_as_in_sweeps(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resources, "detect", lambda: resources.Machine(cpus=4, gpus=1, bfloat16=False))
    for options, device in ([], "cuda"), (["--gpus-per-trial", "0.5"], "cuda"), (["--gpus-per-trial", "0"], "cpu"):
        assert teacher.main([*arguments, "--dry-run", *options]) == 0
        assert f"on {device}; to be made" in capsys.readouterr().out
        assert header(*arguments, "--layers", "2", *options)["plan"]["numerics"]["device"] == device


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--set lr=2", "--set lr=2 must lie between"),
        ("--set lr=fast", "--set lr=fast is not a number"),
        ("--set lr=1e-4", "--set lr and --teacher-lr say the same thing"),
        ("--set epochs=3", "--set epochs and --teacher-epochs say the same thing"),
        ("--set batch_sise=3", "--set batch_sise is unknown; did you mean batch_size?"),
        ("--set beta=3", "--set beta is unknown"),
        ("--set batch_size=8,16", "--set batch_size takes one value"),
        ("--set batch_size=0", "--set batch_size=0"),
        ("--teacher-set max_length=500", "--teacher-set max_length=128"),
        ("--max-concurrent 2", "--max-concurrent packs the candidates of --search"),
        ("--method edm --recipe published", "--method edm is unknown"),
        ("--method ft --recipe published", "only the modern recipe"),
    ],
)
def test_bad_input(arguments: list[str], capsys: pytest.CaptureFixture[str], given: str, said: str) -> None:
    assert teacher.main([*arguments, *given.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_head_with_relu_needs_a_bert(
    arguments: list[str], tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is trained."""
    folder = shutil.copytree(tiny_encoder, tmp_path / "electra")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "electra"}))
    assert teacher.main([*arguments, "--teacher", str(folder), "--recipe", "published"]) == 2
    assert "encoders of type electra do not have" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_several_values_want_a_search(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert teacher.main([*arguments[:6], "--set", "lr=1e-3,2e-3"]) == 2
    assert "--search tries several" in capsys.readouterr().err


def test_rows_from_where_the_plan_took_them(
    arguments: list[str], tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = header(*arguments, "--layers", "2", "--max-train-rows", "50")
    data = prepare.load_data(local["config"], local["plan"])
    assert (len(data.train), data.fingerprint()) == (50, local["fingerprint"]["data"])

    from distill.tasks import hub

    asked: list[Any] = []

    def load(task: Any, revision: str | None) -> Any:
        asked.append((task.name, revision))
        return data

    monkeypatch.setattr(hub, "load", load)
    from_hub = {"task": "cola", "metric": "mcc", "data": {"origin": "hub", "hub": {"revision": "abc"}}}
    assert prepare.load_data(local["config"], from_hub) is data
    assert asked == [("cola", "abc")]
    made_up = rows.read(registry.get("cola-made-up"), "embedded")
    assert made_up.task.made_up
    with pytest.raises(ValueError, match="no rows"):
        rows.read(registry.get("cola"), "local")


def test_a_sweep_says_how_its_ready_teacher_is_read(
    ready: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert sweep.main(["--teacher", str(ready), "--data-dir", str(tiny_data), "--layers", "2", "--dry-run"]) == 0
    assert "is taken as it is" in capsys.readouterr().out
