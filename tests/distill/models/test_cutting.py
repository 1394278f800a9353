"""Students of copied layers, their saved folders, dropouts and names of parameters, for every kind of encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from distill.errors import UserError
from distill.models.architectures import architecture
from distill.models.capture import Capture, encoder_layers, passes
from distill.models.filters import FilterHeads, head_dropout
from distill.models.parameters import BODY, HEAD, OUTPUT, left_alone, named, output_layer, pooled
from distill.models.student import load_classifier
from distill.tasks import registry
from tests.distill import tiny
from tests.distill.models.kinds import CASES, INPUTS, model

COLA = registry.get("cola")
_LAYER = ("attention.self.query.", "attention.self.key.", "attention.self.value.", "attention.output.", "intermediate.")

pytestmark = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: tmp_path_factory.mktemp(name) for name in CASES}
    for name, folder in found.items():
        model(name).save_pretrained(folder)
    return found


def test_a_cut_student_has_the_layers_and_saves_as_what_it_is(
    name: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    if CASES[name]["kind"] == "albert":
        with pytest.raises(UserError, match=r"copied layers .* ALBERT \(albert\) share one set .* --student"):
            load_classifier(folders[name], COLA, (1, 3))
        return
    for kept in ((1, 3), (2, 3), (3,)):
        student = load_classifier(folders[name], COLA, kept).eval()
        assert student.config.num_hidden_layers == len(encoder_layers(student)) == len(kept)
        for own, number in zip(encoder_layers(student), kept, strict=True):
            # The first layer of a ModernBERT has no normalisation of its own, so that one cannot be kept there.
            first = architecture(CASES[name]["kind"]).fused and kept[0] > 1 and number == kept[0]
            changed = ("attn_norm", "Wqkv") if first else ()
            theirs = encoder_layers(model(name))[number - 1].state_dict()
            for what, value in own.state_dict().items():
                assert torch.equal(value, theirs[what]) or any(part in what for part in changed)
        expected = Capture(student, frozenset({"logits", "hidden"})).run(**INPUTS)
        student.save_pretrained(tmp_path / str(kept))
        again = AutoModelForSequenceClassification.from_pretrained(tmp_path / str(kept)).eval()
        found = Capture(again, frozenset({"logits", "hidden"})).run(**INPUTS)
        assert torch.equal(found.logits, expected.logits)
        assert found.hidden is not None
        assert expected.hidden is not None
        assert torch.equal(found.hidden, expected.hidden)


def test_the_whole_encoder_saves_as_what_it_is(name: str, folders: dict[str, Path]) -> None:
    again = load_classifier(folders[name], COLA).eval()
    found, expected = (Capture(it, frozenset({"logits"})).run(**INPUTS).logits for it in (again, model(name)))
    assert torch.equal(found, expected)


def test_dropouts_are_those_that_are_asked_for(name: str, folders: dict[str, Path]) -> None:
    student = load_classifier(folders[name], COLA, dropout=0.0)
    rates = {module.p for module in student.modules() if isinstance(module, nn.Dropout)}
    assert rates <= {0.0}
    student.train()
    one, two = (Capture(student, frozenset({"logits"})).run(**INPUTS).logits for _ in range(2))
    assert torch.equal(one, two)
    student = load_classifier(folders[name], COLA, dropout=0.0, classifier_dropout=0.5).train()
    assert head_dropout(student) == 0.5
    assert {m.p for m in student.modules() if isinstance(m, nn.Dropout) and m.p} == {0.5}
    one, two = (Capture(student, frozenset({"hidden", "logits"})).run(**INPUTS) for _ in range(2))
    assert one.hidden is not None
    assert two.hidden is not None
    assert torch.equal(one.hidden, two.hidden)
    assert not torch.equal(one.logits, two.logits)


def test_generic_names_cover_every_parameter_once(name: str) -> None:
    """Embeddings, each layer and the head are all there is, and the parts of a layer are all of it."""
    whole = model(name)
    everything = {n for n, _ in whole.named_parameters()}
    layers = [named(whole, (f"encoder.layer.{number}.",)) for number in range(len(passes(whole)))]
    embeddings, head = named(whole, ("embeddings",)), named(whole, (HEAD,))
    assert embeddings | head | frozenset().union(*layers) == everything
    for part in layers:
        assert not part & (embeddings | head)
    assert not embeddings & head
    if not architecture(CASES[name]["kind"]).groups:
        assert sum(len(part) for part in layers) == len(frozenset().union(*layers))
    assert frozenset().union(*layers) == named(whole, ("encoder.",)) - embeddings
    found: list[str] = []
    for part in (*_LAYER, "output."):
        found += named(whole, (f"encoder.layer.1.{part}",))
    assert set(found) == layers[1]
    if not architecture(CASES[name]["kind"]).fused:
        assert len(found) == len(set(found))
    assert named(whole, (OUTPUT,)) == {f"{output_layer(whole)[0]}.{what}" for what in ("weight", "bias")}
    assert named(whole, (BODY,)) == everything - named(whole, (OUTPUT,))
    if pooled(CASES[name]["kind"]):
        assert named(whole, ("pooler.",)) | named(whole, ("classifier.",)) == head
    with pytest.raises(ValueError, match=r"begins with 'encoder\.layer\.9"):
        named(whole, ("encoder.layer.9.",))


def test_heads_of_filters_are_as_its_own(name: str) -> None:
    known = architecture(CASES[name]["kind"])
    expected = {"tanh": nn.Tanh, "gelu": nn.GELU, "relu": nn.ReLU}[known.activation]
    assert isinstance(FilterHeads(1, 4, 2, CASES[name]["kind"]).activation, expected)
    # What the classifier reads is what its activation gave, which its range tells.
    found = Capture(model(name), frozenset({"pooled"})).run(**INPUTS).pooled
    assert found is not None
    if known.activation == "tanh":
        assert found.abs().max() <= 1
    elif known.activation == "relu":
        assert found.min() == 0


class _Stage:
    """What `left_alone` asks of a stage."""

    def trained(self, params: dict[str, Any], recipe: str, student: Any) -> tuple[str, ...]:
        return ("embeddings", "encoder.layer.0.")


def test_what_is_left_alone_is_told_by_layers_or_by_the_one_set(name: str) -> None:
    kind = CASES[name]["kind"]
    stages: Any = [_Stage()]
    found = left_alone(stages, {}, "modern", Capture(model(name), frozenset()).shape, kind)
    pooler = "pooler, " if pooled(kind) else ""
    assert found == (f"{pooler}classifier" if kind == "albert" else f"layer 2, layer 3, {pooler}classifier")


def test_a_layer_that_becomes_the_first_of_a_modernbert_keeps_its_scale(name: str) -> None:
    """On embeddings that are normalised already, its own normalisation is a scale and a shift."""
    if not architecture(CASES[name]["kind"]).fused:
        return
    how = {**CASES[name], "attention_bias": True}
    whole = tiny.classifier(**how, layers=2, width=16).eval()
    with torch.no_grad():
        whole.base_model.embeddings.norm.weight.fill_(1.0)
        if whole.base_model.embeddings.norm.bias is not None:
            whole.base_model.embeddings.norm.bias.zero_()
    layer: Any = encoder_layers(whole)[1]
    states = whole.base_model.embeddings(INPUTS["input_ids"])
    turns = whole.base_model.rotary_emb(states, torch.arange(states.shape[1])[None], layer.attention_type)
    expected = layer(states, position_embeddings=turns)
    from distill.models.cutting import cut

    cut(whole, (2,))
    assert whole.config.layer_types == ["sliding_attention"]
    found = encoder_layers(whole)[0](states, position_embeddings=turns)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert isinstance(layer.attn_norm, nn.Identity)
