"""Pictures of what a method itself wanted seen: layer weights, flows, gates.

A trial's `seen.jsonl` holds one nested object per evaluation. `PICTURES` has a drawing of its own for some keys;
a method that records another key adds an entry there. What has none is drawn by its shape: a list of numbers as a
map over evaluations, a table of numbers as a map at the best evaluation, a single number as a line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from analysis.drawing import layout
from analysis.filter_distances import distances
from analysis.flows import flows, weights
from analysis.gates import gates, shares
from analysis.label_counts import KEY as PTP_LABELS
from analysis.label_counts import label_counts
from analysis.seen import Picture, Seen, seen
from analysis.style import BLUE, GREY, SHADES
from trainables.record import Record

# By the key of what was seen.
PICTURES: dict[str, Picture] = {
    "flow": Picture(
        flows,
        "Cells are the mean flow between two layers, in per cent of all that flows; the bars at the margins are the "
        "weights of the layers, which add up to 100 on each side.",
    ),
    "layer_weights": Picture(weights, "Lines are the weights of the layers, the first light and the last dark."),
    PTP_LABELS: Picture(
        label_counts,
        "Each place is a threshold t of the sweep: above the scores of its trials, below the training rows that the "
        "teacher answers right or wrong, with a confidence above the threshold or not.",
        every=True,
    ),
    "filter_distances": Picture(
        distances,
        "Pairs are a layer of the student and the teacher's layer that it meets, the first light and the last dark; "
        "each value is the mean over the training steps since the evaluation before, without the weight of the loss.",
    ),
    "target_shares": Picture(
        shares,
        "A row says, in per cent, which of the teacher's layers make up what a student layer learns from: at each gate "
        "the layer and the sum of those before it share as their sizes behind the gate do.",
    ),
    "gates": Picture(
        gates,
        "A line is the gate of one teacher layer, the first light and the last dark: its mean openness (1 lets the "
        "layer in alone, 0 keeps what came before), how much that differs between tokens and features, the root mean "
        "square of what comes out, and how far its weights are from where they began.",
    ),
}


@dataclass(frozen=True)
class Observed:
    """Figures by title, and how to read them.

    Attributes:
        every: Titles of the figures that show all trials rather than the best one.
    """

    figures: dict[str, go.Figure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    every: list[str] = field(default_factory=list)

    @property
    def which(self) -> str:
        """Of which trials the figures are, for a heading."""
        if not self.every:
            return "in the best trial"
        return "in the trials" if len(self.every) == len(self.figures) else "in the best trial, and in all of them"


def observed(record: Record) -> Observed:
    """Figures of the best trial, some of all of them; none where its method recorded nothing."""
    best = record.chosen_trial()
    found = None if best is None else seen(record, best)
    if found is None:
        return Observed()
    drawn = Observed()
    # What has a picture of its own comes first, in the order of their table.
    for key in sorted(found.at, key=[*PICTURES, *found.at].index):
        own = PICTURES[key].draw(found) if key in PICTURES else {}
        drawn.figures.update(own or _by_shape(found, key))
        if own:
            drawn.notes.append(PICTURES[key].note)
            drawn.every.extend(own if PICTURES[key].every else ())
    return drawn


def _by_shape(found: Seen, key: str) -> dict[str, go.Figure]:
    drawn = {}
    for path, value in _leaves(found.at[key], (key,)):
        title = _title(path)
        steps = [(found.epoch(row), _follow(row, path)) for row in found.rows]
        steps = [(epoch, step) for epoch, step in steps if _kind(step) == _kind(value)]
        if _kind(value) == "matrix":
            drawn[f"{title} ({found.when})"] = _matrix(value, found)
        elif _kind(value) == "vector":
            drawn[title] = _vector(steps, path[-1])
        else:
            drawn[title] = _line(steps)
    return drawn


def _title(path: tuple[str, ...]) -> str:
    parts = [part.replace("_", " ") for part in path]
    if path[-1] in ("student", "teacher") and "layer_weights" not in path:
        parts[-1] = f"weights of the {path[-1]}'s layers"
    return " · ".join(parts)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif _kind(value):
        yield path, value


def _follow(row: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        row = row.get(key) if isinstance(row, dict) else None
    return row


def _kind(value: Any) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    if isinstance(value, list) and value:
        if all(_kind(inner) == "number" for inner in value):
            return "vector"
        if all(_kind(inner) == "vector" for inner in value) and len({len(inner) for inner in value}) == 1:
            return "matrix"
    return None


def _matrix(value: list[list[float]], found: Seen) -> go.Figure:
    meets = (len(value), len(value[0])) == (found.layers("student"), found.layers("teacher"))
    names = ("teacher layer", "student layer") if meets else ("column", "row")
    return _map(value, list(range(1, len(value[0]) + 1)), list(range(1, len(value) + 1)), *names)


def _vector(steps: list[tuple[float, list[float]]], name: str) -> go.Figure:
    size = max(len(values) for _, values in steps)
    columns = [values + [float("nan")] * (size - len(values)) for _, values in steps]
    rows = [list(row) for row in zip(*columns, strict=True)]
    side = f"{name} layer" if name in ("student", "teacher") else "entry"
    return _map(rows, [epoch for epoch, _ in steps], list(range(1, size + 1)), "epoch", side)


def _map(values: list[list[float]], x: list[Any], y: list[int], x_title: str, y_title: str) -> go.Figure:
    figure = go.Figure(layout=layout(x_title, y_title, 120 + 28 * min(len(y), 16)))
    words = [[f"{value:.2f}".replace("0.", ".", 1) if value < 1 else f"{value:.2g}" for value in row] for row in values]
    flat = [value for row in values for value in row if not math.isnan(value)]
    figure.add_heatmap(
        z=values,
        x=x,
        y=y,
        colorscale=SHADES,
        zmin=min(0.0, *flat),
        zmax=max(flat),
        showscale=False,
        xgap=1,
        ygap=1,
        text=words if len(x) * len(y) <= 240 and len(x) <= 16 else None,
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertemplate=f"{x_title} %{{x}}, {y_title} %{{y}}: %{{z:.4f}}<extra></extra>",
    )
    if x == list(range(1, len(x) + 1)) and len(x) <= 16:
        figure.update_xaxes(dtick=1)
    figure.update_xaxes(ticks="")
    figure.update_yaxes(dtick=1 if len(y) <= 24 else None, ticks="", autorange="reversed", showgrid=False)
    return figure


def _line(steps: list[tuple[float, float]]) -> go.Figure:
    figure = go.Figure(layout=layout("epoch", "value", 240))
    figure.add_scatter(
        x=[epoch for epoch, _ in steps],
        y=[value for _, value in steps],
        mode="lines+markers",
        line={"color": BLUE},
        marker={"color": BLUE, "line": {"color": GREY}},
        hovertemplate="epoch %{x:.4g}: %{y:.4g}<extra></extra>",
    )
    return figure
