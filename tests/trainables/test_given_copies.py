"""Copies of filters that a person gave: named by what they hold, because folders of one name may hold anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from distill.artifacts import SEAL, Store
from trainables import node_store
from trainables.mirror import _fetch_artifacts
from trainables.node_store import bundles, from_storage, localised, upload
from trainables.node_trial import BUNDLES
from trainables.record import PREPARED
from trainables.storage import Place


def filters(folder: Path, text: str) -> Path:
    """A sealed folder of a name of its own."""

    def fill(staging: Path) -> None:
        (staging / "left.pt").write_text(text)

    folder.parent.mkdir(parents=True, exist_ok=True)
    return Store(folder.parent / "made").build("teacher-stage", {"text": text}, fill).rename(folder)


def prepared(folder: Path) -> dict[str, Any]:
    return {"given": {"teacher_filters": str(folder)}, "data": {"key": "x"}}


def copied(folder: Path, tmp_path: Path) -> str:
    """What a node that sees nothing but the storage has of a folder."""
    place = Place(str(tmp_path / "storage"))
    (bundle,) = bundles(prepared(folder))
    upload(place, bundle)
    return (from_storage(place, bundle.name, tmp_path / "node") / "left.pt").read_text()


def beside(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a node that sees the folder has on its own disk."""
    monkeypatch.setenv(node_store.NODE_DIR, str(tmp_path / "own"))
    found = Path(localised(prepared(folder))["given"]["teacher_filters"])
    assert tmp_path / "own" in found.parents
    return (found / "left.pt").read_text()


@pytest.mark.parametrize("name", ["filters", "teacher-stage-0123456789abcdef"])
def test_two_folders_of_one_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = filters(tmp_path / "a" / name, "one"), filters(tmp_path / "b" / name, "two")
    assert [copied(folder, tmp_path) for folder in (one, two)] == ["one", "two"]
    assert [beside(folder, tmp_path, monkeypatch) for folder in (one, two)] == ["one", "two"]


def test_a_folder_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filters(tmp_path / "filters", "one")
    assert (copied(folder, tmp_path), beside(folder, tmp_path, monkeypatch)) == ("one", "one")
    shutil.rmtree(folder)
    filters(folder, "two")
    assert (copied(folder, tmp_path), beside(folder, tmp_path, monkeypatch)) == ("two", "two")


def test_equal_folders_are_one_copy(tmp_path: Path) -> None:
    names = {bundles(prepared(filters(tmp_path / place / "f", "one")))[0].name for place in ("a", "b")}
    assert len(names) == 1


def test_a_driver_that_lost_its_store_finds_them_where_they_lay(tmp_path: Path) -> None:
    store = tmp_path / "store"
    folder = filters(store / "teacher-stage-0123456789abcdef", "one")
    place = Place(str(tmp_path / "storage"))
    (bundle,) = bundles(prepared(folder))
    upload(place, bundle)
    sweep = place.below("s")
    sweep.write(BUNDLES, json.dumps({str(folder): bundle.name}).encode())
    sweep.write(PREPARED, json.dumps(prepared(folder)).encode())
    shutil.rmtree(store)
    _fetch_artifacts(place, sweep, store)
    assert (folder / "left.pt").read_text() == "one"
    assert (folder / SEAL).is_file()
    assert [path.name for path in store.iterdir() if not path.name.startswith(".")] == [folder.name]
