"""Loss terms over the epochs, each in a panel of its own: they differ by orders of magnitude."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from analysis.called import roles
from analysis.drawing import epochs, layout, steps_of_ten
from analysis.style import short
from trainables.record import Record, Trial

_WIDE = 20.0


def loss_terms(record: Record) -> dict[str, go.Figure]:
    """A figure per term as the methods name them: best trial solid, undistilled student dashed.

    None before the best trial's second evaluation: a single one has no course.
    """
    sides = [("best", record.chosen_trial()), ("baseline", record.best_trial(baseline=True))]
    steps = {role: _steps(trial) for role, trial in sides if trial is not None}
    if len(steps.get("best", [])) < 2:
        return {}
    names = dict.fromkeys(name for rows in steps.values() for row in rows for name in row["terms"])
    # The weighted sum is what was minimised; it closes the row.
    order = [name for name in names if name != "total"] + [name for name in names if name == "total"]
    drawn = {name: _panel(record, name, steps) for name in order}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _steps(trial: Trial) -> list[dict[str, Any]]:
    return [row for _, row in sorted(trial.evaluations.items()) if row.get("terms")]


def _panel(record: Record, name: str, steps: dict[str, list[dict[str, Any]]]) -> go.Figure | None:
    figure = go.Figure(layout=layout("epoch", "", 220))
    shown, ends, names = [], [], roles(record)
    for role, rows in steps.items():
        mine = [(row["epoch"], row["terms"][name]) for row in rows if row["terms"].get(name) is not None]
        if not mine:
            continue
        color, words = names[role]
        shown += [value for _, value in mine]
        ends += [epoch for epoch, _ in mine]
        figure.add_scatter(
            x=[epoch for epoch, _ in mine],
            y=[value for _, value in mine],
            mode="lines+markers",
            name=words,
            line={"color": color, "width": 2, "dash": "dash" if role == "baseline" else "solid"},
            marker={"size": 5 if len(mine) <= 14 else 1, "color": color},
            hovertemplate=f"{words}, epoch %{{x:.4g}}: %{{y:.4g}}<extra></extra>",
        )
    if not shown:
        return None
    if min(shown) > 0 and max(shown) > _WIDE * min(shown):
        ticks = steps_of_ten(min(shown), max(shown))
        ticks = ticks if len(ticks) <= 6 else [spot for spot in ticks if math.log10(spot).is_integer()]
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=[short(spot) for spot in ticks])
    first = min(row["epoch"] for rows in steps.values() for row in rows)
    epochs(figure, first, record.plan["epochs"], right=12)
    figure.update_yaxes(nticks=5)
    return figure
