"""The last layer of a classifier, between how its folder answers and how it learns.

In a folder labels have the order that `id2label` says, and scores the units of the rows. While it learns a classifier
has the labels in the task's order, and scores count from `Task.center` in steps of `Task.scale`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from distill.models.labels import label_order
from distill.models.parameters import output_layer
from distill.tasks.base import Task


def as_learned(model: Any, folder: Path, task: Task) -> None:
    """Turn a classifier as its folder has it into one that learns `task`, in place."""
    if task.kind == "classification":
        reorder(model, label_order(folder, task))
    elif task.in_steps:
        _, layer = output_layer(model)
        with torch.no_grad():
            layer.weight /= task.scale
            layer.bias.copy_((layer.bias.double() - task.center) / task.scale)


def in_units(model: Any, task: Task) -> None:
    """Let a classifier that learned `task` give scores in the units of its rows, in place."""
    if task.in_steps:
        _, layer = output_layer(model)
        with torch.no_grad():
            layer.weight *= task.scale
            layer.bias.copy_(layer.bias.double() * task.scale + task.center)


def save_classifier(model: Any, task: Task, folder: Path) -> None:
    """Write a classifier that learns `task` as its folder has it; the model stays as it is."""
    with _for_the_folder(model, task):
        model.save_pretrained(folder)


@contextmanager
def _for_the_folder(model: Any, task: Task) -> Iterator[None]:
    if not task.in_steps:
        yield
        return
    _, layer = output_layer(model)
    kept = [parameter.detach().clone() for parameter in (layer.weight, layer.bias)]
    in_units(model, task)
    try:
        yield
    finally:
        # Bit for bit, so that saving changes nothing of what is learned.
        with torch.no_grad():
            for parameter, value in zip((layer.weight, layer.bias), kept, strict=True):
                parameter.copy_(value)


def reorder(model: Any, order: tuple[int, ...]) -> None:
    """Let output i of a classifier be what its output `order[i]` was."""
    _, layer = output_layer(model)
    rows = torch.tensor(order)
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            parameter.copy_(parameter[rows].clone())
