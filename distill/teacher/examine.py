"""Reading a teacher as the trials will: through another head, or cut to another length, than it was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.artifacts import Store
from distill.models.folder import Head
from distill.models.student import load_classifier
from distill.tasks.base import Task
from distill.teacher.facts import MODEL, PREDICTIONS, judged, reported
from distill.training.batching import Tokens
from distill.training.predictions import predict
from distill.training.settings import Numerics

KIND = "teacher-reading"


def identity(content: str, tokens: Path, task: Task, head: str) -> dict[str, Any]:
    """What determines a reading.

    Args:
        content: Hash of the teacher's weights and tokenizer, as its facts have it.
    """
    # The form is to be raised with any change of how a teacher is read.
    return {"form": 1, "teacher": content, "tokens": tokens.name, "task": task.name, **task.chosen_metric, "head": head}


def examine(
    store: Store,
    teacher: Path,
    tokens: Path,
    task: Task,
    head: Head,
    numerics: Numerics,
    batch: int,
) -> Path:
    """The artifact of one reading: dev predictions, and as facts score and verdict.

    Args:
        teacher: Artifact of a teacher.
        tokens: Artifact of the tokenised data that the trials read.
        head: Through which the trials read the teacher.
        batch: Rows per forward pass.
    """

    facts = store.facts(teacher)
    # Only one that is taken as it is has labels of its own.
    made_here = "label_order" not in facts

    def fill(folder: Path) -> dict[str, Any]:
        torch.set_num_threads(numerics.threads)
        model = load_classifier(teacher / MODEL, task, head=head).to(numerics.device)
        dev = Tokens.load(tokens / "dev.npz")
        logits = predict(model, dev, batch, numerics.device)
        np.savez(folder / PREDICTIONS, logits=task.units(logits), labels=task.units(dev.gold))
        return {
            **judged(task, logits, dev.gold, made_here),
            **reported(task, lambda: model, tokens, folder, batch, numerics.device, made_here),
        }

    return store.build(KIND, identity(facts["content"], tokens, task, head), fill)
