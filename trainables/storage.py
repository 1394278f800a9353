"""Files in any place that fsspec reaches: written whole, tried again where a network fails."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from distill.errors import UserError

Found = TypeVar("Found")
# Object stores show a file when its upload is complete; elsewhere it gets its name when it is whole.
_WHOLE_BY_THEMSELVES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "r2", "hf"})
# Seconds before each further try.
PAUSES = (0.5, 1.0, 2.0)


class StorageFailure(Exception):
    """A storage that did not answer after several tries, or holds something damaged; its text is one sentence."""


def normal(uri: str) -> str:
    """A storage's address as every process of the sweep can use it: a plain path becomes an absolute one.

    Raises:
        UserError: fsspec cannot reach such a place, or processes cannot share it.
    """
    protocol = uri.partition("://")[0] if "://" in uri else "file"
    if protocol == "memory":
        raise UserError(f"--storage {uri}: each process has a memory of its own; name a folder or a bucket.")
    if protocol in ("file", "local"):
        path = Path(uri.partition("://")[2] if "://" in uri else uri).expanduser().absolute()
        return f"file://{path}"
    import fsspec

    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise UserError(f"--storage {uri}: {error} (on every node).") from error
    except ValueError as error:
        raise UserError(
            f"--storage {uri}: fsspec knows no {protocol}://; name a folder or s3://bucket/path."
        ) from error
    return uri.rstrip("/")


class Place:
    """A folder in a storage; names below it are relative and have slashes.

    Only its address travels between processes, so that each opens connections of its own.
    """

    def __init__(self, uri: str) -> None:
        self.uri = normal(uri)
        self._opened: tuple[Any, str] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Place, (self.uri,)

    def below(self, name: str) -> Place:
        """The folder `name` of this one."""
        return Place(f"{self.uri}/{name}")

    def write(self, name: str, content: bytes) -> None:
        """Write a file: readers see the old one or the new one, never a part.

        Raises:
            StorageFailure: It could not be written after several tries.
        """
        self._again(name, lambda fs, path: self._whole(fs, path, lambda target: fs.pipe_file(target, content)))

    def put(self, file: Path, name: str) -> None:
        """Copy a local file here, as whole as `write` does."""
        self._again(name, lambda fs, path: self._whole(fs, path, lambda target: fs.put_file(str(file), target)))

    def read(self, name: str) -> bytes | None:
        """Content of a file; None where there is none."""
        return self._again(name, lambda fs, path: bytes(fs.cat_file(path)))

    def fetch(self, name: str, file: Path) -> bool:
        """Copy a file from here beside its local name and rename it when it is whole; whether there is one."""
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")

        def get(fs: Any, path: str) -> bool:
            fs.get_file(path, str(temporary))
            return True

        try:
            if not self._again(name, get):
                return False
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def names(self, folder: str) -> list[str]:
        """All files below `folder`, relative to it, sorted; those not yet whole are passed over."""

        def find(fs: Any, path: str) -> list[str]:
            fs.invalidate_cache()
            start = f"{path.rstrip('/')}/"
            return [str(found)[len(start) :] for found in fs.find(path) if str(found).startswith(start)]

        found = self._again(folder, find) or []
        return sorted(name for name in found if not name.rpartition("/")[2].startswith("."))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._again(name, lambda fs, path: fs.rm_file(path))

    def probe(self) -> None:
        """Write, read and remove a small file.

        Raises:
            StorageFailure: One of the three failed.
        """
        name, content = f"probe-{uuid.uuid4().hex}", uuid.uuid4().bytes
        self.write(name, content)
        if self.read(name) != content:
            raise StorageFailure(f"{self.uri} does not give back what was written")
        self.remove(name)

    def _whole(self, fs: Any, path: str, write: Callable[[str], object]) -> None:
        if protocols(fs) & _WHOLE_BY_THEMSELVES:
            write(path)
            return
        folder, _, name = path.rpartition("/")
        fs.makedirs(folder, exist_ok=True)
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}"
        try:
            write(temporary)
            if "file" in protocols(fs):
                os.replace(temporary, path)
            else:
                fs.mv(temporary, path)
        except BaseException:
            if fs.exists(temporary):
                fs.rm_file(temporary)
            raise

    def _again(self, name: str, action: Callable[[Any, str], Found]) -> Found | None:
        """Do something with a file, again after a pause where it fails; None where there is no such file."""
        for pause in (*PAUSES, None):
            try:
                fs, root = self._open()
                return action(fs, f"{root}/{name}" if name else root)
            except FileNotFoundError:
                return None
            except Exception as error:
                # Clients raise errors of their own kinds; which of them pass by themselves cannot be told from here.
                if pause is None:
                    what = " ".join(str(error).split())[:200]
                    raise StorageFailure(f"{self.uri}/{name} failed: {type(error).__name__}: {what}") from error
                time.sleep(pause)
        raise AssertionError

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            import fsspec

            fs, root = fsspec.core.url_to_fs(self.uri)
            self._opened = fs, str(root).rstrip("/")
        return self._opened


def protocols(fs: Any) -> frozenset[str]:
    """Names of a file system, such as {"s3", "s3a"}."""
    return frozenset([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol)
