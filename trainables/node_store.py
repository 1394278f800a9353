"""What trials share, on a node of its own: copied once per host, checked by its seal. Imports no torch and no Ray.

A *bundle* is a folder with a seal: an artifact of the store as it is, or a folder from elsewhere (an encoder that a
person named, sealed here by the same form, or filters that a person gave). What is from elsewhere is named by its
content, because folders of any name may hold anything. In a storage bundles lie below `artifacts/`.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distill.artifacts import SEAL, Store, hash_file, key_of
from distill.models.folder import TOKENIZER_FILES
from trainables.storage import Place, StorageFailure

NODE_DIR = "DISTILL_TUNE_NODE_DIR"
ARTIFACTS = "artifacts"


def node_place() -> Path:
    """Fast disk of this host: `$DISTILL_TUNE_NODE_DIR`, else a folder of this user among the temporary ones."""
    if place := os.environ.get(NODE_DIR):
        return Path(place).absolute()
    return Path(tempfile.gettempdir()) / f"distill-tune-{getpass.getuser()}"


@dataclass(frozen=True)
class Bundle:
    """A folder to be copied.

    Attributes:
        name: `<kind>-<key>`, equal for equal content.
        folder: Where it lies on this machine.
        seal: `files` holds the sha256 of every file.
    """

    name: str
    folder: Path
    seal: dict[str, Any]


def paths(content: Any) -> Iterator[str]:
    """Every absolute path that stands in plain data."""
    if isinstance(content, dict):
        for value in content.values():
            yield from paths(value)
    elif isinstance(content, list):
        for value in content:
            yield from paths(value)
    elif isinstance(content, str) and os.path.isabs(content):
        yield content


def moved(content: Any, places: dict[str, str]) -> Any:
    """Plain data with each path that lies in a folder of `places` (old to new) led to its new one."""
    if isinstance(content, dict):
        return {name: moved(value, places) for name, value in content.items()}
    if isinstance(content, list):
        return [moved(value, places) for value in content]
    if isinstance(content, str):
        for old, new in places.items():
            if content == old or content.startswith(f"{old}/"):
                return new + content[len(old) :]
    return content


def bundles(prepared: dict[str, Any]) -> list[Bundle]:
    """Everything on this machine that the paths of `prepared.json` lead to, each once.

    Raises:
        StorageFailure: A path leads nowhere.
    """
    found: dict[str, Bundle] = {}
    for text in paths(prepared):
        path = Path(text)
        sealed = next((folder for folder in (path, *path.parents) if (folder / SEAL).is_file()), None)
        if sealed is not None:
            seal = json.loads((sealed / SEAL).read_text())
            found.setdefault(str(sealed), Bundle(_name(sealed, seal, prepared), sealed, seal))
        elif path.is_dir():
            files = {file.name: hash_file(file) for file in _encoder(path)}
            key = key_of(files)
            found.setdefault(text, Bundle(f"folder-{key}", path, {"kind": "folder", "key": key, "files": files}))
        else:
            raise StorageFailure(f"{path} belongs to what the trials share and is not there")
    return list(found.values())


def _name(sealed: Path, seal: dict[str, Any], prepared: dict[str, Any]) -> str:
    """Of the copies of a sealed folder: its own in the store, else made of its content."""
    if str(sealed) in (prepared.get("given") or {}).values():
        return f"given-{key_of(seal['files'])}"
    return sealed.name


def _encoder(folder: Path) -> list[Path]:
    """Files of an encoder that are loaded; a hub's snapshot has the weights of other frameworks beside them."""
    files = sorted(folder.iterdir())
    weights = ".safetensors" if any(file.suffix == ".safetensors" for file in files) else ".bin"
    return [file for file in files if file.suffix == weights or file.name in ("config.json", *TOKENIZER_FILES)]


def upload(place: Place, bundle: Bundle) -> None:
    """Bring a bundle into a storage, the seal last; what is there already stays."""
    folder = f"{ARTIFACTS}/{bundle.name}"
    there = place.read(f"{folder}/{SEAL}")
    if there is not None and json.loads(there)["files"] == bundle.seal["files"]:
        return
    for name in bundle.seal["files"]:
        place.put(bundle.folder / name, f"{folder}/{name}")
    place.write(f"{folder}/{SEAL}", json.dumps(bundle.seal).encode())


def from_storage(place: Place, name: str, store: Path) -> Path:
    """A bundle of a storage as a folder below `store`, fetched where it is missing or damaged.

    Raises:
        StorageFailure: The storage has no such bundle, or a damaged one, which the next session uploads anew.
    """
    folder = f"{ARTIFACTS}/{name}"

    def copy(file: str, target: Path) -> None:
        if not place.fetch(f"{folder}/{file}", target):
            raise StorageFailure(f"{place.uri}/{folder}/{file} is missing; resume to upload it again")

    def seal() -> dict[str, Any]:
        content = place.read(f"{folder}/{SEAL}")
        if content is None:
            raise StorageFailure(f"{place.uri}/{folder} is missing or was damaged; resume to upload it again")
        return dict(json.loads(content))

    try:
        return _obtain(name, store, seal, copy)
    except _Damaged as error:
        place.remove(f"{folder}/{SEAL}")
        raise StorageFailure(f"{place.uri}/{folder}/{error} is damaged; resume to upload it again") from error


def localised(prepared: dict[str, Any]) -> dict[str, Any]:
    """`prepared.json` with the store's artifacts on this host's own disk, if `$DISTILL_TUNE_NODE_DIR` names one.

    Raises:
        StorageFailure: An artifact is damaged where it comes from.
    """
    if not os.environ.get(NODE_DIR):
        return prepared
    own = node_place() / ARTIFACTS
    places = {}
    for text in paths(prepared):
        folder = next((f for f in (Path(text), *Path(text).parents) if (f / SEAL).is_file()), None)
        if folder is None or own in folder.parents or str(folder) in places:
            continue
        source, seal = folder, json.loads((folder / SEAL).read_text())
        try:
            places[str(source)] = str(
                _obtain(
                    _name(source, seal, prepared),
                    own,
                    partial(dict, seal),
                    lambda file, target, source=source: shutil.copyfile(source / file, target),  # type: ignore[misc]
                )
            )
        except _Damaged as error:
            raise StorageFailure(f"{source / str(error)} is damaged; remove {source}, and resume") from error
    return dict(moved(prepared, places))


class _Damaged(Exception):
    """A file that differs from its seal; the text is its name."""


def _obtain(name: str, store: Path, seal: Callable[[], dict[str, Any]], copy: Callable[[str, Path], object]) -> Path:
    """The folder `name` of a store, copied by one process of this host while the others wait for it."""
    kind, _, key = name.rpartition("-")
    own = Store(store)
    with _alone(store, name):
        if found := own.get(kind, key):
            return found
        for old in store.glob(f".{name}.*"):
            # Of a process that was killed, because this one is alone.
            shutil.rmtree(old, ignore_errors=True)
        content = seal()
        staging = store / f".{name}.{uuid.uuid4().hex[:8]}"
        try:
            for file, digest in content["files"].items():
                target = staging / file
                target.parent.mkdir(parents=True, exist_ok=True)
                copy(file, target)
                if hash_file(target) != digest:
                    raise _Damaged(file)
            (staging / SEAL).write_text(json.dumps(content))
            shutil.rmtree(own.path(kind, key), ignore_errors=True)
            os.rename(staging, own.path(kind, key))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return own.get(kind, key) or own.path(kind, key)


@contextmanager
def _alone(store: Path, name: str) -> Iterator[None]:
    """Let no other process of this host copy the same."""
    locks = store / ".copying"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
