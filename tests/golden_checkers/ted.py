"""TED: filters, their losses and gradients in both stages, for classification, regression and question answering."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distill import layer_maps
from distill.losses.adaptors import hidden_distances
from distill.losses.logits import distillation_kl
from distill.losses.task_aware import filtered_task_loss, listwise_divergence, span_cross_entropy, span_divergence
from distill.models.filters import FilterHeads, Filters, SpanHeads
from tests.golden_checkers._arrays import Arrays
from tests.golden_checkers._deberta import Deberta

# Fixed in the program.
_TEMPERATURE = 2.0
_METHODS = ("ted", "lwd", "kd")


@dataclass
class Side:
    """One network of a file with its filters, and what they make of its states.

    Attributes:
        layers: Behind which there is a filter.
        names: The file's name of each parameter of filters and heads.
    """

    filters: Filters
    heads: Any
    layers: tuple[int, ...]
    names: dict[str, nn.Parameter]
    states: Tensor


def check(stem: str, arrays: Arrays) -> None:
    """Check the file of this name; fails on a kind that is not known."""
    match = re.fullmatch(r"ted_\w+_f(32|64)", stem)
    assert match, f"unknown kind of TED golden: {stem}"
    rtol = 1e-9 if match[1] == "64" else 2e-5
    # In classification the program computes the task's loss in float32 whatever the inputs are.
    hard = rtol if "start_positions" in arrays or match[1] == "32" else 1e-6
    assert "config_t_s_layers_intervals_nonlinear" in arrays, f"unknown kind of TED golden: {stem}"
    counts = [int(value) for value in arrays["config_t_s_layers_intervals_nonlinear"]]
    sides = {
        "teacher": _side(arrays, "teacher", counts[0], counts[2], bool(counts[4])),
        "student": _side(arrays, "student", counts[1], counts[3], bool(counts[4])),
    }
    assert layer_maps.intervals(counts[1], counts[0], counts[3], counts[2]) == (counts[3], counts[2])
    for who, side in sides.items():
        _first_stage(arrays, f"stage1/{who}/", side, rtol, hard)
    models = {who: Deberta(arrays, who, side.states, rtol) for who, side in sides.items()}
    _second_stage(arrays, sides, models["student"], rtol, hard)


def _side(arrays: Arrays, who: str, count: int, interval: int, nonlinear: bool) -> Side:
    states = arrays.tensor(f"stage1/{who}/hidden_states")
    assert len(states) == count + 1
    layers = layer_maps.every(count, interval)
    width = arrays[f"stage1/{who}/filter_state_0"].shape[-1]
    filters = Filters(len(layers), states.shape[-1], width, nonlinear)
    labels = len(arrays[f"W/{who}/filter_head.0.bias"])
    spans = "start_positions" in arrays
    heads: Any = SpanHeads(len(layers), width) if spans else FilterHeads(len(layers), width, labels, "deberta-v2")
    names: dict[str, nn.Parameter] = {}
    for place, layer in enumerate(layers):
        stems = [(f"deberta.encoder.layer.{layer - 1}.filter.", filters.filters[place])]
        stems.append((f"filter_head.{place}.", heads.heads[place]))
        if not spans:
            stems.append((f"filter_pooler.{place}.", heads.poolers[place]))
        for stem, module in stems:
            keys = [key.removeprefix(f"W/{who}/") for key in arrays.named(f"W/{who}/{stem}")]
            names.update(zip(keys, module.parameters(), strict=True))
    for name, parameter in names.items():
        parameter.data = arrays.tensor(f"W/{who}/{name}")
    return Side(filters, heads, layers, names, states)


def _first_stage(arrays: Arrays, prefix: str, side: Side, rtol: float, hard: float) -> None:
    states = side.filters(side.states[list(side.layers)])
    for place, state in enumerate(states):
        arrays.compare(f"{prefix}filter_state_{place}", state, rtol=rtol)
    if "start_positions" in arrays:
        start, end = side.heads(states)
        logits = torch.stack([start, end], dim=-1)
        gold = arrays.tensor("start_positions"), arrays.tensor("end_positions")
        loss = span_cross_entropy(start, end, *gold, mask=None)
    else:
        logits = side.heads(states[:, :, 0])
        labels = arrays.tensor("labels")
        loss = filtered_task_loss(logits, labels, regression=labels.is_floating_point())
    for place, each in enumerate(logits):
        key = f"{prefix}filter_logits_{place}"
        arrays.compare(key, each.reshape(arrays[key].shape), rtol=rtol)
    arrays.compare(f"{prefix}loss", loss, rtol=hard)
    gradients = torch.autograd.grad(loss, list(side.names.values()))
    assert sorted(arrays.named(f"{prefix}grad/")) == sorted(f"{prefix}grad/{name}" for name in side.names)
    for name, gradient in zip(side.names, gradients, strict=True):
        arrays.compare(f"{prefix}grad/{name}", gradient, rtol=hard, atol=hard * 1e-3)
    arrays.compare(f"{prefix}n_trainable", sum(parameter.numel() for parameter in side.names.values()))


def _second_stage(arrays: Arrays, sides: dict[str, Side], model: Deberta, rtol: float, hard: float) -> None:
    cases = arrays["stage2_cases"]
    for row, (kind, kl_alpha, mse_alpha, *_) in enumerate(cases.tolist()):
        name = _METHODS[int(kind)]
        logits = {who: _logits(arrays, name, who) for who in sides}
        student, teacher = _filtered(name, sides)
        mask = arrays.tensor("attention_mask")
        hard_loss, soft = _predictions(arrays, logits)
        distances = hidden_distances(student, teacher, mask, "padded")
        masked = hidden_distances(student, teacher, mask, "masked")
        if mse_alpha:
            for place in range(len(student)):
                arrays.compare(f"stage2/{name}/student_state_{place}", student[place], rtol=rtol)
                arrays.compare(f"stage2/{name}/teacher_state_{place}", teacher[place], rtol=rtol)
                arrays.compare(f"stage2/{name}/mse_layer_{place}", distances[place], rtol=rtol)
                arrays.compare(f"stage2/{name}/CONTRAST_masked_mse_layer_{place}", masked[place], rtol=rtol)
        kl = soft if kl_alpha else soft * 0
        mse = distances.mean() if mse_alpha else soft * 0
        total = hard_loss + kl_alpha * kl + mse_alpha * mse
        found = {"pred_loss": hard_loss, "kl_loss": kl, "mse_loss": mse, "loss": total}
        stem = f"stage2/{name}_kl{kl_alpha:g}_mse{mse_alpha:g}/"
        for place, (loss, value) in enumerate(found.items(), start=3):
            within = hard if loss in ("pred_loss", "loss") else rtol
            arrays.compare(f"{stem}{loss}", value, rtol=within)
            arrays.compare("stage2_cases", value, index=(row, place), rtol=within)
    for name in _METHODS:
        if arrays.named(f"stage2/{name}/grad/"):
            _gradients(arrays, name, sides, model, hard)


def _filtered(name: str, sides: dict[str, Side], states: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What is compared of student and teacher; with LWD the teacher's states are taken as they are."""
    student, teacher = sides["student"], sides["teacher"]
    own = (student.states if states is None else states)[list(student.layers)]
    wanted = teacher.states[list(teacher.layers)]
    return student.filters(own), wanted if name == "lwd" else teacher.filters(wanted)


