"""`python -m distill.artifacts`: list what the store holds, and remove from it."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from distill import artifact_inventory as inventory
from distill.artifact_inventory import Entry, Leftover
from distill.artifacts import PLACE, Store
from distill.command_line import Parser, refuse_empty
from distill.errors import UserError, error_line
from distill.output import say, show

_AGES = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SHORTEST_KEY = 4
STORE_HELP = f"folder of the store (default: ${PLACE}, else distill-tune/artifacts in the user's cache folder)"
_GC = """\
Removes artifacts that fit everything you name, the least recently used first. Without a choice only what killed
builds left half-made is swept up, which every call does. An artifact that a running process took or built stays: the
process holds a lock on STORE/.marks/NAME until it ends (`fuser` on that file names it). What a sweep took from the
store it can build again, so removing costs time, not results."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = Parser(
        prog="python -m distill.artifacts",
        description="The store of what sweeps share: teachers, their outputs, tokenised data.",
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="ls | gc", parser_class=Parser)
    ls = commands.add_parser("ls", help="list what the store holds", description="List what the store holds.")
    ls.add_argument("--artifacts", metavar="DIR", help=STORE_HELP)
    ls.add_argument("--check", action="store_true", help="verify every checksum; exit code 1 when one is wrong")
    ls.add_argument("--json", action="store_true", help="as JSON: bytes, and times in seconds since 1970")
    gc = commands.add_parser(
        "gc", help="remove artifacts", description=_GC, formatter_class=argparse.RawTextHelpFormatter
    )
    gc.add_argument("keys", nargs="*", metavar="KEY", help="names or keys as `ls` shows them, or how these begin")
    gc.add_argument("--artifacts", metavar="DIR", help=STORE_HELP)
    gc.add_argument("--older-than", metavar="AGE", help="only what was last used longer ago, such as 30d, 12h or 2w")
    gc.add_argument(
        "--max-size", metavar="SIZE", help="only until the whole store has this size, such as 20GB or 500MB"
    )
    gc.add_argument("--kind", help="only artifacts of this kind, such as teacher")
    gc.add_argument("--dry-run", action="store_true", help="print what would be removed and stop")
    gc.add_argument("--yes", action="store_true", help="do not ask")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when done, 1 when something is damaged or what was named had to stay, 2 on bad input."""
    asked = parser().parse_args(arguments)
    try:
        place = _place(asked.artifacts)
        if place is None:
            return 0
        return _list(place, asked) if asked.command == "ls" else _collect(place, asked)
    except UserError as error:
        print(error_line(error), file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'the store'} cannot be read or removed ({error.strerror}).", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _place(folder: str | None) -> Path | None:
    """The store's folder; None, said in a sentence, when there is no store yet."""
    refuse_empty({"artifacts": folder})
    place = Store(Path(folder).expanduser() if folder else None).place
    if place.is_dir():
        return place
    if folder:
        raise UserError(f"--artifacts {folder} is no folder; name the store's, or leave the option out.")
    if place.exists():
        raise UserError(f"The store {place} is no folder; name another with --artifacts or ${PLACE}.")
    show(f"There is no store at {place} yet; the first sweep makes it.")
    return None


def _list(place: Path, asked: argparse.Namespace) -> int:
    listed, left = inventory.entries(place, check=asked.check), inventory.leftovers(place)
    if asked.json:
        show(json.dumps(_as_data(place, listed, left, asked.check), indent=1))
    elif not listed and not left:
        show(f"The store {place} is empty.")
    else:
        show(f"{place}: {_count(listed)}, {size_words(_total(listed))}")
        for entry in listed:
            made = _when(entry.made) if entry.made else "unknown"
            show(f"\n{entry.name}  {size_words(entry.size)}  {_state(entry, asked.check)}")
            show(f"    made {made}, last used {_when(entry.used)}\n    {entry.what}")
        for item in left:
            state = "left half-made by a process that is gone; gc sweeps it up" if item.dead else "being made"
            show(f"\n{item.path.name}  {size_words(item.size)}\n    {state}")
    return int(asked.check and any(entry.fault for entry in listed))


def _state(entry: Entry, checked: bool) -> str:
    state = f"damaged: {entry.fault}" if entry.fault else "sealed, every file as sealed" if checked else "sealed"
    return f"{state} [in use]" if entry.busy else state


def _as_data(place: Path, listed: list[Entry], left: list[Leftover], checked: bool) -> dict[str, object]:
    return {
        "store": str(place),
        "bytes": _total(listed),
        "checked": checked,
        "artifacts": [
            {
                "name": entry.name,
                "kind": entry.kind,
                "key": entry.key,
                "bytes": entry.size,
                "made": entry.made,
                "last_used": entry.used,
                "in_use": entry.busy,
                "state": "damaged" if entry.fault else "sealed",
                "fault": entry.fault,
                "what": entry.what,
            }
            for entry in listed
        ],
        "half_made": [{"name": item.path.name, "bytes": item.size, "dead": item.dead} for item in left],
    }


