"""What a store holds, in words, and taking things out of it."""

from __future__ import annotations

import calendar
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill import artifact_use
from distill.artifacts import SEAL, alive, hash_file
from distill.teacher.parts import WORDS

_NAME = re.compile(r"([a-z][a-z0-9_-]*)-([0-9a-f]{16})")
# Half-built, or half-removed: a dot, the artifact's name, host and process.
_STAGING = re.compile(r"\.(?:removed-)?([a-z][a-z0-9_-]*-[0-9a-f]{16})\.(.+)\.(\d+)")
_PROGRESS = re.compile(r"\.progress-.*\.jsonl")
_DAY = 86400.0


@dataclass(frozen=True)
class Entry:
    """One artifact.

    Attributes:
        size: Bytes of all its files.
        made: When it was built, in seconds since 1970; None when the seal does not say.
        used: When it was last taken or built; when it was made, if nobody noted a use.
        fault: What is wrong with it, or None.
        busy: A running process uses or builds it.
        what: What it is, for people.
    """

    kind: str
    key: str
    path: Path
    size: int
    made: float | None
    used: float
    fault: str | None
    busy: bool
    what: str

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.key}"


@dataclass(frozen=True)
class Leftover:
    """What a build, or a removal, has not finished.

    Attributes:
        dead: Nobody is at it any more.
    """

    path: Path
    size: int
    dead: bool


