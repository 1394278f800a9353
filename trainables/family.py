"""Starting and continuing several sweeps at once: one plan per child, all checked before anything is written."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import UserError
from trainables import children
from trainables.config import SweepConfig
from trainables.families import FAMILY, SCHEMA, Family, is_family, listed, read_family, title
from trainables.progress import plural
from trainables.record import ROWS, TRIALS, read

if TYPE_CHECKING:
    from distill.tasks.base import TaskData
    from trainables.recorder import Recorder


# Options of which a child may have values of its own.
_NAMED = ("method", "layers", "student_layers", "student_init", "space")


@dataclass(frozen=True)
class Planned:
    """A family that may start.

    Attributes:
        parent: Its folder, not written yet.
        content: Of `family.json`.
        headers: The content of each child's `sweep.json`, by name and in order.
        data: The rows that all children share.
    """

    parent: Path
    content: dict[str, Any]
    headers: dict[str, dict[str, Any]]
    data: TaskData


def plan_family(config: SweepConfig) -> Planned:
    """Plan every child; nothing is written.

    Raises:
        UserError: One of them cannot be had, or the parent's folder is taken.
    """
    children.check(config)
    asked_for = children.children_of(config)
    parent = Path(config.out) if config.out else None
    if parent is not None:
        refuse_taken(parent)
    headers, data = _plans(config, asked_for, parent)
    children.check_teachers(headers)
    children.level(headers, config)
    if parent is None:
        plans = [header["plan"] for header in headers.values()]
        named, sizes = ("-".join(dict.fromkeys(str(plan[name]) for plan in plans)) for name in ("method", "layers"))
        stamp = time.strftime("%Y%m%d-%H%M%S")
        parent = Path("sweeps").absolute() / f"{named}-{plans[0]['task']}-{sizes}L-{stamp}"
    first = next(iter(headers.values()))
    asked = {name: value for name, value in config.as_dict().items() if name != "command"}
    content = {
        "schema": SCHEMA,
        "tool": first["tool"],
        "created": first["created"],
        "command": list(config.command),
        "config": asked,
        "children": asked_for,
    }
    return Planned(parent, content, headers, data)


def _plans(
    config: SweepConfig, asked_for: Sequence[dict[str, Any]], parent: Path | None
) -> tuple[dict[str, dict[str, Any]], TaskData]:
    """Headers by name, from models and rows that are read once, and the rows."""
    from trainables import places, plan
    from trainables.models import resolve_models

    models = resolve_models(config)
    machine = places.machine(config.address)
    headers = {}
    for child in asked_for:
        own = children.config_of(config, child["changes"], models)
        names = [name for name in _NAMED if getattr(own, name) != getattr(config, name) or name in child["changes"]]
        if parent is not None:
            own, names = replace(own, out=str(parent / child["name"])), [*names, "out"]
        own = replace(own, command=children.command_of(config.command, own, config, names))
        headers[child["name"]], data = plan.make_with_rows(own, machine, models)
    return headers, data


def describe(planned: Planned) -> list[str]:
    """Lines that tell a person what will run: what the children share once, then what each has of its own."""
    from trainables.describe import describe as of_one

    told = {name: of_one(header) for name, header in planned.headers.items()}
    first = next(iter(told.values()))
    shared = [line for line in first if all(line in lines for lines in told.values())]
    plans = [header["plan"] for header in planned.headers.values()]
    recipes = listed(list(dict.fromkeys(plan["recipe"] for plan in plans)))
    found = [f"Sweeps: {title(plans)}, recipe {recipes}, each in a folder of its own.", *shared]
    for name, lines in told.items():
        found.append(f"{name}:")
        # A sweep's own first line says what its name and the head have said.
        found += [f"  {line}" for line in lines[1:] if line not in shared]
    estimate, budgets = _total(plans), children.device_estimates(plans)
    if any(plan["device_seconds"] for plan in plans):
        found.append(f"Device-seconds by arithmetic: {_shares(planned.headers, budgets)}.")
    trials = round(sum(one["trials"] + children.baselines(plan) for plan, one in zip(plans, budgets, strict=True)))
    found.append(
        f"Together: {len(plans)} sweeps, {trials} trials, about "
        f"{max(1, round(estimate['seconds'] / 60))} min by arithmetic if nothing is stopped early, the teacher once; "
        f"about {estimate['disk_bytes'] / 1e9:.1f} GB of disk at most."
    )
    return found


def _shares(headers: dict[str, dict[str, Any]], budgets: Sequence[dict[str, float]]) -> str:
    """What each sweep will use of the devices."""
    parts = []
    for name, one in zip(headers, budgets, strict=True):
        parts.append(f"{name} about {one['seconds']:.0f} ({plural(round(one['trials']), 'trial')})")
    return ", ".join(parts)


def _total(plans: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Time and disk of all; the teacher is made once."""
    estimates, budgets = [plan["estimate"] for plan in plans], children.device_estimates(plans)
    # Of a plan that has more points than its share will buy, only those that it will.
    parts = []
    for plan, one, share in zip(plans, estimates, budgets, strict=True):
        run = min(1.0, (share["trials"] + children.baselines(plan)) / one["trials"])
        before = one["stage_seconds"]
        parts.append(before + (one["seconds"] - one["teacher_seconds"] - before) * run)
    return {
        "seconds": estimates[0]["teacher_seconds"] + sum(parts),
        "disk_bytes": sum(one["disk_bytes"] for one in estimates),
        # The teacher serves all, its answers those that read the same of it; a stage leaves students of one size.
        "artifact_bytes": max(
            one["artifact_bytes"] - one["stage_bytes"] - plan["teacher_source"]["disk"]
            for plan, one in zip(plans, estimates, strict=True)
        )
        + sum({_read(plan): plan["teacher_source"]["disk"] for plan in plans}.values())
        + sum(one["stage_bytes"] for one in estimates),
    }


