"""Pictures of a many-to-many layer mapping: what flows between the layers, and how their weights move.

Drawn from `flow` ({term: student layers × teacher layers}) and `layer_weights` ({term: {"student": […],
"teacher": […]}}), whichever method records them.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.drawing import End, axis, epochs, layout, line_of_many, name_ends, shade
from analysis.seen import Seen
from analysis.style import BLUE, GREEN, GREY, SHADES

_SIDES = {"student": BLUE, "teacher": GREEN}
_ROW, _HEAD, _GAP = 34, 170, 0.1
# Up to so many columns the cells hold their numbers also on a narrow screen.
_WORDS = 12


def flows(found: Seen) -> dict[str, go.Figure]:
    """Per term the mean flow at the best evaluation, with the layer weights as bars at its margins."""
    terms = found.at["flow"]
    if not isinstance(terms, dict) or not all(is_matrix(flow) for flow in terms.values()):
        return {}
    weights = found.at.get("layer_weights")
    weights = weights if isinstance(weights, dict) else {}
    return {f"flow · {term} ({found.when})": _flow(flow, weights.get(term)) for term, flow in terms.items()}


def weights(found: Seen) -> dict[str, go.Figure]:
    """The weights of all layers over the epochs; terms that share their weights share a figure."""
    steps = [row.get("layer_weights") for row in found.rows]
    terms = found.at["layer_weights"]
    if not isinstance(terms, dict) or not all(_is_pair(pair) for pair in terms.values()):
        return {}
    same: dict[str, list[str]] = {}
    for term in terms:
        course = [step.get(term) if isinstance(step, dict) else None for step in steps]
        same.setdefault(repr(course), []).append(term)
    return {f"layer weights · {' and '.join(group)}": _weights(found, group[0]) for group in same.values()}


def _flow(flow: list[list[float]], pair: Any) -> go.Figure:
    rows, columns = len(flow), len(flow[0])
    student, teacher = list(range(1, rows + 1)), list(range(1, columns + 1))
    figure = make_subplots(
        rows=2,
        cols=2,
        shared_xaxes=True,
        shared_yaxes=True,
        column_widths=[0.8, 0.2],
        row_heights=[60 / (60 + _ROW * rows), _ROW * rows / (60 + _ROW * rows)],
        horizontal_spacing=0.02,
        vertical_spacing=0.03,
    )
    figure.update_layout(layout("", "", _HEAD + _ROW * rows))
    peak = max(max(row) for row in flow) or 1.0
    figure.add_heatmap(
        z=flow,
        x=teacher,
        y=student,
        colorscale=SHADES,
        zmin=0.0,
        zmax=peak,
        showscale=False,
        xgap=1,
        ygap=1,
        text=[[percent(value) for value in row] for row in flow] if columns <= _WORDS else None,
        texttemplate="%{text}" if columns <= _WORDS else None,
        textfont={"size": 11},
        hovertemplate="student layer %{y} ↔ teacher layer %{x}: %{z:.4f}<extra></extra>",
        row=2,
        col=1,
    )
    # Without weights of their own the margins are what the flow itself leaves and brings.
    sides = pair if _is_pair(pair) else {}
    found = {
        "student": sides.get("student") or [sum(row) for row in flow],
        "teacher": sides.get("teacher") or [sum(column) for column in zip(*flow, strict=True)],
    }
    _bars(figure, found["teacher"], "teacher", 1, 1, teacher)
    _bars(figure, found["student"], "student", 2, 2, student)
    plain = {"showgrid": False, "zeroline": False, "ticks": "", "showline": False}
    for row, column in ((1, 1), (2, 1), (2, 2)):
        figure.update_xaxes(plain, row=row, col=column)
        figure.update_yaxes(plain, row=row, col=column)
    figure.update_xaxes(
        title={"text": "teacher layer", "font": {"size": 12}}, dtick=1 if columns <= 16 else 2, row=2, col=1
    )
    figure.update_yaxes(
        title={"text": "student layer", "font": {"size": 12}}, dtick=1 if rows <= 16 else 2, row=2, col=1
    )
    figure.update_xaxes(showticklabels=False, range=[0, 1.45 * max(found["student"])], row=2, col=2)
    figure.update_yaxes(showticklabels=False, range=[0, 1.45 * max(found["teacher"])], row=1, col=1)
    return figure


def _bars(figure: go.Figure, values: list[float], side: str, row: int, column: int, layers: list[int]) -> None:
    flat = side == "student"
    place, length = ("y", "x") if flat else ("x", "y")
    figure.add_bar(
        x=values if flat else layers,
        y=layers if flat else values,
        orientation="h" if flat else "v",
        marker={"color": _SIDES[side]},
        text=[percent(value) for value in values] if len(values) <= _WORDS else None,
        textposition="outside",
        textfont={"size": 10, "color": GREY},
        cliponaxis=False,
        hovertemplate=f"{side} layer %{{{place}}}: weight %{{{length}:.4f}}<extra></extra>",
        row=row,
        col=column,
    )


def _weights(found: Seen, term: str) -> go.Figure:
    """Two panels, student above teacher, one line a layer from light (first) to dark (last)."""
    counts = {side: len(found.at["layer_weights"][term][side]) for side in _SIDES}
    heights = [80 + 14 * count for count in counts.values()]
    shares = [height / sum(heights) for height in heights]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=_GAP, row_heights=shares)
    figure.update_layout(layout("", "", 110 + sum(heights)))
    figure.update_layout(xaxis2=axis(showgrid=False), yaxis2=axis())
    kept = [row for row in found.rows if _is_pair((row.get("layer_weights") or {}).get(term))]
    places = [found.epoch(row) for row in kept]
    for number, (side, count) in enumerate(counts.items(), 1):
        ends: list[End] = []
        for layer in range(count):
            values = [_entry(row["layer_weights"][term][side], layer) for row in kept]
            color, what = shade(layer, count), f"{side} layer {layer + 1}"
            ends += line_of_many(figure, places, values, str(layer + 1), color, what, ".4f", number)
        name_ends(figure, ends, plot="" if number == 1 else str(number), share=shares[number - 1] * (1 - _GAP))
        figure.update_yaxes(title={"text": f"{side}'s layers"}, nticks=5, row=number, col=1)
    epochs(figure, places[0], places[-1], right=36)
    figure.update_xaxes(title={"text": "epoch"}, row=2, col=1)
    return figure


def percent(value: float) -> str:
    """A share in per cent without its sign; nothing where nothing flows."""
    if value <= 0:
        return ""
    return f"{100 * value:.0f}" if value >= 0.005 else "<1"


def _entry(values: list[float], place: int) -> float | None:
    return values[place] if place < len(values) else None


def is_row(value: Any) -> bool:
    """Whether something is a list of numbers, not empty."""
    numbers = isinstance(value, list) and bool(value)
    return numbers and all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for entry in value)


def is_matrix(value: Any) -> bool:
    """Whether something is a list of such lists, all of one length."""
    return isinstance(value, list) and bool(value) and all(map(is_row, value)) and len({len(r) for r in value}) == 1


def _is_pair(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == set(_SIDES) and all(map(is_row, value.values()))
