"""The examples as a person runs them, shortened: what they print and leave."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of all examples: their teachers are the same."""
    return tmp_path_factory.mktemp("store")


def example(name: str, folder: Path, store: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "DISTILL_TUNE_ARTIFACTS": str(store),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        # `ray.init()` would join the cluster of another test that happens to run.
        "RAY_ADDRESS": "local",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def loads(folder: Path, layers: int) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    assert AutoModelForSequenceClassification.from_pretrained(folder).config.num_hidden_layers == layers
    assert AutoTokenizer.from_pretrained(folder)("a sentence")["input_ids"]


def test_without_ray(tmp_path: Path, store: Path) -> None:
    told = example("without_ray.py", tmp_path, store, "--rows", "64", "--epochs", "1", "--out", "mine")
    assert re.search(r"^Teacher: epoch 1 of 1, mcc -?\d", told, re.MULTILINE)
    assert re.search(r"^<emd on cola-made-up: mcc .*; 15\.6 M parameters>$", told, re.MULTILINE)
    assert "attention" in told
    answers = re.findall(r"^The dog .* -> [01] \([01]\.\d\d\)$", told, re.MULTILINE)
    assert len(answers) == 2
    loads(tmp_path / "mine", 2)


def test_own_tuner(tmp_path: Path, store: Path) -> None:
    pytest.importorskip("mlflow", reason="the example logs to MLflow: pip install mlflow")
    told = example("own_tuner.py", tmp_path, store, "--rows", "64", "--epochs", "1", "--out", "mine")
    assert "Trials: 4, failed: 0" in told
    assert re.search(r"^Best: mcc -?\d\.\d+ with lr (5e-05|0\.0002), beta 0\.0", told, re.MULTILINE)
    loads(tmp_path / "mine" / "student", 2)
    with sqlite3.connect(tmp_path / "mine" / "mlflow.db") as database:
        rates = [value for (value,) in database.execute("select value from params where key = 'lr'")]
        logged = {key for (key,) in database.execute("select distinct key from metrics")}
        steps = {step for (step,) in database.execute("select step from metrics where key = 'mcc'")}
    assert sorted(rates) == ["0.0002", "0.0002", "5e-05", "5e-05"]
    assert {"mcc", "best", "epoch", "terms/hidden", "terms/total"} <= logged
    assert steps == {1}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_examples_are_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 60
