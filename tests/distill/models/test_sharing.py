"""Layers that run twice: what they compute against a slow derivation, their weights, and their saved folders."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distill.errors import UserError
from distill.methods.base import Shape
from distill.models.architectures import RELU_HEAD, SHARED, SUPPORTED, architecture
from distill.models.capture import Capture, encoder_layers, passes, shape_of
from distill.models.folder import inspect
from distill.models.repeats import Mode, Repeat, Sharing, check, described, order, planned
from distill.models.sharing import CLASSIFIERS
from distill.models.student import load_classifier, parameter_count
from distill.tasks import registry
from tests.distill import tiny

COLA = registry.get("cola")
INPUTS = tiny.inputs_of(tiny.batch(8))
ALL_PARTS = frozenset({"logits", "cls", "hidden", "scores", "query", "key", "value"})
WAYS: list[tuple[Mode, Repeat]] = [("share", "all"), ("swap", "all"), ("swap", 2), ("share", 1)]


def literal(model: Any, mode: str, repeated: int, inputs: dict[str, Tensor]) -> tuple[list[Tensor], Tensor]:
    """States behind the embedding and each layer, and logits, token by token and head by head, from the weights."""
    weights = {name: value.detach() for name, value in model.named_parameters()}
    config = model.config
    heads, size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    mask = inputs["attention_mask"].bool()

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + config.layer_norm_eps).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def layer(number: int, x: Tensor, swapped: bool) -> Tensor:
        at = f"bert.encoder.layer.{number}"
        asks, answers = ("key", "query") if swapped else ("query", "key")
        q, k = (linear(f"{at}.attention.self.{name}", x) for name in (asks, answers))
        v, context = linear(f"{at}.attention.self.value", x), torch.zeros_like(x)
        for row in range(len(x)):
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                for i in range(x.shape[1]):
                    raw = [float(q[row, i, part] @ k[row, j, part]) / math.sqrt(size) for j in range(x.shape[1])]
                    grown = [math.exp(s) if mask[row, j] else 0.0 for j, s in enumerate(raw)]
                    for j, share in enumerate(grown):
                        context[row, i, part] += share / sum(grown) * v[row, j, part]
        x = norm(f"{at}.attention.output.LayerNorm", linear(f"{at}.attention.output.dense", context) + x)
        inner = linear(f"{at}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        return norm(f"{at}.output.LayerNorm", linear(f"{at}.output.dense", inner) + x)

    table = "bert.embeddings"
    x = weights[f"{table}.word_embeddings.weight"][inputs["input_ids"]]
    x = x + weights[f"{table}.token_type_embeddings.weight"][inputs["token_type_ids"]]
    x = norm(f"{table}.LayerNorm", x + weights[f"{table}.position_embeddings.weight"][: x.shape[1]])
    states, count = [x], config.num_hidden_layers
    for number in range(count):
        states.append(layer(number, states[-1], swapped=False))
    for number in range(count - repeated, count):
        states.append(layer(number, states[-1], swapped=mode == "swap"))
    pooled = torch.tanh(linear("bert.pooler.dense", states[-1][:, 0]))
    return states, linear("classifier", pooled)


@pytest.mark.parametrize(("mode", "repeat"), WAYS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_both_passes_are_those_of_the_definition(mode: Mode, repeat: Repeat, attention: str) -> None:
    model = tiny.classifier(layers=3, dropout=0.0, sharing=Sharing(mode, repeat)).double().eval()
    model.set_attn_implementation(attention)
    inputs = tiny.inputs_of(tiny.batch(3, 5))
    states, logits = literal(model, mode, Sharing(mode, repeat).repeated(3), inputs)
    found = Capture(model, ALL_PARTS).run(**inputs)
    assert found.hidden is not None
    torch.testing.assert_close(found.hidden, torch.stack(states), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.logits, logits, rtol=0, atol=1e-12)
    other = literal(model, "share" if mode == "swap" else "swap", Sharing(mode, repeat).repeated(3), inputs)[1]
    assert (other - logits).abs().max() > 1e-4, "both ways agree, so the comparison shows nothing"


def test_the_second_pass_turns_the_scores_of_equal_states_over() -> None:
    """Queries and keys exchanged at the same input transpose the scores of each head."""
    model = tiny.classifier(layers=1, dropout=0.0, sharing=Sharing()).double().eval()
    layer: Any = encoder_layers(model)[0]
    states = torch.randn(2, 5, 16, dtype=torch.float64)
    layer.register_forward_pre_hook(lambda module, given: (states, *given[1:]))
    scores = Capture(model, frozenset({"scores"})).run(**tiny.inputs_of(tiny.batch(2, 5))).scores
    assert scores is not None
    torch.testing.assert_close(scores[1], scores[0].mT, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", SHARED)
def test_every_architecture_runs_twice_and_learns_in_both_passes(kind: str) -> None:
    model = tiny.classifier(kind, layers=2, sharing=Sharing("swap", "all"), dropout=0.0).double().eval()
    plain = tiny.classifier(kind, layers=2, dropout=0.0).double().eval()
    assert plain.load_state_dict(model.state_dict()).missing_keys == []
    assert passes(model) == (0, 1, 0, 1)
    assert passes(plain) == (0, 1)
    assert parameter_count(model) == parameter_count(plain)
    inputs = tiny.inputs_of(tiny.batch())
    twice, once = (Capture(one, frozenset({"logits", "hidden"})).run(**inputs) for one in (model, plain))
    assert twice.hidden is not None
    assert once.hidden is not None
    torch.testing.assert_close(twice.hidden[:3], once.hidden)
    assert (twice.logits - once.logits).abs().max() > 1e-4
    twice.logits.square().sum().backward()
    # The keys' bias has no effect as such; it has one as the bias of the second pass's queries.
    bias = encoder_layers(model)[0].get_submodule(architecture(kind).key).bias.grad
    assert isinstance(bias, Tensor)
    assert bias.abs().max() > 1e-9


def test_gradients_of_both_passes_add_up() -> None:
    """Those of two networks that hold a pass each, and share nothing."""
    model = tiny.classifier(layers=1, dropout=0.0, sharing=Sharing()).double().eval()
    apart = tiny.classifier(layers=2, dropout=0.0).double().eval()
    first, second = (f"bert.encoder.layer.{number}." for number in (0, 1))
    other = {"query": "key", "key": "query"}
    partner = {
        name: ".".join(other.get(part, part) if "self" in name else part for part in name.split(".")).replace(
            first, second
        )
        for name, _ in model.named_parameters()
        if name.startswith(first)
    }
    own = model.state_dict()
    apart.load_state_dict({**own, **{theirs: own[name] for name, theirs in partner.items()}})
    inputs = tiny.inputs_of(tiny.batch())
    gradients = []
    for one in (model, apart):
        logits = one(**inputs).logits
        logits.square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in one.named_parameters()})
    for name, gradient in gradients[0].items():
        expected = gradients[1][name] + (gradients[1][partner[name]] if name in partner else 0)
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_padding_changes_nothing() -> None:
    model = tiny.classifier(layers=3, dropout=0.0, sharing=Sharing()).double().eval()
    inputs = tiny.inputs_of(tiny.batch())
    wider = {name: nn.functional.pad(value, (0, 5)) for name, value in inputs.items()}
    torch.testing.assert_close(model(**wider).logits, model(**inputs).logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("layers", "count"), [(1, 31_515_648), (2, 38_603_520), (3, 45_691_392), (6, 66_955_008)])
def test_parameters_of_bert_base_count_once(layers: int, count: int) -> None:
    """24,427,776 outside the layers and 7,087,872 in each; 769 in the classifier for each label."""
    build: Any = CLASSIFIERS[0]
    with torch.device("meta"):
        model = build(build.config_class(num_hidden_layers=layers, sharing="swap", repeated_layers=layers))
    assert parameter_count(model) == count + 2 * 769
    assert sum(value.numel() for value in model.state_dict().values()) == count + 2 * 769
    assert len({id(p) for group in torch.optim.AdamW(model.parameters()).param_groups for p in group["params"]}) == len(
        list(model.named_parameters())
    )


@pytest.mark.parametrize(
    ("repeat", "layers", "logical"),
    [
        ("auto", 3, (1, 2, 3, 1, 2, 3)),
        ("auto", 6, (1, 2, 3, 4, 5, 6, 4, 5, 6)),
        ("auto", 4, (1, 2, 3, 4, 1, 2, 3, 4)),
        ("all", 6, (*range(1, 7), *range(1, 7))),
        (1, 3, (1, 2, 3, 3)),
    ],
)
def test_which_layers_run_twice(repeat: Repeat, layers: int, logical: tuple[int, ...]) -> None:
    sharing = Sharing("swap", repeat)
    assert order(layers, sharing.repeated(layers)) == logical
    assert planned(sharing, layers) == {"mode": "swap", "layers": list(logical)}
    shape = Shape(layers, 16, 2).shared(sharing)
    assert shape == Shape(len(logical), 16, 2, len(logical) - layers)
    assert shape.physical == layers
    model = tiny.classifier(layers=layers, sharing=sharing)
    assert tuple(index + 1 for index in passes(model)) == logical
    assert shape_of(model) == shape


@pytest.mark.parametrize("repeat", [0, 4, -1])
def test_more_than_there_are_is_refused(encoder: Path, repeat: int) -> None:
    with pytest.raises(UserError, match=rf"sps_repeat={repeat} does not fit a student of 3 layers: --set sps_repeat=N"):
        load_classifier(encoder, COLA, (1, 2, 4), sharing=Sharing("swap", repeat))


def test_words() -> None:
    assert described(3, "swap", 6) == (
        "3 layers run twice: 6 logical layers, queries and keys exchanged in the second pass"
    )
    assert described(6, "share", 9) == "the top 3 of 6 layers run twice: 9 logical layers"
    assert described(1, "share", 2) == "1 layer runs twice: 2 logical layers"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (RELU_HEAD, f"layers of encoders of type {RELU_HEAD} cannot run twice"),
        ("modernbert", r"sps=swap \(shuffled parameter sharing\) .* ModernBERT \(modernbert\) has fused into one"),
        ("albert", r"sps=swap \(shuffled parameter sharing\) .* ALBERT \(albert\) are one set already"),
    ],
)
def test_what_has_no_queries_and_keys_to_exchange_is_refused_by_name(kind: str, words: str) -> None:
    with pytest.raises(UserError, match=rf"^--student x: {words}") as said:
        check(Sharing(), "--student x", kind, 3)
    assert "sps=none" in str(said.value)
    check(None, "--student x", kind, 3)


def test_a_relu_and_two_passes_exclude_each_other(encoder: Path) -> None:
    with pytest.raises(UserError, match="cannot run its layers twice and be read through a ReLU"):
        load_classifier(encoder, COLA, head="relu", sharing=Sharing())


# -- from folders and back ------------------------------------------------------------------------------------------


def test_physical_layers_come_from_the_layers_kept(encoder: Path) -> None:
    torch.manual_seed(3)
    plain = load_classifier(encoder, COLA, (1, 4))
    torch.manual_seed(3)
    model = load_classifier(encoder, COLA, (1, 4), sharing=Sharing())
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in model.state_dict().items())
    assert (model.config.model_type, model.config.num_hidden_layers) == ("bert-shared-layers", 2)
    assert shape_of(model) == Shape(4, 16, 2, 2)
    assert model(**INPUTS).logits.shape == (8, 2)


def test_names_of_types_are_those_of_the_folders_reader() -> None:
    assert [known.config_class.model_type for known in CLASSIFIERS] == list(SHARED.values())
    assert set(SHARED.values()) < set(SUPPORTED)


@pytest.fixture
def saved(encoder: Path, tmp_path: Path) -> tuple[Any, Path]:
    torch.manual_seed(1)
    model = load_classifier(encoder, COLA, (1, 2, 3), sharing=Sharing("swap", 2)).eval()
    model.save_pretrained(tmp_path / "student")
    tiny.tokenizer().save_pretrained(tmp_path / "student")
    return model, tmp_path / "student"


def test_a_saved_folder_shares_again_without_its_code(saved: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = saved
    # Were it run, loading would fail.
    (folder / "sharing.py").write_text("raise RuntimeError('code of the folder was run')")
    for asked in (None, Sharing("swap", 2)):
        again = load_classifier(folder, COLA, sharing=asked).eval()
        assert type(again) is type(model)
        assert torch.equal(again(**INPUTS).logits, model(**INPUTS).logits)
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_text() == (folder / "config.json").read_text()
    found = inspect(folder, "--student")
    assert (found.model_type, found.layers, found.sharing, found.positions) == (
        "bert-shared-layers",
        3,
        ("swap", 2),
        64,
    )
    with pytest.raises(UserError, match=r"runs layers twice already \(the top 2 again, queries and keys exchanged\)"):
        load_classifier(folder, COLA, sharing=Sharing("share", 2))
    with pytest.raises(UserError, match="so no student is cut from it"):
        load_classifier(folder, COLA, (1, 2))


def test_positions_of_a_roberta_are_counted_behind_padding(tmp_path: Path) -> None:
    for name, sharing in (("plain", None), ("shared", Sharing())):
        tiny.classifier("roberta", sharing=sharing, pad_token_id=1).save_pretrained(tmp_path / name)
        tiny.tokenizer().save_pretrained(tmp_path / name)
    found = [inspect(tmp_path / name, "--student").positions for name in ("plain", "shared")]
    assert found == [62, 62]


def test_a_configuration_that_does_not_say_how_is_refused(saved: tuple[Any, Path]) -> None:
    config = json.loads((saved[1] / "config.json").read_text())
    (saved[1] / "config.json").write_text(json.dumps({**config, "repeated_layers": 9}))
    with pytest.raises(UserError, match="do not say which of 3 layers run twice"):
        load_classifier(saved[1], COLA)
    del config["sharing"]
    (saved[1] / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="sharing"):
        inspect(saved[1], "--student")


def test_its_state_goes_to_a_copy_and_back(saved: tuple[Any, Path]) -> None:
    model = saved[0]
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.5)
    assert not torch.equal(twin(**INPUTS).logits, model(**INPUTS).logits)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(**INPUTS).logits, model(**INPUTS).logits)


def test_a_pass_that_fails_leaves_queries_and_keys_in_their_places(saved: tuple[Any, Path]) -> None:
    model = saved[0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    calls: list[int] = []

    def fail(module: nn.Module, given: Any) -> None:
        calls.append(len(calls))
        if len(calls) == 2:
            raise RuntimeError("in the second pass")

    watched = encoder_layers(model)[2].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="in the second pass"):
        model(**INPUTS)
    watched.remove()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_layers_are_never_computed_again_in_the_backward_pass(saved: tuple[Any, Path]) -> None:
    with pytest.raises(ValueError, match="does not support"):
        saved[0].gradient_checkpointing_enable()
