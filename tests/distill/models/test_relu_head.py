"""The head with a ReLU: what it computes, and that its saved folders say so wherever they are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from distill.errors import UserError
from distill.models.architectures import RELU_HEAD, SUPPORTED, architecture
from distill.models.capture import Capture, encoder_layers, shape_of
from distill.models.folder import inspect
from distill.models.relu_head import BertReluHeadForSequenceClassification
from distill.models.student import load_classifier
from distill.tasks import registry
from distill.tasks.tokens import load_tokenizer, same_vocabulary
from tests.distill import tiny

COLA = registry.get("cola")
INPUTS = tiny.inputs_of(tiny.batch(8))


def literal(model: Any) -> Tensor:
    """Pooler, ReLU and classifier written out, on the library's own last states."""
    states = model.bert(**INPUTS).last_hidden_state[:, 0]
    pooler, head = model.bert.pooler.dense, model.classifier
    pooled = torch.tanh(states @ pooler.weight.T + pooler.bias)
    assert (pooled < 0).any(), "no negative unit, so the ReLU does not show"
    return torch.where(pooled > 0, pooled, 0) @ head.weight.T + head.bias


def test_the_pooled_output_is_cut_at_zero(encoder: Path) -> None:
    model = load_classifier(encoder, COLA, head="relu").eval()
    torch.testing.assert_close(model(**INPUTS).logits, literal(model), atol=1e-6, rtol=0)
    plain = load_classifier(encoder, COLA).eval()
    plain.load_state_dict(model.state_dict())
    assert (plain(**INPUTS).logits - model(**INPUTS).logits).abs().max() > 1e-3


def test_no_dropout_before_the_classifier() -> None:
    model = tiny.classifier(RELU_HEAD, dropout=0.0, classifier_dropout=0.9).train()
    assert torch.equal(model(**INPUTS).logits, model(**INPUTS).logits)


def test_losses_and_labels_work_as_in_the_library(encoder: Path) -> None:
    model = load_classifier(encoder, COLA, head="relu").eval()
    labels = torch.arange(8) % 2
    output = model(**INPUTS, labels=labels)
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(output.logits, labels))


def test_a_pretrained_encoder_gets_the_head(encoder: Path) -> None:
    torch.manual_seed(3)
    plain = load_classifier(encoder, COLA, (1, 4)).state_dict()
    torch.manual_seed(3)
    model = load_classifier(encoder, COLA, (1, 4), head="relu")
    assert all(torch.equal(value, plain[name]) for name, value in model.state_dict().items())
    assert model.config.model_type == RELU_HEAD


def test_a_fine_tuned_bert_keeps_its_classifier(tmp_path: Path) -> None:
    source = tiny.classifier(layers=3)
    source.save_pretrained(tmp_path)
    model = load_classifier(tmp_path, COLA, head="relu").eval()
    assert torch.equal(model.classifier.weight, source.classifier.weight)
    assert torch.equal(model.classifier.bias, source.classifier.bias)
    torch.testing.assert_close(model(**INPUTS).logits, literal(model), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta", "camembert", "electra"])
def test_other_architectures_are_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    tiny.classifier(kind).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=rf"type {kind}, but a head with ReLU needs BERT") as refused:
        load_classifier(tmp_path, COLA, head="relu")
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture
def saved(encoder: Path, tmp_path: Path) -> tuple[Any, Path]:
    torch.manual_seed(1)
    model = load_classifier(encoder, COLA, (2, 3), head="relu").eval()
    model.save_pretrained(tmp_path / "student")
    tiny.tokenizer().save_pretrained(tmp_path / "student")
    return model, tmp_path / "student"


