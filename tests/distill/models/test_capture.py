"""What is captured is what the library itself computes, for every architecture said to be supported."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.methods.objective import Shape
from distill.models.architectures import RELU_HEAD, SUPPORTED, plain, shared
from distill.models.capture import Capture, encoder_layers, passes, shape_of
from tests.distill import tiny

EVERYTHING = frozenset({"logits", "hidden", "scores"})
PROJECTIONS = ("query", "key", "value")
_EXCHANGED = {"query": "key", "key": "query"}
# Whose modules are named as a BERT's; test_encoders.py has the others.
_NAMED_SO = ("bert", RELU_HEAD, "roberta", "xlm-roberta", "camembert", "electra")
SHAPES = [{"kind": kind} for kind in SUPPORTED if plain(kind) in _NAMED_SO]
SHAPES += [{"kind": "electra", "embedding_size": 8}]


def observed(model: Any, attention: str, inputs: dict[str, Tensor]) -> Any:
    """The library's own answer, with hidden states and probabilities."""
    model.set_attn_implementation(attention)
    return model(**inputs, output_hidden_states=True, output_attentions=attention == "eager")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape.values())))
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_captured_states_are_the_librarys_own(shape: dict[str, Any], attention: str) -> None:
    extra = {} if plain(shape["kind"]) in {"bert", "electra"} else {"type_vocab_size": 2}
    model = tiny.classifier(**shape, **extra, layers=3, width=24, heads=3).eval()
    given = tiny.batch(4, 9)
    inputs, mask = tiny.inputs_of(given), given["attention_mask"].bool()
    expected = observed(model, "eager", inputs)
    model.set_attn_implementation(attention)
    seen = Capture(model, EVERYTHING).run(**inputs)
    torch.testing.assert_close(seen.logits, expected.logits, atol=1e-5, rtol=0)
    assert seen.hidden is not None
    # Padded positions may differ between attention implementations; nobody reads them.
    for i, states in enumerate(expected.hidden_states):
        torch.testing.assert_close(seen.hidden[i][mask], states[mask], atol=1e-5, rtol=0)
    assert seen.scores is not None
    assert seen.scores.shape == (6 if shared(shape["kind"]) else 3, 4, 3, 9, 9)
    additive = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)[:, None, None, :]
    for scores, probabilities in zip(seen.scores, expected.attentions, strict=True):
        mine = torch.softmax(scores + additive, -1)
        queries = mask[:, None, :, None].expand_as(mine)
        torch.testing.assert_close(mine[queries], probabilities[queries], atol=1e-5, rtol=0)
        assert mine.std(-1).max() > 0.01, "attention is uniform, so the comparison shows nothing"


def test_electra_embeddings_are_taken_at_the_encoders_width() -> None:
    model = tiny.classifier("electra", embedding_size=8, width=16).eval()
    inputs = tiny.inputs_of(tiny.batch())
    seen = Capture(model, EVERYTHING).run(**inputs).hidden
    base = model.electra
    embedded = base.embeddings(input_ids=inputs["input_ids"], token_type_ids=inputs["token_type_ids"])
    assert seen is not None
    torch.testing.assert_close(seen[0], base.embeddings_project(embedded))


@pytest.mark.parametrize("what", ["hidden", "scores", *PROJECTIONS])
def test_gradients_reach_the_student(what: str) -> None:
    model = tiny.classifier(layers=3)
    seen = Capture(model, frozenset({what})).run(**tiny.inputs_of(tiny.batch()))
    getattr(seen, what).square().mean().backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert "bert.embeddings.word_embeddings.weight" in reached
    name = what if what in PROJECTIONS else "query"
    for layer in range(3):
        assert f"bert.encoder.layer.{layer}.attention.self.{name}.weight" in reached


def test_only_what_is_needed_is_taken() -> None:
    model = tiny.classifier()
    inputs = tiny.inputs_of(tiny.batch())
    seen = Capture(model, frozenset({"logits"})).run(**inputs)
    assert seen.hidden is None
    assert seen.scores is None
    assert Capture(model, frozenset({"hidden"})).run(**inputs).scores is None
    assert Capture(model, frozenset({"scores"})).run(**inputs).hidden is None


