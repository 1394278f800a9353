"""Where a session runs and where its files go: this machine or a cluster, folders that all see or a storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.output import say
from trainables import cluster, nodes
from trainables.mirror import Mirror, restore, storage_of
from trainables.storage import normal

if TYPE_CHECKING:
    from trainables.recorder import Recorder


def machine(address: str | None) -> cluster.Cluster | None:
    """What the plan may use of a cluster; None for this machine.

    Raises:
        UserError: The cluster cannot be joined.
    """
    if address in (None, cluster.LOCAL):
        return None
    found = cluster.view(str(address), nodes.bfloat16)
    say(f"Cluster: {found.words()}.")
    return found


def brought(values: dict[str, Any]) -> dict[str, Any]:
    """Options of `--resume`; a sweep that is named by its mirror is brought to `sweeps/` first.

    Raises:
        UserError: There is none, or the folder exists.
    """
    uri = str(values["resume"])
    if "://" in uri:
        folder = Path("sweeps").absolute() / normal(uri).rpartition("/")[2]
        restore(uri, folder)
        values = {"storage": storage_of(uri), **values, "resume": str(folder)}
    return {**values, "storage": normal(values["storage"])} if values.get("storage") else values


class Places:
    """The places of one session, with everything that the command does for them, in its order.

    Args:
        recorders: Of the sweeps.
        parent: Folder of a family of sweeps.
        typed: Options of this session by name.

    Attributes:
        address: Of the cluster; None for this machine.
        dashboard: Whether Ray, where it is started here, has its dashboard.
        storage: None where all nodes see the same folders.
    """

    def __init__(self, recorders: Sequence[Recorder], parent: Path | None, typed: Mapping[str, Any]) -> None:
        asked = recorders[0].record.header["config"]
        address = typed.get("address", asked.get("address"))
        self.address: str | None = None if address == cluster.LOCAL else address
        # Sweeps that began before there was a choice have the dashboard.
        self.dashboard = typed.get("dashboard", asked.get("dashboard", "ray")) == "ray"
        self.storage: str | None = typed.get("storage", asked.get("storage"))
        self._recorders = list(recorders)
        self._mirror = Mirror(self.storage, recorders, parent) if self.storage else None

    def begin(self) -> None:
        """Before anything is made.

        Raises:
            UserError: The storage cannot be used, or holds another sweep by this name.
        """
        if self._mirror:
            self._mirror.begin()

    def check(self) -> None:
        """Look at every node, when Ray runs.

        Raises:
            UserError: One cannot run the trials.
        """
        record = self._recorders[0].record
        nodes.check([recorder.path for recorder in self._recorders], record.plan, record.resources, self.storage)

    def function(self) -> Callable[[dict[str, Any]], None]:
        """What Ray Tune runs, when all that trials share is prepared.

        Raises:
            UserError: The storage cannot be written.
        """
        from trainables.trial import train_in, trial

        return self._mirror.share(train_in) if self._mirror else trial

    def renew(self) -> None:
        """More was made for the trials since `function` was asked for.

        Raises:
            UserError: The storage cannot be written.
        """
        if self._mirror:
            self._mirror.renew()

    def end(self) -> None:
        """No trial runs any more."""
        if self._mirror:
            self._mirror.end()

    def publish(self) -> None:
        """Student and report are written.

        Raises:
            UserError: The storage cannot be written.
        """
        if self._mirror:
            self._mirror.publish()
            say(f"Mirror: {', '.join(self._mirror.addresses())}")

    def close(self) -> None:
        """However the session ends."""
        if self._mirror:
            self._mirror.close()
