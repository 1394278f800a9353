"""Filters that `distill.run` is given, or finds in the store, or has made there, before a student is trained."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distill import given
from distill.arguments import folder_of
from distill.artifacts import Store
from distill.errors import UserError
from distill.methods.base import Method, Shape
from distill.models.folder import EncoderFolder
from distill.tasks.base import Task
from distill.teacher import beside
from distill.teacher.choose import Chosen
from distill.training.settings import Numerics

if TYPE_CHECKING:
    from torch import Tensor

    from distill.training.loop import Evaluation, Run

Folder = str | os.PathLike[str] | None


def ready_made(method: Method, values: dict[str, Any], teacher_filters: Folder, student_filters: Folder) -> ReadyMade:
    """What is given; `values` become such that nothing is trained for it.

    Args:
        values: Hyper-parameters as a person gave them.

    Raises:
        UserError: The method has no filters, or a value would play no part.
    """
    named = {given.TEACHER: teacher_filters, given.STUDENT: student_filters}
    folders = {what: str(found) for what, path in named.items() if (found := folder_of(what, path)) is not None}
    given.refuse_idle(method, folders, values, "")
    values.update(given.idle(method, folders))
    return ReadyMade(folders)


@dataclass(frozen=True)
class ReadyMade:
    """Folders by what they hold, as `distill.given` names it."""

    folders: dict[str, str]

    def check(
        self,
        method: Method,
        values: dict[str, Any],
        task: Task,
        student: tuple[EncoderFolder, Shape],
        teacher: tuple[EncoderFolder, Shape] | None,
    ) -> None:
        """Raise UserError where a folder does not fit.

        Args:
            student, teacher: What each comes from, and its shape.
        """
        given.refuse_unused(method, self.folders, [values])
        for what, folder in self.folders.items():
            assert teacher is not None
            (own, shape), (taught, its) = student, teacher
            fit = given.Fit(shape, its, own.model_type, taught.model_type, taught.vocabulary, task)
            given.check(what, folder, method, values, fit)

    def carried(
        self,
        store: Store,
        method: Method,
        values: dict[str, Any],
        recipe: str,
        student: Shape,
        chosen: Chosen | None,
        numerics: Numerics,
        task: Task,
        say: Callable[[str], None],
    ) -> dict[str, Tensor]:
        """What the student's stages find of the teacher's side: given, found in the store, or made.

        Args:
            chosen: The teacher.
            numerics: The student's.
            say: Takes one line of progress.

        Raises:
            UserError: A loss is not finite.
        """
        from distill.training.loop import Diverged

        found = given.carried(self.folders)
        if method.taken_of_teacher(values) is None or chosen is None or given.TEACHER in self.folders:
            return found
        side = chosen.side(task, numerics)
        inputs = beside.identity(method, values, recipe, student, chosen.shape, side)

        def tell(evaluation: Evaluation) -> None:
            say(
                f"Teacher: stage {evaluation.stage}, epoch {evaluation.epoch:g} of {evaluation.epochs}, loss "
                f"{evaluation.value:.3f}, {evaluation.seconds:.0f} s."
            )

        try:
            return {**found, **beside.carried(beside.make(store, inputs, method, side, tell))}
        except Diverged as error:
            raise UserError(f"What {method.name} trains on the teacher diverged: {error}; lower its rate.") from error

    def begin(self, run: Run) -> None:
        """As `distill.given.begin`."""
        given.begin(run, self.folders)
