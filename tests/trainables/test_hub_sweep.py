"""A whole sweep from a hub on the loopback: what it asks for, again without the hub, and without hub and cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import SPECIAL, save_random_bert, sentences
from tests.hub_data import add_glue
from tests.hub_server import Hub, running, use
from tests.trainables.commands import Done, command, here
from trainables import sweep
from trainables.config import DATA, TEACHER
from trainables.record import read

pytestmark = pytest.mark.slow

SWEEP = "trainables.sweep"


@dataclass(frozen=True)
class Whole:
    """An unbroken sweep from the hub."""

    hub: Hub
    home: Path
    done: Done
    folder: Path
    before_ray: int


def encoder_of_twelve_layers(folder: Path) -> Path:
    """A random BERT of 12 layers × 32 that knows the words of the tests' sentences."""
    from transformers import BertTokenizer

    words = sorted({word for text, _ in sentences(400, 0) for word in text.split()})
    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *words))}
    save_random_bert(folder, len(vocabulary), layers=12)
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    return folder


def cola(count: int, seed: int) -> dict[str, list[str | int]]:
    texts, labels = zip(*sentences(count, seed), strict=True)
    return {"sentence": list(texts), "label": list(labels), "idx": list(range(count))}


def arguments(out: Path, store: Path, *more: str) -> list[str]:
    return [
        *("--layers", "4", "--out", str(out), "--artifacts", str(store), "--epochs", "2", "--trials", "2"),
        *("--set", "lr=1e-3,3e-4", "--set", "batch_size=8", "--allow-weak-teacher", "--scheduler", "none"),
        *("--teacher-lr", "1e-3", "--teacher-epochs", "3", "--teacher-set", "batch_size=8"),
        # One worker: starting another takes longer than all of its work.
        *("--max-concurrent", "1", *more),
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    place = tmp_path_factory.mktemp("hub")
    out = place / "sweep"
    asked: list[int] = []
    with running() as hub:
        hub.add(
            TEACHER,
            encoder_of_twelve_layers(place / "encoder"),
            more={"tf_model.h5": b"0" * 99, "pytorch_model.bin": b"0" * 99, "README.md": b"# A model"},
        )
        splits = {"train": cola(160, 1), "validation": cola(60, 2), "test": {**cola(9, 3), "label": [-1] * 9}}
        add_glue(hub, {"cola": splits}, {"cola": ["unacceptable", "acceptable"]})

        def ray_has_started(lines: list[str]) -> bool:
            if not asked and lines[-1].startswith("Ray dashboard"):
                asked.append(len(hub.log))
            return False

        environment = hub.environment(place / "home")
        done = command(SWEEP, *arguments(out, place / "store"), when=ray_has_started, environment=environment)
        assert done.code == 0, "\n".join([done.text, *hub.log])
        yield Whole(hub, place / "home", done, out, asked[0])


def scores(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "trials.csv").drop(columns="seconds")


def losses(folder: Path) -> dict[tuple[str, int], Any]:
    """The loss terms of every evaluation, which differ where scores happen to agree."""
    trials = read(folder).trials.values()
    return {(trial.id, number): row["terms"] for trial in trials for number, row in trial.evaluations.items()}


def test_each_file_is_fetched_once_and_by_the_driver(whole: Whole) -> None:
    files = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    wanted = {f"/cdn/{TEACHER}/{file}" for file in files}
    wanted |= {f"/cdn/datasets/{DATA}/cola/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")}
    wanted.add(f"/cdn/datasets/{DATA}/README.md")
    assert dict(whole.hub.downloads()) == dict.fromkeys(wanted, 1), "\n".join(whole.hub.log)
    assert whole.hub.log[whole.before_ray :] == [], "a worker asked the hub"


