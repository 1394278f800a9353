"""A trial on a node that shares no folder with the driver: its files come from the storage and go there.

Imports neither torch nor Ray, which the trial itself brings.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from trainables import stages
from trainables.lock import FolderLock, holder
from trainables.node_store import ARTIFACTS, from_storage, moved, node_place, paths
from trainables.record import LOCK, PREPARED, ROWS, SWEEP, TRIALS, read
from trainables.storage import Place, StorageFailure
from trainables.waiting import until

BUNDLES = "bundles.json"
CLAIM = "claim"
_STATE = "state-"
_YOUNG = 60.0
Report = Callable[[dict[str, Any]], None]


class Train(Protocol):
    """`trainables.trial.train_in`, or a stand-in."""

    def __call__(self, config: dict[str, Any], sweep: Path, report: Report, written: Callable[[], object]) -> None: ...


class Superseded(Exception):
    """Another worker trains the point now; this one was taken for dead and must not write any more."""


class NodeTrial:
    """The function Ray Tune runs in place of `trainables.trial.trial` where there is a storage.

    Args:
        train: Trains a point in a sweep's folder.
        place: The storage.
        names: Of each sweep in the storage, by its folder on the driver.
    """

    def __init__(self, train: Train, place: Place, names: dict[str, str]) -> None:
        self._train = train
        self._place = place
        self._names = names

    def __call__(self, config: dict[str, Any]) -> None:
        import ray
        from ray import tune

        # Several nodes may share a host, as in tests; each has a folder of its own all the same.
        home = node_place() / "trials" / ray.get_runtime_context().get_node_id()[:12]
        train_here(self._train, config, self._place, self._names[config["sweep"]], tune.report, home)


def train_here(train: Train, config: dict[str, Any], place: Place, name: str, report: Report, home: Path) -> None:
    """Train a point in a folder below `home` from its newest state in the storage, and push what it writes.

    A storage that fails ends the whole sweep: the report says so, because every other trial would fail too.

    Args:
        config: As Ray Tune hands it to a trial.
        name: Of the sweep in the storage.
        report: As in `trainables.trial.train_point`.

    Raises:
        Superseded: Another worker has taken the point over.
    """
    point, recorded = str(config["point"]), int(config["recorded"])
    _sweep_up(home.parent)
    attempt = home / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    sweep = attempt / name.rpartition("/")[2]
    files = TrialFiles(place.below(name), sweep / TRIALS / point, f"{TRIALS}/{point}")
    attempt.mkdir(parents=True)
    lock = FolderLock(attempt)
    lock.acquire()
    try:
        try:
            _bring_sweep(place, name, sweep, point)
            files.fetch()
        except StorageFailure as failure:
            _halt(report, recorded, failure)
            return

        def push() -> bool:
            try:
                files.push()
            except StorageFailure as failure:
                _halt(report, recorded, failure)
                return False
            return True

        def push_then_report(row: dict[str, Any]) -> None:
            if push():
                report(row)

        train(config, sweep, push_then_report, push)
    finally:
        shutil.rmtree(attempt, ignore_errors=True)
        lock.release()


def _halt(report: Report, recorded: int, failure: StorageFailure) -> None:
    from trainables.trial import WORST

    report({"evaluation": recorded + 1, "epoch": 0.0, "value": WORST, "halt": f"the storage failed: {failure}"})


def _sweep_up(homes: Path) -> None:
    """Remove what workers of this host left that were ended, in this or an earlier session of Ray."""
    for lock in homes.glob(f"*/*/{LOCK}"):
        # Others sweep up too. And a lock that is quite new may be about to be taken.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > _YOUNG and holder(lock.parent) is None:
                shutil.rmtree(lock.parent, ignore_errors=True)


def _bring_sweep(place: Place, name: str, sweep: Path, point: str) -> None:
    """Plan, rows and what trials share, as `trainables.record.read` finds them."""
    own = place.below(name)
    for file in (SWEEP, PREPARED):
        if not own.fetch(file, sweep / file):
            raise StorageFailure(f"{own.uri}/{file} is missing")
    planned = {entry["id"] for entry in json.loads((sweep / SWEEP).read_text())["plan"]["points"]}

    def known() -> bool:
        own.fetch(ROWS, sweep / ROWS)
        return point in planned or _born(sweep / ROWS, point)

    # The driver mirrors its rows every few seconds, and the search may just have thought of the point.
    if not until(known, patience=60.0, every=1.0):
        raise StorageFailure(f"{own.uri}/{ROWS} has no point {point} yet")
    store = node_place() / ARTIFACTS
    listed = json.loads(own.read(BUNDLES) or b"{}")
    prepared = json.loads((sweep / PREPARED).read_text())
    if prepared.get("stages"):
        record = read(sweep)
        prepared = stages.of_point(record.header, prepared, record.trial(point).point)
        wanted = list(paths(prepared))
        listed = {
            folder: bundle
            for folder, bundle in listed.items()
            if any(text == folder or text.startswith(f"{folder}/") for text in wanted)
        }
    places = {folder: str(from_storage(place, bundle, store)) for folder, bundle in listed.items()}
    prepared = moved(prepared, places)
    (sweep / PREPARED).write_text(json.dumps(prepared), encoding="utf-8")


def _born(rows: Path, point: str) -> bool:
    """Whether a row adds the point."""
    if not rows.exists():
        return False
    for line in rows.read_text(encoding="utf-8").splitlines():
        # Only few rows add points; a torn last line adds none that can be read.
        born = json.loads(line).get("points", ()) if '"points"' in line and line.endswith("}") else ()
        if any(entry["id"] == point for entry in born):
            return True
    return False


class TrialFiles:
    """Files of one trial, here and in the storage.

    Args:
        place: The sweep's folder in the storage.
        folder: The trial's folder here.
        name: The trial's folder in the storage.
    """

    def __init__(self, place: Place, folder: Path, name: str) -> None:
        self._place, self._folder, self._name = place, folder, name
        self._known: dict[str, tuple[int, int]] = {}
        self._claim = uuid.uuid4().hex.encode()

    def fetch(self) -> None:
        """Take the point over, and everything that an earlier worker left of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._place.write(f"{self._name}/{CLAIM}", self._claim)
        for file in self._place.names(self._name):
            if file != CLAIM and self._place.fetch(f"{self._name}/{file}", self._folder / file):
                self._known[file] = _version(self._folder / file)

    def push(self) -> None:
        """Bring what is new to the storage: predictions, then the student, the training state last.

        So a state in the storage has the student that goes with it, whenever the node is lost, and a student has its
        predictions, by which one that no row tells of is known.

        Raises:
            StorageFailure: It could not be written.
            Superseded: Another worker has taken the point over.
        """
        if self._place.read(f"{self._name}/{CLAIM}") != self._claim:
            raise Superseded(f"{self._place.uri}/{self._name} is another worker's now")
        here = {file: _version(self._folder / file) for file in local_files(self._folder)}
        for file in sorted(here, key=lambda file: (file.startswith(_STATE), file)):
            if self._known.get(file) != here[file]:
                self._place.put(self._folder / file, f"{self._name}/{file}")
        for file in sorted(set(self._known) - set(here)):
            self._place.remove(f"{self._name}/{file}")
        self._known = here


def local_files(folder: Path) -> list[str]:
    """Whole files of a trial, relative to its folder; what is being written has names of its own."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(
        file.as_posix()
        for file in found
        if not any(part.startswith(".") for part in file.parts) and file.suffix != ".tmp" and file.name != "lock"
    )


def _version(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
