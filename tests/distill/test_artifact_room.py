"""A store is kept below a size: the least recently used go first, and nothing that is in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distill import artifact_use
from distill.artifact_room import make_room
from distill.artifacts import Store
from distill.errors import UserError


@pytest.fixture
def filled(store: Store) -> dict[str, Path]:
    """Three artifacts of a little over 1000 bytes each, "old" used longest ago; nobody uses them now."""
    found = {}
    for age, name in enumerate(("new", "middle", "old")):

        def fill(folder: Path) -> None:
            (folder / "data").write_bytes(bytes(1000))

        found[name] = store.build("tokens", {"name": name}, fill)
        artifact_use.release(store.place, found[name].name)
        os.utime(store.place / artifact_use.MARKS / found[name].name, (1e9 - 1000 * age,) * 2)
    return found


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def test_oldest_first_and_no_more_than_needed(store: Store, filled: dict[str, Path]) -> None:
    total = sum(map(size_of, filled.values()))
    assert make_room(store.place, 500, total + 500) == []
    assert [entry.path for entry in make_room(store.place, 501, total + 500)] == [filled["old"]]
    assert not filled["old"].exists()
    left = size_of(filled["new"]) + size_of(filled["middle"])
    assert [entry.path for entry in make_room(store.place, left, left)] == [filled["middle"], filled["new"]]
    assert make_room(store.place, 10, 10) == []


def test_what_is_in_use_stays(store: Store, filled: dict[str, Path]) -> None:
    artifact_use.hold(store.place, filled["old"].name)
    os.utime(store.place / artifact_use.MARKS / filled["old"].name, (1.0, 1.0))
    try:
        kept = size_of(filled["old"])
        assert [entry.path for entry in make_room(store.place, 100, kept + 100)] == [filled["middle"], filled["new"]]
        assert filled["old"].is_dir()
        with pytest.raises(UserError, match=r"--artifacts-gb .*about 101 bytes are needed in the store beside the 1"):
            make_room(store.place, 101, kept + 100)
        assert filled["old"].is_dir()
    finally:
        artifact_use.release(store.place, filled["old"].name)


def test_what_cannot_fit_is_refused_before_anything_is_removed(store: Store, filled: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"about 5\.0 kB are needed in the store; raise it, or lower --cache-gb"):
        make_room(store.place, 5000, 4999)
    assert all(folder.is_dir() for folder in filled.values())


def test_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    assert make_room(tmp_path / "none", 5, 5) == []
    with pytest.raises(UserError, match="--artifacts-gb"):
        make_room(tmp_path / "none", 6, 5)
    assert not (tmp_path / "none").exists()