def _collect(place: Path, asked: argparse.Namespace) -> int:
    age = None if asked.older_than is None else parse_age(asked.older_than)
    most = None if asked.max_size is None else parse_size(asked.max_size)
    listed = inventory.entries(place)
    names = [_named(key, listed) for key in asked.keys]
    kinds = sorted({entry.kind for entry in listed})
    if asked.kind is not None and listed and asked.kind not in kinds:
        raise UserError(f"--kind {asked.kind} is not in the store, which has {' and '.join(kinds)}.")
    chosen: list[Entry] = []
    if names or asked.kind is not None or age is not None or most is not None:
        since = None if age is None else time.time() - age
        chosen = inventory.choose(listed, names, asked.kind, since, most)
    dead = [item for item in inventory.leftovers(place) if item.dead]
    free = [entry for entry in chosen if not entry.busy]
    if not chosen and not dead:
        say(f"Nothing to remove; the store {place} has {_count(listed)}, {size_words(_total(listed))}.")
        return 0
    if free and not asked.dry_run and not asked.yes and not _agreed(free):
        say("Nothing was removed.")
        return 0
    return _remove(listed, chosen, dead, asked.dry_run, bool(names))


def _remove(listed: list[Entry], chosen: list[Entry], dead: list[Leftover], dry_run: bool, named: bool) -> int:
    verb, freed, kept = "Would remove" if dry_run else "Removed", 0, 0
    removed: list[Entry] = []
    for entry in chosen:
        if entry.busy or not (dry_run or inventory.remove(entry)):
            kept += 1
            say(f"Kept {entry.name}: a running process uses or builds it.")
            continue
        freed += entry.size
        removed.append(entry)
        say(f"{verb} {entry.name}  {size_words(entry.size)}, last used {_when(entry.used)}\n    {entry.what}")
    for item in dead:
        if not dry_run:
            inventory.sweep(item)
        freed += item.size
        say(f"{verb} {item.path.name}  {size_words(item.size)}, left half-made")
    stay = [entry for entry in listed if entry not in removed]
    say(
        f"{'Would free' if dry_run else 'Freed'} {size_words(freed)}; {_count(stay)}, {size_words(_total(stay))}, stay."
    )
    return int(named and kept > 0)


def _agreed(chosen: list[Entry]) -> bool:
    if not sys.stdin.isatty():
        raise UserError("gc asks before it removes, and nobody can answer here; add --yes or --dry-run.")
    for entry in chosen:
        show(f"{entry.name}  {size_words(entry.size)}, last used {_when(entry.used)}\n    {entry.what}")
    try:
        return input(f"Remove {_count(chosen)}, {size_words(_total(chosen))}? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _named(key: str, listed: list[Entry]) -> str:
    """The one artifact that a person names by its name, its key, or the beginning of either.

    Raises:
        UserError: None or several fit, or too little was given to be sure.
    """
    whole = [entry.name for entry in listed if key in (entry.name, entry.key)]
    if len(whole) == 1:
        return whole[0]
    kind, _, start = key.rpartition("-")
    fit = [
        entry.name
        for entry in listed
        if len(start) >= _SHORTEST_KEY and entry.key.startswith(start) and kind in ("", entry.kind)
    ]
    if len(fit) > 1:
        raise UserError(f"KEY {key} fits {' and '.join(fit)}; write more of it.")
    if not fit:
        raise UserError(f"KEY {key} names no artifact of the store; `python -m distill.artifacts ls` lists them.")
    return fit[0]


def parse_size(text: str) -> int:
    """Bytes of "20GB", "500 MB", "1.5TB" or "1000"; KiB and so on count by 1024.

    Raises:
        UserError: It is no size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?", text.strip().upper())
    if match is None or (match[3] and not match[2]):
        raise UserError(f"--max-size {text} is not a size such as 20GB or 500MB.")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index(match[2] or " "))


def parse_age(text: str) -> float:
    """Seconds of "30d", "12h", "2w", "90min" or "45s".

    Raises:
        UserError: It is no age.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)", text.strip().lower())
    if match is None:
        raise UserError(f"--older-than {text} is not an age such as 30d, 12h or 2w.")
    return float(match[1]) * _AGES[match[2]]


def size_words(size: int) -> str:
    """Bytes for people, such as "90.9 MB"."""
    power = next((p for p in range(4) if size < 1000 ** (p + 1)), 4)
    return f"{size} bytes" if power == 0 else f"{size / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _total(listed: list[Entry]) -> int:
    return sum(entry.size for entry in listed)


def _count(listed: list[Entry]) -> str:
    return f"{len(listed)} artifact{'' if len(listed) == 1 else 's'}"


__all__ = ["STORE_HELP", "main", "parse_age", "parse_size", "parser", "size_words"]
