"""A whole sweep with the published recipe and its models from a hub on the loopback, up to the student elsewhere."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import SPECIAL, sentences
from tests.hub_data import add_glue
from tests.hub_server import running
from tests.trainables.commands import NO_DASHBOARD, Done, command
from trainables.config import TEACHER
from trainables.record import COMPLETE, Record, read

pytestmark = pytest.mark.slow

STUDENT = "huawei-noah/TinyBERT_General_4L_312D"
TRAIN, DEV = 48, 20
# 6 steps of 8 rows: dev is looked at after the fourth and at the end.
EVERY, STEPS = 4, 6


@dataclass(frozen=True)
class Whole:
    """A finished sweep with what its folder says."""

    done: Done
    folder: Path
    record: Record
    asked: set[str]

    @property
    def points(self) -> dict[str, dict[str, Any]]:
        return {trial.id: trial.point for trial in self.record.trials.values()}


def vocabulary() -> dict[str, int]:
    words = sorted({word for text, _ in sentences(400, 0) for word in text.split()})
    return {word: number for number, word in enumerate((*SPECIAL, *words))}


def shape(layers: int, width: int) -> dict[str, Any]:
    return {
        "vocab_size": len(vocabulary()),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
        "max_position_embeddings": 128,
        # Large enough to be told apart after a few steps, so that scores differ.
        "initializer_range": 0.1,
    }


def teacher(folder: Path) -> Path:
    """A random BERT of 6 layers × 32, as `save_pretrained` writes it."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    state = torch.get_rng_state()
    torch.manual_seed(0)
    BertModel(BertConfig(**shape(6, 32))).save_pretrained(folder)
    torch.set_rng_state(state)
    BertTokenizer(vocab=vocabulary()).save_pretrained(folder)
    return folder