def test_other_passes_are_not_collected() -> None:
    model = tiny.classifier(layers=3).eval()
    capture = Capture(model, EVERYTHING)
    inputs, other = (tiny.inputs_of(tiny.batch(seed=seed)) for seed in (0, 1))
    alone = capture.run(**inputs)
    model(**other)
    again = capture.run(**inputs)
    assert alone.hidden is not None
    assert again.hidden is not None
    assert again.hidden.shape[0] == 4
    assert torch.equal(alone.hidden, again.hidden)


def test_a_pass_that_fails_leaves_nothing_behind() -> None:
    model = tiny.classifier().eval()
    capture = Capture(model, EVERYTHING)
    inputs = tiny.inputs_of(tiny.batch())
    with pytest.raises(Exception, match=r"."):
        capture.run(**{**inputs, "token_type_ids": torch.full_like(inputs["token_type_ids"], 99)})
    hidden = capture.run(**inputs).hidden
    assert hidden is not None
    assert hidden.shape[0] == 3


@pytest.mark.parametrize(
    ("what", "name"), [("hidden", "hidden states"), ("scores", "queries"), ("key", "keys"), ("value", "values")]
)
def test_a_layer_that_is_bypassed_raises(what: str, name: str) -> None:
    model = tiny.classifier(layers=3)
    capture = Capture(model, frozenset({what}))
    for layer in encoder_layers(model):
        for module in layer.modules():
            module._forward_hooks.clear()
    with pytest.raises(RuntimeError, match=f"captured . {name}"):
        capture.run(**tiny.inputs_of(tiny.batch()))


def test_closed_captures_leave_no_hooks() -> None:
    model = tiny.classifier()
    capture = Capture(model, EVERYTHING)
    assert any(module._forward_hooks for module in model.modules())
    capture.close()
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape.values())))
def test_projections_are_those_of_the_layers_input(shape: dict[str, Any]) -> None:
    """x Wᵀ + b of what enters each layer, whatever else is captured beside them."""
    extra = {} if plain(shape["kind"]) in {"bert", "electra"} else {"type_vocab_size": 2}
    model = tiny.classifier(**shape, **extra, layers=3, width=24, heads=3).double().eval()
    inputs = tiny.inputs_of(tiny.batch(4, 9))
    seen = Capture(model, frozenset({"hidden", "scores", *PROJECTIONS})).run(**inputs)
    assert seen.hidden is not None
    for name in PROJECTIONS:
        found = getattr(seen, name)
        assert found.shape == (len(passes(model)), 4, 9, 24)
        for number, index in enumerate(passes(model)):
            layer: Any = encoder_layers(model)[index]
            # In the second pass of layers that run twice, queries are what the keys' projection gives.
            module = getattr(layer.attention.self, _EXCHANGED.get(name, name) if number >= 3 else name)
            expected = seen.hidden[number] @ module.weight.T + module.bias
            torch.testing.assert_close(found[number], expected, rtol=1e-12, atol=1e-12)
    assert seen.query is not None
    assert seen.key is not None
    assert seen.scores is not None
    query, key = (states.unflatten(-1, (3, 8)).transpose(2, 3) for states in (seen.query, seen.key))
    torch.testing.assert_close(seen.scores, query @ key.mT / 8**0.5, rtol=1e-12, atol=1e-12)
    alone = Capture(model, frozenset({"value"})).run(**inputs)
    assert (alone.query, alone.key, alone.scores, alone.hidden) == (None, None, None, None)
    assert torch.equal(alone.at("value", (1, 3)), seen.at("value", (1, 3)))


