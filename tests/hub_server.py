"""A model hub on the loopback, as far as huggingface_hub and datasets speak to one, that logs what it is asked."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

_REVISION = re.compile(r"/api/(models|datasets)/(?P<id>[^/]+/[^/]+?)(/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(r"/api/(models|datasets)/(?P<id>[^/]+/[^/]+?)/tree/(?P<revision>[^/]+)(/(?P<path>.+))?")
_PATHS = re.compile(r"/api/(models|datasets)/(?P<id>[^/]+/[^/]+?)/paths-info/(?P<revision>[^/]+)")
_RESOLVE = re.compile(r"/(?P<kind>datasets/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
# Files that a hub keeps beside git and serves from another place.
_LARGE = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".parquet")


@dataclass
class Repository:
    """Files at one commit, and what keeps people from them.

    Attributes:
        error: An `X-Error-Code` that every request is answered with.
        tags: Revisions beside `main` and the commit.
    """

    files: dict[str, bytes]
    error: str | None = None
    status: int = 404
    tags: tuple[str, ...] = ()

    @property
    def commit(self) -> str:
        digest = hashlib.sha1()
        for name, content in sorted(self.files.items()):
            digest.update(name.encode() + hashlib.sha256(content).digest())
        return digest.hexdigest()

    def etag(self, name: str) -> str:
        content = self.files[name]
        if name.endswith(_LARGE):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def entry(self, name: str) -> dict[str, Any]:
        """As a listing has it."""
        found: dict[str, Any] = {"type": "file", "oid": self.etag(name), "size": len(self.files[name]), "path": name}
        if name.endswith(_LARGE):
            found["lfs"] = {"oid": self.etag(name), "size": found["size"], "pointerSize": 134}
        return found


@dataclass
class Hub:
    """The server and what it was asked.

    Attributes:
        repositories: By id; data sets under `datasets/ID`.
        log: `METHOD /path` of every request, in order, without the query.
        cut: Given a path: after how many bytes the connection is cut, or None.
        broken: Status that every request is answered with, or None.
        stop: Takes the server down.
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    cut: Callable[[str], int | None] = lambda path: None
    broken: int | None = None
    stop: Callable[[], None] = lambda: None

    def add(
        self, name: str, folder: Path, without: tuple[str, ...] = (), more: dict[str, bytes] | None = None
    ) -> Repository:
        """Serve the files of a folder, but for some, and others beside them."""
        files = {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name not in without
        }
        self.repositories[name] = Repository({**files, **(more or {})})
        return self.repositories[name]

    def downloads(self) -> Counter[str]:
        """How often each file was sent."""
        return Counter(line.partition(" ")[2] for line in self.log if line.startswith("GET /cdn/"))

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Variables for a process that shall use this hub and a cache of its own."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            # The hub of this test has no such storage.
            "HF_HUB_DISABLE_XET": "1",
            **more,
        }


def use(hub: Hub, home: Path, patch: pytest.MonkeyPatch, offline: bool = False) -> None:
    """Point the hub's libraries, which have read their variables, at this hub and a cache of its own."""
    import datasets.config
    from huggingface_hub import constants, file_download

    import distill.hub

    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_HUB_OFFLINE", offline)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    patch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
    # Between the attempts of a download that breaks off.
    patch.setattr(file_download.time, "sleep", lambda seconds: None)
    patch.setattr(distill.hub, "_down", {})


