"""The embeddings that a student begins with, where they are not those that come with its layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill.errors import UserError
from distill.methods.base import Embeddings
from distill.models.architectures import architecture
from distill.models.student import load_classifier
from distill.tasks.base import Task


def give(student: Any, whose: Embeddings, teacher: str | Path | None, task: Task) -> None:
    """Put others in place of a student's embeddings: words, positions, types, and what normalises and projects them.

    Weights of the distances between tokens are positions too, where all layers have them in common.

    Args:
        student: A sequence classifier on a BERT-like encoder, on the CPU.
        whose: "pretrained" leaves them; "random" draws them as a new encoder has them, N(0, `initializer_range`) and
            normalisation at 1 and 0, from torch's generator; "teacher" copies those of the teacher.
        teacher: Its folder.
        task: Of both.

    Raises:
        UserError: The teacher's have another size.
        ValueError: There is no teacher to take them from.
    """
    if whose == "random":
        for part in _parts(student).values():
            _draw(part, student.config.initializer_range)
    elif whose == "teacher":
        if teacher is None:
            raise ValueError("the student shall have the teacher's embeddings, and there is no teacher")
        _copy(student, load_classifier(teacher, task))


def _parts(model: Any) -> dict[str, nn.Module]:
    """By their names: some project embeddings, or have some of their positions elsewhere."""
    modules = dict(model.base_model.named_modules())
    names = (name.rstrip(".") for name in architecture(model.config.model_type).embeddings)
    return {name: modules[name] for name in names if name in modules}


@torch.no_grad()
def _draw(part: nn.Module, spread: float) -> None:
    for module in part.modules():
        if isinstance(module, nn.Embedding):
            module.weight.normal_(std=spread)
            if module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.Linear):
            module.weight.normal_(std=spread)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _copy(student: Any, teacher: Any) -> None:
    own, theirs = _parts(student), _parts(teacher)
    for name, part in own.items():
        given = theirs[name].state_dict() if name in theirs else {}
        for weight, value in part.state_dict().items():
            if weight not in given or given[weight].shape != value.shape:
                raise UserError(
                    f"The teacher's embeddings have no {weight} of {' × '.join(map(str, value.shape))} as the "
                    "student's have: --set embeddings=pretrained, or choose a --student of the teacher's own kind."
                )
        part.load_state_dict(given)
