"""The driver's side of `--storage`: it mirrors sweeps there, and takes what the nodes left there into their folders.

The driver alone writes the record. Nodes write below a sweep's `trials/` in the storage, the driver everything else
(see docs/cluster.md). Imports neither torch nor Ray.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from distill.errors import UserError
from trainables.families import FAMILY, is_family
from trainables.interrupt import halt
from trainables.node_store import bundles, from_storage, paths, upload
from trainables.node_trial import BUNDLES, CLAIM, NodeTrial, Train, local_files
from trainables.record import FINISHED, JOURNAL, LOCK, PREPARED, ROWS, SWEEP, TRIALS, Trial
from trainables.recorder import Recorder
from trainables.storage import Place, StorageFailure, normal

# Seconds between two looks at what has changed.
PERIOD = 3.0
_RECORD = (SWEEP, PREPARED, ROWS, JOURNAL)
# What the driver does not need of a running trial.
_LEFT_THERE = ("state-", "student/")


class Mirror:
    """Sweeps of one session and their folders in a storage.

    Args:
        uri: The storage; sweeps lie below it by the names of their folders, what they share below `artifacts/`.
        recorders: Of the sweeps.
        parent: Folder of a family of sweeps, whose name goes before theirs.
    """

    def __init__(self, uri: str, recorders: Sequence[Recorder], parent: Path | None = None) -> None:
        self.place = Place(uri)
        self._recorders = {str(recorder.path): recorder for recorder in recorders}
        first = recorders[0].path
        # One of several sweeps that goes on alone, as where it is confirmed, stays where the others are.
        top = (parent or (first.parent if is_family(first.parent) else first)).parent
        self.names = {path: Path(path).relative_to(top).as_posix() for path in self._recorders}
        self._sent: dict[Path, tuple[int, int]] = {}
        self._parent = parent
        # Beginnings of the names of files that nobody needs any more, by sweep and trial.
        self._unneeded: dict[tuple[str, str], tuple[str, ...]] = {}
        self._removed: dict[tuple[str, str], tuple[str, ...]] = {}
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Check that the storage holds these sweeps or none, and take from it what this machine has lost.

        Raises:
            UserError: It cannot be used, or holds another sweep by this name or more of this one.
        """
        try:
            self.place.probe()
            for path, recorder in self._recorders.items():
                _check_same(self._of(path), recorder)
                _fetch_artifacts(self.place, self._of(path), Path(recorder.record.plan["artifacts"]))
        except StorageFailure as failure:
            raise UserError(f"--storage {self.place.uri} cannot be used: {failure}.") from failure

    def share(self, train: Train) -> NodeTrial:
        """Bring the nodes what they need, begin to mirror, and give the function that they run.

        Raises:
            UserError: The storage takes no files.
        """
        try:
            for path, recorder in self._recorders.items():
                self._bring(path, recorder)
                for trial in recorder.record.everything():
                    self._send_trial(path, trial)
            self._send()
            self._send_family()
        except StorageFailure as failure:
            raise UserError(f"--storage {self.place.uri} cannot be written: {failure}.") from failure
        for recorder in self._recorders.values():
            recorder.listeners.insert(0, self._heard)
        self._thread = threading.Thread(target=self._keep_sending, daemon=True)
        self._thread.start()
        return NodeTrial(train, self.place, self.names)

    def renew(self) -> None:
        """Bring the nodes what was made for the trials since `share`.

        Raises:
            UserError: The storage takes no files.
        """
        try:
            for path, recorder in self._recorders.items():
                self._bring(path, recorder)
            self._send()
        except StorageFailure as failure:
            raise UserError(f"--storage {self.place.uri} cannot be written: {failure}.") from failure

    def end(self) -> None:
        """No trial runs any more: send the rest, and take the students that are kept.

        Also where none ran, because an earlier session may have been killed just before.
        """
        self.close()
        try:
            for path, recorder in self._recorders.items():
                if self._heard in recorder.listeners:
                    recorder.listeners.remove(self._heard)
                self._note_unneeded(path)
                losers = recorder.losers()
                for trial in recorder.record.everything():
                    kept = trial.state in FINISHED and trial.id not in losers
                    if kept and not (trial.folder / "student").is_dir():
                        self.take(trial, student=True)
            self._send()
        except StorageFailure as failure:
            halt(f"the storage failed: {failure}")

    def publish(self) -> None:
        """Send what people read: report, best.yaml, student, curves.

        Raises:
            UserError: The storage takes no files; this machine has them all.
        """
        try:
            self._send()
            self._send_family()
            for path in self._recorders:
                folder = Path(path)
                for file in sorted(folder.rglob("*")):
                    name = file.relative_to(folder)
                    hidden = any(part.startswith(".") for part in name.parts)
                    own = name.parts[0] in (TRIALS, "ray", "stop", "lock", *_RECORD)
                    if file.is_file() and not hidden and not own:
                        self._send_file(path, file)
        except StorageFailure as failure:
            raise UserError(
                f"--storage {self.place.uri} lags behind: {failure}; the sweep is whole on this machine, and --resume "
                "brings the rest there."
            ) from failure

    def addresses(self) -> list[str]:
        """Of the sweeps in the storage."""
        return [f"{self.place.uri}/{name}" for name in self.names.values()]

    def close(self) -> None:
        """Stop sending."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def take(self, trial: Trial, student: bool = False) -> None:
        """Bring what a node left of a trial into the sweep's folder; its state stays there.

        Raises:
            StorageFailure: It could not be read.
        """
        place, name = self._of(str(trial.folder.parents[1])), f"{TRIALS}/{trial.id}"
        left = ("state-", CLAIM) if student else (*_LEFT_THERE, CLAIM)
        files = [file for file in place.names(name) if not file.startswith(left)]
        # A student is older than its predictions, as where a trial writes into this folder itself.
        for file in sorted(files, key=lambda file: not file.startswith("student/")):
            place.fetch(f"{name}/{file}", trial.folder / file)

    def _bring(self, path: str, recorder: Recorder) -> None:
        """Bring the nodes everything that the trials of a sweep share."""
        prepared = recorder.record.prepared
        assert prepared is not None
        found = bundles(prepared)
        for bundle in found:
            upload(self.place, bundle)
        listed = {str(bundle.folder): bundle.name for bundle in found}
        self._of(path).write(BUNDLES, json.dumps(listed).encode())

    def _of(self, path: str) -> Place:
        return self.place.below(self.names[path])

    def _heard(self, kind: str, trial: Trial, row: dict[str, Any]) -> None:
        """A row was written: take the files that it tells of, and let the nodes know what they must."""
        try:
            if kind == "evaluation":
                self.take(trial)
            elif kind == "state" and trial.state in FINISHED:
                # Of a session without this storage; the one that goes with the last row is there.
                shutil.rmtree(trial.folder / "student", ignore_errors=True)
                self.take(trial)
                self._note_unneeded(str(trial.folder.parents[1]))
            elif kind != "state":
                self._send()
        except StorageFailure as failure:
            halt(f"the storage failed: {failure}")

    def _keep_sending(self) -> None:
        while not self._ended.wait(PERIOD):
            try:
                self._send()
            except StorageFailure as failure:
                halt(f"the storage failed: {failure}")
                return

    def _send(self) -> None:
        """Send the record where it has changed; then remove what its rows say nobody needs."""
        with self._sending:
            unneeded = dict(self._unneeded)
            for path in self._recorders:
                for file in _RECORD:
                    self._send_file(path, Path(path) / file)
            for (path, point), starts in unneeded.items():
                if self._removed.get((path, point)) != starts:
                    place, name = self._of(path), f"{TRIALS}/{point}"
                    for found in place.names(name):
                        if found.startswith(starts):
                            place.remove(f"{name}/{found}")
                    self._removed[path, point] = starts

    def _note_unneeded(self, path: str) -> None:
        """What `Recorder.tidy` removes from the folder is to go from the storage, once the rows are there."""
        losers = self._recorders[path].losers()
        for trial in self._recorders[path].record.everything():
            if trial.state in FINISHED:
                self._unneeded[path, trial.id] = _LEFT_THERE if trial.id in losers else _LEFT_THERE[:1]

    def _send_file(self, path: str, file: Path) -> None:
        self._send_to(self._of(path), file, file.relative_to(path).as_posix())

    def _send_family(self) -> None:
        """Files of the parent folder itself."""
        if self._parent is not None:
            for file in sorted(self._parent.iterdir()):
                if file.is_file() and not file.name.startswith(".") and file.name != LOCK:
                    self._send_to(self.place.below(self._parent.name), file, file.name)

    def _send_to(self, place: Place, file: Path, name: str) -> None:
        if not file.exists():
            return
        status = file.stat()
        if self._sent.get(file) == (status.st_size, status.st_mtime_ns):
            return
        place.put(file, name)
        self._sent[file] = status.st_size, status.st_mtime_ns

    def _send_trial(self, path: str, trial: Trial) -> None:
        """What an earlier session without this storage left of a trial."""
        place, name = self._of(path), f"{TRIALS}/{trial.id}"
        files = local_files(trial.folder) if trial.folder.is_dir() else []
        if files and not place.names(name):
            for file in sorted(files, key=lambda file: file.startswith("state-")):
                place.put(trial.folder / file, f"{name}/{file}")


def restore(uri: str, folder: Path) -> None:
    """Bring a sweep from its mirror into a new folder, to go on with it there.

    Args:
        uri: Of the sweep: the storage and the name of its folder.

    Raises:
        UserError: There is no sweep, it is one of several, or the folder exists.
    """
    place, above = Place(normal(uri)), storage_of(uri)
    if folder.exists():
        raise UserError(f"{folder} exists; continue that sweep with --resume {folder}, or move it away.")
    # The folder appears when it is whole: a kill may come in between.
    staging = folder.with_name(f".{folder.name}.restored")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        if place.read(SWEEP) is None and place.read(FAMILY) is None:
            raise UserError(f"--resume {uri} holds no sweep ({SWEEP} is missing); name STORAGE/NAME of a mirrored one.")
        if Place(above).read(FAMILY) is not None:
            raise UserError(f"--resume {uri} is one of several sweeps, which share their teacher; --resume {above}.")
        for file in place.names(""):
            # States stay there: nodes take them from there.
            if not file.rpartition("/")[2].startswith(("state-", CLAIM)):
                place.fetch(file, staging / file)
        staging.rename(folder)
    except StorageFailure as failure:
        raise UserError(f"--resume {uri} cannot be read: {failure}.") from failure
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def storage_of(uri: str) -> str:
    """The storage of a sweep that `restore` reads."""
    return normal(uri).rpartition("/")[0]


def _check_same(place: Place, recorder: Recorder) -> None:
    """Raise UserError where the storage holds another sweep by this name, or more rows than this folder."""
    there = place.read(SWEEP)
    if there is None:
        return
    if json.loads(there) != json.loads((recorder.path / SWEEP).read_text()):
        raise UserError(f"{place.uri} holds another sweep by this name; name another --out, or another --storage.")
    rows = place.read(ROWS) or b""
    known = rows[: rows.rfind(b"\n") + 1]
    if not (recorder.path / ROWS).read_bytes().startswith(known):
        raise UserError(
            f"{place.uri} knows more of this sweep than {recorder.path}, which is an old copy; continue with "
            f"--resume {place.uri} in another working directory."
        )


def _fetch_artifacts(storage: Place, sweep: Place, store: Path) -> None:
    """Bring what the trials shared into a store that has lost it, or never had it."""
    prepared, listed = sweep.read(PREPARED), json.loads(sweep.read(BUNDLES) or b"{}")
    if prepared is None:
        return
    for text in paths(json.loads(prepared)):
        for folder, name in listed.items():
            lost = (text == folder or text.startswith(f"{folder}/")) and not Path(folder).is_dir()
            if lost and Path(folder) == store / name:
                from_storage(storage, name, store)
            elif lost and Path(folder).parent == store:
                # Filters that a person gave out of the store; their copies have a name of their own.
                store.mkdir(parents=True, exist_ok=True)
                with TemporaryDirectory(dir=store, prefix=".given-") as place:
                    from_storage(storage, name, Path(place)).rename(folder)


__all__ = ["Mirror", "restore", "storage_of"]
