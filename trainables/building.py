"""Building what trials share: in parallel, by tasks that only the driver starts, within the store's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from distill import artifact_use
from distill.artifact_command import size_words
from distill.artifact_room import make_room
from distill.artifacts import Store
from distill.errors import UserError
from trainables.teacher_work import Order, Remote, Say, StoreFull, find, wait


class Interrupted(Exception):
    """A person stopped the sweep while what its trials share was being made."""


class Job(NamedTuple):
    """An order and what carrying it out takes of the machine."""

    order: Order
    cpus: float
    gpus: float


def build(
    orders: Sequence[Order], plan: dict[str, Any], say: Say, stopped: Callable[[], bool] | None = None
) -> list[Path]:
    """Artifacts that do not depend on each other, found in the store or made.

    Args:
        orders: What is asked for.
        plan: Says what a trial takes of a GPU; one order alone takes all of it.
        say: Takes one line of progress.
        stopped: Given, each order is one Ray task, all at once, and all end when this says so; else they are carried
            out in this process, one after the other.

    Raises:
        UserError: What a person can mend.
        Interrupted: `stopped` said so.
    """
    found = {number: path for number, order in enumerate(orders) if (path := find(order))}
    missing = {number: order for number, order in enumerate(orders) if number not in found}
    if stopped is None:
        found.update({number: order.carry_out(_told(order, say)) for number, order in missing.items()})
    elif missing:
        share = 1.0 if len(orders) == 1 else plan["resources"]["gpus_per_trial"]
        jobs = {n: Job(order, order.cores, share if order.device == "cuda" else 0.0) for n, order in missing.items()}
        found.update(_remotely(jobs, len(jobs), say, stopped))
    return [found[number] for number in range(len(orders))]


def build_what_can_be(
    jobs: Sequence[Job], at_once: int, say: Say, stopped: Callable[[], bool] | None = None
) -> dict[int, Path]:
    """As `build`, of what the trials can do without: one that fails is told of and left out.

    Args:
        jobs: None of them is in the store.
        at_once: Most of them that run at a time.

    Returns:
        What was made, by its place among `jobs`.

    Raises:
        StoreFull: The store takes no more.
        Interrupted: `stopped` said so.
    """
    if stopped is None:
        return {number: job.order.carry_out(_told(job.order, say)) for number, job in enumerate(jobs)}

    def failed(order: Order, error: Exception) -> None:
        if isinstance(error, StoreFull):
            raise error
        text = " ".join(str(getattr(error, "cause", None) or error).split())[:300]
        _told(order, say)(f"could not be made, so each trial that needs it trains it itself: {text}")

    return _remotely(dict(enumerate(jobs)), at_once, say, stopped, failed)


def _remotely(
    jobs: dict[int, Job],
    at_once: int,
    say: Say,
    stopped: Callable[[], bool],
    failed: Callable[[Order, Exception], None] | None = None,
) -> dict[int, Path]:
    """Carry orders out in Ray tasks.

    Args:
        failed: Takes what went wrong with one; without it all end with the first fault.
    """
    import ray

    waiting, works = dict(jobs), dict[Remote, int]()
    found: dict[int, Path] = {}
    try:
        while waiting or works:
            while waiting and len(works) < at_once:
                number = next(iter(waiting))
                works[Remote(*waiting.pop(number))] = number
            finished = wait(list(works), 0.5)
            for work, number in works.items():
                for line in work.lines():
                    _told(jobs[number].order, say)(line)
            if stopped():
                raise Interrupted
            for work in finished:
                number = works.pop(work)
                try:
                    found[number] = work.result()
                except (UserError, ray.exceptions.RayError) as error:
                    if failed is None:
                        raise
                    failed(jobs[number].order, error)
    finally:
        # Whatever happened, nothing runs on that nobody waits for.
        for work in works:
            work.cancel()
    return found


def _told(order: Order, say: Say) -> Say:
    return lambda line: say(f"{order.label}: {line}")


def room_for(orders: Sequence[tuple[Order, int]], further: int, place: Path, limit: float | None, say: Say) -> None:
    """Make room in the store before anything is built there, if `--artifacts-gb` limits its size.

    What the sweep will find there is held first, so that it is not removed for what it lacks.

    Args:
        orders: What the sweep takes from the store, each with the bytes it has if it must be made.
        further: Bytes of what cannot be asked for yet.
        limit: In 1e9 bytes; None is unlimited.

    Raises:
        UserError: It does not fit, whatever is removed.
    """
    store, needed = Store(place), further
    for order, size in orders:
        there = [(kind, key) for kind, key in order.names() if store.path(kind, key).is_dir()]
        for kind, key in there:
            artifact_use.hold(store.place, f"{kind}-{key}")
        needed += 0 if there else size
    if limit is None:
        return
    removed = make_room(store.place, needed, int(limit * 1e9))
    if removed:
        named = ", ".join(entry.name for entry in removed)
        freed = size_words(sum(entry.size for entry in removed))
        say(f"Store: {named} removed, {freed} that nobody used, to stay below --artifacts-gb {limit:g}.")
