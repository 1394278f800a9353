"""Making a teacher: fine-tune an encoder once, keep the epoch that does best on dev."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill import methods
from distill.artifacts import Store, hash_encoder
from distill.models.capture import shape_of
from distill.models.student import load_classifier, parameter_count
from distill.tasks.base import Task
from distill.tasks.metrics import teacher_verdict
from distill.tasks.tokens import load_tokenizer
from distill.training.batching import Tokens
from distill.training.loop import Evaluation, Run
from distill.training.settings import Numerics, Training

KIND = "teacher"
MODEL, PREDICTIONS = "model", "predictions.npz"


@dataclass(frozen=True)
class TeacherRecipe:
    """How a teacher is fine-tuned; every field is part of its identity."""

    training: Training
    lr: float
    seed: int


def identity(encoder: Path, tokens: Path, task: Task, recipe: TeacherRecipe, numerics: Numerics) -> dict[str, Any]:
    """What determines a teacher. Threads are left out: another machine's teacher is as good."""
    return {
        # To be raised with any change of the training loop that changes a teacher.
        "form": 1,
        "encoder": hash_encoder(encoder),
        "tokens": tokens.name,
        "task": task.name,
        "training": recipe.training.as_dict(),
        "lr": recipe.lr,
        "seed": recipe.seed,
        "device": numerics.device,
        "autocast": numerics.autocast,
    }


def finetune(
    store: Store,
    encoder: Path,
    tokens: Path,
    task: Task,
    recipe: TeacherRecipe,
    numerics: Numerics,
    progress: Callable[[Evaluation], None] = lambda evaluation: None,
) -> Path:
    """The artifact of a fine-tuned teacher: `model/` (Hugging Face form), dev predictions, facts.

    Args:
        encoder: Folder of the pre-trained encoder, with tokenizer.
        tokens: Artifact of the tokenised data (`train.npz`, `dev.npz`).
        progress: Called after each epoch.

    Raises:
        UserError: The encoder cannot be loaded.
        Diverged: Its loss is not finite.
    """
    return store.build(
        KIND,
        identity(encoder, tokens, task, recipe, numerics),
        lambda folder: _train(folder, encoder, tokens, task, recipe, numerics, progress),
    )


def _train(
    folder: Path,
    encoder: Path,
    tokens: Path,
    task: Task,
    recipe: TeacherRecipe,
    numerics: Numerics,
    progress: Callable[[Evaluation], None],
) -> dict[str, Any]:
    torch.set_num_threads(numerics.threads)
    torch.manual_seed(recipe.seed)
    model = load_classifier(encoder, task)
    train, dev = Tokens.load(tokens / "train.npz"), Tokens.load(tokens / "dev.npz")
    run = Run(
        method=methods.get("ft"),
        student=model,
        params={"lr": recipe.lr},
        recipe="modern",
        task=task,
        train=train,
        dev=dev,
        training=recipe.training,
        numerics=numerics,
        seed=recipe.seed,
    )
    best: Evaluation | None = None
    curve, seconds = [], 0.0
    for evaluation in run:
        progress(evaluation)
        curve.append(evaluation.value)
        seconds += evaluation.seconds
        if best is None or evaluation.value > best.value:
            best = evaluation
            model.save_pretrained(folder / MODEL)
    assert best is not None
    load_tokenizer(encoder).save_pretrained(folder / MODEL)
    np.savez(folder / PREDICTIONS, logits=best.logits, labels=dev.labels)
    shape = shape_of(model)
    return {
        "score": best.value,
        "metric": task.metric,
        "best_epoch": best.epoch,
        "curve": curve,
        "seconds": seconds,
        "parameters": parameter_count(model),
        "layers": shape.layers,
        "hidden_size": shape.hidden_size,
        "heads": shape.heads,
        "content": hash_encoder(folder / MODEL),
        "threads": numerics.threads,
        "verdict": verdict(task, best.logits, dev.labels),
    }


def verdict(task: Task, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Whether a teacher knows its task, as plain numbers: ok, reason, interval, chance."""
    found = teacher_verdict(task.metric, logits, labels)
    return {
        "ok": found.ok,
        "reason": found.reason,
        "interval": [found.score.low, found.score.high],
        "chance": found.chance,
    }
