"""Keeping a store below a size: what was not used for longest goes first."""

from __future__ import annotations

from pathlib import Path

from distill import artifact_inventory as inventory
from distill.artifact_command import size_words
from distill.artifact_inventory import Entry
from distill.errors import UserError


def make_room(place: Path, needed: int, limit: int) -> list[Entry]:
    """Remove unused artifacts, least recently used first, until the store has room for more.

    What a running process uses or builds stays; what killed builds left goes in any case.

    Args:
        place: The store's folder, which need not exist.
        needed: Bytes that are to come.
        limit: Bytes that the store may have then.

    Returns:
        What was removed.

    Raises:
        UserError: They do not fit, whatever is removed.
    """
    found: list[Entry] = []
    if place.is_dir():
        for leftover in inventory.leftovers(place):
            if leftover.dead:
                inventory.sweep(leftover)
        found = inventory.entries(place)
    bound = sum(entry.size for entry in found if entry.busy)
    if bound + needed > limit:
        used = f" beside the {size_words(bound)} in use" if bound else ""
        raise UserError(
            f"--artifacts-gb {limit / 1e9:g}: about {size_words(needed)} are needed in the store{used}; raise it, or "
            "lower --cache-gb."
        )
    chosen = inventory.choose(found, max_size=max(0, limit - needed)) if found else []
    return [entry for entry in chosen if inventory.remove(entry)]
