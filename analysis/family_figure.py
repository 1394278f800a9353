"""Score against size over several sweeps, distilled and not, with the teacher's line."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from analysis.drawing import End, layout, name_ends, teacher_line
from analysis.style import ROLES, count, interval, number
from analysis.verdict import Network

if TYPE_CHECKING:
    from analysis.family import Child

_SERIES = (("baseline", "undistilled", "dash"), ("kd", "KD", "dot"), ("best", "distilled", "solid"))

# Up to so many sweeps have their parameters under their names; the table has them all.
_ROOMY = 4


def scores(children: Sequence[Child]) -> go.Figure | None:
    """Best and undistilled score of every sweep with their intervals over its student's parameters.

    Where sweeps do not differ in size their names stand on the axis instead.
    """
    drawn = [child for child in children if child.best is not None]
    if not drawn:
        return None
    plan, sizes = drawn[0].record.plan, [child.parameters for child in drawn]
    by_size = None not in sizes and len(set(sizes)) == len(sizes)
    places = [float(size or 0) if by_size else float(i) for i, size in enumerate(sizes)]
    order = sorted(range(len(drawn)), key=lambda i: places[i])
    figure = go.Figure(layout=layout("parameters of the student" if by_size else "", plan["metric_title"]))
    teacher_line(figure, drawn[0].record, which="report")
    ends = []
    span = (max(places) - min(places)) or max(abs(places[0]), 1.0)
    for number_of, (role, words, dash) in enumerate(_SERIES):
        color = ROLES[role][0]
        spots = [
            (places[i] + (number_of - 1) * 0.006 * span, drawn[i], drawn[i].networks[role])
            for i in order
            if role in drawn[i].networks and drawn[i].networks[role].score is not None
        ]
        if not spots:
            continue
        figure.add_scatter(
            x=[x for x, _, _ in spots],
            y=[network.score for _, _, network in spots],
            error_y=_bars([network for _, _, network in spots], color),
            mode="lines+markers",
            line={"color": color, "width": 3 if role == "best" else 1.8, "dash": dash if by_size else None},
            marker={"color": color, "size": 9},
            name=words,
            text=[_words(child, network, words) for _, child, network in spots],
            hovertemplate="%{text}<extra></extra>",
        )
        ends.append(End(spots[-1][0], float(spots[-1][2].score or 0.0), words, color))
    _ticks(figure, [drawn[i] for i in order], [places[i] for i in order], span, by_size)
    figure.update_layout(margin={"r": 96})
    name_ends(figure, ends)
    _whole_range(figure)
    return figure


def _bars(networks: Sequence[Network], color: str) -> dict[str, object]:
    low, high = [], []
    for network in networks:
        spread, score = network.interval, network.score or 0.0
        known = spread is not None and not math.isnan(spread.low)
        low.append(score - spread.low if spread is not None and known else 0.0)
        high.append(spread.high - score if spread is not None and known else 0.0)
    return {"type": "data", "array": high, "arrayminus": low, "color": color, "thickness": 1.5, "width": 5}


def _words(child: Child, network: Network, words: str) -> str:
    found = network.interval
    lead = f"<b>{html.escape(child.name)}</b> {words}, {count(child.parameters)} parameters<br>{number(network.score)}"
    return lead if found is None else f"{lead}<br>95 % interval {interval(found.low, found.high)}"


def _ticks(figure: go.Figure, drawn: Sequence[Child], places: Sequence[float], span: float, by_size: bool) -> None:
    """A name under every sweep, with the parameters where a narrow plot has room for them."""
    roomy = by_size and len(drawn) <= _ROOMY
    names = [
        f"<b>{html.escape(child.name)}</b>" + (f"<br>{count(child.parameters)}" if roomy else "") for child in drawn
    ]
    figure.update_xaxes(
        range=[places[0] - 0.08 * span, places[-1] + 0.06 * span],
        tickvals=list(places),
        ticktext=names,
        tickangle=0,
    )


def _whole_range(figure: go.Figure) -> None:
    """Room for the intervals, which the range for the names at the ends does not count."""
    low, high = figure.layout.yaxis.range
    for trace in figure.data:
        if trace.error_y.array is not None:
            low = min([low, *(y - e for y, e in zip(trace.y, trace.error_y.arrayminus, strict=True))])
            high = max([high, *(y + e for y, e in zip(trace.y, trace.error_y.array, strict=True))])
    room = 0.03 * (high - low)
    figure.layout.yaxis.range = [low - room, high + room]
