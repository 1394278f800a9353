"""Files in a storage: whole or not there, tried again, and named when they fail; copies of artifacts on a node."""

from __future__ import annotations

import json
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
import pytest

from distill.artifacts import SEAL, Store
from distill.errors import UserError
from trainables import node_store, storage
from trainables.node_store import bundles, from_storage, localised, moved, paths, upload
from trainables.storage import Place, StorageFailure, normal


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAUSES", (0.0, 0.0))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(f"file://{tmp_path}/storage")


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert normal("here") == f"file://{tmp_path}/here"
    assert normal("file:///a/b/") == "file:///a/b"
    assert normal("local:///a") == "file:///a"
    with pytest.raises(UserError, match="memory of its own"):
        normal("memory://x")
    with pytest.raises(UserError, match="fsspec knows no nowhere://"):
        normal("nowhere://x")


def test_a_protocol_without_its_package_names_it() -> None:
    with pytest.raises(ImportError):
        __import__("adlfs")
    with pytest.raises(UserError, match=r"--storage abfs://x: Install adlfs .*\(on every node\)"):
        normal("abfs://x")


def test_write_read_fetch_names_remove(place: Place, tmp_path: Path) -> None:
    place.write("a/b.txt", b"one")
    place.write("a/b.txt", b"two")
    (tmp_path / "file").write_bytes(b"three")
    place.put(tmp_path / "file", "a/c/d.txt")
    assert place.read("a/b.txt") == b"two"
    assert place.read("a/none") is None
    assert place.names("a") == ["b.txt", "c/d.txt"]
    assert place.names("") == ["a/b.txt", "a/c/d.txt"]
    assert place.names("nowhere") == []
    assert place.fetch("a/c/d.txt", tmp_path / "new" / "d")
    assert not place.fetch("a/none", tmp_path / "new" / "e")
    assert files(tmp_path / "new") == {"d": b"three"}
    place.remove("a/b.txt")
    place.remove("a/b.txt")
    assert place.names("a") == ["c/d.txt"]
    place.probe()
    assert place.names("") == ["a/c/d.txt"]
    again = pickle.loads(pickle.dumps(place))
    assert (again.uri, again.below("a").read("c/d.txt")) == (place.uri, b"three")


class Broken:
    """A file system some of whose calls fail, the first so many times."""

    def __init__(self, times: int, name: str) -> None:
        self._real, self._times, self._name = fsspec.filesystem("file"), times, name

    def __getattr__(self, name: str) -> Any:
        if name == self._name and self._times:
            self._times -= 1

            def fail(path: Any, *arguments: Any, **more: Any) -> None:
                # As an upload that is cut in the middle.
                target = arguments[0] if name == "put_file" else path
                Path(target).write_bytes(b"half")
                raise OSError("connection reset")

            return fail
        return getattr(self._real, name)


def broken(place: Place, times: int, name: str) -> Place:
    place._opened = Broken(times, name), place.uri.removeprefix("file://")
    return place


def test_what_fails_at_first_is_tried_again(place: Place) -> None:
    place.write("a", b"old")
    broken(place, 2, "pipe_file").write("a", b"new")
    assert place.read("a") == b"new"
    assert place.names("") == ["a"]


