"""Building what trials share: in parallel, by tasks that only the driver starts, within the store's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distill import artifact_use
from distill.artifact_command import size_words
from distill.artifact_room import make_room
from distill.artifacts import Store
from trainables.teacher_work import Order, Remote, Say, find, wait


class Interrupted(Exception):
    """A person stopped the sweep while what its trials share was being made."""


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
        found.update(_remotely(missing, share, say, stopped))
    return [found[number] for number in range(len(orders))]


def _remotely(orders: dict[int, Order], share: float, say: Say, stopped: Callable[[], bool]) -> dict[int, Path]:
    works = {
        Remote(order, order.cores, share if order.device == "cuda" else 0.0): number for number, order in orders.items()
    }
    found: dict[int, Path] = {}
    try:
        while works:
            finished = wait(list(works), 0.5)
            for work, number in works.items():
                for line in work.lines():
                    _told(orders[number], say)(line)
            if stopped():
                raise Interrupted
            for work in finished:
                found[works[work]] = work.result()
                del works[work]
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
