"""The table of encoders: all that is taken of each is what the library computes, and gradients flow through it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from distill.methods.base import Shape
from distill.models.architectures import ARCHITECTURES, RELU_HEAD, SHARED, SUPPORTED, architecture, plain, shared
from distill.models.capture import Capture, encoder_layers, passes, shape_of
from distill.models.masks import note
from distill.models.parameters import output_layer
from distill.models.repeats import Sharing
from tests.distill import tiny
from tests.distill.models.kinds import (
    BATCH,
    CASES,
    EVERYTHING,
    HEADS,
    INPUTS,
    LAYERS,
    LENGTH,
    MASK,
    WIDTH,
    additive,
    captured,
    library,
    model,
    own_inputs,
)

# By kind, of a layer: what is projected, and the projections.
_WHERE = {
    "distilbert": ("", "attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "mpnet": ("", "attention.attn.q", "attention.attn.k", "attention.attn.v"),
    "albert": ("", "attention.query", "attention.key", "attention.value"),
    "deberta-v2": ("", *(f"attention.self.{name}_proj" for name in ("query", "key", "value"))),
    "modernbert": ("attn_norm", *("attn.Wqkv",) * 3),
}
_USUAL = ("", *(f"attention.self.{name}" for name in ("query", "key", "value")))

pytestmark = pytest.mark.parametrize("name", CASES)


def test_shape(name: str) -> None:
    assert shape_of(model(name)) == Shape(LAYERS, WIDTH, HEADS)
    assert shape_of(model(name)).kind == CASES[name]["kind"]


def test_logits_and_hidden_states(name: str) -> None:
    found, expected = captured(name), library(name)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=0)
    assert found.hidden is not None
    assert found.hidden.shape == (LAYERS + 1, 4, LENGTH, WIDTH)
    for mine, states in zip(found.hidden, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine[MASK], states[MASK], atol=1e-5, rtol=0)
    apart = (found.hidden[1:] - found.hidden[:-1]).abs().amax((1, 2, 3))
    assert apart.min() > 0.01, "two layers agree, so the comparison shows nothing"


def test_first_positions(name: str) -> None:
    found, expected = captured(name), library(name)
    assert found.cls is not None
    for mine, states in zip(found.cls, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine, states[:, 0], atol=1e-5, rtol=0)


def test_what_the_last_layer_of_the_classifier_reads(name: str) -> None:
    found = captured(name)
    assert found.pooled is not None
    _, last = output_layer(model(name))
    torch.testing.assert_close(last(found.pooled), found.logits, atol=1e-6, rtol=0)


def test_softmax_of_scores_is_the_attention(name: str) -> None:
    found, expected = captured(name), library(name)
    assert found.scores is not None
    assert found.scores.shape == (LAYERS, 4, HEADS, LENGTH, LENGTH)
    queries = MASK[:, None, :, None].expand(4, HEADS, LENGTH, LENGTH)
    for layer, (scores, probabilities) in enumerate(zip(found.scores, expected.attentions, strict=True)):
        mine = torch.softmax(scores + additive(name, layer), -1)
        torch.testing.assert_close(mine[queries], probabilities[queries], atol=1e-5, rtol=0)
        assert mine[queries].std() > 0.01, "attention is uniform, so the comparison shows nothing"


def test_relative_parts_matter(name: str) -> None:
    """Where there are any, products of queries and keys alone are something else."""
    found = captured(name)
    assert found.query is not None
    assert found.key is not None
    assert found.scores is not None
    q, k = (states.unflatten(-1, (HEADS, -1)).transpose(2, 3) for states in (found.query, found.key))
    far = float((q @ k.mT / (WIDTH // HEADS) ** 0.5 - found.scores).detach().abs().max())
    relative = CASES[name]["kind"] in ("mpnet", "deberta-v2", "modernbert") and name != "deberta-v2-absolute"
    assert far > 0.05 if relative else far < 1e-5


def test_projections_are_those_of_the_layers_input(name: str) -> None:
    found, kind = captured(name), CASES[name]["kind"]
    before, *where = _WHERE.get(kind, _USUAL)
    assert found.hidden is not None
    for number, index in enumerate(passes(model(name))):
        layer: Any = encoder_layers(model(name))[index]
        states = layer.get_submodule(before)(found.hidden[number]) if before else found.hidden[number]
        for place, (what, path) in enumerate(zip(("query", "key", "value"), where, strict=True)):
            module = layer.get_submodule(path)
            rows = slice(place * WIDTH, (place + 1) * WIDTH) if kind == "modernbert" else slice(None)
            shift = 0 if module.bias is None else module.bias[rows]
            expected = states @ module.weight[rows].T + shift
            taken = getattr(found, what)[number]
            torch.testing.assert_close(taken, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("what", ["hidden", "scores", "query", "key", "value"])
def test_gradients_reach_the_embeddings_and_every_layer(name: str, what: str) -> None:
    whole = model(name)
    capture = Capture(whole, frozenset({what}))
    getattr(capture.run(**INPUTS), what).square().mean().backward()
    capture.close()
    moved = {n for n, p in whole.named_parameters() if p.grad is not None and bool(p.grad.abs().max() > 0)}
    whole.zero_grad(set_to_none=True)
    assert any(part in n for n in moved for part in ("word_embeddings", "tok_embeddings"))
    _, *where = _WHERE.get(CASES[name]["kind"], _USUAL)
    path = where[{"key": 1, "value": 2}.get(what, 0)]
    for layer in encoder_layers(whole):
        own = next(n for n, module in whole.named_modules() if module is layer)
        assert f"{own}.{path}.weight" in moved
    shared_by_all = {"mpnet": "relative_attention_bias", "deberta-v2": "rel_embeddings"}.get(CASES[name]["kind"])
    if what == "scores" and shared_by_all and name != "deberta-v2-absolute":
        assert any(shared_by_all in n for n in moved)


@pytest.mark.parametrize("layers", [(0, 2), (3,)])
def test_chosen_layers(name: str, layers: tuple[int, ...]) -> None:
    capture = Capture(model(name), EVERYTHING, layers)
    found, whole = capture.run(**INPUTS), captured(name)
    capture.close()
    for what in ("hidden", "scores", "query", "key", "value", "cls"):
        wanted = [layer for layer in layers if layer or what in ("hidden", "cls")]
        assert torch.equal(found.at(what, wanted), whole.at(what, wanted))


@pytest.mark.parametrize("rows", [slice(None), slice(0, 1)], ids=["padded", "full"])
def test_a_mask_that_is_known_changes_nothing(name: str, rows: slice) -> None:
    """What is noted of a mask leaves the library's own look at it out, with or without padding."""
    given = {what: value[rows] for what, value in INPUTS.items()}
    known = {**given, "attention_mask": note(given["attention_mask"].clone(), full=bool(MASK[rows].all()))}
    capture = Capture(model(name), frozenset({"logits", "scores"}))
    one, two = capture.run(**given), capture.run(**known)
    capture.close()
    torch.testing.assert_close(one.logits, two.logits, atol=1e-6, rtol=0)


