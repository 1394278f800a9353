"""GLUE's rows from a hub on the loopback: the same rows as from GLUE's own files, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.errors import UserError
from distill.hub import HubUnreachable
from distill.tasks import glue, registry
from distill.tasks.base import Task
from distill.tasks.hub import load
from tests.hub_data import add_glue
from tests.hub_server import Hub
from trainables.config import DATA

COLA = ["unacceptable", "acceptable"]
# Columns and label names of nyu-mll/glue, in its order of ids, with the word that GLUE's own files have for each.
ON_THE_HUB: dict[str, tuple[list[str], dict[str, str] | None]] = {
    "cola": (["sentence"], {"unacceptable": "0", "acceptable": "1"}),
    "sst2": (["sentence"], {"negative": "0", "positive": "1"}),
    "mrpc": (["sentence1", "sentence2"], {"not_equivalent": "0", "equivalent": "1"}),
    "qqp": (["question1", "question2"], {"not_duplicate": "0", "duplicate": "1"}),
    "stsb": (["sentence1", "sentence2"], None),
    "mnli": (
        ["premise", "hypothesis"],
        {"entailment": "entailment", "neutral": "neutral", "contradiction": "contradiction"},
    ),
    "qnli": (["question", "sentence"], {"entailment": "entailment", "not_entailment": "not_entailment"}),
    "rte": (["sentence1", "sentence2"], {"entailment": "entailment", "not_entailment": "not_entailment"}),
    "wnli": (["sentence1", "sentence2"], {"not_entailment": "0", "entailment": "1"}),
}


def cola(count: int = 8, labels: list[int] | None = None, texts: list[str] | None = None) -> dict[str, list[Any]]:
    return {
        "sentence": texts or [f"sentence {i}" for i in range(count)],
        "label": labels or [i % 2 for i in range(count)],
        "idx": list(range(count)),
    }


def serve_cola(hub: Hub, names: list[str] | None = COLA, **splits: dict[str, list[Any]]) -> str:
    """Serve one configuration; the commit."""
    return add_glue(hub, {"cola": {"train": cola(), "validation": cola(6), **splits}}, {"cola": names}).commit


def real_tasks() -> list[Task]:
    """Those of GLUE."""
    known = map(registry.get, registry.names())
    return [task for task in known if task.hub is not None and task.hub.repository == DATA]


def test_every_task_with_files_is_on_the_hub() -> None:
    assert {task.name for task in real_tasks()} == set(ON_THE_HUB)
    assert all(registry.get(name).hub is not None for name in registry.names() if not registry.get(name).made_up)


@pytest.mark.parametrize("task", real_tasks(), ids=lambda task: task.name)
def test_the_same_rows_as_in_glues_files(hub: Hub, task: Task, tmp_path: Path) -> None:
    columns, words = ON_THE_HUB[task.name]
    dev = "validation_matched" if task.name == "mnli" else "validation"
    draw = np.random.default_rng(3)
    served: dict[str, dict[str, list[Any]]] = {}
    folder = tmp_path / "glue" / task.folder
    folder.mkdir(parents=True)
    for split, file, count in (("train", task.train_file, 30), (dev, task.dev_file, 12)):
        texts = [[f' {column} {split} "{i}" é ' for i in range(count)] for column in columns]
        if words is None:
            labels: list[Any] = [round(float(value), 3) for value in draw.uniform(0, 5, count)]
            written = [f"{value:.3f}" for value in labels]
        else:
            labels = [int(value) for value in draw.integers(0, len(words), count)]
            written = [list(words.values())[value] for value in labels]
        served[split] = {**dict(zip(columns, texts, strict=True)), "label": labels, "idx": list(range(count))}
        header = [task.first_column, *([task.second_column] if task.second_column else []), task.label_column]
        lines = ["\t".join(header), *("\t".join(row) for row in zip(*texts, written, strict=True))]
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    # As published: the labels of the test rows are kept back.
    served["test"] = {**served["train"], "label": [-1] * 30}
    repository = add_glue(hub, {task.name: served}, {task.name: None if words is None else list(words)})
    ours, theirs = load(task), glue.load(task, tmp_path / "glue")
    assert ours.train.labels.dtype == theirs.train.labels.dtype
    assert ours.dev.labels.tolist() == theirs.dev.labels.tolist()
    assert ours.train.first == theirs.train.first
    assert ours.fingerprint() == theirs.fingerprint()
    assert (ours.commit, ours.notes) == (repository.commit, ())


def test_label_names_decide_and_not_their_numbers(hub: Hub) -> None:
    serve_cola(hub, COLA[::-1])
    assert load(registry.get("cola")).train.labels.tolist() == [1, 0] * 4


def test_rows_without_a_label_are_left_out_with_a_note(hub: Hub) -> None:
    commit = serve_cola(hub, train=cola(labels=[0, 1, -1, 1, 0, -1, 1, 0]))
    data = load(registry.get("cola"))
    assert data.train.first == tuple(f"sentence {i}" for i in (0, 1, 3, 4, 6, 7))
    assert data.train.labels.tolist() == [0, 1, 1, 0, 1, 0]
    assert data.notes == (f"nyu-mll/glue, cola, at {commit[:8]}: 2 rows without a label left out of train.",)


def test_empty_texts_are_refused_or_left_out_as_in_files(hub: Hub) -> None:
    serve_cola(hub, train=cola(texts=["a", " ", *"bcdefg"]))
    with pytest.raises(UserError, match="has 1 rows with an empty text in train; use --data-dir"):
        load(registry.get("cola"))
    count = 20_000
    pair = {"question1": ["a"] * count, "question2": ["b"] * (count - 1) + [""], "label": [0, 1] * (count // 2)}
    small = {"question1": ["a", "b"], "question2": ["c", "d"], "label": [0, 1]}
    add_glue(hub, {"qqp": {"train": pair, "validation": small}}, {"qqp": ["not_duplicate", "duplicate"]})
    data = load(registry.get("qqp"))
    assert len(data.train) == count - 1
    assert "1 rows with an empty text left out of train" in data.notes[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ["no", "yes"]}, "has labels with no, yes where unacceptable, acceptable are expected"),
        ({"names": None}, "has labels with no names where unacceptable, acceptable are expected"),
        ({"train": cola(labels=[1] * 8)}, "has fewer than two different labels in train"),
    ],
)
def test_data_sets_of_another_kind(hub: Hub, change: dict[str, Any], said: str) -> None:
    commit = serve_cola(hub, **change)
    with pytest.raises(UserError) as refused:
        load(registry.get("cola"))
    assert str(refused.value) == f"nyu-mll/glue, cola, at {commit[:8]} {said}; use --data-dir."


def test_missing_splits_columns_and_scores(hub: Hub) -> None:
    add_glue(hub, {"cola": {"train": cola()}}, {"cola": COLA})
    with pytest.raises(UserError, match=r"has no split validation \(it has train\)"):
        load(registry.get("cola"))
    other = {"text": ["a", "b"], "label": [0, 1]}
    add_glue(hub, {"cola": {"train": other, "validation": other}}, {"cola": COLA})
    with pytest.raises(UserError, match=r"has no column sentence in train \(it has text, label\)"):
        load(registry.get("cola"))
    pair = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [0, 1]}
    add_glue(hub, {"stsb": {"train": pair, "validation": pair}}, {"stsb": ["low", "high"]})
    with pytest.raises(UserError, match="has labels where scores are expected"):
        load(registry.get("stsb"))


def test_from_the_cache(hub: Hub, offline: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> None:
    commit = serve_cola(hub)
    task = registry.get("cola")
    capfd.readouterr()
    first = load(task)
    said = capfd.readouterr()
    assert said.out.startswith(f"Downloading nyu-mll/glue, cola, from {hub.url}: ")
    assert said.out.count("\n") == 1
    assert said.err == ""
    asked = len(hub.log)
    assert load(task, commit).fingerprint() == first.fingerprint()
    assert len(hub.log) == asked, "rows of a fixed commit need no hub"
    load(task)
    assert hub.log[asked:] == ["GET /api/datasets/nyu-mll/glue"]
    offline()
    again = load(task)
    assert (again.fingerprint(), again.commit) == (first.fingerprint(), commit)
    assert len(hub.log) == asked + 1
    assert capfd.readouterr() == ("", "")
    with pytest.raises(HubUnreachable, match=r"--task rte needs nyu-mll/glue, which is not in the cache .*OFFLINE"):
        load(registry.get("rte"))


def test_a_new_commit_is_taken_and_an_old_one_kept(hub: Hub) -> None:
    task = registry.get("cola")
    old = serve_cola(hub)
    before = load(task)
    new = serve_cola(hub, train=cola(texts=list("stuvwxyz")))
    assert (load(task).commit, load(task).train.first[0]) == (new, "s")
    hub.stop()
    assert load(task, old).fingerprint() == before.fingerprint()
    assert load(task, new).train.first[0] == "s"


def test_a_download_that_breaks_off(hub: Hub) -> None:
    task = registry.get("cola")
    serve_cola(hub)
    hub.cut = lambda path: 300 if "cola/train" in path else None
    with pytest.raises(UserError, match="--task cola needs nyu-mll/glue, which did not arrive whole") as cut:
        load(task)
    assert "\n" not in str(cut.value)
    assert not isinstance(cut.value, HubUnreachable)
    hub.cut = lambda path: None
    assert len(load(task).train) == 8


def test_another_commit_never_stands_in_for_one_that_broke_off(hub: Hub) -> None:
    task = registry.get("cola")
    serve_cola(hub)
    load(task)
    serve_cola(hub, train=cola(texts=list("stuvwxyz")))
    # The library falls back on its cache when it cannot read the description of a commit.
    hub.repositories[f"datasets/{DATA}"].files["README.md"] += b"changed"
    hub.cut = lambda path: 100 if "README" in path else None
    with pytest.raises(UserError, match="did not arrive whole"):
        load(task)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("RepoNotFound", 404, "which is not known to http"),
        ("GatedRepo", 403, "which is gated: accept its conditions at"),
        ("Strange", 418, "which cannot be had: .* answers with error 418"),
    ],
)
def test_data_sets_that_are_refused(hub: Hub, error: str, status: int, said: str) -> None:
    serve_cola(hub)
    repository = hub.repositories[f"datasets/{DATA}"]
    repository.error, repository.status = error, status
    with pytest.raises(UserError, match=said) as refused:
        load(registry.get("cola"))
    assert not isinstance(refused.value, HubUnreachable)


def test_a_configuration_that_is_not_there(hub: Hub) -> None:
    serve_cola(hub)
    with pytest.raises(UserError, match=r"--task rte needs nyu-mll/glue, which cannot be read \(BuilderConfig 'rte'"):
        load(registry.get("rte"))
