"""Whether a folder is a finished teacher, read from its files alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.errors import UserError
from distill.models.labels import label_order
from distill.tasks import registry
from distill.tasks.own import own_data
from distill.teacher.ready import is_ready, misfit, mode, notice
from tests.distill import tiny

COLA, MNLI, STSB, SST2, RTE, WNLI = (registry.get(name) for name in ("cola", "mnli", "stsb", "sst2", "rte", "wnli"))
SHARDED = {"max_shard_size": "10KB"}


def saved(folder: Path, kind: str = "bert", words: tuple[str, ...] = (), save: dict[str, Any] | None = None) -> Path:
    """A classifier with as many outputs as words (without any, two), as `save_pretrained` leaves it."""
    shape: dict[str, Any] = {"labels": len(words) or 2}
    model = tiny.classifier(kind, **shape)
    if words:
        model.config.id2label = dict(enumerate(words))
        model.config.label2id = {word: i for i, word in enumerate(words)}
    model.save_pretrained(folder, **(save or {}))
    return folder


def configure(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "camembert", "xlm-roberta"])
@pytest.mark.parametrize("save", [{}, SHARDED])
def test_every_supported_kind_whole_and_in_parts(tmp_path: Path, kind: str, save: dict[str, Any]) -> None:
    folder = saved(tmp_path, kind, ("a", "b", "c"), save)
    assert (folder / "model.safetensors.index.json").exists() == bool(save)
    assert is_ready(folder, MNLI)
    assert "3 outputs" in str(misfit(folder, COLA))
    assert not is_ready(folder, STSB)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_file(tmp_path: Path, legacy: bool) -> None:
    folder = saved(tmp_path, words=("a", "b", "c"))
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    assert is_ready(folder, MNLI)
    assert not is_ready(folder, COLA)
    (folder / "pytorch_model.bin").write_bytes(b"no weights")
    assert not is_ready(folder, MNLI)


def test_what_is_not_ready(tmp_path: Path) -> None:
    bare = tiny.encoder_folder(tmp_path / "bare")
    assert "no classifier (its config.json names BertModel)" in str(misfit(bare, COLA))
    # A configuration that promises a classifier which the weights lack would be answered by random numbers.
    configure(bare, architectures=["BertForSequenceClassification"])
    assert "no classifier among its weights" in str(misfit(bare, COLA))
    other = saved(tmp_path / "other")
    assert is_ready(other, COLA)
    configure(other, problem_type="multi_label_classification")
    assert "multi_label_classification" in str(misfit(other, COLA))
    (other / "model.safetensors").write_bytes(b"\xff" * 20)
    configure(other, problem_type=None)
    assert not is_ready(other, COLA)
    assert not is_ready(tmp_path, COLA)


def test_a_score_for_regression_only(tmp_path: Path) -> None:
    tiny.classifier(labels=1, regression=True).save_pretrained(tmp_path)
    assert is_ready(tmp_path, STSB)
    assert not is_ready(tmp_path, COLA)
    assert label_order(tmp_path, STSB) == (0,)
    assert "label" not in notice(tmp_path, STSB)


def test_what_is_asked_decides(tmp_path: Path) -> None:
    ready, bare = saved(tmp_path / "ready"), tiny.encoder_folder(tmp_path / "bare")
    assert [mode(asked, ready, COLA, "x") for asked in ("auto", "always", "never")] == ["ready", "finetune", "ready"]
    assert [mode(asked, bare, COLA, "x") for asked in ("auto", "always")] == ["finetune", "finetune"]
    with pytest.raises(UserError, match=r"--finetune-teacher never: the teacher some/name has no classifier .*here\."):
        mode("never", bare, COLA, "some/name")


@pytest.mark.parametrize(
    ("task", "words", "order", "said"),
    [
        (MNLI, ("contradiction", "entailment", "neutral"), (0, 1, 2), "trains it here)."),
        (MNLI, ("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), (2, 0, 1), "into the order of mnli"),
        (RTE, ("not entailment", "Entailment"), (1, 0), "into the order of rte"),
        (COLA, ("acceptable", "unacceptable"), (1, 0), "(acceptable, unacceptable) are brought"),
        (COLA, ("0", "1"), (0, 1), "trains it here)."),
        (SST2, ("NEGATIVE", "POSITIVE"), (0, 1), "trains it here)."),
        (WNLI, ("entailment", "not-entailment"), (1, 0), "into the order"),
        (COLA, ("LABEL_0", "LABEL_1"), (0, 1), "(LABEL_0, LABEL_1) do not tell"),
        (COLA, ("positive", "negative"), (0, 1), "(positive, negative) do not tell"),
        (COLA, (), (0, 1), "(LABEL_0, LABEL_1) do not tell"),
    ],
)
def test_label_words(tmp_path: Path, task: Any, words: tuple[str, ...], order: tuple[int, ...], said: str) -> None:
    folder = saved(tmp_path, words=words)
    assert label_order(folder, task) == order
    assert said in notice(folder, task)


@pytest.mark.parametrize(
    ("labels", "words", "order", "said"),
    [
        (("-1", "0", "1"), ("-1", "0", "1"), (0, 1, 2), "trains it here)."),
        (("-1", "0", "1"), ("1", "-1", "0"), (1, 2, 0), "are brought into the order"),
        (("B", "b"), ("B", "b"), (0, 1), "trains it here)."),
        (("B", "b"), ("b", "B"), (1, 0), "are brought into the order"),
        (("a b", "a-b"), ("a_b", "a b"), (0, 1), "do not tell their order"),
    ],
)
def test_own_labels_that_differ_in_a_sign_or_in_case_alone(
    tmp_path: Path, labels: tuple[str, ...], words: tuple[str, ...], order: tuple[int, ...], said: str
) -> None:
    rows = [{"text": word, "label": word} for word in labels]
    task = own_data(rows, rows).task
    assert task.labels == labels
    folder = saved(tmp_path, words=words)
    assert label_order(folder, task) == order
    assert said in notice(folder, task)


def test_no_torch_for_safetensors(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    code = (
        "import sys; from pathlib import Path; from distill.tasks import registry; "
        f"from distill.teacher.ready import is_ready; assert is_ready(Path({str(folder)!r}), registry.get('cola')); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
