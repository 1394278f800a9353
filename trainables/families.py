"""Several sweeps under one parent folder: schema and reader of `family.json`. Imports neither Ray nor torch.

Each child is a sweep complete in itself, in a folder of its own; the parent adds only which sweeps belong together,
and a report over them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import UserError
from trainables.record import SWEEP, Record, read

SCHEMA, FAMILY = 1, "family.json"


@dataclass(frozen=True)
class Family:
    """A parent folder as its `family.json` tells it.

    Attributes:
        content: schema, tool, created, command, config, and `children` in their order, each with the `name` of its
            folder and the options it `changes`.
    """

    path: Path
    content: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The children's folders, in their order."""
        return [str(child["name"]) for child in self.content["children"]]

    @property
    def methods(self) -> list[str]:
        """The methods that are compared; none where the children are of one."""
        return [str(name) for name in self.content["config"].get("methods") or ()]

    @property
    def folders(self) -> list[Path]:
        return [self.path / name for name in self.names]

    def records(self) -> dict[str, Record]:
        """Records of the children that are there, by name; a kill while they were written may leave some out.

        Raises:
            UserError: A child cannot be read.
        """
        return {folder.name: read(folder) for folder in self.folders if (folder / SWEEP).exists()}


def is_family(path: Path | str) -> bool:
    """Whether the folder is the parent of several sweeps."""
    return (Path(path) / FAMILY).exists()


def read_family(path: Path | str) -> Family:
    """Read a parent folder.

    Raises:
        UserError: It is none, of another schema, or damaged.
    """
    file = Path(path) / FAMILY
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} holds no family of sweeps ({FAMILY} is missing).") from error
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON; restore it from a copy.") from error
    if content.get("schema") != SCHEMA:
        raise UserError(
            f"{file} has schema {content.get('schema')}, this program reads {SCHEMA}; "
            "use the version of distill-tune that wrote it."
        )
    return Family(Path(path), content)


def refuse_family(path: Path | str, command: str) -> None:
    """Raise UserError, naming the children, where a command that takes one sweep is given the parent of several."""
    if is_family(path):
        names = read_family(path).names
        raise UserError(f"{path} holds several sweeps; {command} takes one of them: {listed(names, 'or')}.")


def title(plans: Sequence[dict[str, Any]]) -> str:
    """What sweeps are, such as "BERT-EMD on cola, 2, 3 and 4 layers"."""
    methods, tasks, layers = (
        list(dict.fromkeys(str(plan[name]) for plan in plans)) for name in ("method_title", "task", "layers")
    )
    return f"{listed(methods)} on {listed(tasks)}, {listed(layers)} layer{'' if layers == ['1'] else 's'}"


def without(words: Sequence[str], flag: str, start: str = "") -> list[str]:
    """A command without a flag and its value, in either form, where that value begins with `start`."""
    found: list[str] = []
    skip = False
    for place, word in enumerate(words):
        if skip:
            skip = False
        elif word == flag and place + 1 < len(words) and words[place + 1].startswith(start):
            skip = True
        elif not word.startswith(f"{flag}={start}"):
            found.append(word)
    return found


def few(ids: Sequence[str]) -> str:
    """Ids of points, the first three of them where there are more than six: a grid may have hundreds."""
    return ", ".join(ids) if len(ids) <= 6 else f"{', '.join(ids[:3])} and {len(ids) - 3} more"


def listed(words: Sequence[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1])))
