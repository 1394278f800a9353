"""Pictures of how far apart the filtered layers of student and teacher are, over the epochs and at the best evaluation.

Drawn from `filter_distances` ({"student": layers, "teacher": the layers that they meet, "distance": mean squared
differences}), whichever method records it.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from analysis.drawing import End, epochs, layout, line_of_many, name_ends, shade
from analysis.seen import Seen
from analysis.style import BLUE, INK

KEY = "filter_distances"


def distances(found: Seen) -> dict[str, go.Figure]:
    """One line a pair over the epochs; bars of all pairs at the best evaluation."""
    here = pairs(found.at.get(KEY))
    if here is None:
        return {}
    drawn = {}
    rows = [row for row in found.rows if (pairs(row.get(KEY)) or {}).keys() == here.keys()]
    if len(rows) > 1:
        drawn["distance between filtered layers"] = _lines(found, rows, list(here))
    drawn[f"distance between filtered layers ({found.when})"] = _bars(here)
    return drawn


def _lines(found: Seen, rows: list[dict[str, Any]], names: list[str]) -> go.Figure:
    figure = go.Figure(layout=layout("epoch", "mean squared distance", 320))
    places = [found.epoch(row) for row in rows]
    ends: list[End] = []
    for number, name in enumerate(names):
        values: list[float | None] = [(pairs(row[KEY]) or {})[name] for row in rows]
        ends += line_of_many(figure, places, values, name, shade(number, len(names)), f"layers {name}")
    name_ends(figure, ends)
    epochs(figure, places[0], places[-1], right=56)
    figure.update_yaxes(rangemode="tozero")
    return figure


def _bars(distance_of: dict[str, float]) -> go.Figure:
    figure = go.Figure(layout=layout("layer of the student ↔ layer of the teacher", "mean squared distance", 260))
    figure.add_bar(
        x=list(distance_of),
        y=list(distance_of.values()),
        marker={"color": BLUE},
        width=0.6,
        text=[f"{value:.2g}" for value in distance_of.values()],
        textposition="outside",
        textfont={"size": 11, "color": INK},
        cliponaxis=False,
        hovertemplate="layers %{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_xaxes(type="category", showgrid=False, ticks="")
    figure.update_yaxes(range=[0, 1.15 * (max(distance_of.values()) or 1.0)])
    return figure


def pairs(value: Any) -> dict[str, float] | None:
    """Distance by "2 ↔ 4"; None where what was recorded has another shape."""
    keys = ("student", "teacher", "distance")
    if not isinstance(value, dict) or not all(isinstance(value.get(key), list) for key in keys):
        return None
    student, teacher, distance = (value[key] for key in keys)
    if not distance or not len(student) == len(teacher) == len(distance):
        return None
    return {f"{a} ↔ {b}": float(d) for a, b, d in zip(student, teacher, distance, strict=True)}
