"""Which cluster and which storage a session uses: what is typed goes before what the sweep was started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill.errors import UserError
from tests.trainables.sweeps import create
from trainables import cluster, places
from trainables.config import from_namespace
from trainables.places import Places, brought
from trainables.storage import Place


@pytest.mark.parametrize(
    ("asked", "typed", "address", "storage"),
    [
        ({}, {}, None, None),
        ({"address": "auto", "storage": "file:///a"}, {}, "auto", "file:///a"),
        ({"address": "auto", "storage": "file:///a"}, {"address": "local"}, None, "file:///a"),
        ({"address": "auto"}, {"address": "h:1", "storage": "file:///b"}, "h:1", "file:///b"),
        ({"dashboard": "none"}, {}, None, None),
        ({}, {"dashboard": "none"}, None, None),
    ],
)
def test_what_is_typed_goes_before_what_was_asked_at_the_start(
    tmp_path: Path, asked: dict[str, Any], typed: dict[str, Any], address: str | None, storage: str | None
) -> None:
    sweep = create(tmp_path / "s")
    sweep.record.header["config"] = {**sweep.record.header["config"], **asked}
    found = Places([sweep], None, typed)
    assert (found.address, found.storage) == (address, storage)
    assert found.dashboard == ("none" not in (typed.get("dashboard"), asked.get("dashboard")))
    sweep.close()


def test_without_a_storage_a_worker_runs_the_trial_itself(tmp_path: Path) -> None:
    from trainables.trial import trial

    sweep = create(tmp_path / "s")
    found = Places([sweep], None, {})
    for step in (found.begin, found.end, found.publish, found.close):
        step()
    assert found.function() is trial
    sweep.close()


def test_a_storage_is_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_namespace({"storage": "here"}, []).storage == f"file://{tmp_path}/here"
    assert brought({"resume": "s", "storage": "here"}) == {"resume": "s", "storage": f"file://{tmp_path}/here"}
    with pytest.raises(UserError, match="memory of its own"):
        from_namespace({"storage": "memory://a"}, [])


def test_a_mirror_is_brought_and_stays_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Place(str(tmp_path / "storage"))
    place.write("s/sweep.json", b"{}")
    found = brought({"resume": f"{place.uri}/s", "allow_changed": True})
    assert found == {"resume": f"{tmp_path}/sweeps/s", "allow_changed": True, "storage": place.uri}
    assert (tmp_path / "sweeps" / "s" / "sweep.json").read_bytes() == b"{}"
    with pytest.raises(UserError, match="exists; continue that sweep"):
        brought({"resume": f"{place.uri}/s"})


def test_this_machine_needs_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "view", lambda address, bfloat16: pytest.fail("joined a cluster"))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert places.machine(None) is None
    assert places.machine("local") is None
