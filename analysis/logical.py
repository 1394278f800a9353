"""Students whose layers run twice with the same weights: which physical layer each logical one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables.record import Record, Trial

_SWAPPED = "⇄"
_SHOWN = 8


@dataclass(frozen=True)
class Passes:
    """How the layers of some points' students run.

    Attributes:
        points: Ids of the points, cut where they are many; empty for the teacher.
        words: One sentence.
        cells: The physical layer of each logical one, in order, with a mark where queries and keys are exchanged.
    """

    points: str
    words: str
    cells: tuple[str, ...]


def sharing(record: Record, trial: Trial | None) -> dict[str, Any] | None:
    """How a trial's student runs layers twice: `mode`, and under `layers` the physical layer of each logical one."""
    own = record.plan.get("student", {}).get("sharing")
    if own is not None:
        return {"mode": own["mode"], "layers": _order(record.plan["layers"], own["repeated"])}
    found: dict[str, Any] | None = None if trial is None else trial.point.get("sharing")
    return found


def logical(record: Record, trial: Trial | None) -> int | None:
    """Layers that the hidden states of a trial's student go through, where some run twice; else None.

    Args:
        trial: None for a run outside of the search, whose student is as it comes.
    """
    found = sharing(record, trial)
    return None if found is None else len(found["layers"])


def teachers(record: Record) -> tuple[int | None, int | None]:
    """The teacher's layers that have weights of their own, and those its hidden states go through where some run twice.

    Either is None where it is not known, the second also where it is the first.
    """
    # Made, it is counted as an encoder that others learn from: by the layers that its states go through.
    passed = (record.prepared or {}).get("teacher", {}).get("layers")
    if (own := record.plan.get("teacher", {}).get("sharing")) is None:
        return passed, None
    return record.plan["teacher"]["layers"], record.plan["teacher"]["layers"] + own["repeated"]


def passes(record: Record) -> list[Passes]:
    """One entry for each way in which students of the search run layers twice, and one for a teacher that does."""
    physical = record.plan["layers"]
    ways: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for trial in record.trials.values():
        found = sharing(record, trial)
        if found is not None:
            ways.setdefault(str(found), (found, []))[1].append(trial.id)
    rows = [
        Passes(
            ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else ""),
            _words(physical, found),
            _cells(physical, found),
        )
        for found, ids in ways.values()
    ]
    teacher = record.plan.get("teacher", {})
    if own := teacher.get("sharing"):
        found = {"mode": own["mode"], "layers": _order(teacher["layers"], own["repeated"])}
        words = _words(teacher["layers"], found)
        rows.append(Passes("", f"The teacher: {words[0].lower()}{words[1:]}", _cells(teacher["layers"], found)))
    return rows


def _order(layers: int, repeated: int) -> list[int]:
    return [*range(1, layers + 1), *range(layers - repeated + 1, layers + 1)]


def _cells(physical: int, found: Mapping[str, Any]) -> tuple[str, ...]:
    swaps = found["mode"] == "swap"
    return tuple(
        f"{layer} {_SWAPPED}" if swaps and place >= physical else str(layer)
        for place, layer in enumerate(found["layers"])
    )


def _words(physical: int, found: Mapping[str, Any]) -> str:
    count = len(found["layers"])
    again = count - physical
    which = f"the top {again} of {physical} layers" if again < physical else f"{physical} layers"
    which = which if physical > 1 else "1 layer"
    second = f"; {_SWAPPED} marks where queries and keys are exchanged" if found["mode"] == "swap" else ""
    return f"{which[0].upper()}{which[1:]} run{'s' if again == 1 else ''} twice: {count} logical layers{second}."
