"""Seconds per BERT-EMD training step beside the bare student step, and where the time of the former goes.

    python benchmarks/step.py
    python benchmarks/step.py --teacher DIR --student-layers 3,6,9,12 --data-dir DIR --task cola

Two real runs of `distill.training.loop.Run` take turns, step by step, on the same batches: BERT-EMD with its online
teacher, and the same student fine-tuned alone. Their objects are timed from outside; no training code is repeated
here. The teacher is not fine-tuned first: its weights do not change its cost. On a CPU only.

With THP_MEM_ALLOC_ENABLE=0 in the environment, steps do without the large pages that `distill` asks for.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from distill import methods
from distill.errors import UserError
from distill.losses import transport
from distill.losses.layer_transport import LayerTransport
from distill.models import embedded
from distill.models.capture import Capture, shape_of
from distill.models.folder import inspect
from distill.models.layers import evenly
from distill.models.student import load_classifier
from distill.tasks import glue, registry
from distill.tasks.base import Task
from distill.tasks.tokens import load_tokenizer
from distill.teacher.source import OnlineTeacher
from distill.training.batching import Tokens, tokenise
from distill.training.loop import Run
from distill.training.settings import Numerics, Training
from trainables.resources import detect

WARM_UP = 3
PARTS = ("teacher", "student forward", "distances", "transport", "backward", "optimizer", "other")


class Turns:
    """Lets threads run one at a time, in a ring."""

    def __init__(self, names: Sequence[str]) -> None:
        self._ring, self._condition = list(names), threading.Condition()
        self._at = 0

    def wait(self, name: str) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._ring[self._at] == name)

    def give(self) -> None:
        with self._condition:
            self._at = (self._at + 1) % len(self._ring)
            self._condition.notify_all()

    def leave(self, name: str) -> None:
        with self._condition:
            self._ring.remove(name)
            self._at = self._at % len(self._ring) if self._ring else 0
            self._condition.notify_all()


@dataclass
class Clock:
    """Times of one run's steps; parts within parts count once, for the inner one."""

    steps: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)
    _started: float | None = None
    _open: list[tuple[str, float]] = field(default_factory=list)

    def begin(self) -> None:
        self.parts.append(defaultdict(float))
        self._started = time.perf_counter()

    def end(self) -> None:
        if self._started is not None:
            self.steps.append(time.perf_counter() - self._started)
            self._started = None

    def measure(self, part: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # The teacher's forward pass goes through a capture too, and is the teacher's.
        if self._started is None or any(name == "teacher" for name, _ in self._open):
            return function(*args, **kwargs)
        now = time.perf_counter()
        if self._open:
            outer, since = self._open[-1]
            self.parts[-1][outer] += now - since
        self._open.append((part, now))
        try:
            return function(*args, **kwargs)
        finally:
            now = time.perf_counter()
            name, since = self._open.pop()
            self.parts[-1][name] += now - since
            if self._open:
                self._open[-1] = (self._open[-1][0], now)


_CURRENT = threading.local()


def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, its time booked under `part` in the clock of the thread that calls it."""

    # Marks on the function go along: the schedule looks for its own on the optimizer's step.
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        clock: Clock | None = getattr(_CURRENT, "clock", None)
        return function(*args, **kwargs) if clock is None else clock.measure(part, function, *args, **kwargs)

    return wrapped


class PacedTokens(Tokens):
    """Training rows whose every batch waits for its run's turn; a step starts with its batch."""

    def follow(self, name: str, run: Run, clock: Clock, turns: Turns, after: Callable[[], None]) -> PacedTokens:
        object.__setattr__(self, "_pace", (name, run, clock, turns, after))
        return self

    def batch(
        self, rows: np.ndarray, device: torch.device | str = "cpu", length: int | None = None
    ) -> dict[str, torch.Tensor]:
        name, run, clock, turns, after = self.__dict__["_pace"]
        turns.wait(name)
        optimizer, schedule = run._parts["optimizer"], run._parts["schedule"]
        if "step" not in schedule.__dict__:
            for method in ("zero_grad", "step"):
                setattr(optimizer, method, timed("optimizer", getattr(optimizer, method)))
            advance = timed("optimizer", schedule.step)

            def last() -> None:
                advance()
                clock.end()
                after()
                turns.give()

            schedule.step = last
        clock.begin()
        return super().batch(rows, device, length)


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        measure(parse(arguments))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    add_options(parser)
    parser.add_argument("--rows", type=int, help="training rows to draw batches from; default: enough for all steps")
    parser.add_argument("--steps", type=int, default=40, help=f"timed steps of each run, after {WARM_UP} untimed ones")
    asked = parser.parse_args(arguments)
    for name in ("steps", "batch_size", "threads"):
        if getattr(asked, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1.")
    return asked


def add_options(parser: argparse.ArgumentParser) -> None:
    """Both networks, the rows, and how a step is computed."""
    parser.add_argument("--teacher", help="encoder folder; default: the embedded encoder")
    student = parser.add_mutually_exclusive_group()
    student.add_argument("--layers", type=int, default=4, help="layers of the student, chosen evenly")
    student.add_argument("--student-layers", help="layers of the teacher that the student takes, such as 3,6,9,12")
    parser.add_argument("--data-dir", help="folder in GLUE's layout; default: the made-up data")
    parser.add_argument("--task", default="cola")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--autocast", choices=("auto", "bfloat16", "none"), default="auto")


def measure(asked: argparse.Namespace) -> None:
    """Build both runs, let them take turns, print what they took."""
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    folder = inspect(asked.teacher or embedded.folder(), "--teacher")
    name = folder.path.name if asked.teacher else embedded.NAME
    kept = kept_layers(asked, folder.layers)
    bfloat16 = asked.autocast == "bfloat16" or (asked.autocast == "auto" and detect().bfloat16)
    numerics = Numerics("cpu", "bfloat16" if bfloat16 else None, asked.threads)
    task, train, dev = rows(asked, folder.path)
    source = OnlineTeacher(load_classifier(folder.path, task), numerics.device, numerics.autocast)
    epochs = -(-(asked.steps + WARM_UP) // -(-len(train) // asked.batch_size))
    training = Training(epochs=epochs, batch_size=asked.batch_size)
    runs = {
        name: Run(
            method=methods.get(name),
            student=load_classifier(folder.path, task, kept),
            params=methods.get(name).resolve({}, "modern"),
            recipe="modern",
            task=task,
            train=train,
            dev=dev,
            training=training,
            numerics=numerics,
            seed=0,
            source=source if name == "emd" else None,
        )
        for name in ("emd", "ft")
    }
    tokens = float(train.lengths.mean())
    print(
        f"{name}: teacher {folder.layers} x {folder.hidden_size}, student layers "
        f"{', '.join(map(str, kept))} of it ({shape_of(runs['ft'].student).layers} x {folder.hidden_size}); "
        f"{task.name}, batches of {asked.batch_size} rows, {tokens:.1f} tokens a row in the mean; "
        f"{asked.threads} thread(s), autocast {numerics.autocast or 'off'}, torch {torch.__version__}."
    )
    report(take_turns(runs, asked.steps, asked.threads), asked.steps)


def kept_layers(asked: argparse.Namespace, layers: int) -> tuple[int, ...]:
    if asked.student_layers is None:
        return evenly(asked.layers, layers)
    try:
        return tuple(int(part) for part in asked.student_layers.split(","))
    except ValueError:
        raise UserError(f"--student-layers {asked.student_layers} is not a list such as 3,6,9,12.") from None


def rows(asked: argparse.Namespace, folder: Path) -> tuple[Task, Tokens, Tokens]:
    """Training rows for all steps, and a few dev rows, which are only there because a run evaluates."""
    task = registry.get(asked.task)
    if asked.data_dir:
        data = glue.load(task, asked.data_dir)
    else:
        task = task if task.made_up else registry.stand_in(task) or task
        if not task.made_up:
            raise UserError(f"--task {task.name} needs --data-dir: no made-up data stands in.")
        data = glue.load_made_up(task)
    wanted = asked.rows or (asked.steps + WARM_UP) * asked.batch_size
    data = data.limit_train(min(wanted, len(data.train)), seed=0)
    tokenizer, length = load_tokenizer(folder), Training().max_length
    return task, tokenise(data.train, tokenizer, length), tokenise(data.dev.head(64, 0), tokenizer, length)


class Enough(Exception):
    """All steps are timed."""


def take_turns(runs: dict[str, Run], steps: int, threads: int) -> dict[str, Clock]:
    """Run all to the end of their steps, a step of each in turn; the clocks without the first steps."""
    turns, clocks, failures = Turns(list(runs)), {name: Clock() for name in runs}, []
    bar = sys.stderr.isatty()

    def work(name: str) -> None:
        clock = clocks[name]

        def after() -> None:
            done = len(clock.steps)
            if name == "ft" and (bar or done % 10 == 0):
                print(f"step {done} of {steps + WARM_UP}", end="\r" if bar else "\n", file=sys.stderr, flush=True)
            if done == steps + WARM_UP:
                raise Enough

        run = runs[name]
        paced = PacedTokens(**vars(run.train)).follow(name, run, clock, turns, after)
        _CURRENT.clock = clock
        # The number of threads is a setting of the thread that asks.
        torch.set_num_threads(threads)
        try:
            turns.wait(name)
            run.train = paced
            for _ in run:
                pass
        except Enough:
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            turns.leave(name)

    with ExitStack() as patches:
        for owner, function, part in (
            (OnlineTeacher, "answer", "teacher"),
            (Capture, "run", "student forward"),
            (LayerTransport, "__call__", "distances"),
            (transport, "solve", "transport"),
            (transport, "update_weights", "transport"),
            (torch.Tensor, "backward", "backward"),
            (torch.nn.utils, "clip_grad_norm_", "optimizer"),
        ):
            patches.enter_context(mock.patch.object(owner, function, timed(part, getattr(owner, function))))
        workers = [threading.Thread(target=work, args=(name,)) for name in runs]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if failures:
        raise failures[0]
    for clock in clocks.values():
        del clock.steps[:WARM_UP], clock.parts[:WARM_UP]
    return clocks


def report(clocks: dict[str, Clock], steps: int) -> None:
    """Print medians with quartiles, ratios, and the shares of a BERT-EMD step."""
    emd, ft = clocks["emd"], clocks["ft"]
    alone = [step - part["teacher"] for step, part in zip(emd.steps, emd.parts, strict=True)]
    bare = statistics.median(ft.steps)
    print(f"\n{steps} steps of each, in turns on the same batches; ms, median (quartiles)")
    print(f"{'':24}{'ms':>9}{'quartiles':>21}{'x bare':>9}")
    table = [("BERT-EMD step", emd.steps), ("  without the teacher", alone), ("bare student step", ft.steps)]
    for name, values in table:
        print(f"{name:24}{_times(values)}{statistics.median(values) / bare:9.2f}")
    ratios = [one / other for one, other in zip(emd.steps, ft.steps, strict=True)]
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    print(f"{'ratio, batch by batch':24}{middle:9.2f}{f'{low:.2f} to {high:.2f}':>21}")
    print(f"\n{'parts of a step':24}{'BERT-EMD':>9}{'quartiles':>21}{'share':>9}{'bare':>9}")
    for name in PARTS:
        values, others = (_part(clock, name) for clock in (emd, ft))
        share = sum(values) / sum(emd.steps)
        print(f"{name:24}{_times(values)}{share:9.1%}{statistics.median(others) * 1000:9.2f}")


def _part(clock: Clock, name: str) -> list[float]:
    """Seconds of a part in each step; what no other part has booked is "other"."""
    if name == "other":
        return [step - sum(part.values()) for step, part in zip(clock.steps, clock.parts, strict=True)]
    return [part.get(name, 0.0) for part in clock.parts]


def _times(values: list[float]) -> str:
    low, middle, high = np.percentile(np.array(values) * 1000, [25, 50, 75])
    return f"{middle:9.2f}{f'{low:.2f} to {high:.2f}':>21}"


if __name__ == "__main__":
    sys.exit(main())
