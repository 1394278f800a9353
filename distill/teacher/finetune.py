"""Making a teacher: fine-tune an encoder once, keep the epoch that does best on the rows that choose, or the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from distill import methods
from distill.artifacts import Store, hash_encoder
from distill.models.outputs import save_classifier
from distill.models.student import load_classifier
from distill.tasks.base import Task
from distill.tasks.tokens import load_tokenizer
from distill.teacher.facts import KIND, MODEL, PREDICTIONS, judged, reported, sized
from distill.training.batching import Tokens
from distill.training.loop import Evaluation, Run
from distill.training.settings import Numerics, Training


@dataclass(frozen=True)
class TeacherRecipe:
    """How a teacher is fine-tuned; every field is part of its identity.

    Attributes:
        keep: Whose weights are kept: those of the evaluation that is best on the rows that choose (dev, unless rows
            were held out), or of the last one.
    """

    training: Training
    lr: float
    seed: int
    keep: Literal["best", "last"] = "best"


def identity(encoder: Path, tokens: Path, task: Task, recipe: TeacherRecipe, numerics: Numerics) -> dict[str, Any]:
    """What determines a teacher. Threads are left out: another machine's teacher is as good."""
    return {
        # To be raised with any change of the training loop that changes a teacher.
        "form": 2,
        "encoder": hash_encoder(encoder),
        "tokens": tokens.name,
        "task": task.name,
        # It chooses the epoch, and stands in the facts.
        **task.chosen_metric,
        "training": recipe.training.as_dict(),
        "lr": recipe.lr,
        "seed": recipe.seed,
        "keep": recipe.keep,
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
    name: str | None = None,
    stepped: Callable[[float], None] = lambda epochs: None,
) -> Path:
    """The artifact of a fine-tuned teacher: `model/` (Hugging Face form), dev predictions, facts.

    Args:
        encoder: Folder of the pre-trained encoder, with tokenizer.
        tokens: Artifact of the tokenised data (`train.npz`, `dev.npz`).
        progress: Called after each evaluation.
        name: What people call the encoder; its folder's name where nothing else is said.
        stepped: Called after each optimizer step with the epochs that are done.

    Raises:
        UserError: The encoder cannot be loaded.
        Diverged: Its loss is not finite.
    """

    def fill(folder: Path) -> dict[str, Any]:
        return {
            "encoder": name or encoder.name,
            **_train(folder, encoder, tokens, task, recipe, numerics, progress, stepped),
        }

    return store.build(KIND, identity(encoder, tokens, task, recipe, numerics), fill)


def _train(
    folder: Path,
    encoder: Path,
    tokens: Path,
    task: Task,
    recipe: TeacherRecipe,
    numerics: Numerics,
    progress: Callable[[Evaluation], None],
    stepped: Callable[[float], None],
) -> dict[str, Any]:
    torch.set_num_threads(numerics.threads)
    torch.manual_seed(recipe.seed)
    model = load_classifier(encoder, task, **recipe.training.dropouts)
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
        stepped=stepped,
    )
    kept: Evaluation | None = None
    curve, seconds = [], 0.0
    for evaluation in run:
        progress(evaluation)
        curve.append(evaluation.value)
        seconds += evaluation.seconds
        if recipe.keep == "last":
            kept = evaluation
        elif kept is None or evaluation.value > kept.value:
            kept = evaluation
            save_classifier(model, task, folder / MODEL)
    assert kept is not None
    if recipe.keep == "last":
        save_classifier(model, task, folder / MODEL)
    load_tokenizer(encoder).save_pretrained(folder / MODEL)
    np.savez(folder / PREDICTIONS, logits=task.units(kept.logits), labels=task.units(dev.gold))

    def again() -> Any:
        return load_classifier(folder / MODEL, task).to(numerics.device)

    return {
        **judged(task, kept.logits, dev.gold, made_here=True),
        **reported(task, again, tokens, folder, recipe.training.evaluation_batch, numerics.device, made_here=True),
        **sized(model, folder / MODEL),
        "kept_epoch": kept.epoch,
        "curve": curve,
        "seconds": seconds,
        "threads": numerics.threads,
    }
