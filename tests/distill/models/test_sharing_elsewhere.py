"""Saved students whose layers run twice, loaded where this program is not: the folder's own code is all there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.models.architectures import SHARED
from distill.models.capture import Capture
from distill.models.repeats import Sharing
from distill.models.sharing import CLASSIFIERS, ENCODERS
from distill.models.student import parameter_count
from tests.distill import tiny

INPUTS = tiny.inputs_of(tiny.batch(8))

_ELSEWHERE = """
import json, sys
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

inputs = {name: torch.tensor(rows) for name, rows in json.loads(sys.argv[1]).items()}
for folder in sys.argv[2:]:
    for loader in (AutoConfig, AutoModel, AutoModelForSequenceClassification):
        try:
            loader.from_pretrained(folder, trust_remote_code=False)
        except ValueError as error:
            assert "trust_remote_code" in str(error), error
        else:
            raise SystemExit(f"{loader.__name__} loaded it without trust")
    trusted = {"trust_remote_code": True}
    model = AutoModelForSequenceClassification.from_pretrained(folder, **trusted).eval()
    encoder, report = AutoModel.from_pretrained(folder, **trusted, output_loading_info=True)
    encoder.eval()
    assert all(name.startswith("pooler.") for name in report["missing_keys"]), report
    states = encoder(**inputs).last_hidden_state
    encoder.save_pretrained(folder + "-encoder")
    again = AutoModel.from_pretrained(folder + "-encoder", **trusted).eval()
    assert torch.equal(again(**inputs).last_hidden_state, states)
    count = sum(p.numel() for p in model.parameters())
    print(json.dumps([folder, model(**inputs).logits.tolist(), states.tolist(), count]))
assert "distill" not in sys.modules
"""


def test_it_loads_where_this_program_is_not(tmp_path: Path) -> None:
    """With the folder's own code once it is trusted; without, it is refused instead of read as a plain encoder."""
    models: dict[str, Any] = {}
    for kind in SHARED:
        models[str(tmp_path / kind)] = tiny.classifier(kind, layers=3, sharing=Sharing("swap", 2)).eval()
    for folder, model in models.items():
        model.save_pretrained(folder)
    (tmp_path / "elsewhere").mkdir()
    given = json.dumps({name: rows.tolist() for name, rows in INPUTS.items()})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    found = subprocess.run(
        [sys.executable, "-I", "-c", _ELSEWHERE, given, *models],
        capture_output=True,
        text=True,
        cwd=tmp_path / "elsewhere",
        # The trusted code is copied there.
        env={**environment, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
    )
    assert found.returncode == 0, found.stderr
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert [line[0] for line in lines] == list(models)
    for folder, logits, states, count in lines:
        model = models[folder]
        expected = Capture(model, frozenset({"logits", "hidden"})).run(**INPUTS)
        assert expected.hidden is not None
        torch.testing.assert_close(torch.tensor(logits), expected.logits, atol=1e-6, rtol=0)
        torch.testing.assert_close(torch.tensor(states), expected.hidden[-1], atol=1e-5, rtol=0)
        assert count == parameter_count(model)


@pytest.mark.parametrize(("encoder", "classifier"), zip(ENCODERS, CLASSIFIERS, strict=True))
def test_encoder_and_classifier_are_of_one_kind(encoder: Any, classifier: Any) -> None:
    assert encoder.config_class is classifier.config_class
    assert encoder.base_model_prefix == classifier.base_model_prefix
