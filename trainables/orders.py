"""What the store is asked for beside teachers: tokenised rows, and a teacher's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.artifacts import Store, key_of
from distill.models.folder import Head
from distill.tasks import tokens
from distill.tasks.base import Task, TaskData
from distill.teacher import parts
from distill.training.settings import Numerics
from trainables.teacher_work import Computed, Say


@dataclass(frozen=True)
class TokensOrder:
    """Everything a worker needs to tokenise rows.

    Attributes:
        encoder: Folder with the tokenizer.
        data: The rows.
    """

    store: str
    encoder: str
    data: TaskData
    max_length: int
    label: str = "Rows"
    cores: int = 1
    device: str = "cpu"

    def names(self) -> list[tuple[str, str]]:
        """Kind and key of the artifact in the store."""
        return [(tokens.KIND, key_of(tokens.identity(self.data, Path(self.encoder), self.max_length)))]

    def carry_out(self, say: Say) -> Path:
        """Tokenise them in this process."""
        return tokens.prepare(Store(self.store), self.data, Path(self.encoder), self.max_length)

    def too_large(self, what: str) -> str:
        """What to do where memory did not suffice."""
        return f"The rows could not be tokenised: {what}; use fewer (--max-train-rows)."


@dataclass(frozen=True)
class OutputsOrder(Computed):
    """Everything a worker needs to read a teacher's outputs once for all trials.

    Attributes:
        teacher: Artifact of the teacher.
        tokens: Artifact of the rows that the trials read.
        head: Through which they read the teacher.
        kept: What is kept of its outputs, on which rows.
    """

    store: str
    teacher: str
    tokens: str
    task: Task
    head: Head
    kept: parts.Kept
    numerics: dict[str, Any]
    label: str = "Teacher's outputs"

    def words(self) -> list[str]:
        """What is kept, for people."""
        return [parts.WORDS[part] for part in self.kept.parts]

    def names(self) -> list[tuple[str, str]]:
        """Kind and key of every artifact that would do; the first is the one that is made."""
        from distill.teacher import outputs

        content = Store(self.store).facts(Path(self.teacher))["content"]
        known = outputs.keys(content, Path(self.tokens), self.task, self.head, self.kept, Numerics(**self.numerics))
        return [(outputs.KIND, key) for key in known]

    def carry_out(self, say: Say) -> Path:
        """Read them in this process, with a line now and then.

        Raises:
            UserError: A number is larger than the store's type holds.
        """
        from distill.teacher import outputs

        return outputs.write(
            Store(self.store),
            Path(self.teacher),
            Path(self.tokens),
            self.task,
            self.head,
            self.kept,
            Numerics(**self.numerics),
            say,
        )

    def too_large(self, what: str) -> str:
        """What to do where memory did not suffice."""
        return f"The teacher's outputs could not be read: {what}; lower --set max_length, or free some memory."
