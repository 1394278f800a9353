"""What trials share is built in parallel by Ray tasks, found again, ended with the sweep, and fits into the store."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from distill import artifact_use
from distill.artifacts import Store, key_of
from distill.errors import UserError
from trainables import building
from trainables.building import Interrupted, Job, build, build_what_can_be, room_for
from trainables.teacher_work import Say, StoreFull

PLAN = {"resources": {"gpus_per_trial": 0.0}}


@dataclass(frozen=True)
class Order:
    """Writes a file once all of `together` are at it at the same time."""

    store: str
    name: str
    together: tuple[str, ...] = ()
    fault: str = ""
    label: str = "Thing"
    cores: int = 1
    device: str = "cpu"

    def names(self) -> list[tuple[str, str]]:
        return [("thing", key_of({"name": self.name}))]

    def carry_out(self, say: Say) -> Path:
        def fill(folder: Path) -> None:
            place = Path(self.store).parent
            (place / f"begun-{self.name}").touch()
            say(f"{self.name} begun.")
            end = time.monotonic() + 60
            while not all((place / f"begun-{other}").exists() for other in self.together):
                assert time.monotonic() < end, "the others never began"
                time.sleep(0.05)
            if self.fault == "user":
                raise UserError("--flag is wrong; mend it.")
            if self.fault == "full":
                raise OSError(28, "No space left on device")
            if self.fault == "hang":
                time.sleep(600)
            (folder / "data").write_text(self.name)

        return Store(self.store).build("thing", {"name": self.name}, fill)

    def too_large(self, what: str) -> str:
        return f"Too large: {what}."


def order(tmp_path: Path, name: str, *together: str, fault: str = "") -> Order:
    return Order(str(tmp_path / "store"), name, together, fault)


def test_at_once_and_found_again(ray: None, tmp_path: Path) -> None:
    lines: list[str] = []
    orders = [order(tmp_path, name, "a", "b") for name in ("a", "b")]
    found = build(orders, PLAN, lines.append, lambda: False)
    assert [(path / "data").read_text() for path in found] == ["a", "b"]
    assert sorted(lines) == ["Thing: a begun.", "Thing: b begun."]
    lines.clear()
    assert build(orders, PLAN, lines.append, lambda: False) == found
    assert lines == []
    # One that is damaged is made again, the other is not.
    (found[1] / "data").write_text("?")
    assert build(orders, PLAN, lines.append, lambda: False) == found
    assert lines == ["Thing: b begun."]
    assert (found[1] / "data").read_text() == "b"


@pytest.mark.parametrize(("fault", "said"), [("user", "--flag is wrong; mend it."), ("full", "--artifacts .* is full")])
def test_a_fault_is_one_sentence_and_ends_the_others(ray: None, tmp_path: Path, fault: str, said: str) -> None:
    orders = [order(tmp_path, "a", fault="hang"), order(tmp_path, "b", "a", fault=fault)]
    began = time.monotonic()
    with pytest.raises(UserError, match=said):
        build(orders, PLAN, lambda line: None, lambda: False)
    assert time.monotonic() - began < 100
    assert not list((tmp_path / "store").glob(".progress-*"))


def test_stopped(ray: None, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        build([order(tmp_path, "a", fault="hang")], PLAN, lambda line: None, lambda: (tmp_path / "begun-a").exists())
    assert not list((tmp_path / "store").glob(".progress-*"))


def test_what_cannot_be_made_is_told_and_left_out(ray: None, tmp_path: Path) -> None:
    jobs = [Job(order(tmp_path, name, fault=fault), 1.0, 0.0) for name, fault in (("a", "user"), ("b", ""))]
    lines: list[str] = []
    found = build_what_can_be(jobs, 2, lines.append, lambda: False)
    assert {number: path.name for number, path in found.items()} == {1: find_name(tmp_path, "b")}
    said = "Thing: could not be made, so each trial that needs it trains it itself: --flag is wrong; mend it."
    assert said in lines
    full = [Job(order(tmp_path, "c", fault="full"), 1.0, 0.0)]
    with pytest.raises(StoreFull, match=r"--artifacts .* is full"):
        build_what_can_be(full, 2, lines.append, lambda: False)
    hanging = [Job(order(tmp_path, "d", fault="hang"), 1.0, 0.0)]
    with pytest.raises(Interrupted):
        build_what_can_be(hanging, 1, lines.append, lambda: (tmp_path / "begun-d").exists())


def find_name(tmp_path: Path, name: str) -> str:
    return "-".join(order(tmp_path, name).names()[0])


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_no_more_at_once_than_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    running, most = 0, 0

    class Remote:
        def __init__(self, order: Order, cpus: float, gpus: float) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            assert (cpus, gpus) == (2.0, 0.25)
            self.name = order.name

        def lines(self) -> list[str]:
            return []

        def result(self) -> Path:
            nonlocal running
            running -= 1
            return Path(self.name)

    monkeypatch.setattr(building, "Remote", Remote)
    monkeypatch.setattr(building, "wait", lambda works, seconds: works[:1])
    jobs = [Job(order(tmp_path, name), 2.0, 0.25) for name in "abcd"]
    found = build_what_can_be(jobs, at_once, lambda line: None, lambda: False)
    assert found == {number: Path(name) for number, name in enumerate("abcd")}
    assert most == min(at_once, 4)


def test_in_this_process(tmp_path: Path) -> None:
    lines: list[str] = []
    found = build([order(tmp_path, "a"), order(tmp_path, "b", "a")], PLAN, lines.append)
    assert [(path / "data").read_text() for path in found] == ["a", "b"]
    assert lines == ["Thing: a begun.", "Thing: b begun."]


def test_room_is_made_by_what_the_sweep_does_not_need(tmp_path: Path) -> None:
    orders = [order(tmp_path, name) for name in ("a", "b", "c")]
    first, second = build(orders[:2], PLAN, lambda line: None)
    place = tmp_path / "store"
    for path in (first, second):
        artifact_use.release(place, path.name)
        # What the sweep needs was used longest ago.
        os.utime(place / artifact_use.MARKS / path.name, (1.0, 1.0) if path == first else (9.0, 9.0))
    limit = (sum(file.stat().st_size for file in first.iterdir()) + 700) / 1e9
    lines: list[str] = []
    room_for([(orders[0], 5000), (orders[2], 700)], 0, place, limit, lines.append)
    assert first.is_dir()
    assert not second.exists()
    assert len(lines) == 1
    assert lines[0].startswith(f"Store: {second.name} removed, ")
    assert lines[0].endswith(f"that nobody used, to stay below --artifacts-gb {limit:g}.")
    with pytest.raises(UserError, match="--artifacts-gb"):
        room_for([(orders[0], 0), (orders[2], 700)], 5000, place, limit, lines.append)
    room_for([(orders[0], 0), (orders[2], 700)], 5000, place, None, lines.append)
    artifact_use.release(place, first.name)
