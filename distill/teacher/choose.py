"""The teacher of one run: taken as it is or fine-tuned once, then judged as the student will see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from distill.artifacts import Store
from distill.errors import UserError
from distill.methods.base import Published, Shape, nearest
from distill.models.folder import EncoderFolder, Head, check_span_dropout
from distill.models.student import load_classifier
from distill.tasks import own, tokens
from distill.tasks.base import Task, TaskData
from distill.teacher import ready
from distill.teacher.adopt import adopt
from distill.teacher.beside import Side
from distill.teacher.examine import examine
from distill.teacher.facts import MODEL
from distill.teacher.finetune import TeacherRecipe, finetune
from distill.teacher.recipe import defaults
from distill.teacher.source import OnlineTeacher
from distill.training.loop import Diverged, Evaluation
from distill.training.settings import TRAINING_FIELDS, Numerics, Training, evaluated, parse


@dataclass(frozen=True)
class TeacherWish:
    """What a person wants of the teacher.

    Attributes:
        settings: `lr`, `seed` and training numbers of its own training.
        finetune: Whether it is trained here; "auto" leaves a classifier of the task alone.
        allow_weak: Go on with one that is no better than chance.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    finetune: Literal["auto", "always", "never"] = "auto"
    allow_weak: bool = False


@dataclass(frozen=True)
class Chosen:
    """A teacher that can teach.

    Attributes:
        model: Folder of the classifier, with tokenizer.
        score: Its score as the student sees it, on the rows that choose.
        reported: The same on dev, where held-out rows choose.
        content: Hash of it.
        rows: Artifact of the tokenised rows of its own training, and `recipe` that training; of one that came
            fine-tuned those that it would have had here.
        trained: Whether it was fine-tuned from the encoder here, so that the encoder's own weights are at hand.
    """

    model: Path
    score: float
    trained: bool
    content: str
    shape: Shape
    rows: Path
    recipe: TeacherRecipe
    reported: float | None = None

    def source(self, task: Task, head: Head, numerics: Numerics) -> OnlineTeacher:
        """The teacher in memory, answering batch by batch."""
        return OnlineTeacher(load_classifier(self.model, task, head=head), numerics.device, numerics.autocast)

    def side(self, task: Task, numerics: Numerics) -> Side:
        """The teacher, as a stage is trained on it itself.

        Args:
            numerics: The student's.
        """
        return Side(
            model=str(self.model),
            content=self.content,
            rows=str(self.rows),
            task=task.name,
            training=self.recipe.training.as_dict(),
            lr=self.recipe.lr,
            seed=self.recipe.seed,
            numerics=numerics.as_dict(),
            own_task=own.definition(task) if task.own else None,
        )


def teacher_recipe(
    encoder: EncoderFolder, task: Task, training: Training, published: Published | None, settings: Mapping[str, Any]
) -> TeacherRecipe:
    """How a teacher is fine-tuned: the recipe's numbers, with a person's laid over them.

    Args:
        training: The student's, whose row length it shares unless the recipe says otherwise.
        published: The rest of a published recipe; None in the modern one.
        settings: `lr`, `seed` and training numbers.

    Raises:
        UserError: A name is unknown, a value illegal, or rows may be longer than the encoder can read.
    """
    numbers = {"seed": 0, **defaults(encoder.path, "local", task, training.max_length, published)}
    given: dict[str, Any] = {}
    for name, value in settings.items():
        if name in TRAINING_FIELDS:
            given[name] = parse(name, value)
        elif name in ("lr", "seed"):
            given[name] = _number(name, value)
        else:
            raise UserError(f"teacher_settings has no {name}{nearest(name, ('lr', 'seed', *TRAINING_FIELDS))}")
    numbers |= evaluated(given)
    lr, seed, keep = (numbers.pop(name) for name in ("lr", "seed", "keep"))
    try:
        own = Training(**numbers)
    except UserError as error:
        raise UserError(f"teacher_settings: {error}") from None
    if own.max_length > encoder.positions:
        raise UserError(
            f"max_length={own.max_length} exceeds the {encoder.positions} positions of the teacher; pass "
            f"teacher_settings={{'max_length': {encoder.positions}}}, or less."
        )
    return TeacherRecipe(own, lr, seed, keep)


