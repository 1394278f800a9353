"""One mark a trial, as several figures draw them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from analysis.drawing import safe
from analysis.seeds import seeds_differ
from analysis.style import GREY, ROLES, role
from trainables.record import FAIL, PRUNED, Record, Trial


def marks(figure: go.Figure, record: Record, shown: Sequence[Trial], x: Sequence[Any], y: Sequence[float]) -> None:
    """Draw each trial at its place in the colour of its role, hollow where it did not run all its epochs."""
    seeds = seeds_differ(record)
    for wanted in reversed(ROLES):
        picked = [i for i, trial in enumerate(shown) if role(record, trial) == wanted]
        if not picked:
            continue
        color = GREY if wanted == "other" else ROLES[wanted][0]
        figure.add_scatter(
            x=[x[i] for i in picked],
            y=[y[i] for i in picked],
            mode="markers",
            cliponaxis=False,
            marker={
                "size": 11 if wanted != "other" else 8,
                "color": color,
                "opacity": 1 if wanted != "other" else 0.75,
                "symbol": ["circle-open" if shown[i].state in (PRUNED, FAIL) else "circle" for i in picked],
                "line": {"width": 2, "color": color},
            },
            text=[f"<b>{shown[i].id}</b> {safe(shown[i], seeds)}" for i in picked],
            hovertemplate="%{text}<br>%{y:.4f}<extra></extra>",
        )
