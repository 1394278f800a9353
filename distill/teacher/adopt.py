"""Taking a teacher that was fine-tuned elsewhere: nothing is trained, its labels are brought into the task's order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.artifacts import Store, hash_encoder
from distill.models.labels import label_order
from distill.models.outputs import save_classifier
from distill.models.student import load_classifier
from distill.tasks.base import Task
from distill.tasks.tokens import load_tokenizer
from distill.teacher.facts import KIND, MODEL, PREDICTIONS, judged, reported, sized
from distill.training.batching import Tokens
from distill.training.predictions import predict
from distill.training.settings import Numerics


def identity(folder: Path, tokens: Path, task: Task) -> dict[str, Any]:
    """What determines a teacher that is taken as it is."""
    return {
        # To be raised with any change of how a ready teacher is read.
        "form": 1,
        "mode": "ready",
        "encoder": hash_encoder(folder),
        "tokens": tokens.name,
        "task": task.name,
        **task.chosen_metric,
    }


def adopt(
    store: Store, folder: Path, tokens: Path, task: Task, numerics: Numerics, batch: int, name: str | None = None
) -> Path:
    """The artifact of a ready teacher, in the form of a fine-tuned one: `model/`, dev predictions, facts.

    Args:
        folder: A classifier of the task, with tokenizer (see `ready.misfit`).
        tokens: Artifact of the tokenised data.
        batch: Rows per forward pass.
        name: What people call it; the folder's name where nothing else is said.

    Raises:
        UserError: It cannot be loaded.
    """

    def fill(target: Path) -> dict[str, Any]:
        return {"encoder": name or folder.name, **_take(target, folder, tokens, task, numerics, batch)}

    return store.build(KIND, identity(folder, tokens, task), fill)


def _take(target: Path, folder: Path, tokens: Path, task: Task, numerics: Numerics, batch: int) -> dict[str, Any]:
    started = time.monotonic()
    torch.set_num_threads(numerics.threads)
    model = load_classifier(folder, task)
    dev = Tokens.load(tokens / "dev.npz")
    logits = predict(model.to(numerics.device), dev, batch, numerics.device)
    save_classifier(model, task, target / MODEL)
    load_tokenizer(folder).save_pretrained(target / MODEL)
    np.savez(target / PREDICTIONS, logits=task.units(logits), labels=task.units(dev.gold))
    return {
        **judged(task, logits, dev.gold, made_here=False),
        **reported(task, lambda: model, tokens, target, batch, numerics.device, made_here=False),
        **sized(model, target / MODEL),
        "kept_epoch": None,
        "curve": [],
        "seconds": time.monotonic() - started,
        "threads": numerics.threads,
        "label_order": list(label_order(folder, task)),
    }
