"""A sweep from its mirror: whole or not there; one of several sweeps keeps its place in the storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.errors import UserError
from tests.trainables.sweeps import create
from trainables.mirror import Mirror, restore
from trainables.storage import Place


@pytest.fixture
def storage(tmp_path: Path) -> Place:
    place = Place(str(tmp_path / "storage"))
    for name in ("sweep.json", "rows.jsonl", "trials/p00/predictions-best.npz"):
        place.write(f"s/{name}", name.encode())
    return place


def test_a_restore_that_is_cut_leaves_nothing_in_the_way_of_the_next(
    storage: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = Place.fetch

    def cut(self: Place, name: str, file: Path) -> bool:
        if name.startswith("trials/"):
            raise KeyboardInterrupt
        return fetch(self, name, file)

    monkeypatch.setattr(Place, "fetch", cut)
    folder = tmp_path / "sweeps" / "s"
    with pytest.raises(KeyboardInterrupt):
        restore(f"{storage.uri}/s", folder)
    assert not folder.exists()
    # What a kill leaves, which no `finally` sees.
    (folder.parent / ".s.restored").mkdir(parents=True)
    (folder.parent / ".s.restored" / "rows.jsonl").write_text("of an older day")
    monkeypatch.setattr(Place, "fetch", fetch)
    restore(f"{storage.uri}/s", folder)
    assert (folder / "rows.jsonl").read_text() == "rows.jsonl"
    assert (folder / "trials" / "p00" / "predictions-best.npz").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["s"]


def test_one_of_several_sweeps_is_not_restored_alone(storage: Place, tmp_path: Path) -> None:
    storage.write("family.json", b"{}")
    with pytest.raises(UserError, match=r"is one of several sweeps, which share their teacher; --resume .*/storage\."):
        restore(f"{storage.uri}/s", tmp_path / "s")
    assert list(tmp_path.iterdir()) == [tmp_path / "storage"]


def test_one_of_several_sweeps_that_goes_on_alone_keeps_its_place(tmp_path: Path) -> None:
    for family in ("a", "b"):
        (tmp_path / family).mkdir()
        (tmp_path / family / "family.json").write_text("{}")
        child = create(tmp_path / family / "2L", points=1)
        child.record.header["plan"]["artifacts"] = str(tmp_path / "store")
        found = Mirror(str(tmp_path / "storage"), [child])
        found.begin()
        assert found.addresses() == [f"file://{tmp_path}/storage/{family}/2L"]
        found._send()
        child.close()
    sent = sorted(path.parent.name for path in (tmp_path / "storage").glob("*/2L"))
    assert sent == ["a", "b"]