def entries(place: Path, check: bool = False) -> list[Entry]:
    """The artifacts of a store, the most recently used first.

    Args:
        check: Verify every checksum, which reads every file.
    """
    found = [
        (match, path)
        for path in sorted(place.iterdir())
        if (match := _NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()
    ]
    seals = {path: _seal(path) for _, path in found}
    # Tokens do not name their task in seals of older versions; the teachers made from them do.
    tasks: dict[str, str] = {}
    # Readings name their teacher by its content alone.
    teachers: dict[str, str] = {}
    for seal in seals.values():
        inputs, facts = seal.get("inputs"), seal.get("facts")
        if isinstance(inputs, Mapping) and inputs.get("tokens") and inputs.get("task"):
            tasks[str(inputs["tokens"])] = str(inputs["task"])
        if isinstance(facts, Mapping) and facts.get("content") and facts.get("encoder"):
            teachers[str(facts["content"])] = str(facts["encoder"])
    listed = [_entry(match[1], match[2], path, seals[path], tasks, teachers, check) for match, path in found]
    return sorted(listed, key=lambda entry: (-entry.used, entry.name))


def _entry(
    kind: str,
    key: str,
    path: Path,
    seal: dict[str, Any],
    tasks: Mapping[str, str],
    teachers: Mapping[str, str],
    check: bool,
) -> Entry:
    made = _seconds(seal.get("made"))
    return Entry(
        kind=kind,
        key=key,
        path=path,
        size=size_of(path),
        made=made,
        used=artifact_use.last_used(path.parent, path.name) or made or _newest(path),
        fault=_fault(path, seal, check),
        busy=artifact_use.busy(path.parent, path.name),
        what=_words(kind, path.name, seal, tasks, teachers),
    )


def _seal(folder: Path) -> dict[str, Any]:
    try:
        seal = json.loads((folder / SEAL).read_text())
    except (OSError, ValueError):
        return {}
    return seal if isinstance(seal, dict) else {}


def _fault(folder: Path, seal: Mapping[str, Any], check: bool) -> str | None:
    files = seal.get("files")
    if not isinstance(files, Mapping):
        return "no seal that can be read"
    for name, digest in files.items():
        try:
            if not (folder / name).is_file():
                return f"{name} is missing"
            if check and hash_file(folder / name) != digest:
                return f"{name} is not as sealed"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return None


def _words(kind: str, name: str, seal: Mapping[str, Any], tasks: Mapping[str, str], teachers: Mapping[str, str]) -> str:
    """What an artifact is; what its seal lacks is left out.

    Args:
        tasks: Task by name of tokens.
        teachers: What people call a teacher's encoder, by the teacher's content.
    """
    inputs, facts = seal.get("inputs"), seal.get("facts")
    if not isinstance(inputs, Mapping) or not isinstance(facts, Mapping):
        return "unknown"
    try:
        if kind == "teacher":
            # Seals of older versions hold no name.
            encoder = facts.get("encoder") or inputs["encoder"][:8]
            made = f"{encoder} taken as it was" if inputs.get("mode") == "ready" else f"encoder {encoder}"
            where = " on held-out rows" if "report" in facts else ""
            return (
                f"teacher of {inputs['task']}, {made}: {facts['metric']} {facts['score']:.3f}{where}{_weak(facts)}, "
                f"{facts['layers']} layers × {facts['hidden_size']}, {facts['parameters'] / 1e6:.1f} M parameters"
            )
        if kind == "teacher-reading":
            how = "through a ReLU" if inputs["head"] == "relu" else "through its own head"
            encoder = teachers.get(inputs["teacher"]) or inputs["teacher"][:8]
            rows = "held-out" if "report" in facts else "dev"
            return (
                f"answers of teacher {encoder} to the {rows} rows of {inputs['task']}, read {how}: "
                f"{facts['metric']} {facts['score']:.3f}{_weak(facts)}"
            )
        if kind == "outputs":
            encoder = facts.get("encoder") or inputs["teacher"][:8]
            held = ", ".join(WORDS[part] for part in WORDS if part in inputs["parts"])
            split = "dev" if inputs.get("split") == "dev" else "training"
            layers = f" (layers {', '.join(map(str, inputs['layers']))})" if "layers" in inputs else ""
            return f"answers of teacher {encoder} to {facts['rows']} {split} rows of {inputs['task']}: {held}{layers}"
        if kind == "stage":
            ended = facts["failure"] or f"loss {facts['curve'][-1]['value']:.3g}"
            return f"stage {facts['stage']} of {facts['method']} on {facts['task']}, seed {facts['seed']}: {ended}"
        if kind == "teacher-stage":
            ended = facts["failure"] or (f"loss {facts['curve'][-1]['value']:.3g}" if facts["curve"] else "as drawn")
            encoder = teachers.get(inputs["teacher"]) or inputs["teacher"][:8]
            return f"stage {facts['stage']} of {facts['method']} on {facts['task']}, teacher {encoder}: {ended}"
        if kind == "tokens":
            task = facts.get("task") or tasks.get(name) or f"data {inputs['data'][:8]}"
            rows = f"{facts['train']['rows']} training and {facts['dev']['rows']} dev rows"
            if "report" in facts:
                # Held-out rows take dev's place, and dev is seen by the report alone.
                counts = [facts[split]["rows"] for split in ("train", "dev", "report")]
                rows = f"{counts[0]} training, {counts[1]} held-out and {counts[2]} dev rows"
            return f"tokens of {task}: {rows}, at most {inputs['max_length']} tokens each"
    except (KeyError, TypeError, ValueError):
        pass
    plain = [f"{key} {value}" for key, value in inputs.items() if isinstance(value, (str, int, float))]
    return ", ".join(plain)[:100] or "no inputs"


def _weak(facts: Mapping[str, Any]) -> str:
    return "" if facts["verdict"]["ok"] else ", too weak to teach"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what vanishes meanwhile counts nothing."""
    return sum(_stat(file, "st_size") for file in (path, *path.rglob("*")) if file.is_file() and not file.is_symlink())


def _newest(path: Path) -> float:
    return float(max((_stat(file, "st_mtime") for file in (path, *path.rglob("*"))), default=0.0))


def _stat(path: Path, field: str) -> Any:
    try:
        return getattr(path.lstat(), field)
    except OSError:
        return 0


def _seconds(stamp: Any) -> float | None:
    try:
        return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))
    except (TypeError, ValueError):
        return None


def leftovers(place: Path) -> list[Leftover]:
    """Folders of builds that have not ended, and their files of progress."""
    now = time.time()
    found = []
    for path in sorted(place.iterdir()):
        idle = now - _newest(path) > _DAY
        if match := _STAGING.fullmatch(path.name):
            name, host, process = match.groups()
            here = host == socket.gethostname()
            # The number of a dead process may be another's by now, and another host's cannot be asked: then time tells.
            gone = (here and not alive(int(process))) or idle
            found.append(Leftover(path, size_of(path), gone and not artifact_use.busy(place, name)))
        elif _PROGRESS.fullmatch(path.name):
            found.append(Leftover(path, size_of(path), idle))
    return found


def choose(
    listed: Sequence[Entry],
    names: Collection[str] = (),
    kind: str | None = None,
    unused_since: float | None = None,
    max_size: int | None = None,
) -> list[Entry]:
    """What to remove, the least recently used first: all that fits what is given, or no more than `max_size` asks.

    Args:
        names: Names of artifacts; all when empty.
        kind: Only these.
        unused_since: Only what was not used after this time, in seconds since 1970.
        max_size: Only until the whole store has at most so many bytes; what is in use is passed over.
    """
    chosen = [
        entry
        for entry in sorted(listed, key=lambda entry: (entry.used, entry.name))
        if (not names or entry.name in names)
        and (kind is None or entry.kind == kind)
        and (unused_since is None or entry.used < unused_since)
    ]
    if max_size is None:
        return chosen
    total, enough = sum(entry.size for entry in listed), []
    for entry in chosen:
        if total <= max_size:
            break
        if not entry.busy:
            enough.append(entry)
            total -= entry.size
    return enough


def remove(entry: Entry) -> bool:
    """Remove an artifact unless a process uses or builds it; whether it is gone.

    It is moved aside in one step, so that nobody ever finds half of it.

    Raises:
        OSError: It may not be removed.
    """
    place = entry.path.parent
    aside = place / f".removed-{entry.name}.{socket.gethostname()}.{os.getpid()}"
    with artifact_use.alone(place, entry.name) as free:
        if not free:
            return False
        entry.path.rename(aside)
    shutil.rmtree(aside)
    return True


def sweep(leftover: Leftover) -> None:
    """Remove what is left of a build.

    Raises:
        OSError: It may not be removed.
    """
    if leftover.path.is_dir():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink(missing_ok=True)
