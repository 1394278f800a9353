"""A content-addressed store for what many trials share: built once, sealed, checked when taken.

`python -m distill.artifacts ls` lists it, `python -m distill.artifacts gc` removes from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill import artifact_use
from distill.models.folder import TOKENIZER_FILES

SEAL = "artifact.json"
PLACE = "DISTILL_TUNE_ARTIFACTS"


def default_place() -> Path:
    """`$DISTILL_TUNE_ARTIFACTS`, else `distill-tune/artifacts` in the user's cache folder."""
    if place := os.environ.get(PLACE):
        return Path(place).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "distill-tune" / "artifacts"


def key_of(inputs: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits of the sha256 over canonical JSON of `inputs`."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_file(file: Path) -> str:
    """sha256 of a file's bytes, as hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _slow(stream)


def _slow(stream: Any) -> str:
    # Python 3.10 has no hashlib.file_digest.
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def hash_encoder(folder: Path) -> str:
    """sha256 over configuration, weights and tokenizer of an encoder folder; other files do not count.

    Where weights lie in both forms, those in safetensors are loaded and the others do not count either: another
    program may add them to a snapshot of the hub at any time.
    """
    digest = hashlib.sha256()
    files = sorted(folder.iterdir())
    weights = ".safetensors" if any(file.suffix == ".safetensors" for file in files) else ".bin"
    for file in files:
        if file.suffix == weights or file.name in ("config.json", *TOKENIZER_FILES):
            digest.update(f"{file.name}\0{hash_file(file)}\0".encode())
    return digest.hexdigest()


def alive(process: int) -> bool:
    """Whether this host runs a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Store:
    """Artifacts as folders `<kind>-<key>` below one place.

    A folder is filled beside its final name and renamed when whole, so a kill leaves nothing half-built under it.
    The seal lists every file with its checksum; a damaged artifact is built again. What a process took or built is
    not removed by others while it runs (`distill.artifact_use`).
    """

    def __init__(self, place: Path | str | None = None) -> None:
        self.place = Path(place).absolute() if place else default_place()

    def path(self, kind: str, key: str) -> Path:
        return self.place / f"{kind}-{key}"

    def get(self, kind: str, key: str) -> Path | None:
        """The artifact if it is there and unharmed, else None. It stays while this process runs."""
        folder = self.path(kind, key)
        if not folder.is_dir():
            return None
        # Before the check, or it could be removed after it.
        artifact_use.hold(self.place, folder.name)
        try:
            seal = json.loads((folder / SEAL).read_text())
            sound = all(hash_file(folder / name) == digest for name, digest in seal["files"].items())
        except (OSError, ValueError, KeyError):
            return None
        return folder if sound else None

    def build(self, kind: str, inputs: dict[str, Any], fill: Callable[[Path], dict[str, Any] | None]) -> Path:
        """The artifact of `inputs`; `fill(folder)` makes it where the store has none.

        Args:
            kind: What it is: "teacher", "tokens", …
            inputs: Exactly what determines the content.
            fill: Writes into an empty folder; what it returns stands in the seal as `facts`.
        """
        key = key_of(inputs)
        if found := self.get(kind, key):
            return found
        target = self.path(kind, key)
        staging = self.place / f".{kind}-{key}.{socket.gethostname()}.{os.getpid()}"
        artifact_use.hold(self.place, target.name)
        self._sweep_up(kind, key)
        staging.mkdir(parents=True)
        try:
            facts = fill(staging) or {}
            files = {
                str(file.relative_to(staging)): hash_file(file) for file in sorted(staging.rglob("*")) if file.is_file()
            }
            seal = {
                "kind": kind,
                "key": key,
                "inputs": inputs,
                "facts": facts,
                "files": files,
                "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            (staging / SEAL).write_text(json.dumps(seal, indent=1, default=str))
            if found := self.get(kind, key):
                # Somebody else finished it in between and may be reading it; equal keys mean equal content.
                return found
            shutil.rmtree(target, ignore_errors=True)
            try:
                os.rename(staging, target)
            except OSError:
                # Or just now.
                if self.get(kind, key) is None:
                    raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return target

    def _sweep_up(self, kind: str, key: str) -> None:
        """Remove what processes of this host that are gone left half-built of one artifact."""
        for folder in self.place.glob(f".{kind}-{key}.{socket.gethostname()}.*"):
            process = folder.name.rpartition(".")[2]
            if process == str(os.getpid()) or not (process.isdigit() and alive(int(process))):
                shutil.rmtree(folder, ignore_errors=True)

    def facts(self, folder: Path) -> dict[str, Any]:
        """What `fill` returned when the artifact was built. It stays while this process runs."""
        artifact_use.hold(folder.parent, folder.name)
        return dict(json.loads((folder / SEAL).read_text())["facts"])


if __name__ == "__main__":
    from distill.artifact_command import main

    raise SystemExit(main())