def student(folder: Path) -> Path:
    """A random BERT of 4 layers × 24 in the older form: pickled weights, heads of its pre-training, words, no more."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    state = torch.get_rng_state()
    torch.manual_seed(1)
    weights = BertForPreTraining(BertConfig(**shape(4, 24))).state_dict()
    for number in range(5):
        weights[f"fit_denses.{number}.weight"] = torch.randn(32, 24)
        weights[f"fit_denses.{number}.bias"] = torch.randn(32)
    torch.set_rng_state(state)
    folder.mkdir()
    stream = io.BytesIO()
    torch.save(weights, stream)
    (folder / "pytorch_model.bin").write_bytes(stream.getvalue())
    (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n", encoding="utf-8")
    config = {"model_type": "bert", "cell": {}, "emb_size": 24, "structure": [], "pre_trained": "", **shape(4, 24)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def cola(count: int, seed: int) -> dict[str, list[str | int]]:
    texts, labels = zip(*sentences(count, seed), strict=True)
    return {"sentence": list(texts), "label": list(labels), "idx": list(range(count))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    place = tmp_path_factory.mktemp("published")
    out = place / "sweep"
    with running() as hub:
        hub.add(TEACHER, teacher(place / "teacher"))
        hub.add(STUDENT, student(place / "student"), more={"README.md": b"# A model"})
        add_glue(
            hub,
            {"cola": {"train": cola(TRAIN, 1), "validation": cola(DEV, 2)}},
            {"cola": ["unacceptable", "acceptable"]},
        )
        done = command(
            "trainables.sweep",
            *("--method", "emd", "--task", "cola", "--layers", "4", "--recipe", "published", "--source", "hub"),
            *("--trials", "2", "--epochs", "1", "--scheduler", "none", "--set", f"evaluation_steps={EVERY}"),
            *("--set", "batch_size=8", "--set", "lr=1e-3,3e-3", "--teacher-lr", "1e-3", "--teacher-epochs", "2"),
            # One worker: starting another takes longer than all of its work.
            *("--teacher-set", "batch_size=8", "--allow-weak-teacher", "--max-concurrent", "1"),
            *NO_DASHBOARD,
            *("--out", str(out), "--artifacts", str(place / "store")),
            environment=hub.environment(place / "home"),
        )
        assert done.code == 0, "\n".join([done.text, *hub.log])
        return Whole(done, out, read(out), set(hub.downloads()))


def test_the_published_student_is_fetched_and_serves(whole: Whole) -> None:
    files = ("config.json", "vocab.txt", "pytorch_model.bin")
    assert {path for path in whole.asked if STUDENT in path} == {f"/cdn/{STUDENT}/{file}" for file in files}
    plan, prepared = whole.record.plan, whole.record.prepared
    assert prepared is not None
    assert (plan["student"]["init"], plan["student"]["name"], plan["student"]["origin"]) == ("folder", STUDENT, "hub")
    assert (prepared["student"]["layers"], prepared["student"]["hidden_size"]) == (4, 24)
    assert f"No --student was named: the published one serves, {STUDENT}." in whole.done.text
    assert "The student's width 24 differs from the teacher's 32" in whole.done.text


def test_what_the_points_are(whole: Whole) -> None:
    points = whole.points
    assert list(points) == ["p00", "ft", "p02"]
    for name, point in points.items():
        if name == "ft":
            assert (point["recipe"], point["head"]) == ("modern", "own")
            continue
        assert (point["recipe"], point["head"]) == ("published", "relu")
        assert point["params"]["update"] == "v2020"
        assert point["params"]["T_emd"] > 0
    training = {name: {**whole.record.plan["training"], **point["training"]} for name, point in points.items()}
    for name, own in training.items():
        expected = ("adamw", "linear", "longest") if name == "ft" else ("bertadam", "constant", "max_length")
        assert (own["optimizer"], own["schedule"], own["padding"]) == expected
        assert (own["drop_last"], own["evaluation_steps"]) == (True, EVERY)


def test_when_and_how_the_trials_were_trained(whole: Whole) -> None:
    for trial in whole.record.trials.values():
        assert trial.state == COMPLETE
        rows = [trial.evaluations[number] for number in sorted(trial.evaluations)]
        assert [row["epoch"] for row in rows] == pytest.approx([EVERY / STEPS, 1.0])
        peak = trial.params["lr"]
        if trial.is_baseline:
            assert rows[-1]["lr"] < rows[0]["lr"] < peak, "its rate falls"
            assert "hard" in rows[-1]["terms"]
        else:
            assert [row["lr"] for row in rows] == [peak, peak]
            assert all(rows[-1]["terms"][name] > 0 for name in ("attention", "hidden", "embedding", "soft"))
        seen = [json.loads(line) for line in _lines(whole.folder / "trials" / trial.id / "seen.jsonl")]
        assert len(seen) == (0 if trial.is_baseline else 2)
    losses = {trial.id: trial.evaluations[2]["terms"]["total"] for trial in whole.record.trials.values()}
    assert len(set(losses.values())) == 3, "the trials are one and the same"


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def test_the_teacher_is_that_of_its_last_epoch_and_read_through_a_relu(whole: Whole) -> None:
    from distill.tasks import metrics

    prepared, planned = whole.record.prepared, whole.record.plan["teacher"]
    assert prepared is not None
    made = prepared["teacher"]
    assert (planned["origin"], planned["name"], planned["keep"]) == ("hub", TEACHER, "last")
    artifact = Path(made["path"]).parent
    facts = json.loads((artifact / "artifact.json").read_text())["facts"]
    assert facts["kept_epoch"] == 2
    with np.load(artifact / "predictions.npz") as own, np.load(made["predictions"]) as read:
        assert Path(made["predictions"]).parent != artifact
        assert np.abs(own["logits"] - read["logits"]).max() > 1e-3, "a ReLU that changes nothing"
        matthews = metrics.get("mcc")
        assert made["own_score"] == matthews.compute(own["logits"], own["labels"])
        assert made["score"] == matthews.compute(read["logits"], read["labels"])


_ELSEWHERE = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

torch.set_num_threads(1)
folder, texts = sys.argv[1], json.loads(sys.argv[2])
for trust in ({}, {"trust_remote_code": False}):
    try:
        AutoModelForSequenceClassification.from_pretrained(folder, **trust)
    except ValueError as error:
        assert "trust_remote_code" in str(error), error
    else:
        raise SystemExit("loaded without trust")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
assert next(model.parameters()).dtype == torch.float32
logits = []
with torch.no_grad():
    for start in range(0, len(texts), 8):
        batch = tokenizer(texts[start:start + 8], padding=True, return_tensors="pt")
        logits += model(**batch).logits.tolist()
assert not {"distill", "trainables"} & set(sys.modules)
print(json.dumps(logits))
"""


def test_the_student_gives_its_recorded_logits_where_this_program_is_not(whole: Whole, tmp_path: Path) -> None:
    """In float32 and batches of eight, while the trial had all rows in one: sums may differ in their last bits."""
    best = whole.record.best_trial()
    assert best is not None
    texts = [text for text, _ in sentences(DEV, 2)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    found = subprocess.run(
        [sys.executable, "-I", "-c", _ELSEWHERE, str(whole.folder / "student"), json.dumps(texts)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        # The trusted code is copied there.
        env={**environment, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
    )
    assert found.returncode == 0, found.stderr
    logits = np.array(json.loads(found.stdout.splitlines()[-1].rpartition("[y/N] ")[2]))
    with np.load(whole.folder / "trials" / best.id / "predictions-best.npz") as kept:
        assert np.ptp(kept["logits"], axis=0).min() > 1e-3, "all rows are answered alike"
        np.testing.assert_allclose(logits, kept["logits"], atol=1e-6, rtol=0)


def test_the_report_says_what_the_student_needs(whole: Whole) -> None:
    text = (whole.folder / "report.md").read_text(encoding="utf-8")
    assert 'from_pretrained("student", trust_remote_code=True)' in text
    assert "published" in text