@pytest.mark.parametrize("layers", [(0, 2), (3,), (1, 2, 3), (0, 1, 2, 3)])
def test_chosen_layers(layers: tuple[int, ...]) -> None:
    model = tiny.classifier(layers=3).eval()
    inputs = tiny.inputs_of(tiny.batch())
    needs = frozenset({"cls", "hidden", "scores", *PROJECTIONS})
    whole = Capture(model, needs)
    expected = whole.run(**inputs)
    whole.close()
    found = Capture(model, needs, layers).run(**inputs)
    assert found.layers == layers
    assert found.cls is not None
    assert expected.cls is not None
    assert torch.equal(found.cls, expected.cls)
    for what in ("hidden", "scores", *PROJECTIONS):
        inner = [layer for layer in layers if layer or what == "hidden"]
        assert len(getattr(found, what)) == len(inner)
        assert torch.equal(found.at(what, inner), expected.at(what, inner))


def test_projections_are_float32_under_autocast() -> None:
    model = tiny.classifier().eval()
    inputs = tiny.inputs_of(tiny.batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = Capture(model, frozenset(PROJECTIONS)).run(**inputs)
    for name in PROJECTIONS:
        assert getattr(seen, name).dtype == torch.float32


def test_scores_are_float32_under_autocast() -> None:
    model = tiny.classifier().eval()
    inputs = tiny.inputs_of(tiny.batch())
    exact = Capture(model, EVERYTHING).run(**inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = Capture(model, EVERYTHING).run(**inputs)
    assert rounded.scores is not None
    assert exact.scores is not None
    assert rounded.scores.dtype == torch.float32
    # Queries and keys are rounded, the product over them is not: its error stays that of two factors.
    assert (rounded.scores - exact.scores).abs().max() < 0.05 * exact.scores.abs().max()


def test_float64_models_give_float64() -> None:
    model = tiny.classifier().double().eval()
    seen = Capture(model, EVERYTHING).run(**tiny.inputs_of(tiny.batch()))
    assert seen.scores is not None
    assert seen.hidden is not None
    assert (seen.scores.dtype, seen.hidden.dtype) == (torch.float64, torch.float64)


def test_shape() -> None:
    assert shape_of(tiny.classifier(layers=3, width=24, heads=3)) == Shape(3, 24, 3)


def _elsewhere(kind: str) -> nn.Module:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
    tokens = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1, "cls_token_id": 0, "sep_token_id": 1}
    config = AutoConfig.for_model(kind, vocab_size=len(tiny.VOCABULARY), **sizes, **tokens)
    return AutoModelForSequenceClassification.from_config(config)


@pytest.mark.parametrize("kind", ["deberta", "roformer", "ernie"])
def test_other_architectures_are_refused_in_one_sentence(kind: str) -> None:
    with pytest.raises(UserError) as refused:
        shape_of(_elsewhere(kind))
    message = str(refused.value)
    assert f"type {kind} " in message
    assert "BERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, DistilBERT, MPNet, DeBERTa, ALBERT, ModernBERT" in message
    assert "\n" not in message


@pytest.mark.parametrize("needs", [{"cls"}, {"cls", "hidden"}, {"cls", "scores"}])
def test_first_positions_alone(needs: set[str]) -> None:
    """[CLS] of every hidden state, with its gradient, whether or not the whole is asked for."""
    model = tiny.classifier(layers=3, dropout=0.0).double().eval()
    inputs = tiny.inputs_of(tiny.batch())
    whole = Capture(model, frozenset({"logits", "hidden"}))
    expected = whole.run(**inputs).hidden
    whole.close()
    assert expected is not None
    capture = Capture(model, frozenset({"logits"}) | needs)
    found = capture.run(**inputs)
    assert found.cls is not None
    assert torch.equal(found.cls, expected[:, :, 0])
    assert (found.hidden is None) == ("hidden" not in needs)
    assert (found.scores is None) == ("scores" not in needs)
    first, second = (
        torch.autograd.grad(states.square().sum(), model.parameters(), allow_unused=True)
        for states in (found.cls, expected[:, :, 0])
    )
    assert any(one is not None and one.abs().max() > 0 for one in first)
    for one, two in zip(first, second, strict=True):
        assert (one is None and two is None) or torch.allclose(one, two)
    capture.close()
    assert Capture(model, frozenset({"logits"})).run(**inputs).cls is None
