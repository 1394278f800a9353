"""Slices: the score of every trial against each hyper-parameter that varies."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from analysis.drawing import baseline_line, layout, set_ticks, set_words, steps_of_ten
from analysis.marks import marks
from analysis.style import ORANGE, parameter
from analysis.tables import varying
from trainables.record import Record, Trial

# Up to so many values each is a tick of its own; of more, round numbers between them are.
_TICKS = 8


def slices(record: Record) -> dict[str, go.Figure]:
    """A figure per hyper-parameter that varies, hollow marks for trials cut short, the published value marked."""
    drawn = [trial for trial in record.trials.values() if not trial.is_baseline and trial.score is not None]
    if len(drawn) < 2:
        return {}
    return {name: _slice(record, name, drawn) for name in varying(record)}


def _slice(record: Record, name: str, drawn: list[Trial]) -> go.Figure:
    scale = next((axis["scale"] for axis in record.plan.get("axes", []) if axis["name"] == name), None)
    shown = [trial for trial in drawn if name in trial.params]
    published = (record.plan.get("published") or {}).get("values", {}).get(name)
    values = list(dict.fromkeys(trial.params[name] for trial in shown))
    if published is not None and published not in values:
        values.append(published)
    numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    # The score stands as a title of the page's section, so that a narrow figure keeps its width for the marks.
    figure = go.Figure(layout=layout("", "", 250))
    baseline_line(figure, record, named=False)
    if numeric:
        values.sort()
        # Training values have no axis of their own; they are spaced as their values are.
        log = min(values) > 0 and (scale == "log" or (scale is None and values[-1] >= 20 * values[0]))
        many = len(values) > _TICKS
        set_ticks(figure, _round(values, log) if many else values, log, () if published is None else (published,))
        _mark_number(figure, published, log)
    else:
        set_words(figure, values)
        _mark(figure, None if published is None else parameter(published))
    x = [trial.params[name] if numeric else parameter(trial.params[name]) for trial in shown]
    marks(figure, record, shown, x, [trial.score or 0.0 for trial in shown])
    figure.update_yaxes(range=_range(record, drawn), nticks=6)
    return figure


def _range(record: Record, drawn: list[Trial]) -> list[float]:
    """The same vertical range for all slices, so that they can be read side by side."""
    base = record.best_trial(baseline=True)
    scores = [trial.score or 0.0 for trial in [*drawn, *([base] if base else [])]]
    room = 0.08 * ((max(scores) - min(scores)) or abs(max(scores)) or 1.0)
    return [min(scores) - room, max(scores) + room]


def _mark_number(figure: go.Figure, published: float | None, log: bool) -> None:
    if published is None:
        return
    figure.add_vline(x=published, line={"color": ORANGE, "width": 1.5, "dash": "dot"}, layer="below")
    _mark(figure, math.log10(published) if log else published)


def _mark(figure: go.Figure, at: Any) -> None:
    if at is None:
        return
    figure.add_annotation(
        x=at,
        y=1,
        yref="paper",
        yanchor="bottom",
        text="published",
        showarrow=False,
        font={"color": ORANGE, "size": 11},
    )


def _round(values: list[float], log: bool) -> list[float]:
    """Ends of the values, and round numbers between them."""
    low, high = values[0], values[-1]
    return [low, *(steps_of_ten(low, high) if log else [low + (high - low) * i / 4 for i in (1, 2, 3)]), high]
