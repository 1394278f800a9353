"""Building students and teachers as sequence classifiers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from distill.errors import UserError
from distill.models.capture import encoder_layers
from distill.tasks.base import Task


def load_classifier(path: str | Path, task: Task, layers: tuple[int, ...] | None = None) -> Any:
    """A sequence classifier with `task`'s labels from an encoder folder, in float32.

    Missing weights (classifier, and pooler where the folder has none) are drawn from torch's generator, so seed
    it before.

    Raises:
        UserError: The folder cannot be loaded, or a layer of `layers` does not exist.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    labels = dict(enumerate(task.labels)) if task.kind == "classification" else {0: "score"}
    try:
        config = AutoConfig.from_pretrained(path)
        # The folder may come from another task, whose problem type forbids this one's number of labels.
        config.problem_type = None
        config.id2label, config.label2id = labels, {name: i for i, name in labels.items()}
        config.problem_type = "regression" if task.kind == "regression" else "single_label_classification"
        model = AutoModelForSequenceClassification.from_pretrained(path, config=config, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"The encoder in {path} cannot be loaded: {reason}") from error
    if layers is not None:
        kept = encoder_layers(model)
        if not layers or min(layers) < 1 or max(layers) > len(kept):
            raise UserError(f"--student-layers {layers} does not fit an encoder of {len(kept)} layers.")
        model.base_model.encoder.layer = nn.ModuleList(kept[i - 1] for i in layers)
        model.config.num_hidden_layers = len(layers)
    return model


def parameter_count(model: nn.Module) -> int:
    """Number of distinct parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
