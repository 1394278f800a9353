"""The store: one build for one set of inputs, nothing half-built, nothing damaged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill import artifact_use, artifacts
from distill.artifact_use import MARKS
from distill.artifacts import SEAL, Store, hash_encoder, hash_file, key_of
from tests.distill import tiny

INPUTS: dict[str, Any] = {"encoder": "abc", "seed": 1, "training": {"epochs": 4, "batch": 32}, "autocast": None}


class _Fill:
    """Writes two files and counts how often it was asked."""

    def __init__(self, text: str = "content") -> None:
        self.text, self.calls = text, 0

    def __call__(self, folder: Path) -> dict[str, Any]:
        self.calls += 1
        assert folder.is_dir()
        assert not list(folder.iterdir())
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_text(self.text)
        (folder / "rows").write_text("1 2 3")
        return {"score": 0.5}


def test_one_build_for_the_same_inputs(store: Store) -> None:
    fill = _Fill()
    folder = store.build("teacher", INPUTS, fill)
    assert store.build("teacher", dict(reversed(INPUTS.items())), fill) == folder
    assert Store(store.place).build("teacher", INPUTS, fill) == folder
    assert fill.calls == 1
    assert folder == store.path("teacher", key_of(INPUTS)) == store.get("teacher", key_of(INPUTS))
    assert store.facts(folder) == {"score": 0.5}
    seal = json.loads((folder / SEAL).read_text())
    assert seal["inputs"] == INPUTS
    assert seal["files"] == {name: hash_file(folder / name) for name in ("model/weights", "rows")}


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": "abd"},
        {"seed": 2},
        {"seed": "1"},
        {"training": {"epochs": 4, "batch": 33}},
        {"training": {"epochs": 4}},
        {"autocast": "bfloat16"},
        {"extra": None},
    ],
    ids=str,
)
def test_any_other_input_is_another_artifact(store: Store, change: dict[str, Any]) -> None:
    fill = _Fill()
    folder = store.build("teacher", INPUTS, fill)
    assert store.build("teacher", {**INPUTS, **change}, fill) != folder
    assert store.build("tokens", INPUTS, fill) != folder
    assert fill.calls == 3


def _cut(folder: Path) -> None:
    (folder / "rows").write_text("1 2")


def _remove(folder: Path) -> None:
    (folder / "model" / "weights").unlink()


def _tear_seal(folder: Path) -> None:
    (folder / SEAL).write_text('{"files": ')


def _no_seal(folder: Path) -> None:
    (folder / SEAL).unlink()


@pytest.mark.parametrize("damage", [_cut, _remove, _tear_seal, _no_seal])
def test_a_damaged_artifact_is_built_again(store: Store, damage: Callable[[Path], None]) -> None:
    fill = _Fill()
    folder = store.build("teacher", INPUTS, fill)
    damage(folder)
    assert store.get("teacher", key_of(INPUTS)) is None
    assert store.build("teacher", INPUTS, fill) == folder
    assert fill.calls == 2
    assert (folder / "rows").read_text() == "1 2 3"
    assert store.get("teacher", key_of(INPUTS)) == folder


def test_a_build_that_raises_leaves_nothing(store: Store) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        store.build("teacher", INPUTS, fail)
    assert [path for path in store.place.iterdir() if path.name != MARKS] == []


def test_a_kill_in_mid_build_leaves_nothing_under_the_name(store: Store) -> None:
    code = (
        "import sys, time; from pathlib import Path; from distill.artifacts import Store\n"
        "def fill(folder):\n"
        "    (folder / 'half').write_text('x'); print('filling', flush=True); time.sleep(60)\n"
        f"Store({str(store.place)!r}).build('teacher', {INPUTS!r}, fill)"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "filling\n"
        os.kill(process.pid, signal.SIGKILL)
    assert store.get("teacher", key_of(INPUTS)) is None
    assert not store.path("teacher", key_of(INPUTS)).exists()
    fill = _Fill()
    assert sorted(f.name for f in store.build("teacher", INPUTS, fill).iterdir()) == [SEAL, "model", "rows"]


def test_two_builders_at_once_agree(store: Store) -> None:
    """The slower one finds the artifact there when it is done, and uses it: nobody who reads it loses it."""
    first: list[int] = []

    def slow(folder: Path) -> dict[str, Any]:
        other = _Fill()
        facts = other(folder)
        # Another process, with its own staging folder.
        pid = os.getpid()
        try:
            os.getpid = lambda: pid + 1
            first.append(store.build("teacher", INPUTS, _Fill()).stat().st_ino)
        finally:
            os.getpid = lambda: pid
        return facts

    folder = store.build("teacher", INPUTS, slow)
    assert store.get("teacher", key_of(INPUTS)) == folder
    assert folder.stat().st_ino == first[0]
    assert {path.name for path in store.place.iterdir()} == {folder.name, MARKS}


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(artifacts.PLACE, str(tmp_path / "here"))
    assert Store().place == tmp_path / "here"
    monkeypatch.delenv(artifacts.PLACE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Store().place == tmp_path / "cache" / "distill-tune" / "artifacts"


def test_files_hash_alike_with_and_without_the_newer_function(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3_000_000))
    with file.open("rb") as stream:
        assert artifacts._slow(stream) == hash_file(file)


def test_an_encoder_is_its_configuration_weights_and_tokenizer(tmp_path: Path) -> None:
    folder = tiny.encoder_folder(tmp_path / "encoder")
    before = hash_encoder(folder)
    (folder / "README.md").write_text("words")
    os.utime(folder / "config.json", (time.time() + 9, time.time() + 9))
    assert hash_encoder(folder) == before
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw + b" ")
        assert hash_encoder(folder) != before, name
        (folder / name).write_bytes(raw)
    assert hash_encoder(folder) == before


def test_what_a_killed_build_left_is_swept_up_by_the_next(store: Store) -> None:
    inputs = {"a": 1}
    dead, alive = (f".thing-{key_of(inputs)}.{socket.gethostname()}.{process}" for process in (2**22 + 7, os.getppid()))
    for name in (dead, alive):
        (store.place / name).mkdir(parents=True)
    store.build("thing", inputs, lambda folder: {})
    assert not (store.place / dead).exists()
    assert (store.place / alive).exists()


def test_taking_notes_the_use_and_changes_nothing_sealed(store: Store) -> None:
    folder = store.build("teacher", INPUTS, _Fill())
    mark = store.place / MARKS / folder.name
    os.utime(mark, (5, 5))
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
    assert artifact_use.last_used(store.place, folder.name) == 5
    assert store.get("teacher", key_of(INPUTS)) == folder
    assert artifact_use.last_used(store.place, folder.name) == pytest.approx(time.time(), abs=60)
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before
    assert store.get("tokens", "0" * 16) is None
    assert [file.name for file in (store.place / MARKS).iterdir()] == [folder.name]


def test_a_store_that_may_only_be_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, because root may write everywhere."""
    folder = store.build("teacher", INPUTS, _Fill())
    artifact_use.release(store.place, folder.name)
    mark, real = store.place / MARKS / folder.name, os.open

    def refusing(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(30, "Read-only file system")
        return real(path, flags, *rest, **named)

    def refuse(*given: Any, **named: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(os, "utime", refuse)
    assert store.get("teacher", key_of(INPUTS)) == folder
    assert artifact_use.busy(store.place, folder.name), "even so, nobody may remove it now"
    artifact_use.release(store.place, folder.name)
    mark.unlink()
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert store.get("teacher", key_of(INPUTS)) == folder
    assert store.facts(folder) == {"score": 0.5}
    assert artifact_use.last_used(store.place, folder.name) is None


def test_a_store_made_anew_is_locked_anew(store: Store) -> None:
    folder = store.build("teacher", INPUTS, _Fill())
    shutil.rmtree(store.place)
    assert store.build("teacher", INPUTS, _Fill()) == folder
    assert artifact_use.busy(store.place, folder.name)


def test_facts_keep_an_artifact(store: Store) -> None:
    folder = store.build("teacher", INPUTS, _Fill())
    artifact_use.release(store.place, folder.name)
    assert not artifact_use.busy(store.place, folder.name)
    store.facts(folder)
    assert artifact_use.busy(store.place, folder.name)


def test_weights_in_an_older_form_beside_safetensors_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"old")
    alone = hash_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"new")
    both = hash_encoder(tmp_path)
    assert both != alone
    (tmp_path / "pytorch_model.bin").write_bytes(b"other")
    assert hash_encoder(tmp_path) == both
    (tmp_path / "model.safetensors").write_bytes(b"newer")
    assert hash_encoder(tmp_path) != both