def _number(name: str, value: Any) -> Any:
    whole = name == "seed"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise UserError(f"teacher_settings: {name}={value!r} is not {'a whole number' if whole else 'a number'}.")
    if not (0 <= value < 2**32 if whole else 0 < value < 1):
        raise UserError(f"teacher_settings: {name}={value!r} must lie between 0 and {'2**32' if whole else '1'}.")
    return value


def choose(
    store: Store,
    name: str,
    encoder: EncoderFolder,
    data: TaskData,
    rows: Path,
    training: Training,
    wish: TeacherWish,
    published: Published | None,
    head: Head,
    numerics: Numerics,
    say: Callable[[str], None],
) -> Chosen:
    """Find the teacher in the store or make it, and refuse one that cannot teach.

    Args:
        name: What a person calls it.
        encoder: Its folder.
        rows: Artifact of the tokenised data that the student reads.
        training: The student's.
        published: The rest of a published recipe; None in the modern one.
        head: Through which the student's loss reads it.
        numerics: The student's; the teacher takes all threads that torch is set to.

    Raises:
        UserError: It must not be fine-tuned and is not ready, its training diverged, or it is no better than chance.
    """
    task = data.task
    everything = replace(numerics, threads=max(numerics.threads, torch.get_num_threads()))
    read = rows
    if ready.mode(wish.finetune, encoder.path, task, name) == "ready":
        if wish.settings:
            raise UserError(
                f"teacher_settings play no part: {name} was fine-tuned for {task.name} already and is taken as it is; "
                'leave them out, or train it again with finetune_teacher="always".'
            )
        say(f"{ready.notice(encoder.path, task)}")
        # It reads what the student does, however long a published teacher's rows were.
        own_length = published and replace(published, teacher={**published.teacher, "max_length": training.max_length})
        recipe = teacher_recipe(encoder, task, training, own_length, {})
        artifact, trained = adopt(store, encoder.path, rows, task, everything, training.evaluation_batch, name), False
    else:
        recipe, trained = teacher_recipe(encoder, task, training, published, wish.settings), True
        rate, span = recipe.training.classifier_dropout, task.kind == "span"
        check_span_dropout(rate, span, encoder.model_type, "teacher", "teacher_settings: ")
        read = tokens.prepare(store, data, encoder.path, recipe.training.max_length)
        artifact = _finetuned(store, name, encoder, read, task, recipe, everything, say)
    facts = store.facts(artifact)
    if head != "own" or read != rows:
        # What the student's loss sees is not what was trained.
        facts = store.facts(examine(store, artifact, rows, task, head, everything, training.evaluation_batch))
    verdict = facts["verdict"]
    where = "dev" if data.report is None else "held-out"
    say(f"Teacher: {name}, {task.metric} {facts['score']:.3f} on {len(data.dev)} {where} rows.")
    if not verdict["ok"] and not wish.allow_weak:
        raise UserError(
            f"The teacher cannot teach: {verdict['reason']}; train it longer or otherwise (teacher_settings), name "
            "another, or go on with allow_weak_teacher=True."
        )
    on_dev = facts.get("report")
    own, shape = store.facts(artifact), _shape(encoder)
    reported = on_dev["score"] if on_dev else None
    return Chosen(artifact / MODEL, facts["score"], trained, own["content"], shape, read, recipe, reported)


def _shape(encoder: EncoderFolder) -> Shape:
    """Layers that run twice count twice, as for the student that meets them."""
    layers = encoder.layers + encoder.repeated
    return Shape(layers, encoder.hidden_size, encoder.heads, encoder.repeated, encoder.model_type)


def _finetuned(
    store: Store,
    name: str,
    encoder: EncoderFolder,
    rows: Path,
    task: Task,
    recipe: TeacherRecipe,
    numerics: Numerics,
    say: Callable[[str], None],
) -> Path:
    def tell(evaluation: Evaluation) -> None:
        say(
            f"Teacher: epoch {evaluation.epoch:g} of {recipe.training.epochs}, {task.metric} {evaluation.value:.3f}, "
            f"{evaluation.seconds:.0f} s."
        )

    try:
        return finetune(store, encoder.path, rows, task, recipe, numerics, tell, name)
    except Diverged as error:
        raise UserError(f"The training of teacher {name} diverged at lr {recipe.lr:g}: {error}; lower it.") from error
