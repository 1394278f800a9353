"""One dot per confirming run, seeds joined across the points, mean and interval beside them."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.confirmed import BASELINE, KD, Confirmed, Group
from analysis.drawing import layout
from analysis.style import GREY, PALE, ROLES, number
from trainables.record import Record


def dots(record: Record, found: Confirmed) -> go.Figure | None:
    """Scores by point; a thin line is one seed. None before a point has two runs."""
    shown = [group for group in reversed(found.groups) if len(group.scores) > 1]
    if not shown:
        return None
    figure = go.Figure(layout=layout("", record.plan["metric_title"], 380))
    for seed in found.seeds:
        line = [(at, group.scores[seed]) for at, group in enumerate(shown) if seed in group.scores]
        figure.add_scatter(
            x=[at for at, _ in line],
            y=[score for _, score in line],
            mode="lines",
            line={"color": PALE, "width": 1},
            hoverinfo="skip",
        )
    for at, group in enumerate(shown):
        color = _color(group, found.best)
        figure.add_scatter(
            x=[at] * len(group.scores),
            y=list(group.scores.values()),
            mode="markers",
            marker={"size": 9, "color": color, "opacity": 0.75},
            text=[f"<b>{group.runs[seed].id}</b> seed {seed}" for seed in group.scores],
            hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
            cliponaxis=False,
        )
        mean, ends = group.mean, group.interval
        assert mean is not None
        figure.add_scatter(
            x=[at + 0.16],
            y=[mean],
            mode="markers",
            marker={"size": 11, "color": color, "symbol": "diamond"},
            error_y=None
            if ends is None
            else {
                "type": "data",
                "symmetric": False,
                "array": [ends[1] - mean],
                "arrayminus": [mean - ends[0]],
                "color": color,
                "thickness": 2,
                "width": 6,
            },
            hovertemplate=f"mean of {len(group.scores)} seeds<br>%{{y:.4f}}<extra></extra>",
            cliponaxis=False,
        )
        figure.add_annotation(
            x=at + 0.16,
            y=mean,
            text=number(mean),
            showarrow=False,
            xanchor="left",
            xshift=9,
            font={"color": color, "size": 12},
            bgcolor="rgba(255,255,255,0.8)",
            borderpad=0,
        )
    figure.update_xaxes(
        tickvals=list(range(len(shown))),
        ticktext=[_name(group, found.best) for group in shown],
        range=[-0.4, len(shown) - 0.35],
        tickangle=0,
        showgrid=False,
    )
    return figure


def _color(group: Group, best: str | None) -> str:
    role = {BASELINE: "baseline", KD: "kd"}.get(group.id)
    if role is None:
        role = "best" if group.id == best else "other"
    return GREY if role == "other" else ROLES[role][0]


def _name(group: Group, best: str | None) -> str:
    words = {BASELINE: "undis-<br>tilled", KD: "KD"}
    return words.get(group.id, f"{group.id}<br>best" if group.id == best else group.id)
