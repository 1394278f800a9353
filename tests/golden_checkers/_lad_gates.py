"""Aggregates, hidden loss and all gradients of LAD's gates, for every configuration in the file.

The file has a gate for each of the teacher's layers, numbered as they act; the first never does. Ours has none for it,
and the method none either for what lies behind the last aggregate that a student's layer learns from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.layer_maps import uniform
from distill.losses.distances import learned_mean_square
from distill.methods.lad import METHOD
from distill.methods.objective import Outputs, Setting, Shape, total
from distill.models.gates import GatedAggregation
from tests.golden_checkers._arrays import Arrays


def check(arrays: Arrays, *, double: bool) -> None:
    cases = [key.removesuffix("__agg") for key in arrays.named() if key.endswith("__agg")]
    assert cases, "no configuration in the file"
    for case in cases:
        _check_case(arrays, f"{case}__", 1e-9 if double else 1e-5)


def _check_case(arrays: Arrays, case: str, rtol: float) -> None:
    teacher, student = (arrays.tensor(f"{case}{whose}_hiddens") for whose in ("teacher", "student"))
    layers, _, length, width = teacher.shape
    upwards, downwards = (bool((arrays[f"{case}agg"][end] == teacher[end].numpy()).all()) for end in (0, -1))
    assert upwards != downwards, f"{case}: neither end of the recursion is a layer itself"
    mask = torch.ones(teacher.shape[1:3], dtype=torch.long)
    targets = uniform(len(student), layers)
    arrays.compare(f"{case}idx", np.array(targets) - 1)

    order = range(1, layers + 1) if upwards else range(layers, 0, -1)
    whole = GatedAggregation(order, width, length).to(teacher.dtype)
    _take_over(arrays, case, whole)
    found = whole([teacher[layer - 1] for layer in order], mask)
    arrays.compare(f"{case}agg", torch.stack([found[layer] for layer in range(1, layers + 1)]), rtol=rtol)
    weight = float(arrays[f"{case}mu"])
    pairs = zip(student, targets, strict=True)
    losses = torch.stack([learned_mean_square(own, found[layer], mask, "padded") for own, layer in pairs])
    arrays.compare(f"{case}hidden_loss_per_layer", losses * weight / len(student), rtol=rtol)

    values: dict[str, Any] = {"hidden": weight, "soft": 0, "hard": 0, "reverse": downwards}
    setting = Setting(
        params=METHOD.resolve(values, "published"),
        recipe="published",
        student=Shape(len(student), width, 1),
        teacher=Shape(layers, width, 1),
        num_labels=2,
        regression=False,
        length=length,
    )
    objective = METHOD.stages[0].objective(setting).to(teacher.dtype)
    aggregation: Any = objective.aggregation
    _take_over(arrays, case, aggregation)
    student.requires_grad_()
    logits = student.new_zeros(student.shape[1], 2)
    outputs = [Outputs(logits, hidden=torch.cat([torch.zeros_like(x[:1]), x])) for x in (student, teacher)]
    loss = total(objective(*outputs, {"attention_mask": mask, "labels": mask[:, 0]}))
    arrays.compare(f"{case}hidden_loss", loss, rtol=rtol)
    loss.backward()
    arrays.compare(f"{case}g_student", student.grad, rtol=rtol)
    for number in range(layers):
        names = [name for name, _ in whole.gates[0].named_parameters()]
        trained = arrays[f"{case}gate{number}__has_grad"]
        ours = dict(aggregation.gates[number - 1].named_parameters()) if 0 < number <= len(aggregation.gates) else {}
        assert len(trained) == len(names)
        assert all(trained) == bool(ours), f"{case}: gate {number} is trained in one of both alone"
        for name in names:
            key = f"{case}g_gate{number}__{name}"
            arrays.compare(key, ours[name].grad if ours else np.zeros(arrays[key].shape), rtol=rtol)
            # What the gate that never acts is drawn as plays no part.
            assert np.isfinite(arrays[f"{case}gate{number}__{name}"]).all()


def _take_over(arrays: Arrays, case: str, aggregation: GatedAggregation) -> None:
    for number, block in enumerate(aggregation.blocks, start=1):
        weights: dict[str, Tensor] = {
            name: arrays.tensor(f"{case}gate{number}__{name}") for name, _ in block.named_parameters()
        }
        block.load_state_dict(weights)