@contextmanager
def running() -> Iterator[Hub]:
    """A hub on a free port until the block ends; its log is printed, for pytest to show on failure."""
    hub = Hub()

    class Handler(_Handler):
        served = hub

    server = _Server(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        for connection in server.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    hub.stop = stop
    try:
        yield hub
    finally:
        stop()
        print("\n".join(["Requests:", *hub.log]))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        # Clients keep theirs open, and the threads that serve them outlive the server.
        self.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are nobody's fault."""


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self._note()
        if (found := _PATHS.fullmatch(path)) and (repository := self._repository(found, path)):
            wanted = json.loads(asked)["paths"] if asked.startswith(b"{") else []
            self._json([repository.entry(name) for name in wanted if name in repository.files])
        elif not found:
            self._refuse(404, "EntryNotFound")

    def _note(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.served.log.append(f"{self.command} {path}")
        return path

    def _answer(self, body: bool) -> None:
        path = self._note()
        if self.served.broken:
            self._refuse(self.served.broken, None)
        elif path.startswith("/cdn/"):
            self._content(path, body)
        elif found := _RESOLVE.fullmatch(path):
            self._resolve(found, path)
        elif found := _TREE.fullmatch(path):
            if repository := self._repository(found, path):
                self._tree(repository, found["path"])
        elif found := _REVISION.fullmatch(path):
            if repository := self._repository(found, path):
                siblings = [{"rfilename": n, "size": len(c)} for n, c in repository.files.items()]
                name = found["id"]
                self._json({"id": name, "_id": "0", "sha": repository.commit, "siblings": siblings, "tags": []})
        else:
            self._refuse(404, None)

    def _repository(self, found: re.Match[str], path: str) -> Repository | None:
        """The repository that a path names; answers itself where there is none."""
        prefix = "datasets/" if path.startswith(("/api/datasets/", "/datasets/")) else ""
        repository = self.served.repositories.get(prefix + found["id"])
        revision = found["revision"] or "main"
        if repository is None:
            self._refuse(401, "RepoNotFound")
        elif repository.error:
            self._refuse(repository.status, repository.error)
        elif revision not in ("main", repository.commit, *repository.tags):
            self._refuse(404, "RevisionNotFound")
        else:
            return repository
        return None

    def _tree(self, repository: Repository, below: str | None) -> None:
        deep = "recursive=true" in self.path.lower()
        prefix = f"{below}/" if below else ""
        entries: dict[str, dict[str, Any]] = {}
        for name in repository.files:
            if not name.startswith(prefix):
                continue
            folder, slash, _ = name.removeprefix(prefix).partition("/")
            if slash:
                entries[prefix + folder] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": prefix + folder}
            if deep or not slash:
                entries[name] = repository.entry(name)
        if below and not entries:
            self._refuse(404, "EntryNotFound")
        else:
            self._json(list(entries.values()))

    def _resolve(self, found: re.Match[str], path: str) -> None:
        """Where a file lies: large ones on another host, as the hub's storage is."""
        repository = self._repository(found, path)
        if repository is None:
            return
        name, commit = found["file"], repository.commit
        if name not in repository.files:
            self._refuse(404, "EntryNotFound", commit)
            return
        self.send_response(302)
        other = self.served.url.replace("127.0.0.1", "localhost") if name.endswith(_LARGE) else ""
        self.send_header("Location", f"{other}/cdn/{found['kind'] or ''}{found['id']}/{name}")
        self.send_header("X-Repo-Commit", commit)
        self.send_header("X-Linked-Etag", f'"{repository.etag(name)}"')
        self.send_header("X-Linked-Size", str(len(repository.files[name])))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _content(self, path: str, body: bool) -> None:
        parts = path.removeprefix("/cdn/").split("/")
        depth = 3 if parts[0] == "datasets" else 2
        repository = self.served.repositories["/".join(parts[:depth])]
        name = "/".join(parts[depth:])
        content = repository.files[name]
        start = 0
        if ranged := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(ranged[1]), int(ranged[2] or len(content) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(content)}")
            content = content[start : end + 1]
        else:
            self.send_response(200)
        self.send_header("ETag", f'"{repository.etag(name)}"')
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not body:
            return
        limit = self.served.cut(path)
        if limit is not None and start + len(content) > limit:
            self.wfile.write(content[: max(0, limit - start)])
            self.close_connection = True
            return
        self.wfile.write(content)

    def _json(self, content: Any) -> None:
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _refuse(self, status: int, code: str | None, commit: str | None = None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", f"{code} for a test")
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()
