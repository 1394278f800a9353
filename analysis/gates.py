"""Pictures of gated aggregation: of which teacher layers targets are made, and what the gates do over the epochs.

Drawn from `target_shares` (student layers × teacher layers) and `gates` (lists with an entry a gate: `layers`, which
the gates let in, `open`, `spread`, `size` and, of gates that are trained, `moved`), whichever method records them.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.drawing import End, axis, epochs, layout, line_of_many, name_ends, shade
from analysis.flows import is_matrix, is_row, percent
from analysis.seen import Seen
from analysis.style import SHADES

# What is drawn of the gates, from top to bottom, and how its axis is called.
_PANELS = {
    "open": "openness",
    "spread": "its spread",
    "size": "size of the sum",
    "moved": "moved, in %",
}
# Pixels of the smallest panel; around the names of its lines, and of each.
_PANEL, _FRAME, _LINE, _GAP = 110, 40, 14, 0.05


def shares(found: Seen) -> dict[str, go.Figure]:
    """What each student layer's target is made of at the best evaluation, in per cent."""
    table = found.at["target_shares"]
    if not is_matrix(table):
        return {}
    rows, columns = len(table), len(table[0])
    figure = go.Figure(layout=layout("teacher layer", "student layer", 110 + 34 * rows))
    few = columns <= 12
    figure.add_heatmap(
        z=table,
        x=list(range(1, columns + 1)),
        y=list(range(1, rows + 1)),
        colorscale=SHADES,
        zmin=0.0,
        zmax=1.0,
        showscale=False,
        xgap=1,
        ygap=1,
        text=[[percent(value) for value in row] for row in table] if few else None,
        texttemplate="%{text}" if few else None,
        textfont={"size": 11},
        hovertemplate="student layer %{y} learns from teacher layer %{x}: %{z:.4f}<extra></extra>",
    )
    figure.update_xaxes(dtick=1 if columns <= 16 else 2, ticks="")
    figure.update_yaxes(dtick=1 if rows <= 16 else 2, ticks="", showgrid=False)
    return {f"what the targets are made of ({found.when})": figure}


def gates(found: Seen) -> dict[str, go.Figure]:
    """Openness, spread, size and movement of all gates over the epochs, a panel each."""
    at = found.at["gates"]
    if not are_gates(at):
        return {}
    panels = [name for name in _PANELS if is_row(at.get(name))]
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=_GAP)
    figure.update_layout(layout("", "", 90 + max(_PANEL, _FRAME + _LINE * len(at["layers"])) * len(panels)))
    kept = [row for row in found.rows if are_gates(row.get("gates")) and row["gates"]["layers"] == at["layers"]]
    places = [found.epoch(row) for row in kept]
    count = len(at["layers"])
    # The recursion may run downwards; colours follow the layers.
    ranks = {layer: rank for rank, layer in enumerate(sorted(at["layers"]))}
    share = (1 - _GAP * (len(panels) - 1)) / len(panels)
    for number, panel in enumerate(panels, 1):
        ends: list[End] = []
        factor = 100.0 if panel == "moved" else 1.0
        figure.layout[f"yaxis{number if number > 1 else ''}"].update(axis(nticks=5))
        for place, layer in enumerate(at["layers"]):
            values = [factor * row["gates"][panel][place] for row in kept]
            color = shade(ranks[layer], count)
            ends += line_of_many(figure, places, values, str(layer), color, f"gate of layer {layer}", row=number)
        name_ends(figure, ends, plot="" if number == 1 else str(number), share=share)
        figure.update_yaxes(title={"text": _PANELS[panel], "font": {"size": 12}, "standoff": 8}, row=number, col=1)
    epochs(figure, places[0], places[-1], right=36)
    figure.update_xaxes(showgrid=False)
    figure.update_xaxes(title={"text": "epoch", "font": {"size": 12}}, row=len(panels), col=1)
    return {"gates by teacher layer": figure}


def are_gates(value: Any) -> bool:
    """Whether something says which layers gates let in and, of each alike, how open they are."""
    if not isinstance(value, dict) or not is_row(value.get("layers")) or not is_row(value.get("open")):
        return False
    return all(is_row(numbers) and len(numbers) == len(value["layers"]) for numbers in value.values())
