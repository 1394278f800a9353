"""What a method wanted seen of itself, as tables for a report without pictures.

What has none is named, so that a reader knows what the page shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis import label_counts
from analysis.filter_distances import KEY as DISTANCES
from analysis.filter_distances import pairs
from analysis.flows import is_matrix, is_row
from analysis.gates import are_gates
from analysis.seen import Seen, seen
from analysis.style import NOTHING
from trainables.record import Record


@dataclass(frozen=True)
class Table:
    """A title, headings and rows; without rows the title says it all."""

    title: str
    head: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()


def seen_tables(record: Record) -> list[Table]:
    """Tables of the best trial, some of all of them; none where its method recorded nothing."""
    best = record.chosen_trial()
    found = None if best is None else seen(record, best)
    if found is None:
        return []
    made, left = [], []
    for key in sorted(found.at, key=[*_TABLES, *found.at].index):
        table = _TABLES[key](found) if key in _TABLES else None
        if table is None:
            left.append(key.replace("_", " "))
        else:
            made.append(table)
    if left:
        made.append(Table(f"report.html draws of the best trial: {', '.join(left)}."))
    return made


def _labels(found: Seen) -> Table | None:
    """Rows of the four classes for each pair of thresholds."""
    groups = label_counts.groups(label_counts.counted(found.record))
    if not groups:
        return None
    apart = any(t != t2 for t, t2 in groups)
    rows = []
    for (t, t2), (_, train, dev) in groups.items():
        cells = (f"{count:,} ({of:,})" for count, of in zip(train, dev, strict=True))
        rows.append((f"{t:g}", *([f"{t2:g}"] if apart else []), *cells))
    sides = (f"{side}, {sure}" for side in ("right", "wrong") for sure in ("confident", "unconfident"))
    return Table(
        "Training rows (dev rows) by what the teacher answers, for each threshold of the trials",
        ("t", *(["t2"] if apart else []), *sides),
        rows,
    )


def _distances(found: Seen) -> Table | None:
    """Mean squared distance of each pair: at the first evaluation, and at the best one."""
    at = pairs(found.at.get(DISTANCES))
    if at is None:
        return None
    first = pairs(found.rows[0].get(DISTANCES)) or {}
    rows = [(name, _short(first.get(name)), _short(value)) for name, value in at.items()]
    return Table(
        "Mean squared distance between filtered layers, over the training steps before an evaluation",
        ("student ↔ teacher", "first evaluation", found.when),
        rows,
    )


def _gates(found: Seen) -> Table | None:
    """What each gate does at the best evaluation."""
    at = found.at["gates"]
    if not are_gates(at):
        return None
    names = {"open": "openness", "spread": "its spread", "size": "size of the sum", "moved": "moved, in %"}
    shown = {name: words for name, words in names.items() if is_row(at.get(name))}
    rows = [
        (str(layer), *(_short(at[name][place] * (100 if name == "moved" else 1)) for name in shown))
        for place, layer in enumerate(at["layers"])
    ]
    return Table(f"Gates ({found.when})", ("teacher layer", *shown.values()), rows)


def _targets(found: Seen) -> Table | None:
    """Of which teacher layers each student layer's target is made, in per cent."""
    table = found.at["target_shares"]
    if not is_matrix(table):
        return None
    rows = [(str(place), *(f"{100 * value:.1f}" for value in row)) for place, row in enumerate(table, 1)]
    return Table(
        f"What the targets are made of, in per cent of each of the teacher's layers ({found.when})",
        ("student layer", *(str(layer) for layer in range(1, len(table[0]) + 1))),
        rows,
    )


def _short(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


# By the key of what was seen.
_TABLES: dict[str, Callable[[Seen], Table | None]] = {
    label_counts.KEY: _labels,
    DISTANCES: _distances,
    "target_shares": _targets,
    "gates": _gates,
}
