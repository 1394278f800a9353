"""Writes a parent of fake sweeps of several sizes; `python -m tests.fake_family FOLDER` writes one to look at."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fake_sweep import build
from trainables.families import FAMILY, SCHEMA

# What distillation brings at each size, and the student's parameters.
GAINS = {1: -0.4, 2: -0.25, 3: 0.0, 4: 0.12, 5: 0.14, 6: 0.16}
PARAMETERS = {size: 12_068_738 + 1_774_464 * size for size in GAINS}


def build_family(
    parent: Path,
    sizes: Sequence[int] = (2, 3, 4, 6),
    own: Mapping[int, dict[str, Any] | None] | None = None,
    **changes: Any,
) -> Path:
    """Write a parent with a fake sweep per size and return it.

    Args:
        own: What `tests.fake_sweep.build` is given for one size beside `changes`; None in place of it leaves the
            child out, as a kill would.
    """
    parent.mkdir(parents=True, exist_ok=True)
    children = [{"name": f"{size}L", "changes": {"layers": size}} for size in sizes]
    content = {
        "schema": SCHEMA,
        "tool": "distill-tune 0.1.0",
        "created": "2026-03-02T09:00:00Z",
        "command": ["--method", "emd", "--task", "cola", "--layers", ",".join(map(str, sizes))],
        "config": {"method": "emd", "task": "cola", "layers": None, "sizes": list(sizes)},
        "children": children,
    }
    (parent / FAMILY).write_text(json.dumps(content))
    for size in sizes:
        mine = {} if own is None else own.get(size, {})
        if mine is None:
            continue
        folder = build(parent / f"{size}L", **{"layers": size, "gain": GAINS[size], **changes, **mine})
        file = folder / "prepared.json"
        if file.exists():
            prepared = json.loads(file.read_text())
            prepared["student"]["parameters"] = PARAMETERS[size]
            file.write_text(json.dumps(prepared))
    return parent


# What each method brings, and how long its trials take.
METHODS = {"ft": (0.0, 0.3), "kd": (0.2, 0.5), "emd": (0.35, 1.5)}


def build_methods(
    parent: Path,
    names: Sequence[str] = ("ft", "kd", "emd"),
    own: Mapping[str, dict[str, Any] | None] | None = None,
    **changes: Any,
) -> Path:
    """Write a parent with a fake sweep per method and return it.

    Args:
        own: As of `build_family`, by method.
    """
    parent.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": SCHEMA,
        "tool": "distill-tune 0.1.0",
        "created": "2026-03-02T09:00:00Z",
        "command": ["--method", ",".join(names), "--task", "cola", "--layers", "4"],
        "config": {"method": names[0], "methods": list(names), "task": "cola", "layers": 4, "sizes": []},
        "children": [{"name": name, "changes": {"method": name}} for name in names],
    }
    (parent / FAMILY).write_text(json.dumps(content))
    for name in names:
        mine = {} if own is None else own.get(name, {})
        if mine is None:
            continue
        gain, pace = METHODS[name]
        usual = {"gain": gain, "pace": pace, "method": name, "baseline": "ft" not in names, "fail": ()}
        usual |= {"beside": tuple(other for other in names if other != name), "points": 3 if name == "ft" else 8}
        build(parent / name, **{**usual, **changes, **mine})
    return parent


if __name__ == "__main__":
    build_family(Path(sys.argv[1]))
