"""Seconds per BERT-EMD training step with the teacher online and with its outputs on disk, and what these cost.

    python benchmarks/teacher_source.py
    python benchmarks/teacher_source.py --teacher DIR --student-layers 3,6,9,12 --data-dir DIR --task cola

Two real runs of `distill.training.loop.Run` take turns, step by step, on the same batches; they differ in nothing but
who answers for the teacher. There are two epochs: in the first every row's checksum is compared, in the second none.
The files were just written, so they are in the system's page cache. The teacher is not fine-tuned first: its weights do
not change its cost. On a CPU only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from benchmarks import step
from distill import methods
from distill.artifact_command import size_words
from distill.artifacts import Store
from distill.errors import UserError
from distill.models import embedded
from distill.models.folder import inspect
from distill.models.student import load_classifier
from distill.tasks.base import Task
from distill.teacher import outputs, parts
from distill.teacher.cached import CachedTeacher
from distill.teacher.facts import MODEL
from distill.teacher.source import OnlineTeacher
from distill.training.batching import Tokens
from distill.training.loop import Run
from distill.training.settings import Numerics, Training
from trainables.resources import detect


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        measure(parse(arguments))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    step.add_options(parser)
    parser.add_argument("--steps", type=int, default=20, help="steps of each of the two epochs")
    asked = parser.parse_args(arguments)
    if asked.steps <= step.WARM_UP:
        raise UserError(f"--steps must be above {step.WARM_UP}, which are not timed.")
    asked.rows = asked.steps * asked.batch_size
    return asked


def measure(asked: argparse.Namespace) -> None:
    """Read the teacher once, let both runs take turns, print what they took."""
    torch.set_num_threads(asked.threads)
    folder = inspect(asked.teacher or embedded.folder(), "--teacher")
    kept = step.kept_layers(asked, folder.layers)
    bfloat16 = asked.autocast == "bfloat16" or (asked.autocast == "auto" and detect().bfloat16)
    numerics = Numerics("cpu", "bfloat16" if bfloat16 else None, asked.threads)
    task, train, dev = step.rows(asked, folder.path)
    method = methods.get("emd")
    params = method.resolve({}, "modern")
    torch.manual_seed(0)
    teacher = load_classifier(folder.path, task)
    with tempfile.TemporaryDirectory() as place:
        made = written(Store(place), teacher, task, train, parts.kept(method.needs(params, "modern")), numerics)
        facts = Store(place).facts(made)
        print(
            f"{folder.path.name}: teacher {folder.layers} x {folder.hidden_size}, student layers "
            f"{', '.join(map(str, kept))} of it; {task.name}, {len(train)} rows of {train.lengths.mean():.1f} tokens "
            f"in the mean, batches of {asked.batch_size}; {asked.threads} thread(s), autocast "
            f"{numerics.autocast or 'off'}, torch {torch.__version__}."
        )
        print(
            f"On disk: {size_words(facts['bytes'])}, {facts['bytes'] / train.lengths.sum():.0f} bytes a token; the one "
            f"pass took {facts['seconds']:.1f} s, {facts['seconds'] / len(train) * 1000:.2f} ms a row."
        )
        sources: dict[str, Any] = {
            "online": OnlineTeacher(teacher, numerics.device, numerics.autocast),
            "cached": CachedTeacher(made),
        }
        runs = {
            name: Run(
                method=method,
                student=load_classifier(folder.path, task, kept, sharing=method.sharing(params)),
                params=params,
                recipe="modern",
                task=task,
                train=train,
                dev=dev,
                training=Training(epochs=2, batch_size=asked.batch_size),
                numerics=numerics,
                seed=0,
                source=source,
            )
            for name, source in sources.items()
        }
        answer = step.timed("teacher", CachedTeacher.answer)
        with mock.patch.object(CachedTeacher, "answer", answer):
            report(step.take_turns(runs, 2 * asked.steps - step.WARM_UP, asked.threads), asked.steps - step.WARM_UP)


def written(store: Store, teacher: Any, task: Task, train: Tokens, held: tuple[str, ...], numerics: Numerics) -> Path:
    """The artifact of the teacher's outputs on all rows."""

    def model(folder: Path) -> dict[str, Any]:
        teacher.save_pretrained(folder / MODEL)
        return {"content": "benchmark", "encoder": "benchmark"}

    def rows(folder: Path) -> None:
        train.save(folder / "train.npz")

    made, tokens = store.build("teacher", {}, model), store.build("tokens", {}, rows)
    return outputs.write(store, made, tokens, task, "own", parts.Kept(held), numerics)


def report(clocks: dict[str, step.Clock], first: int) -> None:
    """Print the medians of steps and of the teacher's part in them, epoch by epoch.

    Args:
        first: Timed steps of the first epoch.
    """
    print(f"\n{'ms, median (quartiles)':28}{'online':>32}{'cached':>32}{'online / cached':>17}")
    epochs = (("first epoch", slice(0, first)), ("second epoch", slice(first, None)))
    for word, part in epochs:
        whole = {name: clock.steps[part] for name, clock in clocks.items()}
        asked = {name: [found["teacher"] for found in clock.parts[part]] for name, clock in clocks.items()}
        for what, values in ((f"step, {word}", whole), (f"  teacher, {word}", asked)):
            ratio = statistics.median(a / b for a, b in zip(values["online"], values["cached"], strict=True))
            print(f"{what:28}{_times(values['online'])}{_times(values['cached'])}{ratio:17.2f}")


def _times(values: list[float]) -> str:
    low, middle, high = np.percentile(np.array(values) * 1000, [25, 50, 75])
    return f"{f'{middle:.2f} ({low:.2f} to {high:.2f})':>32}"


if __name__ == "__main__":
    sys.exit(main())
