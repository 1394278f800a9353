"""Names of tasks, methods and axes: one spelling each, and help for the ones that are mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_SPELLINGS = {"sst-2": "sst2", "sst_2": "sst2", "sts-b": "stsb", "sts_b": "stsb"}


class SpaceError(ValueError):
    """A search space, a value or a name that does not hold up; the text is made of whole sentences.

    Attributes:
        problems: One sentence for each fault that was found; the text is these, one a line.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class UnknownName(SpaceError):
    """A name that nothing here carries.

    Attributes:
        nearest: The known name that resembles it most, or None when none does.
    """

    nearest: str | None = None

    @classmethod
    def of(cls, kind: str, name: object, known: Iterable[str], where: str = "") -> UnknownName:
        """Builds the error with its sentence.

        Args:
            kind: What the name should have named, such as "method".
            name: The name as it was given.
            known: Every name that would have been right.
            where: Put before the sentence, such as the file and the key.
        """
        names = list(known)
        close = nearest_name(str(name), names)
        hint = "" if close is None else f"; did you mean {close!r}?"
        error = cls(f"{where}unknown {kind} {name!r}{hint} (known: {', '.join(names) or 'none'})")
        error.nearest = close
        return error


def canonical(task: str) -> str:
    """The one spelling of a task: lower case, "SST-2" as "sst2", "STS-B" as "stsb"."""
    name = task.strip().lower()
    return _SPELLINGS.get(name, name)


def nearest_name(name: str, known: Sequence[str]) -> str | None:
    """The known name that resembles `name` most (case does not count), or None when none is close."""
    by_folded = {k.lower(): k for k in reversed(known)}
    close = difflib.get_close_matches(name.lower(), list(by_folded), n=1, cutoff=0.4)
    return by_folded[close[0]] if close else None