def _read(plan: dict[str, Any]) -> str:
    """What a plan reads of the teacher's answers on disk."""
    return repr([plan["teacher_source"][name] for name in ("needs", "needs_on_dev", "layers")])


def check_disk(planned: Planned) -> None:
    """Raise UserError where the folders of all children do not fit on the disk."""
    from trainables import resources

    plans = [header["plan"] for header in planned.headers.values()]
    estimate = _total(plans)
    resources.check_disk("--out", planned.parent, int(estimate["disk_bytes"]))
    resources.check_disk("--artifacts", Path(plans[0]["artifacts"]), int(estimate["artifact_bytes"]))


def refuse_taken(parent: Path) -> None:
    """Raise UserError where a family cannot start in `parent` without touching what is there."""
    from trainables.recorder import refuse_occupied

    if is_family(parent):
        raise UserError(f"{parent} holds other sweeps; continue them with --resume {parent}, or name another --out.")
    refuse_occupied(parent)


@contextmanager
def created(planned: Planned) -> Iterator[list[Recorder]]:
    """Write the parent, then every child; all of them open for writing.

    `family.json` comes first, so that what a kill in between leaves behind can be resumed. What is refused inside
    before any trial began leaves nothing.

    Raises:
        UserError: The folder cannot be written.
    """
    from trainables.recorder import Recorder, write_json

    parent = planned.parent
    refuse_taken(parent)
    existed = parent.is_dir()
    opened: list[Recorder] = []
    with _writable(parent):
        parent.mkdir(parents=True, exist_ok=True)
    with locked(parent):
        try:
            with _writable(parent):
                write_json(parent / FAMILY, planned.content)
            for name, header in planned.headers.items():
                opened.append(Recorder.create(parent / name, header))
            yield opened
        except UserError:
            _close(opened)
            if all(row["kind"] == "session" for recorder in opened for row in recorder.record.rows):
                shutil.rmtree(parent)
                if existed:
                    parent.mkdir()
            raise
        finally:
            _close(opened)


@contextmanager
def _writable(parent: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"--out {parent} cannot be written: {error.strerror}; name another folder.") from error


@contextmanager
def reopened(
    parent: Path, allow_changed: bool, address: str | None = None
) -> Iterator[tuple[list[Recorder], TaskData]]:
    """Every child open for writing, those that a kill kept from being written too, and the rows they share.

    Args:
        address: Of the session's cluster as typed.

    Raises:
        UserError: A child is at work in another process, or what decides its values has changed.
    """
    with locked(parent):
        opened: list[Recorder] = []
        try:
            data = _open(parent, allow_changed, opened, address)
            yield opened, data
        finally:
            _close(opened)


def _open(parent: Path, allow_changed: bool, opened: list[Recorder], address: str | None) -> TaskData:
    """Open all children in their order, so that what was opened can be closed whatever happens; the rows."""
    from trainables.changes import refuse_changed
    from trainables.prepare import load_data
    from trainables.recorder import Recorder

    family = read_family(parent)
    headers = {name: record.header for name, record in family.records().items()}
    lost = [child for child in family.content["children"] if child["name"] not in headers]
    data = None
    if headers:
        first = next(iter(headers.values()))
        data = load_data(first["config"], first["plan"])
        for header in headers.values():
            refuse_changed(header, data, allow_changed, address=address)
    planned: dict[str, dict[str, Any]] = {}
    if lost:
        planned, data = _plans(config_of(family), lost, parent)
        _check_alike([*headers.values(), *planned.values()])
        children.level({**headers, **planned}, config_of(family))
    assert data is not None
    for name in family.names:
        if name in planned:
            _clear(parent / name)
            opened.append(Recorder.create(parent / name, planned[name]))
        else:
            opened.append(Recorder(parent / name))
    return data


def config_of(family: Family) -> SweepConfig:
    """What a person asked, from `family.json`."""
    known = {field.name for field in fields(SweepConfig)}
    values = {name: value for name, value in family.content["config"].items() if name in known}
    values |= {name: tuple(values.get(name) or ()) for name in ("sizes", "methods", "beside")}
    values |= {"command": tuple(family.content["command"])}
    if values.get("student_layers"):
        values["student_layers"] = tuple(values["student_layers"])
    return SweepConfig(**values)


def _check_alike(headers: Sequence[dict[str, Any]]) -> None:
    """Raise UserError where a child that is planned late would have other rows or another encoder."""
    for part in ("data", "encoder"):
        if len({header["fingerprint"][part] for header in headers}) > 1:
            raise UserError(f"--resume: changed since the sweeps were planned: the {part}; start new sweeps.")


def _clear(folder: Path) -> None:
    """Take away what a kill left of a child that was being written; raise UserError where it is more than that."""
    if not folder.exists():
        return
    if (folder / ROWS).exists() or any((folder / TRIALS).glob("*")):
        read(folder)
    shutil.rmtree(folder)


def _close(recorders: Sequence[Recorder]) -> None:
    for recorder in recorders:
        recorder.close()


@contextmanager
def locked(parent: Path) -> Iterator[None]:
    """Hold the parent's lock, so that no two processes write its children or its report at once.

    Raises:
        UserError: Another process holds it.
    """
    from trainables.lock import SweepLock

    lock = SweepLock(parent)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
