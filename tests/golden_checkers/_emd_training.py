"""Whole training steps of BERT-EMD with our losses and optimizer, on networks built from the file's weights.

The reference used its rounding solver here: flows carry errors of 1e-6, which pass into losses, weights and
gradients. The optimizer divides each gradient by its own size, so a relative error of a gradient becomes the
same share of a learning rate in the parameter, whatever the parameter's size. Hence losses and weights are
held to 1e-5, and parameters to a thousandth of the learning rate (leaving out the weight decay, say, moves
them by more); the `emd_m*n*` files hold the arithmetic itself to 1e-9.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from distill.losses.distances import hidden_mean_square
from distill.losses.layer_transport import LayerTransport
from distill.losses.logits import prediction_loss
from distill.training.bert_adam import BertAdam
from tests.golden_checkers._arrays import Arrays

Weights = dict[str, Tensor]


@dataclass
class _Output:
    states: Tensor  # [layers + 1, B, S, d]
    scores: Tensor  # [layers, B, h, S, S]
    logits: Tensor  # [B, C]


def check(arrays: Arrays, *, double: bool) -> None:
    dtype = torch.float64 if double else torch.float32
    options = json.loads(str(arrays["opts"]))
    assert options["schedule"] == "none", f"unknown schedule {options['schedule']}"
    heads = _heads(arrays, options, dtype)
    steps = len(arrays["loss__att_loss"])
    teacher, student = _weights(arrays, "teacher__", dtype), _weights(arrays, "student__", dtype)
    for weight in student.values():
        weight.requires_grad_()
    optimizer = _optimizer(student, options)
    transport = LayerTransport(_layers(student), _layers(teacher), reduction="padded")
    assert steps > 0
    for step in range(steps):
        batch = _batch(arrays, options["batch"], step)
        losses, total = _losses(transport, student, teacher, batch, heads, options)
        for name, value in losses.items():
            arrays.compare(f"loss__{name}", value, index=step, rtol=1e-5, atol=1e-5)
        optimizer.zero_grad()
        total.backward()
        if step == 0:
            _check_first_gradients(arrays, student)
        optimizer.step()
        seen = transport.observation()
        for term, short in (("attention", "att"), ("hidden", "rep")):
            arrays.compare(f"loss__{short}_sw", seen[term]["student"], index=step, atol=1e-5)
            arrays.compare(f"loss__{short}_tw", seen[term]["teacher"], index=step, atol=1e-5)
        prefix = f"step{step + 1}__"
        stored = {key.removeprefix(prefix) for key in arrays.named(prefix)}
        assert stored == set(student), f"parameters of {prefix} are others than the student's"
        for name, weight in student.items():
            arrays.compare(prefix + name, weight, atol=1e-3 * options["learning_rate"])


def _check_first_gradients(arrays: Arrays, student: Weights) -> None:
    stored = {key.removeprefix("grad0__") for key in arrays.named("grad0__")}
    trained = {name for name, weight in student.items() if weight.grad is not None}
    assert stored == trained, f"gradients differ for {sorted(stored ^ trained)}"
    for name in stored:
        arrays.compare(f"grad0__{name}", student[name].grad, rtol=1e-5, atol=1e-7)


def _losses(
    transport: LayerTransport,
    student: Weights,
    teacher: Weights,
    batch: dict[str, Tensor],
    heads: int,
    options: dict[str, Any],
) -> tuple[dict[str, Tensor], Tensor]:
    ours = _forward(student, batch, heads)
    with torch.no_grad():
        theirs = _forward(teacher, batch, heads)
    states = F.linear(ours.states, student["share_fit_dense.weight"], student["share_fit_dense.bias"])
    mask = batch["input_mask"]
    layers = transport(hidden=(states[1:], theirs.states[1:]), attention=(ours.scores, theirs.scores), mask=mask)
    embedding = hidden_mean_square(states[0], theirs.states[0], mask, "padded")
    alpha = options["alpha"]
    terms = prediction_loss(
        ours.logits,
        theirs.logits,
        batch["label_id"],
        alpha=alpha,
        temperature=options["T"],
        form="published",
        regression=ours.logits.shape[1] == 1,
    )
    prediction = alpha * terms["soft"] + (1 - alpha) * terms["hard"]
    transfer = options["theta"] * (layers["hidden"] + layers["attention"]) + embedding
    named = {
        "att_loss": layers["attention"],
        "rep_loss": layers["hidden"],
        "kd_total": prediction,
        "kd_soft": terms["soft"],
        "kd_hard": terms["hard"],
    }
    return named, options["beta"] * transfer + prediction


def _forward(weights: Weights, batch: dict[str, Tensor], heads: int) -> _Output:
    """BERT with pre-softmax scores, additive mask included, and ReLU between pooler and classifier."""

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-12)

    ids = batch["input_ids"]
    tables = "bert.embeddings."
    x = F.embedding(ids, weights[tables + "word_embeddings.weight"], padding_idx=0)
    x = x + weights[tables + "position_embeddings.weight"][: ids.shape[1]]
    x = x + weights[tables + "token_type_embeddings.weight"][batch["segment_ids"]]
    states, scores = [norm(x, tables + "LayerNorm")], []
    additive = (1 - batch["input_mask"].to(x.dtype))[:, None, None, :] * -10000.0
    for layer in range(_layers(weights)):
        x, base = states[-1], f"bert.encoder.layer.{layer}."
        query, key, value = (
            linear(x, f"{base}attention.self.{name}").unflatten(-1, (heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        scores.append(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + additive)
        context = (scores[-1].softmax(-1) @ value).transpose(1, 2).flatten(2)
        x = norm(x + linear(context, base + "attention.output.dense"), base + "attention.output.LayerNorm")
        inner = F.gelu(linear(x, base + "intermediate.dense"))
        states.append(norm(x + linear(inner, base + "output.dense"), base + "output.LayerNorm"))
    pooled = torch.tanh(linear(states[-1][:, 0], "bert.pooler.dense"))
    return _Output(torch.stack(states), torch.stack(scores), linear(pooled.relu(), "classifier"))


def _optimizer(student: Weights, options: dict[str, Any]) -> BertAdam:
    free = [name for name in student if name.endswith(".bias") or "LayerNorm" in name]
    groups: list[dict[str, Any]] = [
        {"params": [student[name] for name in student if name not in free]},
        {"params": [student[name] for name in free], "weight_decay": 0.0},
    ]
    return BertAdam(
        groups,
        lr=options["learning_rate"],
        weight_decay=options["weight_decay"],
        max_grad_norm=options["max_grad_norm_per_tensor"],
    )


def _batch(arrays: Arrays, size: int, step: int) -> dict[str, Tensor]:
    """The step's batch in fixed order; the reference skips the incomplete last batch of an epoch."""
    per_epoch = len(arrays["data__input_ids"]) // size
    start = (step % per_epoch) * size
    names = ("input_ids", "input_mask", "segment_ids", "label_id")
    return {name: arrays.tensor(f"data__{name}")[start : start + size] for name in names}


def _heads(arrays: Arrays, options: dict[str, Any], dtype: torch.dtype) -> int:
    """The number of heads, which the file does not hold: the common divisor that gives its first losses."""
    teacher, student = _weights(arrays, "teacher__", dtype), _weights(arrays, "student__", dtype)
    name = "bert.embeddings.LayerNorm.bias"
    common = math.gcd(len(teacher[name]), len(student[name]))
    batch = _batch(arrays, options["batch"], 0)
    errors = {}
    for heads in (h for h in range(1, common + 1) if common % h == 0):
        transport = LayerTransport(_layers(student), _layers(teacher), reduction="padded")
        losses, _ = _losses(transport, student, teacher, batch, heads, options)
        errors[heads] = max(abs(value.item() - float(arrays[f"loss__{name}"][0])) for name, value in losses.items())
    return min(errors, key=errors.__getitem__)


def _weights(arrays: Arrays, prefix: str, dtype: torch.dtype) -> Weights:
    return {key.removeprefix(prefix): arrays.tensor(key).to(dtype) for key in arrays.named(prefix)}


def _layers(weights: Weights) -> int:
    return len({name.split(".")[3] for name in weights if name.startswith("bert.encoder.layer.")})
