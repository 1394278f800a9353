"""From a point's flat parameters and the folders that trials share to a run, alike behind every door."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from distill.methods.base import Method
from distill.models.embeddings import give
from distill.models.folder import Head
from distill.models.student import load_classifier
from distill.tasks.base import Task
from distill.teacher.source import TeacherSource
from distill.training.batching import Tokens
from distill.training.loop import Run
from distill.training.settings import Numerics, Training, split


def assemble(
    method: Method,
    task: Task,
    student: str | Path,
    kept: tuple[int, ...] | None,
    splits: tuple[Tokens, Tokens],
    *,
    params: dict[str, Any],
    training: Training,
    numerics: Numerics,
    recipe: Literal["modern", "published"] = "modern",
    head: Head = "own",
    seed: int = 0,
    source: TeacherSource | None = None,
    teacher: str | Path | None = None,
    micro: int = 1,
    carried: dict[str, Tensor] | None = None,
) -> Run:
    """A run that starts from weights of a folder, with torch's generator as a fresh run of that seed has it.

    Sets torch's threads and its generator for the whole process, so iterate over the run before drawing numbers.

    Args:
        method: What the student is trained by.
        task: Decides labels and metric.
        student: Encoder folder that the first weights come from.
        kept: Layers that the student keeps of it, from 1; all when None.
        splits: Training and dev rows, tokenised.
        params: The method's resolved hyper-parameters, and training numbers that are the point's own.
        training: Every other training number.
        numerics: Device, type and threads.
        recipe: Form of the method's losses.
        head: How logits are read.
        seed: Of new weights, dropout and the order of rows.
        source: Answers for the teacher; None for methods that need none.
        teacher: Folder of the teacher, from which a method may take the student's embeddings.
        micro: Into how many parts, at most, each batch is cut (see `Run`).
        carried: What the stages find there from the start (see `Run`).

    Raises:
        UserError: The folder cannot be loaded, has no such layers or head, or cannot share layers as the point asks; or
            the teacher's embeddings do not fit.
    """
    own, training = split(params, training)
    torch.set_num_threads(numerics.threads)
    torch.manual_seed(seed)
    model = load_classifier(student, task, kept, head=head, sharing=method.sharing(own), **training.dropouts)
    give(model, method.embeddings(own), teacher, task)
    run = Run(
        method=method,
        student=model,
        params=own,
        recipe=recipe,
        task=task,
        train=splits[0],
        dev=splits[1],
        training=training,
        numerics=numerics,
        seed=seed,
        source=source,
        micro=micro,
        carried=carried or {},
    )
    # How many numbers the new weights took must not decide the dropout.
    torch.manual_seed(seed)
    return run
