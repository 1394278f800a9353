"""Seconds per BERT-EMD step under the modern and the published recipe, side by side.

    python benchmarks/recipes.py
    python benchmarks/recipes.py --teacher DIR --student DIR --data-dir DIR --task cola

Both runs are real (`distill.training.loop.Run`) and take turns, some steps of each, on rows of the same training set,
with the same student and teacher. The published recipe pads every row to 64 tokens, reads both networks through a
ReLU, always projects, and steps with BertAdam. The teacher is not fine-tuned first: its weights do not change its
cost. On a CPU only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from distill import methods
from distill.errors import UserError
from distill.models import embedded
from distill.models.folder import inspect
from distill.models.layers import evenly
from distill.models.student import load_classifier
from distill.tasks import glue, registry
from distill.tasks.tokens import load_tokenizer
from distill.teacher.source import OnlineTeacher
from distill.training.batching import tokenise
from distill.training.loop import Evaluation, Run
from distill.training.settings import Numerics, Training
from trainables.resources import detect

# Few dev rows: an evaluation's time is in a turn's, and both recipes pay the same.
_DEV_ROWS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        measure(parse(arguments))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--teacher", help="encoder folder; default: the embedded encoder")
    parser.add_argument("--student", help="encoder folder; default: layers of the teacher")
    parser.add_argument("--layers", type=int, default=4, help="layers of a student cut from the teacher")
    parser.add_argument("--data-dir", help="folder in GLUE's layout; default: the made-up data")
    parser.add_argument("--task", default="cola")
    parser.add_argument("--turns", type=int, default=8, help="timed turns of each recipe, after an untimed one")
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    for name in ("layers", "turns", "steps", "threads"):
        if getattr(asked, name) < 1:
            raise UserError(f"--{name} must be at least 1.")
    return asked


def measure(asked: argparse.Namespace) -> None:
    """Let both recipes take turns and print what a step of each took."""
    torch.set_num_threads(asked.threads)
    runs = {recipe: iter(build(asked, recipe)) for recipe in ("modern", "published")}
    seconds: dict[str, list[float]] = {recipe: [] for recipe in runs}
    for turn in range(asked.turns + 1):
        for recipe, run in runs.items():
            taken = one_turn(run) / asked.steps
            if turn:
                seconds[recipe].append(taken)
        print(f"turn {turn} of {asked.turns}", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
    middle = {recipe: statistics.median(values) for recipe, values in seconds.items()}
    ratios = [old / new for old, new in zip(seconds["published"], seconds["modern"], strict=True)]
    print(f"\n{asked.turns} turns of {asked.steps} steps each; ms a step, median (lowest to highest turn)")
    for recipe, values in seconds.items():
        print(f"{recipe:12}{1000 * middle[recipe]:9.1f}  ({1000 * min(values):.1f} to {1000 * max(values):.1f})")
    print(
        f"published over modern: {statistics.median(ratios):.2f} turn by turn ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def one_turn(run: Iterator[Evaluation]) -> float:
    """Seconds of the steps up to the next look at the dev rows, that look included."""
    evaluation = next(run)
    return evaluation.seconds


def build(asked: argparse.Namespace, recipe: str) -> Run:
    """A run of the method's default point under a recipe."""
    method = methods.get("emd")
    assert method.published is not None
    published = recipe == "published"
    torch.manual_seed(0)
    folder = inspect(asked.teacher or embedded.folder(), "--teacher")
    student = inspect(asked.student, "--student") if asked.student else folder
    kept = None if asked.student else evenly(asked.layers, folder.layers)
    task = registry.get(asked.task)
    if asked.data_dir:
        data = glue.load(task, asked.data_dir)
    else:
        task = task if task.made_up else registry.stand_in(task) or task
        data = glue.load_made_up(task)
    base = Training(**method.published.training) if published else Training()
    data = data.limit_train(min((asked.turns + 1) * asked.steps * base.batch_size, len(data.train)), seed=0)
    steps = base.steps_per_epoch(len(data.train))
    epochs = -(-(asked.turns + 1) * asked.steps // steps)
    training = replace(base, epochs=epochs, evaluations_per_epoch=1, evaluation_steps=asked.steps)
    tokenizer = load_tokenizer(folder.path)
    numerics = Numerics("cpu", "bfloat16" if detect().bfloat16 else None, asked.threads)
    head = method.head(recipe)
    if not published:
        print(
            f"Teacher {folder.layers} x {folder.hidden_size}, student {len(kept) if kept else student.layers} x "
            f"{student.hidden_size}; {task.name}, batches of {training.batch_size} rows; {asked.threads} thread(s), "
            f"autocast {numerics.autocast or 'off'}, torch {torch.__version__}."
        )
    params = method.resolve({}, recipe)
    return Run(
        method=method,
        student=load_classifier(student.path, task, kept, head=head, sharing=method.sharing(params)),
        params=params,
        recipe="published" if published else "modern",
        task=task,
        train=tokenise(data.train, tokenizer, training.max_length),
        dev=tokenise(data.dev.head(_DEV_ROWS, 0), tokenizer, training.max_length),
        training=training,
        numerics=numerics,
        seed=0,
        source=OnlineTeacher(load_classifier(folder.path, task, head=head), "cpu", numerics.autocast),
    )


if __name__ == "__main__":
    sys.exit(main())