def test_a_saved_folder_is_the_head_again_without_its_code(saved: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = saved
    # Were it run, loading would fail.
    (folder / "relu_head.py").write_text("raise RuntimeError('code of the folder was run')")
    for head in ("own", "relu"):
        again = load_classifier(folder, COLA, head=head).eval()  # type: ignore[arg-type]
        assert type(again) is BertReluHeadForSequenceClassification
        assert torch.equal(again(**INPUTS).logits, model(**INPUTS).logits)
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_text() == (folder / "config.json").read_text()
    assert "class BertReluHead" in (tmp_path / "again" / "relu_head.py").read_text()


def test_it_can_be_cut_for_another_task(saved: tuple[Any, Path], tmp_path: Path) -> None:
    saved[0].bert.save_pretrained(tmp_path / "bare")
    student = load_classifier(tmp_path / "bare", registry.get("mnli"), (2,))
    assert shape_of(student).layers == 1
    assert student(**INPUTS).logits.shape == (8, 3)


def test_folder_and_tokenizer_are_read_like_any_other(saved: tuple[Any, Path], encoder: Path) -> None:
    folder = saved[1]
    found = inspect(folder, "--student")
    assert (found.model_type, found.layers, found.hidden_size, found.heads) == (RELU_HEAD, 2, 16, 2)
    assert load_tokenizer(folder)("the old cat")["input_ids"] == tiny.tokenizer()("the old cat")["input_ids"]
    assert same_vocabulary(folder, encoder)


def test_what_is_captured(saved: tuple[Any, Path]) -> None:
    model = saved[0]
    seen = Capture(model, frozenset({"logits", "hidden", "scores"})).run(**INPUTS)
    assert len(encoder_layers(model)) == 2
    assert seen.hidden is not None
    assert seen.scores is not None
    assert (seen.hidden.shape[0], seen.scores.shape[0]) == (3, 2)
    torch.testing.assert_close(seen.hidden[-1], model.bert(**INPUTS).last_hidden_state)
    assert torch.equal(seen.logits, model(**INPUTS).logits)


_ELSEWHERE = """
import json, sys
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

folder = sys.argv[1]
for loader in (AutoConfig, AutoModel, AutoModelForSequenceClassification):
    for trust in ({}, {"trust_remote_code": False}):
        try:
            loader.from_pretrained(folder, **trust)
        except ValueError as error:
            assert "trust_remote_code" in str(error), error
        else:
            raise SystemExit(f"{loader.__name__} loaded it without trust")
words = AutoTokenizer.from_pretrained(folder)("the old cat sleeps")["input_ids"]
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
inputs = {name: torch.tensor(rows) for name, rows in json.loads(sys.argv[2]).items()}
logits = model(**inputs).logits.tolist()
assert "distill" not in sys.modules
print(json.dumps({"words": words, "logits": logits, "labels": model.config.id2label}))
"""


def test_it_loads_where_this_program_is_not(saved: tuple[Any, Path], tmp_path: Path) -> None:
    """With the folder's own code once it is trusted; without, it is refused instead of read as a plain BERT."""
    model, folder = saved
    (tmp_path / "elsewhere").mkdir()
    given = json.dumps({name: rows.tolist() for name, rows in INPUTS.items()})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    found = subprocess.run(
        [sys.executable, "-I", "-c", _ELSEWHERE, str(folder), given],
        capture_output=True,
        text=True,
        cwd=tmp_path / "elsewhere",
        # The trusted code is copied there.
        env={**environment, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
    )
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout.splitlines()[-1].rpartition("[y/N] ")[2])
    torch.testing.assert_close(torch.tensor(answer["logits"]), model(**INPUTS).logits, atol=1e-6, rtol=0)
    assert answer["words"] == tiny.tokenizer()("the old cat sleeps")["input_ids"]
    assert tuple(answer["labels"].values()) == COLA.labels


@pytest.mark.parametrize(("kind", "head"), [*((kind, "own") for kind in SUPPORTED), ("bert", "relu")])
def test_dropout_is_set_everywhere(tmp_path: Path, kind: str, head: Any) -> None:
    known = architecture(kind)
    heads = dict.fromkeys(known.head_dropouts, 0.25)
    tiny.classifier(kind, dropout=0.25, **heads).save_pretrained(tmp_path)

    def rates(dropout: float | None) -> set[float]:
        model = load_classifier(tmp_path, COLA, head=head, dropout=dropout)
        modules = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
        attentions = [cast(Any, layer).get_submodule(known.attention) for layer in encoder_layers(model)]
        named = ("dropout", "attention_dropout")
        kept = {
            getattr(part, "p", part) for one in attentions for n in named if (part := getattr(one, n, None)) is not None
        }
        assert kept <= set(modules), "attention has another rate"
        return set(modules)

    assert rates(None) == {0.25}
    assert rates(0.5) == {0.5}
    assert rates(0.0) == {0.0}


@pytest.mark.parametrize(("kind", "head"), [*((kind, "own") for kind in SUPPORTED), ("bert", "relu")])
def test_dropout_before_the_classifier_alone(tmp_path: Path, kind: str, head: Any) -> None:
    heads = {name: 0.25 for name in architecture(kind).head_dropouts if name == "pooler_dropout"}
    tiny.classifier(kind, dropout=0.25, **heads).save_pretrained(tmp_path)

    def rates(**dropout: float) -> tuple[set[float], set[float]]:
        """Inside of the encoder, and before the classifier."""
        model = load_classifier(tmp_path, COLA, head=head, **dropout)
        inside = {m.p for m in model.base_model.modules() if isinstance(m, torch.nn.Dropout)}
        heads = [part for name, part in model.named_children() if name != model.base_model_prefix]
        before = {m.p for part in heads for m in part.modules() if isinstance(m, torch.nn.Dropout)}
        return inside, before

    relu = RELU_HEAD in (kind, f"bert-{head}-head")
    assert rates(classifier_dropout=0.0) == ({0.25}, set() if relu else {0.0})
    assert rates(dropout=0.5, classifier_dropout=0.125) == ({0.5}, set() if relu else {0.125})
    assert rates(dropout=0.5) == ({0.5}, set() if relu else {0.5})


def test_dropout_of_nothing_makes_training_passes_equal(tmp_path: Path) -> None:
    tiny.classifier(dropout=0.5).save_pretrained(tmp_path)
    still = load_classifier(tmp_path, COLA, dropout=0.0).train()
    assert torch.equal(still(**INPUTS).logits, still(**INPUTS).logits)
    moving = load_classifier(tmp_path, COLA).train()
    assert not torch.equal(moving(**INPUTS).logits, moving(**INPUTS).logits)