def _logits(arrays: Arrays, name: str, who: str) -> tuple[Tensor, ...]:
    keys = [f"stage2/{name}/{who}_{part}logits" for part in ("", "start_", "end_")]
    return tuple(arrays.tensor(key) for key in keys if key in arrays)


def _predictions(arrays: Arrays, logits: dict[str, tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """The task's loss on the labels and the divergence from the teacher, in the published forms."""
    student, teacher = logits["student"], logits["teacher"]
    if len(student) == 2:
        gold = arrays.tensor("start_positions"), arrays.tensor("end_positions")
        pairs = (student[0], student[1]), (teacher[0], teacher[1])
        return span_cross_entropy(*student, *gold, mask=None), span_divergence(*pairs, _TEMPERATURE, None)
    labels = arrays.tensor("labels")
    if labels.is_floating_point():
        loss = functional.mse_loss(student[0].reshape(-1), labels.reshape(-1).to(student[0].dtype))
        return loss, listwise_divergence(student[0], teacher[0], _TEMPERATURE)
    return functional.cross_entropy(student[0], labels), distillation_kl(student[0], teacher[0], _TEMPERATURE)


def _gradients(arrays: Arrays, name: str, sides: dict[str, Side], model: Deberta, rtol: float) -> None:
    """Of the total with kl_alpha 20 and mse_alpha 100, through the whole student."""
    states = model.states()
    student, teacher = _filtered(name, sides, torch.stack(states))
    own = _head(arrays, states[-1])
    for key, value in zip(_keys(arrays, name), own, strict=True):
        arrays.compare(key, value.reshape(arrays[key].shape), rtol=max(rtol, 1e-9))
    hard, soft = _predictions(arrays, {"student": own, "teacher": _logits(arrays, name, "teacher")})
    mask = arrays.tensor("attention_mask")
    total = hard + 20 * soft + 100 * hidden_distances(student, teacher, mask, "padded").mean()
    parameters = {f"deberta.{k}": p for k, p in model.model.named_parameters()} | dict(sides["student"].names)
    prefix = f"stage2/{name}/grad/"
    for key in arrays.named(prefix):
        parameter = parameters[key.removeprefix(prefix)]
        (gradient,) = torch.autograd.grad(total, parameter, retain_graph=True)
        arrays.compare(key, gradient, rtol=rtol, atol=rtol * 1e-3)


def _keys(arrays: Arrays, name: str) -> list[str]:
    return [key for part in ("", "start_", "end_") if (key := f"stage2/{name}/student_{part}logits") in arrays]


def _head(arrays: Arrays, last: Tensor) -> tuple[Tensor, ...]:
    """The student's own logits: from the first token, or start and end of every token."""

    def linear(x: Tensor, stem: str) -> Tensor:
        return functional.linear(x, *(arrays.tensor(f"W/student/{stem}.{part}") for part in ("weight", "bias")))

    if "start_positions" in arrays:
        return linear(last, "qa_outputs").unbind(-1)
    logits = linear(functional.gelu(linear(last[:, 0], "pooler.dense")), "classifier")
    return (logits.squeeze(-1) if logits.shape[-1] == 1 else logits,)