def test_what_fails_for_good_leaves_the_old_file_and_says_which(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"new")
    for name in ("pipe_file", "put_file"):
        place.write("a", b"old")
        broken(place, 3, name)
        with pytest.raises(StorageFailure, match=r"storage/a failed: OSError: connection reset"):
            place.write("a", b"new") if name == "pipe_file" else place.put(tmp_path / "file", "a")
        assert place.read("a") == b"old"
        assert files(tmp_path / "storage") == {"a": b"old"}
    place.fetch("a", tmp_path / "got")
    broken(place, 3, "get_file")
    with pytest.raises(StorageFailure):
        place.fetch("a", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"old"


def artifact(store: Path, kind: str = "tokens", text: str = "rows") -> Path:
    def fill(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "a").write_text(text)
        (folder / "b").write_text("b")

    return Store(store).build(kind, {"text": text}, fill)


def encoder(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "vocab.txt", "model.safetensors", "flax_model.msgpack"):
        (folder / name).write_text(name)
    return folder


def test_every_path_of_what_is_prepared_is_found_and_led_elsewhere(tmp_path: Path) -> None:
    teacher, rows = artifact(tmp_path / "store", "teacher"), artifact(tmp_path / "store")
    student = encoder(tmp_path / "student")
    prepared = {
        "teacher": {"path": f"{teacher}/model", "outputs": None, "score": 0.5, "name": "a/b"},
        "student": {"path": str(student), "kept": [1, 2]},
        "data": [{"path": str(rows)}, {"path": str(rows)}],
    }
    assert sorted(set(paths(prepared))) == sorted([f"{teacher}/model", str(student), str(rows)])
    found = bundles(prepared)
    assert [bundle.name for bundle in found[::2]] == [teacher.name, rows.name]
    assert set(found[1].seal["files"]) == {"config.json", "vocab.txt", "model.safetensors"}
    led = moved(prepared, {str(teacher): "/n/t", str(student): "/n/s", str(rows): "/n/r"})
    assert led["teacher"] == {**prepared["teacher"], "path": "/n/t/model"}
    assert (led["student"]["path"], led["data"][1]["path"]) == ("/n/s", "/n/r")
    with pytest.raises(StorageFailure, match="gone belongs to what the trials share"):
        bundles({"path": str(tmp_path / "gone")})


def test_a_name_that_begins_another_is_not_led_with_it() -> None:
    assert moved(["/a/b", "/a/bc", "/a/b/d"], {"/a/b": "/n"}) == ["/n", "/a/bc", "/n/d"]


def test_bundles_travel_by_the_storage_once_and_are_checked(place: Place, tmp_path: Path) -> None:
    source = artifact(tmp_path / "store")
    (bundle,) = bundles({"path": f"{source}/model"})
    upload(place, bundle)
    sent = [Path(f"{tmp_path}/storage/artifacts/{bundle.name}/{name}").stat().st_mtime_ns for name in ("b", SEAL)]
    upload(place, bundle)
    assert sent == [
        Path(f"{tmp_path}/storage/artifacts/{bundle.name}/{name}").stat().st_mtime_ns for name in ("b", SEAL)
    ]
    got = from_storage(place, bundle.name, tmp_path / "node")
    assert got == tmp_path / "node" / source.name
    assert {n: c for n, c in files(got).items() if n != SEAL} == {n: c for n, c in files(source).items() if n != SEAL}
    # A damaged copy is fetched again, and an undamaged one is left alone.
    (got / "b").write_text("x")
    assert from_storage(place, bundle.name, tmp_path / "node") == got
    assert (got / "b").read_text() == "b"
    before = (got / "b").stat().st_ino
    from_storage(place, bundle.name, tmp_path / "node")
    assert (got / "b").stat().st_ino == before


def test_a_bundle_damaged_in_the_storage_is_refused_and_sent_anew(place: Place, tmp_path: Path) -> None:
    (bundle,) = bundles({"path": str(artifact(tmp_path / "store"))})
    upload(place, bundle)
    place.write(f"artifacts/{bundle.name}/b", b"bad")
    with pytest.raises(StorageFailure, match="/b is damaged; resume to upload it again"):
        from_storage(place, bundle.name, tmp_path / "node")
    with pytest.raises(StorageFailure, match="missing or was damaged"):
        from_storage(place, bundle.name, tmp_path / "node")
    assert not any(path.is_dir() for path in (tmp_path / "node").glob("*tokens*"))
    upload(place, bundle)
    assert (from_storage(place, bundle.name, tmp_path / "node") / "b").read_text() == "b"


def test_workers_of_a_host_copy_once(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle,) = bundles({"path": str(artifact(tmp_path / "store"))})
    upload(place, bundle)
    fetched: list[str] = []
    real = Place.fetch

    def fetch(self: Place, name: str, file: Path) -> bool:
        fetched.append(name)
        # Long enough for the others to come.
        time.sleep(0.05)
        return real(self, name, file)

    monkeypatch.setattr(Place, "fetch", fetch)
    workers = [threading.Thread(target=from_storage, args=(place, bundle.name, tmp_path / "node")) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(fetched) == sorted(f"artifacts/{bundle.name}/{name}" for name in bundle.seal["files"])


def test_copies_of_a_store_that_all_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = artifact(tmp_path / "store")
    prepared = {"data": {"path": f"{source}/model"}, "student": {"path": str(encoder(tmp_path / "student"))}}
    monkeypatch.delenv(node_store.NODE_DIR, raising=False)
    assert localised(prepared) is prepared
    monkeypatch.setenv(node_store.NODE_DIR, str(tmp_path / "node"))
    own = tmp_path / "node" / "artifacts" / source.name
    assert localised(prepared)["data"]["path"] == f"{own}/model"
    assert (own / "model" / "a").read_text() == "rows"
    # An encoder outside the store is read once by each trial, from where it is.
    assert localised(prepared)["student"] == prepared["student"]
    assert localised(localised(prepared)) == localised(prepared)
    (source / "b").write_text("bad")
    assert localised(prepared)["data"]["path"] == f"{own}/model"
    (own / "b").write_text("bad")
    with pytest.raises(StorageFailure, match=rf"{source}/b is damaged; remove {source}"):
        localised(prepared)
    assert json.loads((source / SEAL).read_text())["kind"] == "tokens"
