"""Teachers being made or read, in this process or in Ray tasks that tell how far they are."""

from __future__ import annotations

import errno
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from distill.artifacts import Store, key_of
from distill.errors import UserError
from distill.models.folder import Head
from distill.tasks.base import Task
from distill.training.settings import Numerics, Training
from trainables import cluster

if TYPE_CHECKING:
    from distill.training.loop import Evaluation

Say = Callable[[str], None]
# Seconds after which a teacher that is being trained tells how far it is, although it was not evaluated.
SILENCE = 60.0


class Order(Protocol):
    """Something that the store has or a worker can make; pickled on its way."""

    @property
    def store(self) -> str:
        """Folder of the store."""
        ...

    @property
    def label(self) -> str:
        """What begins its lines of progress."""
        ...

    @property
    def cores(self) -> int:
        """Cores that carrying it out takes."""
        ...

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""
        ...

    def names(self) -> list[tuple[str, str]]:
        """Kind and key of every artifact that would do; the first is the one that is made."""
        ...

    def carry_out(self, say: Say) -> Path:
        """Make it in this process."""
        ...

    def too_large(self, what: str) -> str:
        """One sentence for the case that memory did not suffice, which `what` words."""
        ...


class Telling:
    """How far a training is: one line per evaluation, and one a minute while there is none.

    Args:
        say: Takes a line.
        epochs: Of the training.
        value: Puts an evaluation's value into words.
    """

    def __init__(self, say: Say, epochs: int, value: Callable[[float], str]) -> None:
        self._say, self._epochs, self._value = say, epochs, value
        self._told = time.monotonic()

    def evaluated(self, evaluation: Evaluation) -> None:
        """Say what came of an evaluation."""
        self._told = time.monotonic()
        words = f"{self._value(evaluation.value)}, {evaluation.seconds:.0f} s"
        self._say(f"epoch {evaluation.epoch:g} of {self._epochs}, {words}.")

    def stepped(self, done: float) -> None:
        """Say, where nothing was said for long, which epoch it is in."""
        if time.monotonic() - self._told > SILENCE:
            self._told = time.monotonic()
            self._say(f"epoch {done:.2f} of {self._epochs}.")


class Computed:
    """What orders that run a network have in common: their numerics say what they take."""

    numerics: dict[str, Any]

    @property
    def cores(self) -> int:
        """Cores that it takes."""
        return int(self.numerics["threads"])

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self.numerics["device"])


class _OfTeacher(Computed):
    """What orders of teachers have in common."""

    label = "Teacher"

    def names(self) -> list[tuple[str, str]]:
        return [self.key()]

    def key(self) -> tuple[str, str]:
        raise NotImplementedError

    def too_large(self, what: str) -> str:
        return (
            f"The teacher could not be made: {what}; lower --teacher-set batch_size or max_length, or run less at once."
        )


class TeacherDiverged(UserError):
    """A teacher's loss is no longer finite."""


class StoreFull(UserError):
    """The store takes no more."""


@dataclass(frozen=True)
class TeacherOrder(_OfTeacher):
    """Everything a worker needs to fine-tune a teacher, or to take one as it is.

    Attributes:
        name: What people call it.
        tokens: Artifact of the rows it reads.
        mode: "ready" takes it as it is; training, rate and seed then play no part but for the batch of evaluation.
    """

    store: str
    encoder: str
    name: str
    tokens: str
    task: Task
    mode: Literal["finetune", "ready"]
    training: dict[str, Any]
    lr: float
    seed: int
    keep: Literal["best", "last"]
    numerics: dict[str, Any]

    def key(self) -> tuple[str, str]:
        """Kind and key of the artifact in the store."""
        from distill.teacher import adopt, finetune

        encoder, tokens = Path(self.encoder), Path(self.tokens)
        if self.mode == "ready":
            return adopt.KIND, key_of(adopt.identity(encoder, tokens, self.task))
        identity = finetune.identity(encoder, tokens, self.task, self._recipe(), Numerics(**self.numerics))
        return finetune.KIND, key_of(identity)

    def words(self) -> str:
        """What is done, for people."""
        if self.mode == "ready":
            return "taken as it is, nothing is trained"
        epochs = self.training["epochs"]
        return f"fine-tuning for {epochs} epoch{'s' if epochs > 1 else ''} at learning rate {self.lr:g}"

    def carry_out(self, say: Say) -> Path:
        """Make the teacher in this process, one line per evaluation and one a minute while there is none.

        Raises:
            TeacherDiverged: Its loss is not finite.
            UserError: The encoder cannot be loaded.
        """
        from distill.teacher import adopt, finetune
        from distill.training.loop import Diverged

        task = self.task
        telling = Telling(say, self.training["epochs"], lambda value: f"{task.metric} {value:.3f}")
        store, numerics = Store(self.store), Numerics(**self.numerics)
        paths = Path(self.encoder), Path(self.tokens)
        if self.mode == "ready":
            return adopt.adopt(store, *paths, task, numerics, self.training["evaluation_batch"], self.name)
        try:
            recipe = self._recipe()
            return finetune.finetune(
                store, *paths, task, recipe, numerics, telling.evaluated, self.name, telling.stepped
            )
        except Diverged as error:
            raise TeacherDiverged(
                f"The teacher's training diverged at --teacher-lr {self.lr:g}: {error}; lower it."
            ) from error

    def _recipe(self) -> Any:
        from distill.teacher.finetune import TeacherRecipe

        return TeacherRecipe(Training(**self.training), self.lr, self.seed, self.keep)