def test_the_plan_says_where_everything_comes_from(whole: Whole) -> None:
    plan = json.loads((whole.folder / "sweep.json").read_text())["plan"]
    model, rows = whole.hub.repositories[TEACHER].commit, whole.hub.repositories[f"datasets/{DATA}"].commit
    teacher, data = plan["teacher"], plan["data"]
    assert (teacher["origin"], teacher["name"], teacher["mode"]) == ("hub", TEACHER, "finetune")
    assert teacher["hub"] == {"id": TEACHER, "revision": model}
    assert Path(teacher["path"]).name == model
    assert (data["origin"], data["train_rows"], data["dev_rows"]) == ("hub", 160, 60)
    assert data["hub"] == {"id": DATA, "config": "cola", "revision": rows}
    assert plan["student"]["kept"] == [3, 6, 9, 12]
    for sentence in (
        f"Downloading {TEACHER} from {whole.hub.url}: 4 files, ",
        f"Downloading {DATA}, cola, from {whole.hub.url}: ",
        f"Teacher: {TEACHER} (hub, revision {model[:8]}), 12 layers × 32, ",
        f"Data: {DATA}, cola, at {rows[:8]} (hub), 160 training rows, 60 dev rows",
    ):
        assert sum(line.startswith(sentence) for line in whole.done.lines) == 1, whole.done.text
    assert "%|" not in whole.done.text, "bars belong on terminals"


def test_a_resumed_sweep_fetches_what_the_cache_has_lost(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Path(json.loads((whole.folder / "sweep.json").read_text())["plan"]["teacher"]["path"])
    files = {file.name: file.read_bytes() for file in encoder.iterdir()}
    before = scores(whole.folder)
    shutil.rmtree(encoder.parent)
    shutil.rmtree(encoder.parents[1] / "blobs")
    use(whole.hub, whole.home, monkeypatch)
    done = here(sweep.main, "--resume", str(whole.folder))
    assert done.code == 0, done.text
    assert {file.name: file.read_bytes() for file in encoder.iterdir()} == files
    pd.testing.assert_frame_equal(scores(whole.folder), before, check_exact=True)


@pytest.fixture
def again(whole: Whole, tmp_path: Path) -> Callable[..., tuple[Done, Path]]:
    """Runs the command with a new folder and store; the cache is that of the whole sweep unless another is named."""

    def run(*more: str, home: Path = whole.home, **variables: str) -> tuple[Done, Path]:
        environment = whole.hub.environment(home, **variables)
        out = tmp_path / "sweep"
        return command(SWEEP, *arguments(out, tmp_path / "store", *more), environment=environment), out

    return run


def test_offline_from_the_cache(whole: Whole, again: Callable[..., tuple[Done, Path]]) -> None:
    whole.hub.stop()
    done, folder = again(HF_HUB_OFFLINE="1")
    assert done.code == 0, done.text
    plans = [json.loads((place / "sweep.json").read_text())["plan"] for place in (folder, whole.folder)]
    assert plans[0]["teacher"]["hub"] == plans[1]["teacher"]["hub"]
    assert scores(folder)["score"].max() > 0.3, "nothing was learnt that could differ"
    pd.testing.assert_frame_equal(scores(folder), scores(whole.folder), check_exact=True)
    assert losses(folder) == losses(whole.folder)


def test_a_hub_that_is_down_and_an_empty_cache(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole.hub.stop()
    use(whole.hub, tmp_path / "empty", monkeypatch)
    folder = tmp_path / "sweep"
    asked = arguments(folder, tmp_path / "store")
    done = here(sweep.main, *asked, "--source", "hub")
    assert done.code == 2
    assert done.text == (
        f"error: --task cola needs {DATA}, which is not in the cache and {whole.hub.url} cannot be reached (Connection "
        "refused): go online, or leave --source hub out.\n"
    )
    assert not folder.exists()
    use(whole.hub, tmp_path / "empty", monkeypatch)
    done = here(sweep.main, *asked, "--dry-run")
    assert done.code == 0, done.text
    assert "the embedded encoder serves" in done.text
    assert done.text.count("the hub cannot be reached (Connection refused)") == 2
