"""How far the preparation of a session is, for those who look at its folder: the newest line that it told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainables.interrupt import writing

FILE = "preparing.json"


@contextmanager
def noted(folder: Path, tell: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """`tell` that also leaves its newest line in `folder` until the preparation ends, however it does.

    A killed driver leaves the file behind; the next session takes it away.
    """
    # Late, because those who only look need no study.
    from trainables.recorder import now, write_json

    file = folder / FILE
    file.unlink(missing_ok=True)

    def both(line: str) -> None:
        tell(line)
        with writing():
            write_json(file, {"line": line, "time": now()})

    try:
        yield both
    finally:
        file.unlink(missing_ok=True)


def newest(folder: Path) -> dict[str, str] | None:
    """The newest `line` of a preparation and its `time`, in UTC; None while there is none."""
    try:
        found: dict[str, str] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def words(found: dict[str, str] | None) -> list[str]:
    """The same as one line for people, or none."""
    return [f"Preparing, {found['time']}: {found['line']}"] if found else []