@dataclass(frozen=True)
class ReadingOrder(_OfTeacher):
    """Everything a worker needs to read a teacher as the trials will.

    Attributes:
        teacher: Artifact of the teacher.
        tokens: Artifact of the rows that the trials read.
        head: Through which they read it.
        batch: Rows per forward pass.
    """

    store: str
    teacher: str
    tokens: str
    task: Task
    head: Head
    batch: int
    numerics: dict[str, Any]

    def key(self) -> tuple[str, str]:
        """Kind and key of the artifact in the store."""
        from distill.teacher import examine

        content = Store(self.store).facts(Path(self.teacher))["content"]
        return examine.KIND, key_of(examine.identity(content, Path(self.tokens), self.task, self.head))

    def carry_out(self, say: Say) -> Path:
        """Read the teacher in this process."""
        from distill.teacher import examine

        return examine.examine(
            Store(self.store),
            Path(self.teacher),
            Path(self.tokens),
            self.task,
            self.head,
            Numerics(**self.numerics),
            self.batch,
        )


def find(order: Order) -> Path | None:
    """The artifact, or one that does as well, if the store has it unharmed."""
    store = Store(order.store)
    return next((path for kind, key in order.names() if (path := store.get(kind, key))), None)


class Remote:
    """An order that a Ray task carries out; what it says comes through a file in the store.

    Args:
        cpus, gpus: What the task takes of the machine.
    """

    def __init__(self, order: Order, cpus: float, gpus: float) -> None:
        import ray

        self._order = order
        place = Path(order.store)
        place.mkdir(parents=True, exist_ok=True)
        self._progress = place / f".progress-{os.getpid()}-{uuid.uuid4().hex}.jsonl"
        self._told = 0
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=2, scheduling_strategy=cluster.where())(_carry_out)
        self.pending = task.remote(order, str(self._progress))

    def lines(self) -> list[str]:
        """What it said since the last call."""
        lines = self._progress.read_text().splitlines(keepends=True) if self._progress.exists() else []
        # The last line may still be on its way.
        whole = [line for line in lines if line.endswith("\n")]
        new = [str(json.loads(line)) for line in whole[self._told :]]
        self._told = len(whole)
        return new

    def result(self) -> Path:
        """The finished artifact; waits for it.

        Raises:
            UserError: What a person can mend.
        """
        import ray

        try:
            return Path(ray.get(self.pending))
        except ray.exceptions.RayTaskError as error:
            # Ray's text is the worker's traceback; what a person can mend is one sentence.
            cause = error.cause
            if isinstance(cause, UserError):
                raise type(cause)(str(cause)) from None
            if type(cause).__name__ == "OutOfMemoryError":
                raise UserError(self._order.too_large("the GPU's memory did not suffice")) from None
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(
                    f"--artifacts {self._order.store} is full ({cause.strerror}); make room, or name another place."
                ) from None
            raise
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
            raise UserError(
                self._order.too_large("its process was ended three times, most likely for want of memory")
            ) from None
        finally:
            self.close()

    def cancel(self) -> None:
        """End the task; what it has half-built is swept up by the next build of the same artifact."""
        import ray

        ray.cancel(self.pending, force=True)
        self.close()

    def close(self) -> None:
        self._progress.unlink(missing_ok=True)


def wait(works: Sequence[Remote], seconds: float) -> list[Remote]:
    """Those that are finished, as soon as one is or the time is over."""
    import ray

    ready, _ = ray.wait([work.pending for work in works], timeout=seconds)
    return [work for work in works if work.pending in ready]


def _carry_out(order: Order, progress: str) -> str:
    def tell(line: str) -> None:
        with Path(progress).open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    return str(order.carry_out(tell))