def test_scores_are_float32_under_autocast(name: str) -> None:
    capture = Capture(model(name), EVERYTHING)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = capture.run(**INPUTS)
    capture.close()
    exact = captured(name)
    for what in ("scores", "query", "key", "value"):
        mine, other = getattr(found, what), getattr(exact, what)
        assert mine.dtype == torch.float32
        assert (mine - other).abs().max() < 0.1 * other.abs().max()


def test_a_frozen_network_may_have_weights_of_bfloat16(name: str) -> None:
    whole = copy.deepcopy(model(name)).to(torch.bfloat16)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = Capture(whole, EVERYTHING).run(**INPUTS)
    for what in ("scores", "query", "key", "value"):
        mine, other = getattr(found, what), getattr(captured(name), what)
        assert mine.dtype == torch.float32
        assert (mine - other).abs().max() < 0.1 * other.abs().max()


def test_scores_in_training_are_those_that_attention_used(name: str) -> None:
    """With dropout between the embeddings and them, which in a DeBERTa acts on distances in every layer."""
    kind = CASES[name]["kind"]
    field = "attention_dropout" if kind in ("distilbert", "modernbert") else "attention_probs_dropout_prob"
    whole = tiny.classifier(**CASES[name], layers=2, width=WIDTH, heads=HEADS, dropout=0.3, **{field: 0.0}).train()
    whole.set_attn_implementation("eager")
    torch.manual_seed(0)
    expected = whole(**own_inputs(name), output_attentions=True)
    torch.manual_seed(0)
    found = Capture(whole, frozenset({"scores", "logits"})).run(**INPUTS)
    assert found.scores is not None
    assert torch.equal(found.logits, expected.logits)
    queries = MASK[:, None, :, None].expand(4, HEADS, LENGTH, LENGTH)
    for layer, (scores, probabilities) in enumerate(zip(found.scores, expected.attentions, strict=True)):
        mine = torch.softmax(scores + additive(name, layer), -1)
        torch.testing.assert_close(mine[queries], probabilities[queries], atol=1e-5, rtol=0)


def test_every_kind_is_in_the_table(name: str) -> None:
    assert {case["kind"] for case in CASES.values()} | {"camembert"} == set(ARCHITECTURES)
    assert {plain(kind) for kind in SUPPORTED} == {*ARCHITECTURES, RELU_HEAD}


def test_scores_of_a_second_pass_with_queries_and_keys_exchanged(name: str) -> None:
    """The same as those of a network that has the layer twice, the second time with the weights exchanged by hand."""
    kind = CASES[name]["kind"]
    if kind not in SHARED:
        assert architecture(kind).fused or architecture(kind).groups
        return
    how = {**CASES[name], "dropout": 0.0}
    twice = tiny.classifier(**how, layers=1, sharing=Sharing("swap", "all")).double().eval()
    apart = tiny.classifier(**how, layers=2).double().eval()
    assert shared(twice.config.model_type)
    first, second = encoder_layers(apart)
    apart.load_state_dict(twice.state_dict(), strict=False)
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        query, key = _WHERE.get(kind, _USUAL)[1:3]
        ones, others = dict(first.named_modules()), dict(second.named_modules())
        for asks, answers in ((query, key), ("attention.self.pos_query_proj", "attention.self.pos_key_proj")):
            if asks in ones and answers in ones:
                others[asks].load_state_dict(ones[answers].state_dict())
                others[answers].load_state_dict(ones[asks].state_dict())
    one, two = (Capture(it, EVERYTHING).run(**tiny.inputs_of(BATCH)) for it in (twice, apart))
    for what in ("logits", "hidden", "scores", "query", "key", "value"):
        torch.testing.assert_close(getattr(one, what), getattr(two, what), rtol=0, atol=1e-6)
