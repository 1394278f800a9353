"""The one training loop. A method gives it stages; it never owns a loop itself."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from distill.methods.base import Method, Stage
from distill.methods.objective import Objective, Setting, Shape, Term, flooded, total
from distill.models.capture import Capture, shape_of
from distill.models.filters import head_dropout, head_pools
from distill.models.parameters import named, redraw
from distill.tasks.base import Task
from distill.teacher.source import TeacherSource
from distill.training import checkpoint
from distill.training.batching import Tokens, in_groups, in_parts, training_order
from distill.training.dev_loss import LOSS, judge
from distill.training.optim import build, clip
from distill.training.precision import autocast
from distill.training.predictions import predict, scored
from distill.training.settings import Numerics, Training, of_stage

_START = {"stage": 0, "epoch": 0, "step": 0}


class Diverged(Exception):
    """A loss or a distance is no longer finite; more steps cannot help."""


@dataclass
class Evaluation:
    """One look at the dev rows.

    Attributes:
        number: 1-based, over the stage.
        epoch: Passes over the training rows so far in the stage, in parts of one where the evaluation comes within.
        value: The task's metric; of a stage that does not report the mean total loss on dev, of which less is better.
        metrics: The metric and those shown beside it; or "loss", which is that loss, and the mean of each term.
        terms: Mean of each named loss term over the steps since the last evaluation, and of the total.
        logits: float32 [n, C], in the order of the dev rows, or what stands for them (`predictions.predict`).
        seen: What the method wants shown.
        seconds: Since the last evaluation.
        steps: Optimizer steps since the last evaluation.
        lr: Learning rate of the next step.
        epochs: Passes over the training rows that the stage has in all.
        reporting: Whether it counts for the trial's score.
    """

    stage: str
    number: int
    epoch: float
    value: float
    metrics: dict[str, float]
    terms: dict[str, float]
    logits: np.ndarray
    seen: dict[str, Any]
    seconds: float
    steps: int
    lr: float
    epochs: int
    reporting: bool = True


@dataclass
class Run:
    """One student trained by one method: iterate to train, one `Evaluation` at each of `training.evaluations(rows)`.

    Stages follow each other, each with an optimizer, training numbers and draws of its own: what a stage does depends
    on nothing of those before it but the student's weights.

    Between two evaluations `state()` holds all that is needed to continue bit for bit. When dev is looked at changes
    no weight.

    Args:
        student: A sequence classifier, already initialised.
        params: The method's resolved hyper-parameters, with `lr`.
        training: Of the stage that reports, and of the others but for what they have of their own.
        source: Answers for the teacher; None for methods that need none.
        micro: Into how many parts, at most, each batch is cut that goes forward and backward. Their terms and
            gradients are weighted by their rows, so a step is that of the whole batch but for rounding and the draws
            of dropout, and takes less memory.
        stepped: Called after each optimizer step with the epochs that are done of the stage.
        carried: What objectives find in `Setting.carried` from the start.
        left: What objectives of stages that are over left beside the student's weights.
        seen: What the stages that are over wanted shown.

    Raises:
        ValueError: Batches shall be cut, but a loss of the method is no mean over rows.
    """

    method: Method
    student: Any
    params: dict[str, Any]
    recipe: Literal["modern", "published"]
    task: Task
    train: Tokens
    dev: Tokens
    training: Training
    numerics: Numerics
    seed: int
    source: TeacherSource | None = None
    micro: int = 1
    stepped: Callable[[float], None] = lambda epochs: None
    carried: dict[str, Tensor] = field(default_factory=dict)
    left: dict[str, Tensor] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    # Steps are those done of the epoch.
    _position: dict[str, int] = field(default_factory=lambda: dict(_START))
    _restored: dict[str, Any] | None = None
    _parts: dict[str, Any] = field(default_factory=dict)
    # What the best evaluation of the stage was judged by, with its weights, where the next one begins with these.
    _best: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        # The total of a flooded batch is no mean over its rows.
        if self.micro < 1 or (self.micro > 1 and (self.training.flooding or not self.method.additive)):
            raise ValueError(f"micro={self.micro}: a batch of {self.method.name} cannot be cut into as many parts")

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state()` returned; call before iterating."""
        self._restored = state
        self._position = dict(state["position"])
        self._best, self.left, self.seen = state["best"], dict(state["left"]), dict(state["seen"])

    def state(self) -> dict[str, Any]:
        """Everything that decides the next step: weights, optimizer, schedule, objective, generators, position."""
        self._parts["objective"].flush()
        return {
            "position": dict(self._position),
            "student": self.student.state_dict(),
            "objective": self._parts["objective"].state_dict(),
            "optimizer": self._parts["optimizer"].state_dict(),
            "schedule": self._parts["schedule"].state_dict(),
            "random": checkpoint.random_state(),
            "best": self._best,
            "left": self.left,
            "seen": self.seen,
        }

    def behind(self, stage: int, weights: dict[str, Tensor], left: dict[str, Tensor], seen: dict[str, Any]) -> None:
        """Begin behind stage `stage`, from 0, which left these `weights` of the student; call before iterating."""
        self.student.load_state_dict(weights)
        self.left, self.seen = left, seen
        self._position = {**_START, "stage": stage + 1}

    def __iter__(self) -> Iterator[Evaluation]:
        return self.through(len(self.method.stages) - 1)

    def through(self, last: int) -> Iterator[Evaluation]:
        """Train to the end of stage `last`, from 0, where the student is as the next one begins with it."""
        self.student.to(self.numerics.device)
        if self._restored is not None:
            self.student.load_state_dict(self._restored["student"])
        while self._position["stage"] <= last:
            yield from self._stage(self.method.stages[self._position["stage"]])
            self._position = {**_START, "stage": self._position["stage"] + 1}
            self._best = None

    def rehearse(self, pick: Callable[[Tokens, int], np.ndarray]) -> None:
        """Two optimizer steps of every stage on the same batch, which leave the run of no further use.

        In the second the moments of the optimizer are there from the start, as in all later ones, and with accumulation
        so are the gradients of a batch before. A stage that is judged by its loss is, on one batch.

        Args:
            pick: Row numbers of a split, at most as many as it is told.
        """
        self.student.to(self.numerics.device)
        for stage in self.method.stages:
            capture, objective, per_epoch = self._set_up(stage)
            training: Training = self._parts["training"]
            rows = pick(self.train, training.batch_size)
            try:
                self._train(capture, objective, 2 * [min(2, training.accumulation) * [rows]], per_epoch)
                if not stage.reporting:
                    self._judge(capture, objective, [pick(self.dev, training.evaluation_batch)])
                self.left.update(_copied(objective.leaves()))
            finally:
                capture.close()

    def _set_up(self, stage: Stage) -> tuple[Capture, Objective, int]:
        """All that the steps of a stage work with, and how many steps an epoch has."""
        numerics, student_shape = self.numerics, shape_of(self.student)
        training, lr = of_stage(stage, self.params, self.recipe, self.training)
        teacher_shape: Shape | None = self.source.shape if self.source is not None else None
        objective = stage.objective(
            Setting(
                params=self.params,
                recipe=self.recipe,
                student=student_shape,
                teacher=teacher_shape,
                num_labels=self.task.num_labels,
                regression=self.task.kind == "regression",
                length=training.length,
                carried={**self.carried, **self.left},
                kind=self.student.config.model_type,
                dropout=head_dropout(self.student),
                span=self.task.kind == "span",
                pools=head_pools(self.student),
            )
        ).to(numerics.device)
        if objective.uses_teacher and self.source is None:
            raise ValueError(f"{self.method.name} needs a teacher source")
        trained = named(self.student, stage.trained(self.params, self.recipe, student_shape))
        for name, parameter in self.student.named_parameters():
            # What a stage before left would lie about to the end where this one trains less.
            parameter.requires_grad_(name in trained).grad = None
        per_epoch = training.steps_per_epoch(len(self.train))
        optimizer, schedule = build(self.student, objective, lr, training, training.scheduled_steps(len(self.train)))
        layers = None
        if teacher_shape is not None:
            layers = stage.layers_read(self.params, self.recipe, student_shape, teacher_shape)
        self._parts = {
            "objective": objective,
            "optimizer": optimizer,
            "schedule": schedule,
            "training": training,
            "layers": layers,
            "dropout": stage.dropout(self.recipe),
        }
        if self._restored is not None:
            objective.load_state_dict(self._restored["objective"])
            optimizer.load_state_dict(self._restored["optimizer"])
            schedule.load_state_dict(self._restored["schedule"])
            checkpoint.restore_random_state(self._restored["random"])
            self._restored = None
        return Capture(self.student, objective.needs | objective.own_needs), objective, per_epoch

    def _stage(self, stage: Stage) -> Iterator[Evaluation]:
        number = self._position["stage"]
        if number:
            # The first one has the generator as the run was given it, which is seeded by whoever built the student.
            torch.manual_seed(stage_seed(self.seed, number))
        if self._restored is None:
            redraw(self.student, stage.redraws)
        capture, objective, per_epoch = self._set_up(stage)
        training: Training = self._parts["training"]
        keep = "last" if stage.reporting else stage.keep(self.recipe)
        done = self._position["epoch"] * per_epoch + self._position["step"]
        steps = self._steps()
        try:
            for count, due in enumerate(training.evaluations(len(self.train)), start=1):
                if due <= done:
                    continue
                started = time.monotonic()
                terms = self._train(capture, objective, itertools.islice(steps, due - done), per_epoch)
                metrics, logits = self._look() if stage.reporting else self._judge(capture, objective)
                if keep == "best-metric":
                    metrics.update(scored(self.task, logits, self.dev.gold))
                judged_by = self.task.metric if stage.reporting else LOSS
                value = metrics[judged_by]
                objective.flush()
                if not math.isfinite(value):
                    raise Diverged(f"{judged_by} is not finite at epoch {due / per_epoch:.4g}{self._within()}")
                seen = objective.observation()
                worse = -metrics[self.task.metric] if keep == "best-metric" else value
                is_best = keep != "last" and (self._best is None or worse < self._best["value"])
                if is_best:
                    weights, own = (_copied(module.state_dict()) for module in (self.student, objective))
                    self._best = {"value": worse, "student": weights, "objective": own}
                if not stage.reporting and (is_best or keep == "last"):
                    self.seen.update(seen)
                yield Evaluation(
                    stage=stage.name,
                    number=count,
                    epoch=due / per_epoch,
                    value=value,
                    metrics=metrics,
                    terms=terms,
                    logits=logits,
                    seen={**self.seen, **seen} if stage.reporting else seen,
                    seconds=time.monotonic() - started,
                    steps=due - done,
                    lr=float(self._parts["schedule"].get_last_lr()[0]),
                    epochs=training.epochs,
                    reporting=stage.reporting,
                )
                done = due
            if self._best is not None:
                self.student.load_state_dict(self._best["student"])
                objective.load_state_dict(self._best["objective"])
            self.left.update(_copied(objective.leaves()))
        finally:
            capture.close()

    def _steps(self) -> Iterator[list[np.ndarray]]:
        """Rows of each batch of each optimizer step that is left of the stage."""
        training: Training = self._parts["training"]
        first, skipped = self._position["epoch"], self._position["step"]
        for epoch in range(first, training.epochs):
            batches = training_order(
                self.train.lengths,
                training.batch_size,
                self.seed,
                epoch,
                by_length=training.padding == "longest",
                drop_last=training.drop_last,
            )
            groups = in_groups(batches, training.accumulation)
            yield from itertools.islice(groups, skipped if epoch == first else 0, None)

    def _train(
        self, capture: Capture, objective: Objective, steps: Iterable[list[np.ndarray]], per_epoch: int
    ) -> dict[str, float]:
        """Some optimizer steps; mean of each term over them. Reads nothing back from the device in a step."""
        training, position = self._parts["training"], self._position
        optimizer, schedule = self._parts["optimizer"], self._parts["schedule"]
        sums: dict[str, Tensor] = {}
        count = 0
        self.student.train(self._parts["dropout"])
        objective.train()
        for batches in steps:
            optimizer.zero_grad(set_to_none=True)
            for rows, share in in_parts(batches, self.micro):
                terms = self._forward(capture, objective, rows)
                loss = total(terms)
                (flooded(loss, training.flooding) * share).backward()
                for name, value in [*((n, t.value) for n, t in terms.items()), ("total", loss)]:
                    value = value.detach().float() * share
                    sums[name] = sums[name] + value if name in sums else value
            # BertAdam clips tensor by tensor, and itself.
            if training.clip > 0 and training.optimizer == "adamw":
                clip(optimizer, objective, training.clip)
            optimizer.step()
            schedule.step()
            count += 1
            position["step"] += 1
            if position["step"] == per_epoch:
                position.update(epoch=position["epoch"] + 1, step=0)
            self.stepped(position["epoch"] + position["step"] / per_epoch)
        means = {name: float(value) / count for name, value in sums.items()}
        if not all(math.isfinite(mean) for mean in means.values()):
            broken = ", ".join(name for name, mean in means.items() if not math.isfinite(mean))
            epoch = position["epoch"] + position["step"] / per_epoch
            raise Diverged(f"not finite by epoch {epoch:.4g}{self._within()}: {broken}")
        return means

    def _forward(self, capture: Capture, objective: Objective, rows: np.ndarray) -> dict[str, Term]:
        """Terms of one batch."""
        training: Training = self._parts["training"]
        batch = self.train.batch(rows, self.numerics.device, training.length)
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        answer = None
        with autocast(self.numerics):
            if objective.uses_teacher:
                assert self.source is not None
                answer = self.source.answer(rows, inputs, objective.needs, layers=self._parts["layers"])
            output = capture.run(**inputs)
            try:
                terms: dict[str, Term] = objective(output, answer, batch)
            except FloatingPointError as error:
                raise Diverged(str(error)) from error
        return terms

    def _within(self) -> str:
        """Of which stage, in words, where it is not the one that reports."""
        stage = self.method.stages[self._position["stage"]]
        return "" if stage.reporting else f" of stage {stage.name}"

    def _look(self) -> tuple[dict[str, float], np.ndarray]:
        """Metrics and logits of the dev rows."""
        logits = predict(self.student, self.dev, self.training.evaluation_batch, self.numerics.device)
        return scored(self.task, logits, self.dev.gold), logits

    def _judge(
        self, capture: Capture, objective: Objective, batches: list[np.ndarray] | None = None
    ) -> tuple[dict[str, float], np.ndarray]:
        """Mean loss and terms, and logits, of the dev rows, or of some batches of them."""
        training, layers = self._parts["training"], self._parts["layers"]
        try:
            return judge(
                self.student, capture, objective, self.source, self.dev, training, self.numerics, layers, batches
            )
        except FloatingPointError as error:
            raise Diverged(str(error)) from error


def stage_seed(seed: int, number: int) -> int:
    """Of torch's generator at the beginning of stage `number` (from 0) of a run of that seed."""
    return seed if number == 0 else int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, where they take nothing of a GPU's memory."""
    return {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}
